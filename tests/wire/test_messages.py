from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlpd_robot.errors import ProtocolError
from rlpd_robot.wire import messages as m
from rlpd_robot.wire.codec import Message, encode_single
from tests.wire.examples import problem, robot_spec, segment, snapshot

PLAIN = [
    m.Hello("b"),
    m.Welcome("server", robot_spec(), lockstep=True),
    m.Refused("no", busy=True, request=5),
    m.Reset("b", 3, 7, seed=None),
    m.Reset("b", 3, 7, seed=11),
    m.Stop("b"),
    m.Ping("b", 4),
    m.Bye("b"),
    m.ActorHello("b", problem(), lockstep=False, next_sequence=5, end_sequence=9, end_told=True),
    m.LearnerWelcome("run-1", "f" * 16, "b", committed=4, received=6),
    m.SayHello(),
    m.EpisodeEnd("b", 6, 1, "truncated", "the robot fell silent"),
    m.Ack("b", 4, 6, reply_to=2, episode_open=True),
    m.Grant("b", 100, 7),
    m.Heartbeat(3, {"lateness_p50": 0.5}),
    m.Event("the learner came back", "info"),
]


@pytest.mark.parametrize("message", PLAIN, ids=lambda message: message.kind)
def test_plain_messages_come_back_equal(message):
    assert m.from_bytes(m.to_bytes(message), "peer") == message


def test_messages_with_arrays_come_back_equal():
    state = m.State(4, 0.25, 9, 8, {"position": np.array([0.5, -0.5]), "touching": np.array(True)})
    back = m.from_bytes(m.to_bytes(state), "peer")
    assert (back.sequence, back.stamp_s, back.reply_to, back.executed) == (4, 0.25, 9, 8)
    assert back.values["position"].tolist() == [0.5, -0.5]
    assert back.values["touching"].shape == ()
    command = m.from_bytes(m.to_bytes(m.CommandMessage("b", 3, 2, np.array([1.0, 2.0]))), "peer")
    assert (command.boot, command.sequence, command.state_sequence) == ("b", 3, 2)
    assert command.values.tolist() == [1.0, 2.0]
    limits = np.array([[-1.0], [1.0], [np.inf]])
    reset = m.from_bytes(m.to_bytes(m.Reset("b", 3, 7, None, limits)), "peer")
    assert reset.limits.tolist() == limits.tolist()
    policy = m.from_bytes(m.to_bytes(m.PolicyMessage("p", snapshot(5))), "peer")
    assert policy.publisher == "p"
    for f in fields(snapshot()):
        if f.name != "arrays":
            assert getattr(policy.snapshot, f.name) == getattr(snapshot(5), f.name)
    assert np.array_equal(policy.snapshot.arrays["dense_0/kernel"], snapshot(5).arrays["dense_0/kernel"])


@given(st.integers(1, 30), st.integers(0, 2**40), st.sampled_from(["", "terminated", "truncated", "unknown"]))
def test_segments_come_back_equal(n, first, ending):
    original = segment(first=first, n=n, ending=ending)
    assert m.from_bytes(m.to_bytes(m.SegmentMessage(original)), "peer").segment.same_as(original)


@pytest.mark.parametrize(
    ("message", "sentence"),
    [
        (Message("nonsense"), "its kind is 'nonsense'"),
        (Message("grant", {"boot": "b", "until_sequence": 3}), "field 'policy_version' is missing"),
        (
            Message("grant", {"boot": "b", "until_sequence": 3.0, "policy_version": 1}),
            "field 'until_sequence' is '3.0'",
        ),
        (
            Message("grant", {"boot": "b", "until_sequence": True, "policy_version": 1}),
            "field 'until_sequence' is 'True'",
        ),
        (
            Message("episode_end", {"boot": "b", "sequence": 1, "episode": 0, "ending": "over", "cause": ""}),
            "field 'ending' is 'over'",
        ),
        (
            Message("episode_end", {"boot": "b", "sequence": 1, "episode": 0, "ending": "terminated", "cause": ""}),
            "a episode_end that is none .* Expected 'truncated' or 'unknown'",
        ),
        (Message("heartbeat", {"number": 1, "stats": {"a": "b"}}), r"field 'stats\.a' is 'b'"),
        (Message("welcome", {"boot": "b", "spec": "[]", "lockstep": True}), "a description that is none"),
        (Message("welcome", {"boot": "b", "spec": "[" * 100_000, "lockstep": True}), "a description that is none"),
        (Message("command", {"boot": "b", "sequence": 1, "state_sequence": 1}), "array 'values' is missing"),
        (Message("ping", {"boot": "b", "request": 1 << 63}), "field 'request' is 9223372036854775808.* at most"),
        (Message("ping", {"boot": "b", "request": -(1 << 63)}), "field 'request' is -9223372036854775808.* at most"),
        (
            Message("reset", {"boot": "b", "request": 1, "state_sequence": 1, "seed": 1 << 64 - 1}),
            "field 'seed' is.* at most",
        ),
        (
            Message("reset", {"boot": "b", "request": 1, "state_sequence": 1, "seed": -1}),
            "seed -1.* from 0 on",
        ),
    ],
)
def test_what_is_no_message_is_refused(message, sentence):
    with pytest.raises(ProtocolError, match=sentence):
        m.from_bytes(encode_single(message), "peer")


def test_a_segment_with_a_nan_or_a_scalar_column_is_refused():
    good = m.segment_to_message(segment(n=2))
    with pytest.raises(ProtocolError, match="rewards holds a non-finite number at index"):
        m.from_message(Message(good.kind, good.fields, {**good.arrays, "rewards": np.full(2, np.nan, np.float32)}), "x")
    with pytest.raises(ProtocolError, match="scalars"):
        m.from_message(Message(good.kind, good.fields, {**good.arrays, "rewards": np.array(1.0, np.float32)}), "x")
    with pytest.raises(ProtocolError, match="negative sequence"):
        m.from_message(Message(good.kind, {**good.fields, "first_sequence": -1}, good.arrays), "x")


scalars = st.none() | st.booleans() | st.integers(-9, 9) | st.floats() | st.text(max_size=3) | st.just([{}])
some_arrays = st.sampled_from(
    [np.array(1.0), np.ones(2, np.float32), np.ones((2, 2), np.int64), np.zeros((0, 1), bool)]
)
KINDS = [message.kind for message in PLAIN] + ["state", "command", "segment", "policy"]


@given(st.sampled_from(KINDS), st.data())
def test_wrong_types_never_escape_as_another_error(kind, data):
    names = sorted({f.name for c in (*PLAIN, segment(), snapshot()) for f in fields(c)} | {"publisher", "values"})
    chosen = st.dictionaries(st.sampled_from(names), scalars)
    message = Message(kind, data.draw(chosen), data.draw(st.dictionaries(st.sampled_from(names), some_arrays)))
    try:
        m.from_message(message, "peer")
    except ProtocolError:
        return

from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlpd_robot.errors import DataError
from rlpd_robot.types import Segment, Transition, to_batch

O, A = 3, 2  # noqa: E741


def transitions(n, ending="truncated", first_sequence=10, first_step=0, seed=0):
    rng = np.random.default_rng(seed)
    observations = rng.normal(size=(n + 1, O)).astype(np.float32)
    return [
        Transition(
            boot="boot",
            sequence=first_sequence + i,
            episode=4,
            step=first_step + i,
            observation=observations[i],
            action=rng.uniform(-1, 1, A).astype(np.float32),
            proposed_action=rng.uniform(-1, 1, A).astype(np.float32),
            reward=float(i),
            next_observation=observations[i + 1],
            success=bool(i % 2),
            intervened=False,
            safety=2 * (i == 0),
            policy_version=i,
            stamps_s=(i, i + 0.1, i + 0.2, i + 0.3),
            ending=ending if i == n - 1 else "",
            cause="time limit" if i == n - 1 and ending else "",
        )
        for i in range(n)
    ]


def test_stacking_keeps_every_field():
    rows = transitions(5)
    segment = Segment.from_transitions(rows)
    assert len(segment) == 5
    assert segment.is_episode
    assert segment.next_sequence == 15
    for i, row in enumerate(rows):
        np.testing.assert_array_equal(segment.observations[i], row.observation)
        np.testing.assert_array_equal(segment.observations[i + 1], row.next_observation)
        np.testing.assert_array_equal(segment.actions[i], row.action)
        np.testing.assert_array_equal(segment.proposed_actions[i], row.proposed_action)
        assert segment.rewards[i] == row.reward
        assert segment.success[i] == row.success
        assert segment.safety[i] == row.safety
        assert segment.policy_versions[i] == row.policy_version
        assert tuple(segment.stamps_s[i]) == row.stamps_s


@pytest.mark.parametrize("change", [{"sequence": 99}, {"step": 99}, {"episode": 5}, {"boot": "other"}])
def test_stacking_refuses_a_gap(change):
    rows = transitions(3)
    rows[1] = replace(rows[1], **change)
    with pytest.raises(DataError, match="transition 1 is not the successor of the one before"):
        Segment.from_transitions(rows)


def test_stacking_refuses_an_ending_in_the_middle():
    rows = transitions(3)
    rows[1] = replace(rows[1], ending="terminated")
    with pytest.raises(DataError, match="transition 1 is not the successor"):
        Segment.from_transitions(rows)


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 12), st.data())
def test_cutting_and_joining_gives_the_same_segment(n, data):
    rows = transitions(n)
    cuts = sorted({0, n, *data.draw(st.lists(st.integers(0, n), max_size=4))})
    parts = [Segment.from_transitions(rows[a:b]) for a, b in zip(cuts, cuts[1:], strict=False)]
    assert Segment.join(parts).same_as(Segment.from_transitions(rows))


def test_joining_refuses_a_gap_and_a_seam_that_does_not_fit():
    rows = transitions(4)
    first, last = Segment.from_transitions(rows[:2]), Segment.from_transitions(rows[3:])
    with pytest.raises(
        DataError, match="from sequence 13 does not continue the one before. Expected boot boot, sequence"
    ):
        Segment.join([first, last])
    moved = [replace(t, observation=t.observation + 1) for t in rows[2:3]]
    with pytest.raises(DataError, match="does not continue"):
        Segment.join([first, Segment.from_transitions(moved)])


@pytest.mark.parametrize(("ending", "last"), [("truncated", 1.0), ("terminated", 0.0), ("unknown", 1.0), ("", 1.0)])
def test_only_a_true_terminal_stops_the_bootstrap(ending, last):
    segment = Segment.from_transitions(transitions(3, ending))
    assert segment.bootstrap.tolist() == [1.0, 1.0, last]
    assert segment.is_episode == (ending != "")


def test_a_segment_from_the_middle_is_no_episode():
    assert not Segment.from_transitions(transitions(3, first_step=7)).is_episode


GOOD = Segment.from_transitions(transitions(3))


def with_value(name, index, value):
    column = np.array(getattr(GOOD, name))
    column[index] = value
    return {name: column}


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"rewards": np.zeros(0, np.float32)}, "Episode 4 from step 0: it holds no transition"),
        (
            {"observations": GOOD.observations[:-1]},
            r"observations have shape \(3, 3\). Expected \(4, O\) for 3 rewards.",
        ),
        ({"actions": GOOD.actions[:-1]}, r"actions has shape \(2, 2\) and dtype float32. Expected 3 rows of float32."),
        ({"actions": GOOD.actions.astype(np.float64)}, "dtype float64"),
        ({"success": GOOD.success.astype(np.int64)}, "success has shape"),
        (with_value("observations", (3, 1), np.nan), r"observations holds a non-finite number at index \[3, 1\]"),
        (with_value("rewards", 1, np.inf), r"rewards holds a non-finite number at index \[1\]"),
        (with_value("actions", (2, 0), 1.5), r"actions reaches 1.5. Expected values in \[-1, 1\]"),
        (with_value("proposed_actions", (0, 0), np.nan), "proposed_actions holds a non-finite number"),
        ({"actions": np.zeros(3, np.float32)}, r"actions has shape \(3,\). Expected \(3, A\)."),
        ({"ending": "done"}, "ending is 'done'"),
    ],
)
def test_a_segment_that_must_not_be_stored_is_refused(change, sentence):
    with pytest.raises(DataError, match=sentence):
        replace(GOOD, **change)


def test_same_as_sees_every_field():
    assert GOOD.same_as(replace(GOOD))
    for field in fields(GOOD):
        value = getattr(GOOD, field.name)
        if isinstance(value, np.ndarray):
            other = np.array(value)
            first = (0,) * other.ndim
            if other.dtype == np.bool_:
                other[first] = not other[first]
            elif other.dtype == np.int64:
                other[first] += 1
            else:
                other[first] = other[first] * 0.5 + 0.25  # stays in [-1, 1]
            assert not np.array_equal(other, value)
        else:
            other = value + 1 if isinstance(value, int) else {"ending": "unknown"}.get(field.name, value + "x")
        assert not GOOD.same_as(replace(GOOD, **{field.name: other})), field.name


def test_to_batch_lines_rows_up():
    batch = to_batch(Segment.from_transitions(transitions(3, "terminated")), is_demo=True)
    np.testing.assert_array_equal(batch.observation[1:], batch.next_observation[:-1])
    assert batch.bootstrap.tolist() == [1, 1, 0]
    assert batch.is_demo.tolist() == [1, 1, 1]
    assert {np.asarray(column).dtype for column in batch} == {np.dtype(np.float32)}
    assert to_batch(GOOD, is_demo=False).is_demo.tolist() == [0, 0, 0]

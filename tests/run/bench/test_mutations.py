import random

import pytest

from rlpd_robot.errors import PeerVersionError, ProtocolError
from rlpd_robot.run.bench.mutations import MUTATIONS, corpus, mutate, other_version
from rlpd_robot.wire.codec import DEFAULT_MAX_BYTES
from rlpd_robot.wire.messages import CommandMessage, Reset, from_bytes
from rlpd_robot.wire.policy_protocol import unpack_request
from tests.run.point import PROBLEM


@pytest.fixture(scope="module")
def samples():
    return corpus(PROBLEM, random.Random(1))


def test_the_corpus_is_valid(samples):
    kinds = set()
    for data in samples[:-4]:
        kinds.add(from_bytes(data, "a peer").kind)
    assert len(kinds) == len(samples) - 4
    assert {"command", "segment", "episode_end", "policy"} <= kinds
    assert unpack_request(samples[-1], "a client").budget_us == 10_000


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda f: f.__name__)
def test_every_mutation_spoils_something_and_is_the_same_for_a_seed(samples, mutation):
    first, again = ([mutation(random.Random(7), data) for data in samples] for _ in range(2))
    assert first == again
    assert any([data] != frames for data, frames in zip(samples, first, strict=True))


def test_spoiled_messages_end_in_our_errors_and_no_command_is_fresh(samples):
    rng, refused, total = random.Random(2), 0, 4000
    for _ in range(total):
        for frame in mutate(rng, rng.choice(samples)):
            try:
                message = from_bytes(frame, "a peer", DEFAULT_MAX_BYTES)
            except (ProtocolError, PeerVersionError):
                refused += 1
            else:
                if isinstance(message, CommandMessage | Reset):
                    assert not 0 <= message.state_sequence < 1 << 20
    assert refused > total


def test_a_question_of_another_version_names_it():
    with pytest.raises(PeerVersionError, match="version 1000007,"):
        from_bytes(other_version(1_000_007), "a peer")

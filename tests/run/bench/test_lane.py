import random

from hypothesis import given
from hypothesis import strategies as st

from rlpd_robot.run.bench.lane import LINK_FAULTS, Lane, LinkFault


def through(fault: LinkFault | None, count: int = 200, seed: int = 0) -> list[int]:
    """What comes out at the end when one message enters each millisecond."""
    lane: Lane[int] = Lane(random.Random(seed))
    lane.fault = fault
    out = []
    for i in range(count):
        lane.put(0.001 * i, i)
        out += lane.take(0.001 * i)
    return [*out, *lane.take(1e9)]


def test_a_good_link_changes_nothing() -> None:
    assert through(None) == list(range(200))


def test_a_cut_link_drops_everything() -> None:
    assert through(LinkFault("cut", 1.0, 0.05)) == []
    assert through(LinkFault("reopen", 1.0, 0.05)) == []


def test_delay_keeps_the_order() -> None:
    assert through(LinkFault("delay", 1.0, 0.05)) == list(range(200))
    lane: Lane[str] = Lane(random.Random(1))
    lane.fault = LinkFault("delay", 1.0, 0.05)
    lane.put(1.0, "a")
    due_s = lane.due_s()
    assert due_s is not None
    assert 1.0 < due_s <= 1.05
    assert list(lane.take(due_s - 1e-6)) == []
    assert list(lane.take(due_s)) == ["a"]


def test_duplicates_are_the_same_messages_again() -> None:
    out = through(LinkFault("duplicate", 1.0, 0.05))
    assert set(out) == set(range(200))
    assert 250 < len(out) < 350
    firsts = list(dict.fromkeys(out))
    assert firsts == sorted(firsts)


def test_reordering_loses_nothing() -> None:
    out = through(LinkFault("reorder", 1.0, 0.05))
    assert sorted(out) == list(range(200))
    assert out != sorted(out)
    assert max(i - place for place, i in enumerate(out)) <= 51


@given(st.integers(0, 1 << 30), st.lists(st.sampled_from([*LINK_FAULTS, None]), min_size=1, max_size=30))
def test_what_enters_leaves_as_often_as_the_counts_say(seed: int, kinds: list[str]) -> None:
    lane: Lane[int] = Lane(random.Random(seed))
    entered = 0
    out = []
    for turn, kind in enumerate(kinds):
        lane.fault = LinkFault(kind, 1.0, 0.01) if kind is not None else None  # type: ignore[arg-type]
        for i in range(5):
            lane.put(turn + 0.001 * i, entered)
            entered += 1
        out += lane.take(turn + 0.003)
    lane.drop_all()
    assert len(out) == lane.counts["passed"]
    assert entered + lane.counts["duplicated"] == lane.counts["passed"] + lane.counts["dropped"]


def test_the_same_seed_does_the_same() -> None:
    fault = LinkFault("reorder", 1.0, 0.05)
    assert through(fault, seed=3) == through(fault, seed=3) != through(fault, seed=4)

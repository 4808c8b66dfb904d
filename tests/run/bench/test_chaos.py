"""What befalls a run, and when."""

import pytest

from rlpd_robot.run.bench.chaos_faults import KINDS, LINKS, PROCESSES, schedule
from rlpd_robot.run.bench.lane import LINK_FAULTS


@pytest.mark.parametrize("seed", range(5))
def test_a_schedule_leaves_nothing_out(seed: int) -> None:
    dealt = schedule(11, seed, 2)
    assert [len(phase) for phase in dealt] == [6, 5]
    faults = [fault for phase in dealt for fault in phase]
    assert {(f.kind, f.target) for f in faults} >= {(kind, p) for kind in ("kill", "stop") for p in PROCESSES}
    assert {f.kind for f in faults} >= set(LINK_FAULTS)
    assert {f.target for f in faults if f.link_fault is not None} == set(LINKS)
    assert {f.moment for f in faults} == {"any", "checkpoint", "unsent"}
    every = {(f.kind, f.target) for phase in schedule(30, seed, 2) for f in phase}
    assert every == {(kind, t) for kind in KINDS for t in (LINKS if kind in LINK_FAULTS else PROCESSES)}


def test_a_schedule_can_be_done_again() -> None:
    assert schedule(60, 4, 2) == schedule(60, 4, 2) != schedule(60, 5, 2)
    assert sum(map(len, schedule(60, 4, 2))) == 60

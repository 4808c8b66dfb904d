import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlpd_robot.run.budget import UpdateBudget
from rlpd_robot.run.consumed import Rows
from rlpd_robot.run.pacing import Pacing
from rlpd_robot.types import Batch


def rows(first: int, n: int) -> Rows:
    numbers = np.arange(first, first + n, dtype=np.float32)
    return Rows("boot", first, Batch(numbers[:, None], numbers[:, None], numbers, numbers[:, None], numbers, numbers))


def lockstep_run(
    block: int, total: int, free: int, sizes: list[int], steps: list[int]
) -> list[tuple[int, int, int, int]]:
    """What one actor and one learner do: (rows admitted, trained before, leave, held after) at each admission.

    `sizes` are those of the segments and `steps` the updates between two looks: how the processes are scheduled.
    """
    pacing, budget = Pacing(block, total), UpdateBudget(1, free)
    acted = leave = turn = 0
    happened = []
    while budget.received < total or budget.owed:
        turn += 1
        assert turn < 10_000, "it hangs"
        trained = budget.trained
        admitted = pacing.admit(budget, lockstep=True)
        for part in admitted:
            budget.receive(len(part))
        if admitted or leave == 0:
            leave = pacing.leave(budget, acted)
            happened.append((sum(len(part) for part in admitted), trained, leave, pacing.held))
        n = min(sizes[turn % len(sizes)], leave - acted)
        if n:
            pacing.hold(rows(acted, n))
            acted += n
        for _ in range(min(budget.owed, steps[turn % len(steps)])):
            budget.spend()
    return happened


@given(
    block=st.integers(1, 20),
    total=st.integers(1, 70),
    free=st.integers(0, 30),
    schedules=st.lists(
        st.tuples(st.lists(st.integers(1, 9), min_size=1), st.lists(st.integers(1, 9), min_size=1)),
        min_size=2,
        max_size=2,
    ),
)
def test_in_lockstep_the_schedule_changes_nothing(
    block: int, total: int, free: int, schedules: list[tuple[list[int], list[int]]]
) -> None:
    one, two = (lockstep_run(block, total, free, *schedule) for schedule in schedules)
    assert one == two


def test_one_block_is_acted_while_the_one_before_is_trained_on() -> None:
    happened = lockstep_run(block=10, total=25, free=0, sizes=[3], steps=[1])
    assert happened == [(0, 0, 10, 0), (10, 0, 20, 0), (10, 10, 25, 0), (5, 20, 25, 0)]


def test_a_real_robot_is_never_held_up() -> None:
    pacing, budget = Pacing(block=100, total=1000), UpdateBudget(1)
    budget.receive(7)
    pacing.hold(rows(7, 3))
    pacing.hold(rows(10, 2))
    admitted = pacing.admit(budget, lockstep=False)
    assert [part.batch.reward.tolist() for part in admitted] == [[7, 8, 9], [10, 11]]
    assert pacing.held == 0
    assert pacing.admit(budget, lockstep=False) == []


def test_a_block_waits_for_the_updates_of_the_one_before() -> None:
    pacing, budget = Pacing(block=4, total=100), UpdateBudget(1)
    pacing.hold(rows(0, 4))
    budget.receive(4)
    assert pacing.admit(budget, lockstep=True) == []
    for _ in range(4):
        budget.spend()
    assert len(pacing.admit(budget, lockstep=True)) == 1


@pytest.mark.parametrize(("mine", "others"), [(30, 20), (0, 50), (50, 0)])
def test_several_actors_share_a_block(mine: int, others: int) -> None:
    pacing, budget = Pacing(block=10, total=1000), UpdateBudget(1)
    budget.receive(mine + others)
    assert pacing.leave(budget, mine) == mine + 10
    pacing.hold(rows(0, 4))  # of another actor: less is left for this one
    assert pacing.leave(budget, mine) == mine + 6


@given(sizes=st.lists(st.integers(1, 25), min_size=1), block=st.integers(1, 9), total=st.integers(1, 60))
def test_several_blocks_that_are_there_at_once_are_let_in_one_by_one(sizes: list[int], block: int, total: int) -> None:
    """As after a restart: the boundaries are those of an uninterrupted run."""
    pacing, budget, first = Pacing(block, total), UpdateBudget(1), 0
    for n in sizes:
        pacing.hold(rows(first, n))
        first += n
    blocks = []
    while admitted := pacing.admit(budget, lockstep=True):
        blocks.append([number for part in admitted for number in part.batch.reward.tolist()])
        budget.receive(len(blocks[-1]))
        assert pacing.admit(budget, lockstep=True) == []  # its updates come first
        for _ in blocks[-1]:
            budget.spend()
    whole = [list(range(start, min(start + block, total))) for start in range(0, total, block)]
    assert blocks == [b for b in whole if b[-1] < first]
    assert pacing.held == first - sum(map(len, blocks))

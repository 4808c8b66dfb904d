from hypothesis import given
from hypothesis import strategies as st

from rlpd_robot.run.budget import UpdateBudget

ARRIVALS = st.lists(st.integers(0, 30), max_size=20)


@given(utd=st.integers(1, 40), free=st.integers(0, 60), arrivals=ARRIVALS)
def test_whoever_spends_what_is_owed_realises_the_ratio_exactly(utd: int, free: int, arrivals: list[int]) -> None:
    budget = UpdateBudget(utd, free)
    for transitions in arrivals:
        budget.receive(transitions)
        for _ in range(budget.owed):
            budget.spend()
        assert budget.owed == 0
        assert budget.trained == budget.received
    assert budget.updates == utd * max(0, sum(arrivals) - free)
    assert budget.realised == (utd if sum(arrivals) > free else 0)


@given(utd=st.integers(1, 40), free=st.integers(0, 60), arrivals=ARRIVALS, spent=st.integers(0, 20))
def test_nothing_is_ever_owed_twice_or_below_zero(utd: int, free: int, arrivals: list[int], spent: int) -> None:
    budget = UpdateBudget(utd, free)
    for _ in range(spent):
        budget.spend()
    for transitions in arrivals:
        budget.receive(transitions)
    assert budget.owed == max(0, budget.earned - spent)
    assert budget.owed >= 0


def test_an_account_read_from_a_checkpoint_goes_on() -> None:
    budget = UpdateBudget(utd=20, free=5, received=105, updates=1800)
    assert (budget.owed, budget.trained, budget.realised) == (10, 95, 18.0)

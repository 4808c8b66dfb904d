"""How many episodes decide, and what they decide."""

import pytest

from rlpd_robot.run.dry_run.success import check_success, deciding

WON, LOST = (0, True, 200), (1, False, 200)


def test_the_share_of_solved_episodes_is_held_against_the_bar():
    assert check_success([WON] * 4 + [LOST], 0.8, True).passed
    assert check_success([WON] * 3 + [LOST] * 2, 0.8, True).passed is False
    assert check_success([], 0.8, True).passed is False
    assert check_success([LOST], 0.8, False).passed is None


@pytest.mark.parametrize(
    ("solved", "judged"),
    [(8, 8), (7, 8), (6, None), (5, None), (4, 8), (0, 8)],  # 4 of 8: at most 78 % by Wilson's interval
)
def test_more_episodes_are_made_only_where_the_first_leave_it_open(solved, judged):
    first = [WON] * solved + [LOST] * (8 - solved)
    assert deciding(first[:7], 8, 0.8) is None
    assert (found := deciding(first, 8, 0.8)) == (None if judged is None else first), found
    if judged is None:
        assert deciding([*first, *[WON] * 15], 8, 0.8) is None  # though by now enough are solved
        many = [*first, *[WON] * 16]
        assert deciding([*many, LOST], 8, 0.8) == many

"""Hand-made books: each contains one thing that must be found, and nothing else."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rlpd_robot.robot.book import CommandBook, Outcome, read_book
from rlpd_robot.robot.task import ActionMap
from rlpd_robot.run.bench.books import Comparison, Stretch, compare, stretches
from rlpd_robot.types import Segment


def action(n: int) -> list[float]:
    return [np.float32(np.sin(n)), np.float32(np.cos(n))]


def stretch(
    commands: Sequence[int],
    controller: str = "c",
    server: str = "s",
    number: int = 1,
    least: Sequence[int] | None = None,
    most: Sequence[int] | None = None,
) -> Stretch:
    """Commands named by a number each; the first answers state 10. One state under each, the last one not taken."""
    return Stretch(
        server=server,
        controller=controller,
        numbers=np.arange(number, number + len(commands)),
        answers=np.arange(10, 10 + len(commands)),
        actions=np.array([action(n) for n in commands], np.float32),
        least=np.array([1] * (len(commands) - 1) + [0]) if least is None else np.array(least),
        most=np.ones(len(commands), np.int64) if most is None else np.array(most),
    )


def episode(commands: Sequence[int], first_sequence: int = 0, number: int = 0, boot: str = "actor") -> Segment:
    n = len(commands)
    return Segment(
        boot=boot,
        first_sequence=first_sequence,
        episode=number,
        first_step=0,
        observations=np.zeros((n + 1, 3), np.float32),
        actions=np.array([action(c) for c in commands], np.float32),
        proposed_actions=np.zeros((n, 2), np.float32),
        rewards=np.zeros(n, np.float32),
        success=np.zeros(n, np.bool_),
        intervened=np.zeros(n, np.bool_),
        safety=np.zeros(n, np.uint16),
        policy_versions=np.zeros(n, np.int64),
        stamps_s=np.zeros((n, 4)),
        ending="truncated",
        cause="test",
    )


def counts(found: Comparison) -> dict[str, int]:
    names = ("lost", "duplicated", "torn", "unobserved", "not_executed")
    return {name: len(getattr(found, name)) for name in names if getattr(found, name)}


def test_books_that_agree() -> None:
    done = [stretch([1, 2, 3]), stretch([4, 5], number=9), stretch([6], controller="d")]
    episodes = [episode([1, 2, 3]), episode([6], boot="other"), episode([4, 5], 3, 1)]
    found = compare(done, episodes, lockstep=True)
    assert counts(found) == {}
    assert (found.executed, found.committed) == (6, 6)


def test_the_last_command_of_a_stretch_may_have_no_outcome() -> None:
    found = compare([stretch([1, 2, 3]), stretch([4], number=9)], [episode([1, 2])], lockstep=True)
    assert counts(found) == {"unobserved": 2}
    assert (found.executed, found.committed) == (4, 2)


def test_a_hole_in_an_episode_is_a_loss_and_tears_it() -> None:
    found = compare([stretch([1, 2, 3, 4])], [episode([1, 2, 4])], lockstep=True)
    assert counts(found) == {"lost": 1, "torn": 1}
    assert found.lost == ["command 3 of controller c on robot s, commands from 1 is in no row, and 1 followed it"]
    assert counts(compare([stretch([1, 2, 3, 4])], [episode([1, 2, 4])], lockstep=False)) == {"lost": 1}


def test_two_commands_at_the_end_are_one_too_many() -> None:
    found = compare([stretch([1, 2, 3, 4])], [episode([1, 2])], lockstep=False)
    assert counts(found) == {"lost": 1, "unobserved": 1}


def test_an_episode_that_never_came() -> None:
    done = [stretch([1, 2, 3]), stretch([4, 5, 6], number=9), stretch([7, 8], number=20)]
    found = compare(done, [episode([1, 2, 3]), episode([7, 8], 6, 2)], lockstep=True)
    assert counts(found) == {"lost": 2 + 1, "unobserved": 1}
    assert "sequences 3 to 5 of actor actor are missing" in found.lost


def test_a_beginning_that_is_missing() -> None:
    found = compare([stretch([1, 2, 3])], [episode([2, 3])], lockstep=False)
    assert counts(found) == {"lost": 1, "torn": 1}


def test_an_episode_stored_twice() -> None:
    found = compare([stretch([1, 2])], [episode([1, 2]), episode([1, 2])], lockstep=True)
    assert counts(found) == {"duplicated": 2 + 2, "torn": 1}  # by sequence and by command


def test_the_same_rows_under_other_numbers_are_duplicates_too() -> None:
    found = compare([stretch([1, 2])], [episode([1, 2]), episode([1, 2], 2, 1)], lockstep=True)
    assert counts(found) == {"duplicated": 2}


def test_sequences_that_overlap() -> None:
    done = [stretch([1, 2]), stretch([3, 4], number=9)]
    found = compare(done, [episode([1, 2]), episode([3, 4], 1, 1)], lockstep=True)
    assert counts(found) == {"duplicated": 1}


def test_a_command_executed_twice() -> None:
    done = [stretch([1, 2]), stretch([3], number=2)]
    found = compare(done, [episode([1, 2]), episode([3], 2, 1)], lockstep=False)
    assert found.duplicated == ["command 2 of controller c was executed 2 times"]


def test_an_episode_stored_in_pieces() -> None:
    found = compare([stretch([1, 2, 3])], [episode([1, 2]), episode([3], 2, 0)], lockstep=True)
    assert counts(found) == {"torn": 2}


def test_an_episode_of_two_stretches() -> None:
    done = [stretch([1, 2, 3]), stretch([4, 5], number=9)]
    found = compare(done, [episode([1, 2, 3, 4, 5])], lockstep=False)
    assert set(counts(found)) == {"torn"}


def test_rows_out_of_order() -> None:
    found = compare([stretch([1, 2, 3])], [episode([1, 3, 2])], lockstep=False)
    assert counts(found) == {"not_executed": 1, "unobserved": 1}  # 3 came too early, or 2 too late
    found = compare([stretch([1, 2, 3, 4])], [episode([1, 3, 2, 4])], lockstep=False)
    assert counts(found) == {"lost": 1, "not_executed": 1}


def test_a_row_that_the_robot_never_executed() -> None:
    found = compare([stretch([1, 3])], [episode([1, 2, 3]), episode([8], 3, 1)], lockstep=False)
    assert counts(found) == {"not_executed": 2}


def test_by_the_wall_clock_a_command_may_be_overtaken_or_held() -> None:
    done = [stretch([1, 2, 3, 4, 5], least=[0, 0, 2, 1, 0], most=[1, 1, 3, 1, 2])]
    assert counts(compare(done, [episode([1, 3, 3, 4, 5])], lockstep=False)) == {"unobserved": 1}
    assert counts(compare(done, [episode([3, 3, 3, 4])], lockstep=False)) == {"unobserved": 3}
    assert counts(compare(done, [episode([1, 2, 3, 4, 5, 5])], lockstep=False)) == {"lost": 1}
    assert counts(compare(done, [episode([3, 3, 5])], lockstep=False)) == {"lost": 1, "unobserved": 2}
    assert counts(compare(done, [episode([3, 3, 3, 3, 4])], lockstep=False)) == {"not_executed": 1, "unobserved": 3}


def test_overtaken_commands_that_equal_their_neighbours() -> None:
    done = [stretch([1, 1, 1, 2, 1, 3], least=[0, 1, 0, 0, 1, 0], most=[1] * 6)]
    assert counts(compare(done, [episode([1, 1])], lockstep=False)) == {"unobserved": 4}
    assert counts(compare(done, [episode([1])], lockstep=False))["lost"] == 1


def test_equal_actions_are_told_apart_by_their_order() -> None:
    done = [stretch([1, 1, 2, 1]), stretch([1, 2, 2], number=9)]
    assert counts(compare(done, [episode([1, 1, 2, 1]), episode([1, 2, 2], 4, 1)], lockstep=True)) == {}


def test_one_bit_makes_another_action() -> None:
    row = episode([1, 2])
    row.actions[0, 0] = np.nextafter(row.actions[0, 0], np.float32(2))
    assert counts(compare([stretch([1, 2])], [replace(row)], lockstep=True)) == {
        "lost": 1,
        "not_executed": 1,
        "torn": 1,
    }


@pytest.fixture
def actions() -> ActionMap:
    return ActionMap(np.array([-1.0, 0.0]), np.array([3.0, 5.0]))


def test_what_a_book_tells_of_the_states_under_each_command(tmp_path: Path, actions: ActionMap) -> None:
    book = CommandBook(tmp_path / "book", "s", 2)

    def note(outcome: Outcome, answers: int, state: int) -> None:
        book.add(outcome, "c", state, answers, state, np.array([1.0, 0.1 * state]))

    note(Outcome.RESET, 3, 4)
    note(Outcome.EXECUTED, 5, 5)  # under it: 6
    note(Outcome.EXECUTED, 6, 6)  # none: the next one came before the next state
    note(Outcome.EXECUTED, 6, 6)  # 7, 8, 9
    note(Outcome.STALE, 7, 8)
    note(Outcome.EXECUTED, 9, 9)  # 10, 11
    note(Outcome.HELD, -1, 11)
    note(Outcome.NOT_RESET, 12, 12)
    note(Outcome.RESET, 12, 13)
    note(Outcome.EXECUTED, 14, 14)  # until it was killed
    book.close()
    first, second = stretches(read_book(tmp_path / "book"), actions)
    assert first.most.tolist() == [1, 0, 3, 2]
    assert first.least.tolist() == [1, 0, 2, 0]
    assert (second.most.tolist(), second.least.tolist()) == ([4], [0])


def test_stretches_of_a_book(tmp_path: Path, actions: ActionMap) -> None:
    path = tmp_path / "book"
    number = 0

    def note(book: CommandBook, controller: str, *outcomes: Outcome) -> None:
        nonlocal number
        for outcome in outcomes:
            number += 1
            book.add(outcome, controller, number, number + 100, values=np.array([1.0, 0.01 * number]))

    first = CommandBook(path, "s1", 2)
    note(first, "c1", Outcome.RESET, Outcome.EXECUTED, Outcome.STALE, Outcome.EXECUTED, Outcome.STOP, Outcome.EXECUTED)
    note(first, "c1", Outcome.RESET, Outcome.RESET, Outcome.EXECUTED)
    first.close()
    second = CommandBook(path, "s2", 2)
    note(second, "c1", Outcome.RESET, Outcome.EXECUTED)
    note(second, "c2", Outcome.RESET, Outcome.OUT_OF_ORDER, Outcome.EXECUTED, Outcome.REPEATED)
    second.close()

    got = stretches(read_book(path), actions)
    assert [(s.server, s.controller, s.numbers.tolist()) for s in got] == [
        ("s1", "c1", [2, 4, 6]),
        ("s1", "c1", [9]),
        ("s2", "c1", [11]),
        ("s2", "c2", [14]),
    ]
    assert got[0].answers.tolist() == [102, 104, 106]
    np.testing.assert_allclose(got[0].actions, [[0, -1 + 0.4 * 0.01 * n] for n in (2, 4, 6)], atol=1e-7)
    assert got[0].actions.dtype == np.float32

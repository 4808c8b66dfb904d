from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import zarr

from rlpd_robot.data.validate import validate
from rlpd_robot.errors import StoreError
from tests.data.episodes import make_episode
from tests.data.test_demo_store import edit_attributes, overwrite

MakeStore = Callable[[int], Path]


def first_row(episode: int) -> int:
    return sum(len(make_episode(i)) + 1 for i in range(episode))


def test_a_sound_store_has_no_problem(make_store: MakeStore) -> None:
    assert validate(make_store(12)) == []
    assert first_row(12) > 4 * 512 // 12, "the test needs several chunks"


@pytest.mark.parametrize(
    ("key", "row", "value", "sentence"),
    [
        ("data/observations", (2, 4), np.inf, "episode 2, observations[2, 4]: inf. Expected a finite number."),
        ("data/observations", (15, 1), np.nan, "episode 2, observations[15, 1]: nan. Expected a finite number."),
        ("data/rewards", (7,), np.nan, "episode 2, rewards[7]: nan. Expected a finite number."),
        ("data/actions", (3, 0), -1.5, "episode 2, actions[3, 0]: -1.5. Expected a value in [-1, 1]."),
        ("data/proposed_actions", (0, 2), 2, "episode 2, proposed_actions[0, 2]: 2. Expected a value in [-1, 1]."),
        ("data/stamps_s", (1, 3), -np.inf, "episode 2, stamps_s[1, 3]: -inf. Expected a finite number."),
        ("data/valid", (5,), False, "episode 2, valid[5]: False. Expected True for 15 transitions, then False."),
        ("data/valid", (15,), True, "episode 2, valid[15]: True. Expected True for 15 transitions, then False."),
    ],
)
def test_names_episode_key_and_index(
    make_store: MakeStore, key: str, row: tuple[int, ...], value: float, sentence: str
) -> None:
    path = make_store(12)
    overwrite(path, key, (first_row(2) + row[0], *row[1:]), value)
    assert [str(problem) for problem in validate(path)] == [sentence]


def test_padding_is_not_looked_at(make_store: MakeStore) -> None:
    path = make_store(3)
    overwrite(path, "data/actions", first_row(1) - 1, np.nan)
    assert validate(path) == []


def test_several_problems_are_counted_by_episode_and_key(make_store: MakeStore) -> None:
    path = make_store(3)
    start = first_row(2)
    overwrite(path, "data/actions", (slice(start + 3, start + 5), 1), np.nan)
    overwrite(path, "data/actions", (start + 6, 1), 3.0)
    overwrite(path, "data/rewards", 0, np.nan)
    overwrite(path, "meta/ending", 1, 9)
    assert [str(problem) for problem in validate(path)] == [
        "episode 0, rewards[0]: nan. Expected a finite number.",
        "episode 1, ending: code 9. Expected 1 to 3, one of ('terminated', 'truncated', 'unknown').",
        "episode 2, actions[3, 1]: nan (and 1 more). Expected a finite number.",
        "episode 2, actions[6, 1]: 3. Expected a value in [-1, 1].",
    ]


def test_transitions_stored_twice(make_store: MakeStore) -> None:
    path = make_store(3)
    overwrite(path, "meta/first_sequence", 2, 105)
    assert [str(problem) for problem in validate(path)] == [
        "episode 2, first_sequence: 105, which episode 1 holds too. Expected 108 or later."
    ]


def test_a_description_that_was_edited(make_store: MakeStore) -> None:
    path = make_store(1)
    recorded = zarr.open_group(path, mode="r").attrs["fingerprint"]
    edit_attributes(path, fingerprint="0123456789abcdef")
    assert [str(problem) for problem in validate(path)] == [
        f"fingerprint: '0123456789abcdef'. Expected '{recorded}', that of its own description."
    ]


def test_damage_is_raised(make_store: MakeStore) -> None:
    path = make_store(12)
    (path / "data/stamps_s/c.2.0").write_bytes(b"")
    with pytest.raises(StoreError, match=r"rows 32 to 47 of its array 'data/stamps_s' \(episodes \d to \d\) cannot"):
        validate(path)

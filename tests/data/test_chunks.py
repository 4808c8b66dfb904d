"""Rows of several actions or rewards, worked out by hand."""

import numpy as np
import pytest

from rlpd_robot.data.chunks import Chunker
from rlpd_robot.types import Batch

GAMMA, OFFSET = 0.5, 1.0


def episode(n: int, terminal: bool) -> Batch:
    """Observations 0 … n, action 10 + t, reward t."""
    t = np.arange(n, dtype=np.float32)
    bootstrap = np.ones(n, np.float32)
    bootstrap[-1] = 0.0 if terminal else 1.0
    return Batch(t[:, None], 10 + t[:, None], t, 1 + t[:, None], bootstrap, np.ones(n, np.float32))


def columns(rows: Batch | None) -> tuple[list, ...]:
    assert rows is not None
    assert all(column.dtype == np.float32 for column in rows)
    return tuple(c.squeeze(-1).tolist() if c.shape[-1:] == (1,) and c.ndim == 2 else c.tolist() for c in rows[:5])


def test_single_actions_and_steps_pass_untouched() -> None:
    rows = episode(3, terminal=False)
    assert Chunker(1, 1, GAMMA, OFFSET).take(rows, ended=False) is rows


def test_a_chunk_sums_its_rewards_and_bootstraps_after_its_last_action() -> None:
    observation, action, reward, following, bootstrap = columns(
        Chunker(2, 1, GAMMA, OFFSET).whole(episode(4, terminal=False))
    )
    assert observation == [0, 1, 2]  # a chunk that begins at 3 was cut
    assert action == [[10, 11], [11, 12], [12, 13]]
    # Learned is reward + offset: (0 + 1) + 0.5 · (1 + 1) = 2, and so on.
    assert [r + OFFSET for r in reward] == [2.0, 3.5, 5.0]
    assert following == [2, 3, 4]
    assert bootstrap == [0.5, 0.5, 0.5]  # times γ, by whoever bootstraps: γ²


def test_a_terminal_ends_chunks_that_it_cuts() -> None:
    observation, action, reward, following, bootstrap = columns(
        Chunker(3, 1, GAMMA, OFFSET).whole(episode(4, terminal=True))
    )
    assert observation == [0, 1, 2, 3]
    assert action == [[10, 11, 12], [11, 12, 13], [12, 13, 13], [13, 13, 13]]
    assert [r + OFFSET for r in reward] == [1 + 1 + 0.75, 2 + 1.5 + 1, 3 + 2, 4]
    assert following == [3, 4, 4, 4]
    assert bootstrap == [0.25, 0, 0, 0]


def test_n_steps_of_one_action_are_fewer_at_a_cut_end() -> None:
    observation, action, reward, following, bootstrap = columns(
        Chunker(1, 3, GAMMA, OFFSET).whole(episode(4, terminal=False))
    )
    assert observation == [0, 1, 2, 3]
    assert action == [10, 11, 12, 13]
    assert [r + OFFSET for r in reward] == [1 + 1 + 0.75, 2 + 1.5 + 1, 3 + 2, 4]
    assert following == [3, 4, 4, 4]
    assert bootstrap == [0.25, 0.25, 0.5, 1.0]


@pytest.mark.parametrize(("chunk", "steps", "terminal"), [(3, 1, False), (3, 1, True), (2, 4, False), (1, 3, True)])
def test_piece_by_piece_is_as_the_whole(chunk: int, steps: int, terminal: bool) -> None:
    rows, chunker = episode(9, terminal), Chunker(chunk, steps, GAMMA, OFFSET)
    chunker.take(episode(5, terminal=False), ended=False)
    chunker.begin()  # what the episode before has left is gone
    pieces = [chunker.take(Batch(*(c[a:b] for c in rows)), ended=b == 9) for a, b in ((0, 1), (1, 2), (2, 8), (8, 9))]
    there = [piece for piece in pieces if piece is not None]
    whole = Chunker(chunk, steps, GAMMA, OFFSET).whole(rows)
    assert whole is not None
    for ours, wanted in zip(zip(*there, strict=True), whole, strict=True):
        assert np.concatenate(ours).tolist() == wanted.tolist()


def test_an_episode_shorter_than_a_chunk_gives_none() -> None:
    assert Chunker(5, 1, GAMMA, OFFSET).whole(episode(4, terminal=False)) is None

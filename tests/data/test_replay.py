import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlpd_robot.data.replay import ReplayRing
from rlpd_robot.errors import ConfigError, DataError
from rlpd_robot.types import Batch


def numbered(first: int, stop: int) -> Batch:
    """Transitions whose every value tells their number."""
    n = np.arange(first, stop, dtype=np.float32)
    return Batch(np.stack([n, -n], 1), n[:, None] / 1024, n, np.stack([n + 1, -n], 1), n % 2, n % 3)


@given(capacity=st.integers(1, 12), sizes=st.lists(st.integers(0, 30), max_size=8))
def test_holds_the_last_ones_at_their_number_modulo_capacity(capacity: int, sizes: list[int]) -> None:
    ring = ReplayRing(capacity, 2, 1)
    total = 0
    for size in sizes:
        ring.add(numbered(total, total + size))
        total += size
        assert (ring.added, len(ring), ring.capacity) == (total, min(total, capacity), capacity)
    kept = numbered(max(0, total - capacity), total)
    slots = kept.reward.astype(int) % capacity
    for column, values in zip(ring.rows, kept, strict=True):
        assert np.array_equal(column[slots], values)
    assert sorted(slots) == list(range(len(ring)))


def test_what_was_added_may_change_afterwards() -> None:
    ring, batch = ReplayRing(4, 2, 1), numbered(0, 3)
    ring.add(batch)
    batch.observation[:] = 99
    assert ring.rows.observation.max() < 99


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"observation": np.zeros((3, 3), np.float32)}, "observation has shape (3, 3) and dtype float32"),
        ({"next_observation": np.zeros((2, 2), np.float32)}, "next_observation has shape (2, 2)"),
        ({"bootstrap": np.zeros(4, np.float32)}, "bootstrap has shape (4,)"),
        ({"is_demo": np.zeros(3)}, "is_demo has shape (3,) and dtype float64. Expected (3,) float32"),
    ],
)
def test_another_shape_or_dtype_is_refused_whole(change: dict[str, object], words: str) -> None:
    ring = ReplayRing(4, 2, 1)
    with pytest.raises(DataError) as caught:
        ring.add(numbered(0, 3)._replace(**change))
    assert words in str(caught.value)
    assert ring.added == 0
    assert not any(column.any() for column in ring.rows)


def test_a_ring_without_room() -> None:
    with pytest.raises(ConfigError, match=r"Setting 'capacity' must be at least 1 transition\. Received 0\."):
        ReplayRing(0, 2, 1)

from collections import deque

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlpd_robot.agent import ring as ring_module
from rlpd_robot.agent.ring import Ring, add, draw, draw_symmetric, make_ring
from rlpd_robot.types import Batch
from tests.agent.support import ACT, OBS, filled_ring, random_batch

CAPACITY, CHUNK = 7, 3


def numbered(first: int, count: int, is_demo: float = 0.0) -> Batch:
    """Rows whose every entry is their number."""
    numbers = np.arange(first, first + count, dtype=np.float32)
    wide = np.broadcast_to(numbers[:, None], (count, OBS))
    return Batch(wide, wide[:, :ACT], numbers, wide + 0.5, numbers, np.full(count, is_demo, np.float32))


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 20), max_size=6))
def test_the_ring_holds_the_newest_rows(counts: list[int]) -> None:
    ring, model, first = make_ring(CAPACITY, OBS, ACT), deque[int](maxlen=CAPACITY), 1
    for count in counts:
        ring = add(ring, numbered(first, count), chunk=CHUNK)
        model.extend(range(first, first + count))
        first += count
    held = Batch(*(np.asarray(column) for column in ring.rows))
    assert int(ring.added) == first - 1
    assert min(int(ring.added), CAPACITY) == len(model)
    slots = {(number - 1) % CAPACITY: float(number) for number in model}
    for slot in range(CAPACITY):
        expected = slots.get(slot, 0.0)
        assert held.reward[slot] == held.bootstrap[slot] == expected
        assert (held.observation[slot] == expected).all()
        assert (held.action[slot] == expected).all()
        assert (held.next_observation[slot] == (expected + 0.5 if slot in slots else 0.0)).all()


def test_no_number_of_rows_compiles_again() -> None:
    ring = add(make_ring(1000, OBS, ACT), random_batch(0, 0))  # no rows: only the compilation
    assert int(ring.added) == 0
    compiled = ring_module._insert._cache_size()
    for count in (1, 0, 255, 256, 257, 2000):
        ring = add(ring, random_batch(0, count))
    assert ring_module._insert._cache_size() == compiled
    assert int(ring.added) == 1 + 255 + 256 + 257 + 2000


def test_a_ring_shorter_than_a_chunk_writes_each_slot_once(monkeypatch: pytest.MonkeyPatch) -> None:
    chunks = []
    insert = ring_module._insert
    monkeypatch.setattr(ring_module, "_insert", lambda ring, rows, n: chunks.append(rows) or insert(ring, rows, n))
    ring = add(make_ring(CAPACITY, OBS, ACT), numbered(1, 20))
    assert sorted(np.asarray(ring.rows.reward)) == list(range(14, 21))
    assert all(len(rows.reward) <= CAPACITY for rows in chunks)


def test_the_old_ring_is_donated() -> None:
    old = make_ring(CAPACITY, OBS, ACT)
    add(old, numbered(1, 2), chunk=CHUNK)
    assert all(leaf.is_deleted() for leaf in jax.tree.leaves(old.rows))


def rewards(ring: Ring, count: int, draws: int = 500) -> np.ndarray:
    keys = jax.random.split(jax.random.key(0), draws)
    return np.asarray(jax.jit(jax.vmap(lambda key: draw(ring, key, count).reward))(keys))


def test_draws_are_uniform_over_the_filled_rows() -> None:
    drawn = rewards(filled_ring(numbered(1, 5), capacity=CAPACITY), count=8)
    numbers, counts = np.unique(drawn, return_counts=True)
    assert numbers.tolist() == [1, 2, 3, 4, 5], "never an empty row, and every filled one"
    np.testing.assert_allclose(counts / drawn.size, 0.2, atol=0.03)
    after = rewards(filled_ring(numbered(1, 20), capacity=CAPACITY), count=8)
    assert np.unique(after).tolist() == list(range(14, 21))


def test_an_empty_ring_gives_its_zero_row() -> None:
    assert not rewards(make_ring(CAPACITY, OBS, ACT), count=2, draws=5).any()


@pytest.mark.parametrize("demo_rows", [0, 1, 3, 6])
def test_every_minibatch_has_exactly_its_demonstrations(demo_rows: int) -> None:
    demos = filled_ring(numbered(1, 4, is_demo=1.0))
    live = filled_ring(numbered(101, 5), capacity=CAPACITY)

    def columns(key: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        batch = draw_symmetric(demos, live, key, 6, demo_rows)
        return batch.is_demo, batch.reward, batch.observation

    is_demo, reward, observation = jax.jit(jax.vmap(columns))(jax.random.split(jax.random.key(1), 300))
    assert is_demo.shape == (300, 6)
    assert (np.asarray(is_demo).sum(axis=1) == demo_rows).all()
    assert ((np.asarray(reward) < 100) == (np.asarray(is_demo) == 1.0)).all()
    assert (np.asarray(observation) == np.asarray(reward)[..., None]).all(), "rows stay together"


def test_halves_are_drawn_independently() -> None:
    # One key for both halves would pair demonstration i with live row i for ever.
    demos, live = filled_ring(numbered(1, 8, is_demo=1.0)), filled_ring(numbered(101, 8))
    batch = jax.jit(lambda key: draw_symmetric(demos, live, key, 64, 32))(jax.random.key(2))
    first, second = np.asarray(batch.reward[:32]), np.asarray(batch.reward[32:]) - 100
    assert (first != second).any()


@pytest.mark.parametrize(("demo_rows", "broken"), [(0, "demos"), (6, "live")])
def test_a_ratio_of_0_or_1_never_touches_the_other_ring(demo_rows: int, broken: str) -> None:
    nan = jax.tree.map(lambda column: np.full_like(column, np.nan), random_batch(0, 5))
    rings = {"demos": filled_ring(random_batch(1, 5)), "live": filled_ring(random_batch(2, 5))}
    rings[broken] = filled_ring(nan)
    batch = draw_symmetric(rings["demos"], rings["live"], jax.random.key(0), 6, demo_rows)
    assert all(bool(jnp.isfinite(column).all()) for column in batch)

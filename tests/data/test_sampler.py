import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlpd_robot.data.replay import ReplayRing
from rlpd_robot.data.sampler import SymmetricSampler
from rlpd_robot.errors import ConfigError, DataError
from rlpd_robot.types import Batch


def rows(first: int, n: int, is_demo: float) -> Batch:
    """Transitions numbered from `first`, in every column but the flag."""
    number = np.arange(first, first + n, dtype=np.float32)
    column = number[:, None]
    flag = np.full(n, is_demo, np.float32)
    return Batch(np.hstack([column, column + 0.5]), column, number, np.hstack([column + 1, column]), number, flag)


def make_sampler(demos: int, live: int, capacity: int, batch_size: int, ratio: float, seed: int) -> SymmetricSampler:
    ring = ReplayRing(capacity, 2, 1)
    ring.add(rows(10_000, live, 0.0))
    prior = rows(0, demos, 1.0) if demos else None
    return SymmetricSampler(prior, ring, batch_size, ratio, seed)


@given(
    updates=st.integers(1, 6),
    batch_size=st.integers(1, 33),
    ratio=st.floats(0, 1),
    demos=st.integers(1, 9),
    live=st.integers(1, 30),
    capacity=st.integers(1, 20),
    seed=st.integers(0, 2**32),
)
def test_every_minibatch_has_its_share(
    updates: int, batch_size: int, ratio: float, demos: int, live: int, capacity: int, seed: int
) -> None:
    batch = make_sampler(demos, live, capacity, batch_size, ratio, seed).sample(updates)
    assert batch.observation.shape == (updates, batch_size, 2)
    assert batch.action.shape == (updates, batch_size, 1)
    assert batch.reward.shape == batch.bootstrap.shape == batch.is_demo.shape == (updates, batch_size)
    assert all(column.dtype == np.float32 and column.flags.c_contiguous for column in batch)
    assert (batch.is_demo.sum(axis=1) == round(batch_size * ratio)).all()
    number, demo = batch.reward, batch.is_demo == 1
    assert (number[demo] < demos).all()
    assert (number[~demo] >= 10_000 + max(0, live - capacity)).all(), "an overwritten or empty slot was drawn"
    assert (number[~demo] < 10_000 + live).all()
    assert np.array_equal(batch.observation, number[..., None] + np.array([0, 0.5], np.float32))
    assert np.array_equal(batch.next_observation[..., 0], number + 1)
    assert np.array_equal(batch.action[..., 0], number)


def test_half_and_half_by_the_papers_ratio() -> None:
    batch = make_sampler(50, 700, 1000, 256, 0.5, seed=0).sample(20)
    assert batch.is_demo.sum(axis=1).tolist() == [128.0] * 20


def test_uniform_over_demonstrations_and_over_a_wrapped_ring() -> None:
    sampler = make_sampler(100, 250, 100, 200, 0.5, seed=7)
    batch = sampler.sample(500)
    for name, drawn in {
        "demonstrations": batch.reward[batch.is_demo == 1],
        "live": batch.reward[batch.is_demo == 0] - 10_150,
    }.items():
        counts = np.bincount(drawn.astype(int), minlength=100)
        assert counts.shape == (100,)
        chi2 = float(((counts - 500) ** 2 / 500).sum())
        assert 61.1 < chi2 < 148.2, f"{name}: 0.1 % and 99.9 % quantiles for 99 degrees of freedom"


def test_draws_of_different_updates_are_independent() -> None:
    demo, live = make_sampler(1000, 1000, 1000, 64, 0.5, seed=3).indices(8)
    assert len({tuple(row) for row in [*demo.tolist(), *live.tolist()]}) == 16


@given(before=st.integers(0, 5), after=st.integers(1, 5), seed=st.integers(0, 2**32))
def test_a_restored_sampler_goes_on_where_it_stood(before: int, after: int, seed: int) -> None:
    first = make_sampler(9, 30, 20, 8, 0.5, seed)
    for _ in range(before):
        first.sample(2)
    state = json.loads(json.dumps(first.state()))
    expected = first.sample(after)
    second = make_sampler(9, 30, 20, 8, 0.5, seed + 1)
    second.restore(state)
    for a, b in zip(expected, second.sample(after), strict=True):
        assert np.array_equal(a, b)


@pytest.mark.parametrize(
    "state", [{}, {"rng": "rubbish"}, {"rng": 3}, {"rng": "{}"}, {"rng": '{"bit_generator": "X"}'}]
)
def test_a_state_that_is_none(state: dict[str, object]) -> None:
    sampler, untouched = make_sampler(9, 30, 20, 8, 0.5, 1), make_sampler(9, 30, 20, 8, 0.5, 1)
    with pytest.raises(DataError, match="Sampler state: "):
        sampler.restore(state)
    assert np.array_equal(sampler.sample(1).reward, untouched.sample(1).reward)


def test_settings_that_cannot_work() -> None:
    with pytest.raises(ConfigError, match=r"'demo_ratio' must be between 0 and 1\. Received 1\.5"):
        make_sampler(3, 3, 3, 8, 1.5, 0)
    with pytest.raises(ConfigError, match="'demo_ratio' must be 0 where there are no demonstrations. Received 0.5"):
        make_sampler(0, 3, 3, 8, 0.5, 0)
    with pytest.raises(ConfigError, match="'batch_size' must be at least 1"):
        make_sampler(3, 3, 3, 0, 0.5, 0)
    with pytest.raises(DataError, match="Replay ring: it is empty. Expected live transitions before 4 are sampled"):
        make_sampler(3, 0, 3, 8, 0.5, 0).sample(1)


def test_one_sided_sampling() -> None:
    assert make_sampler(3, 0, 3, 8, 1.0, 0).sample(2).is_demo.all(), "offline pre-training needs no live data"
    assert not make_sampler(0, 3, 3, 8, 0.0, 0).sample(2).is_demo.any()

from dataclasses import replace

import numpy as np
import pytest

from rlpd_robot.agent.config import AgentConfig
from rlpd_robot.run.diagnostics.checks import PREFIX
from rlpd_robot.run.diagnostics.monitor import Monitor, keyed, pace
from rlpd_robot.types import Batch, Segment

CONFIG = AgentConfig(ensemble=2, hidden_layers=1, hidden_width=2, layer_norm=False, discount=0.5)


def episode(rewards: list[float], ending: str = "truncated") -> Segment:
    """One observation that is zero, one action that is 0.5."""
    n = len(rewards)
    half, none = np.full((n, 1), 0.5, np.float32), np.zeros(n, np.bool_)
    return Segment(
        "boot", 0, 0, 0, np.zeros((n + 1, 1), np.float32), half, half, np.array(rewards, np.float32), none, none,
        np.zeros(n, np.uint16), np.zeros(n, np.int64), np.zeros((n, 4)), ending, "time limit",
    )  # fmt: skip


def demos(rewards: list[float]) -> Batch:
    n = len(rewards)
    zeros = np.zeros((n, 1), np.float32)
    return Batch(zeros, zeros, np.array(rewards, np.float32), zeros, np.ones(n, np.float32), np.ones(n, np.float32))


def array(*values: float) -> np.ndarray:
    return np.array(values, np.float32)


ACTOR = {  # acts at its end stop, tanh(5); one of its two units never fires
    "dense_0": {"kernel": np.zeros((1, 2), np.float32), "bias": array(1.0, -1.0)},
    "mean": {"kernel": array(5.0, 0.0)[:, None], "bias": array(0.0)},
    "log_std": {"kernel": np.zeros((2, 1), np.float32), "bias": array(0.0)},
}
CRITICS = {  # values: a and 3·a for an action a above 0; one of four units never fires
    "dense_0": {
        "kernel": np.array([[[0, 0], [1, 0]], [[0, 0], [1, 1]]], np.float32),
        "bias": np.zeros((2, 1, 2), np.float32),
    },
    "value": {"kernel": np.array([[[1], [0]], [[1], [2]]], np.float32), "bias": np.zeros((2, 1, 1), np.float32)},
}
METRICS = {"entropy": 0.25, "temperature": 0.1}


def test_figures_of_networks_that_one_can_follow() -> None:
    monitor = Monitor(CONFIG, demos([1.0, 1.0, 0.0, 0.0]), share=1.0)
    monitor.remember(episode([0, 0, 0, 1]))
    figures = monitor.measure(ACTOR, CRITICS, METRICS)
    # rewards 0 and 1, γ 0.5: values between 0 and 2. The action taken, 0.5, is worth (0.5 + 1.5) / 2 = 1.
    assert (figures["value_low"], figures["value_high"]) == (0.0, 2.0)
    assert figures["q"] == pytest.approx(1.0)
    # returns with the last reward for ever: 0.25, 0.5, 1, 2
    assert figures["monte_carlo_return"] == pytest.approx(3.75 / 4)
    assert figures["overestimation"] == pytest.approx(0.0625)
    # at most 0.25, 0.5, 1, 2 are possible: two of four states are valued higher by more than 0.1, none too low
    assert figures["q_above_return"] == 2 / 4
    assert figures["q_below_return"] == 0.0
    # of two critics on two kinds of action, 3 · 1 alone lies above 2.1
    assert figures["q_outside_range"] == 1 / 4
    assert figures["policy_gap"] == pytest.approx((2 * np.tanh(5) - 1) / 2, rel=1e-5)
    assert figures["ensemble_spread"] == pytest.approx(np.tanh(5) / 2, rel=1e-5)
    assert figures["dormant_critic"] == 1 / 4
    assert figures["dormant_actor"] == 1 / 2
    assert figures["action_saturation"] == 1.0
    assert figures["entropy_excess"] == pytest.approx(0.25 - -0.5)
    # rewarded rows: 1 of 4 live, 2 of 4 demonstrated, half and half
    assert figures["live_reward_share"] == 1 / 4
    assert figures["demo_reward_share"] == 2 / 4
    assert figures["reward_share"] == 3 / 8
    assert "layer_norm_input" not in figures
    assert "visited_near_demos" not in figures  # of one demonstration


def test_rewards_are_those_that_the_learner_sees() -> None:
    monitor = Monitor(replace(CONFIG, reward_scale=2.0, reward_offset=1.0), demos([-1.0, 0.0]), share=1.0)
    monitor.remember(episode([-1.0, 0.0]))
    figures = monitor.measure(ACTOR, CRITICS, METRICS)
    assert (figures["value_low"], figures["value_high"]) == (0.0, 4.0)
    assert figures["monte_carlo_return"] == pytest.approx(3.0)  # 2 and 4


def test_with_an_entropy_backup_values_carry_the_bonus() -> None:
    monitor = Monitor(replace(CONFIG, entropy_backup=True), demos([0.0, 1.0]), share=1.0)
    monitor.remember(episode([0.0, 1.0]))
    figures = monitor.measure(ACTOR, CRITICS, {"entropy": 2.0, "temperature": 0.5})
    assert (figures["value_low"], figures["value_high"]) == (2.0, 4.0)  # 1 more in each step


def test_a_seeded_ring_mixes_by_rows() -> None:
    monitor = Monitor(replace(CONFIG, prior="seeded"), demos([1.0]), share=1.0)
    monitor.remember(episode([0.0, 0.0, 0.0]))
    assert monitor.measure(ACTOR, CRITICS, METRICS)["reward_share"] == 1 / 4


def test_where_no_reward_was_ever_seen_none_is_found() -> None:
    monitor = Monitor(replace(CONFIG, demo_ratio=0.0), None, share=1.0)
    monitor.remember(episode([-1.0, -1.0]))
    figures = monitor.measure(ACTOR, CRITICS, METRICS)
    assert figures["live_reward_share"] == figures["reward_share"] == 0.0
    assert "policy_gap" not in figures


def test_it_waits_in_proportion_to_what_it_took(monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter([100.0, 100.5])
    monkeypatch.setattr("rlpd_robot.run.diagnostics.monitor.time.monotonic", lambda: next(times))
    monitor = Monitor(CONFIG, None, share=0.01)
    assert not monitor.is_due(1e9, force=True)  # nothing has happened yet
    monitor.remember(episode([0.0, 1.0]))
    assert monitor.is_due(0.0)
    monitor.measure(ACTOR, CRITICS, METRICS)
    assert not monitor.is_due(150.4)
    assert monitor.is_due(150.4, force=True)
    assert monitor.is_due(150.5)  # half a second took a hundredth of fifty
    assert (monitor.spent_s, monitor.measurements) == (0.5, 1)


def test_what_stays_out_of_bounds_is_told_once() -> None:
    monitor = Monitor(CONFIG, None, share=1.0)
    bad = {"env_steps": 5000, PREFIX + "utd_share": 0.5}
    good = {"env_steps": 5000, PREFIX + "utd_share": 1.0}
    assert [len(monitor.news(row)) for row in (bad, bad, good, bad, bad, bad, bad)] == [0, 0, 0, 0, 0, 1, 0]


def test_the_pace_of_actor_and_learner() -> None:
    row = {
        "policy_version": 9,
        "utd_realised": 4.0,
        "utd_target": 5,
        "actor/policy_version": 6.0,
        "actor/lockstep": 0.0,
    }
    assert pace(row) == {"policy_lag": 3.0, "utd_share": 0.8}
    assert pace(row | {"actor/policy_pinned": 6.0}) == {"utd_share": 0.8}
    assert pace(row | {"actor/lockstep": 1.0, "utd_realised": 0.0}) == {}
    assert keyed({"utd_share": 0.8}) == {"diagnostics/utd_share": 0.8}

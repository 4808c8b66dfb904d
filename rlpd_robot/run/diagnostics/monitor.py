"""Takes the figures of the checks while a learner learns, in a bounded share of its time and without touching it."""

import math
import time
from collections import Counter, deque
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rlpd_robot.agent.config import AgentConfig
from rlpd_robot.run.diagnostics.checks import PREFIX, judge
from rlpd_robot.run.diagnostics.coverage import DemoCoverage
from rlpd_robot.run.diagnostics.networks import (
    Layers,
    dormant_share,
    look_at_actor,
    look_at_critics,
    saturated_share,
)
from rlpd_robot.run.diagnostics.returns import Returns, ValueRange, calibration
from rlpd_robot.types import Batch, Segment

_EPISODES = 5  # newest ones that are looked at
_ROWS = 160  # transitions of theirs, evenly spread
_STEADY = 3  # measurements in a row until a finding is worth an event


class Monitor:
    """What there is to know of one agent's learning.

    It reads parameters and whole episodes, in NumPy. It draws nothing at random and gives nothing back to the learner,
    so a run with it and one without it learn the same, bit for bit.

    Args:
        config: the agent's settings.
        demos: prior data [N], or none.
        share: of the learner's time that may be spent here (0..1]; what a measurement took is waited for in proportion.
    """

    def __init__(self, config: AgentConfig, demos: Batch | None, share: float) -> None:
        self._config, self._share = config, share
        self._episodes: deque[Segment] = deque(maxlen=_EPISODES)
        self._low, self._high, self._ends = math.inf, -math.inf, False
        self._live_sum, self._live_rows = 0.0, 0
        self._demo_mean, self._demo_rows = math.nan, 0
        self._coverage: DemoCoverage | None = None
        if demos is not None and len(demos.reward):
            self._see(demos.reward, ends=bool(np.min(demos.bootstrap) == 0))
            self._demo_mean, self._demo_rows = float(np.mean(self._scaled(demos.reward))), len(demos.reward)
            self._coverage = DemoCoverage(demos)
        self._next_s = -math.inf
        self._streaks: Counter[str] = Counter()
        self._told: set[str] = set()
        self.spent_s = 0.0
        self.measurements = 0

    def remember(self, episode: Segment) -> None:
        """Take an episode that is over."""
        self._episodes.append(episode)
        self._see(episode.rewards, ends=episode.ending == "terminated")
        self._live_sum += float(np.sum(self._scaled(episode.rewards)))
        self._live_rows += len(episode)

    def is_due(self, now_s: float, force: bool = False) -> bool:
        """Whether there is something to measure, and time for it; `force`: whether or not there is time."""
        return bool(self._episodes) and (force or now_s >= self._next_s)

    def measure(self, actor: Layers, critics: Layers, metrics: Mapping[str, float]) -> dict[str, float]:
        """The figures now, without those that cannot be known; keys as in `Check.key`, and some more.

        Args:
            actor, critics: parameters as NumPy arrays.
            metrics: of the last super-step.
        """
        start_s = time.monotonic()
        figures = self._rewards() | self._networks(actor, critics, metrics)
        if self._coverage is not None:
            figures |= self._coverage.of(_spread(np.concatenate([e.observations for e in self._episodes])))
        end_s = time.monotonic()
        self.spent_s += end_s - start_s
        self.measurements += 1
        self._next_s = end_s + (end_s - start_s) / self._share
        return {key: value for key, value in figures.items() if math.isfinite(value)}

    def news(self, row: Mapping[str, Any]) -> list[str]:
        """Sentences on what has been out of bounds for a while, each once; call it once a measurement."""
        findings, _ = judge(row)
        now = {finding.check.key: finding for finding in findings}
        self._streaks = Counter({key: self._streaks[key] + 1 for key in now})
        fresh = [key for key, streak in self._streaks.items() if streak >= _STEADY and key not in self._told]
        self._told.update(fresh)
        return [now[key].text for key in fresh]

    def _see(self, rewards: NDArray[np.float32], ends: bool) -> None:
        scaled = self._scaled(rewards)
        self._low, self._high = min(self._low, float(scaled.min())), max(self._high, float(scaled.max()))
        self._ends = self._ends or ends

    def _scaled(self, rewards: NDArray[np.float32]) -> NDArray[np.float32]:
        return self._config.reward_scale * (rewards + np.float32(self._config.reward_offset))

    def _rewards(self) -> dict[str, float]:
        """Mean rewards as shares of the range that was seen: with a sparse reward, the share of rows that carry it."""
        width = self._high - self._low
        if not width > 0:
            return {"live_reward_share": 0.0, "reward_share": 0.0}
        figures = {"live_reward_share": (self._live_sum / self._live_rows - self._low) / width}
        figures["reward_share"] = figures["live_reward_share"]
        if self._demo_rows:
            ratio = self._config.demo_rows / self._config.batch_size
            if self._config.prior == "seeded":
                ratio = self._demo_rows / (self._demo_rows + self._live_rows)
            elif self._config.prior == "balanced":
                ratio = 0.5  # about; it is drawn by chance
            figures["demo_reward_share"] = (self._demo_mean - self._low) / width
            figures["reward_share"] += ratio * (figures["demo_reward_share"] - figures["live_reward_share"])
        return figures

    def _networks(self, actor: Layers, critics: Layers, metrics: Mapping[str, float]) -> dict[str, float]:
        config, episodes = self._config, self._episodes
        entropy = metrics.get("entropy", math.nan)
        backup = config.entropy_backup and math.isfinite(entropy)
        bonus = metrics.get("temperature", 0.0) * entropy if backup else 0.0
        possible = ValueRange.of_rewards(self._low, self._high, config.discount, self._ends, bonus)
        every = [
            Returns.of_episode(self._scaled(e.rewards) + bonus, config.discount, e.ending == "terminated", possible)
            for e in episodes
        ]
        low, high, likely = (
            _spread(np.concatenate([getattr(r, name) for r in every])) for name in ("low", "high", "likely")
        )
        observation = _spread(np.concatenate([e.observations[:-1] for e in episodes]))
        taken = _spread(np.concatenate([e.actions for e in episodes]))
        acting = look_at_actor(actor, observation)
        look, own = (look_at_critics(critics, observation, action, config.support) for action in (taken, acting.action))
        figures = calibration(look.values.mean(axis=0), Returns(low, high, likely), possible) | {
            "value_low": possible.low,
            "value_high": possible.high,
            "q_outside_range": possible.outside(np.concatenate([look.values, own.values])),
            "dormant_critic": dormant_share(look.hidden),
            "dormant_actor": dormant_share(acting.hidden),
            "action_saturation": saturated_share(acting.action),
        }
        if look.norm_inputs:
            figures["layer_norm_input"] = min(float(layer.mean()) for layer in look.norm_inputs)
        if 0 < possible.width < math.inf:
            figures["ensemble_spread"] = float(np.mean(own.values.std(axis=0))) / possible.width
            figures["policy_gap"] = float(np.mean(own.values - look.values)) / possible.width
        size = taken.shape[1]
        target = -size / 2 if config.target_entropy is None else config.target_entropy
        figures["entropy_excess"] = (entropy - target) / size
        return figures


def pace(row: Mapping[str, Any]) -> dict[str, float]:
    """What the learner's own row says of actors and updates; keys as in `Check.key`."""
    figures: dict[str, float] = {}
    acting, pinned = row.get("actor/policy_version"), row.get("actor/policy_pinned", -1)
    if isinstance(acting, int | float) and acting >= 0 and pinned < 0 and not row.get("actor/lockstep"):
        figures["policy_lag"] = max(0.0, float(row["policy_version"] - acting))
    if row["utd_realised"] > 0:
        figures["utd_share"] = row["utd_realised"] / row["utd_target"]
    return figures


def keyed(figures: Mapping[str, float]) -> dict[str, float]:
    """With the prefix that their keys have in metrics.jsonl."""
    return {PREFIX + key: value for key, value in figures.items()}


def _spread(rows: NDArray[Any]) -> NDArray[Any]:
    """About `_ROWS` of them, evenly spread."""
    return rows[:: -(-len(rows) // _ROWS)]

"""What a learner tells of itself: rows and episodes of its metrics, and its status file."""

import time
from collections import deque
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from rlpd_robot.run.diagnostics.checks import judge
from rlpd_robot.run.diagnostics.monitor import Monitor, keyed, pace
from rlpd_robot.run.learner_status import write_status
from rlpd_robot.run.metrics import MetricsWriter, wall_before_s
from rlpd_robot.run.saying import say
from rlpd_robot.run.settings import Settings
from rlpd_robot.run.trainer import Trainer
from rlpd_robot.types import Segment
from rlpd_robot.wire.intake import ActorInfo

_RECENT = 20  # episodes
_LEARNING = ("learning", "finished")
_LINE_S = 10.0  # between two lines in the terminal or the log


class LearnerRecord:
    """Puts a learner's figures into the run's directory.

    Args:
        settings: of the run.
        metrics: where rows and episodes go.

    Attributes:
        episodes: training episodes so far, those of learners before this one included.
        demo_return: the demonstrations' mean normalised return [%]; none without demonstrations.
        monitor: looks why it does not learn; none: nothing does.
    """

    def __init__(self, settings: Settings, metrics: MetricsWriter) -> None:
        self._settings, self._metrics = settings, metrics
        self.episodes = 0
        self.demo_return: float | None = None
        self.monitor: Monitor | None = None
        self._diagnosed: dict[str, Any] = {}
        self._next_line_s = 0.0
        self._recent: deque[tuple[bool, float]] = deque(maxlen=_RECENT)
        self._start_s = time.monotonic() - wall_before_s(settings.run.directory)
        self._next_row_s = 0.0

    @property
    def wall_s(self) -> float:
        """That this run's learners have worked [s], those before this one included."""
        return time.monotonic() - self._start_s

    def episode(self, episode: Segment, horizon: int, env_steps: int) -> None:
        """One training episode, `env_steps` transitions after the run's first."""
        success, solved = self.remember(episode, horizon)
        every = self._settings.actor.greedy_every
        self._metrics.episode(
            {
                "wall_s": self.wall_s,
                "env_steps": env_steps,
                "episode": episode.episode,
                "steps": len(episode),
                "success": success,
                "normalized_return": solved,
                "reward": float(np.sum(episode.rewards)),
                "ending": episode.ending,
                "cause": episode.cause,
                "policy_version": int(episode.policy_versions[-1]),
                "explore": not (every and episode.episode % every == every - 1),
            }
        )

    def remember(self, episode: Segment, horizon: int) -> tuple[bool, float]:
        """Count an episode, also one of a learner before this one; returns its success and normalised return [%]."""
        solved = 100.0 * float(np.sum(episode.success)) / horizon
        success = bool(episode.success.any())
        self.episodes += 1
        self._recent.append((success, solved))
        if self.monitor is not None:
            self.monitor.remember(episode)
        return success, solved

    def row(
        self,
        phase: str,
        trainer: Trainer,
        version: int,
        delivery: Mapping[str, float],
        actors: Mapping[str, ActorInfo],
        force: bool = False,
    ) -> None:
        """One row of metrics, unless the last one is younger than `learner.metrics_s`."""
        now = time.monotonic()
        if now < self._next_row_s and not force:
            return
        self._next_row_s = now + self._settings.learner.metrics_s
        budget = trainer.budget
        row: dict[str, float | str] = {
            "wall_s": self.wall_s,
            "phase": phase,
            "env_steps": budget.received,
            "env_steps_target": self._settings.run.env_steps,
            "episodes": self.episodes,
            "critic_updates": budget.updates,
            "utd_target": budget.utd,
            "utd_realised": budget.realised,
            "updates_owed": budget.owed * budget.utd,
            "ring_rows": trainer.ring_rows,
            "demo_rows": trainer.demo_rows,
            "policy_version": version,
        }
        if self.demo_return is not None:
            row["demo_return"] = self.demo_return
        if self._recent:
            row["success_recent"] = float(np.mean([success for success, _ in self._recent]))
            row["return_recent"] = float(np.mean([solved for _, solved in self._recent]))
        metrics = trainer.metrics()
        row |= {f"learner/{name}": value for name, value in metrics.items()}
        row |= {f"delivery/{name}": value for name, value in delivery.items()}
        for actor in actors.values():
            row |= {f"actor/{name}": value for name, value in actor.stats.items()}
        if phase in _LEARNING and self.monitor is not None and self.monitor.is_due(now, force):
            self._diagnose(self.monitor, row, trainer, metrics)
        self._metrics.row(row)
        if now >= self._next_line_s:
            self._next_line_s = now + _LINE_S
            say(_line(row))

    def _diagnose(
        self, monitor: Monitor, row: dict[str, float | str], trainer: Trainer, metrics: Mapping[str, float]
    ) -> None:
        """Put figures that say why it does not learn into the row, and what is out of bounds for long into an event."""
        row |= keyed(monitor.measure(*trainer.weights(), metrics) | pace(row))
        self._diagnosed = row
        for text in monitor.news(row):
            self._metrics.event("warning", "diagnostics", text)

    def _diagnosis(self, monitor: Monitor) -> dict[str, Any]:
        findings, judged = judge(self._diagnosed)
        return {
            "measurements": monitor.measurements,
            "spent_s": round(monitor.spent_s, 3),
            "checks": judged,
            "findings": {finding.check.key: finding.text for finding in findings},
        }

    def status(self, trainer: Trainer, **figures: Any) -> None:
        """Replace the status file, whole or not at all."""
        budget = trainer.budget
        status = {
            "env_steps": budget.received,
            "env_steps_target": self._settings.run.env_steps,
            "max_minutes": self._settings.run.max_minutes,
            "critic_updates": budget.updates,
            "utd_target": budget.utd,
            "utd_realised": budget.realised,
            "wall_s": self.wall_s,
            "agent": asdict(self._settings.agent),
            **figures,
        }
        if self.monitor is not None:
            status["diagnostics"] = self._diagnosis(self.monitor)
        write_status(self._settings.run.directory, status)


def _line(row: Mapping[str, float | str]) -> str:
    """A row for the terminal or the log."""
    solved = f", {100 * float(row['success_recent']):.0f} % solved lately" if "success_recent" in row else ""
    return (
        f"{row['phase']}: {row['env_steps']} of {row['env_steps_target']} transitions, "
        f"UTD {row['utd_realised']:.2f} of {row['utd_target']}, policy {row['policy_version']}{solved}"
    )

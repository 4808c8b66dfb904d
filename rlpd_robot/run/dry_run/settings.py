"""Settings of `rlpd-robot dry-run`."""

import math
from dataclasses import dataclass
from typing import Any

from rlpd_robot.errors import ConfigError


@dataclass(frozen=True)
class DryRunSettings:
    """What is tried, and what is enough.

    Attributes:
        policy: file of the policy that will act, or a directory that holds one (policy.npz); none: random actions.
        learn: whether to try a learner as well, and what is delivered to it.
        sweep: whether to try how large an imperfection the policy bears.
        sweep_episodes: for each size of each imperfection.
        imperfections: what the sweep tries, see `sweep.parse_imperfections`.
        babble_s: random commands, from which limits, order and signs of the joints are seen [s].
        episodes: undisturbed ones, without exploration.
        trials: faults and what must come of them, see `trials.parse`.
        only: names of the trials to make; none: all.
        hold_s: after each stop, a look whether anything moves before a person has armed [s].
        late: part of the ticks that may come more than a period late.
        filtered: part of a policy's commands that the safety filter may have to change.
        outside: part of the observations that may lie outside those of its training.
        margin: by which an observation may leave the range of training before it counts [part of the range].
        session_h: length of a session for which the disk must suffice [h].
    """

    policy: str | None = None
    learn: bool = False
    sweep: bool = False
    sweep_episodes: int = 10
    imperfections: Any = None
    babble_s: float = 4.0
    episodes: int = 8
    trials: Any = None
    only: Any = None
    hold_s: float = 0.6
    late: float = 0.005
    filtered: float = 0.2
    outside: float = 0.05
    margin: float = 0.1
    session_h: float = 8.0

    def __post_init__(self) -> None:
        for key in ("episodes", "sweep_episodes"):
            if not getattr(self, key) >= 1:
                raise ConfigError(f"dry_run.{key}", getattr(self, key), "at least 1")
        for key in ("late", "filtered", "outside"):
            if not 0 <= getattr(self, key) <= 1:
                raise ConfigError(f"dry_run.{key}", getattr(self, key), "between 0 and 1")
        for key in ("babble_s", "hold_s", "margin", "session_h"):
            if not 0 <= getattr(self, key) < math.inf:
                raise ConfigError(f"dry_run.{key}", getattr(self, key), "a finite number of at least 0")
        for key in ("trials", "only", "imperfections"):
            if not isinstance(getattr(self, key), list | tuple | None):
                raise ConfigError(f"dry_run.{key}", getattr(self, key), "a list")

"""Settings of `rlpd-robot dry-run`."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rlpd_robot.errors import ConfigError

_LIST = (list, tuple)
_KINDS: tuple[tuple[str, Any, str], ...] = (
    ("trials", _LIST, "a list"),
    ("only", _LIST, "a list"),
    ("imperfections", _LIST, "a list"),
    ("randomize", Mapping, "a mapping of ranges such as {mass: [0.8, 1.25]}"),
    ("stand_in", Mapping, "a mapping: a recipe"),
)


@dataclass(frozen=True)
class DryRunSettings:
    """What is tried, and what is enough.

    Attributes:
        stand_in: recipe of what plays a real robot in a dry run, as `RobotSettings.stand_in`; none: that one.
        policy: file of the policy that will act, or a directory that holds one (policy.npz); none: random actions.
        learn: whether to try a learner as well, and what is delivered to it.
        sweep: whether to try how large an imperfection the policy bears.
        sweep_episodes: for each size of each imperfection.
        imperfections: what the sweep tries, see `sweep.parse_imperfections`.
        randomize: ranges that are drawn from, another robot in each episode, see `sim.randomize`; those of the run come
            before them.
        randomized_episodes: so many; 0: none.
        randomized_success: part of them that must be solved: no go where the 95 % interval lies below it.
        babble_s: random commands, from which limits, order and signs of the joints are seen [s].
        episodes: undisturbed ones, without exploration; three times as many where these leave it open whether
            `eval.min_success` is reached.
        trials: faults and what must come of them, see `trials.parse`.
        only: names of the trials to make; none: all.
        hold_s: after each stop, a look whether anything moves before a person has armed [s].
        late: part of the ticks that may come more than a period late.
        filtered: part of a policy's commands that the safety filter may have to change.
        outside: part of the median episode's observations that may lie outside those of its training.
        margin: by which an observation may leave the range of training before it counts [part of the range].
        session_h: length of a session for which the disk must suffice [h].
    """

    stand_in: Any = None
    policy: str | None = None
    learn: bool = False
    sweep: bool = False
    sweep_episodes: int = 10
    imperfections: Any = None
    randomize: Any = None
    randomized_episodes: int = 20
    randomized_success: float = 0.5
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
        for key, least in (("episodes", 1), ("sweep_episodes", 1), ("randomized_episodes", 0)):
            if not getattr(self, key) >= least:
                raise ConfigError(f"dry_run.{key}", getattr(self, key), f"at least {least}")
        for key in ("late", "filtered", "outside", "randomized_success"):
            if not 0 <= getattr(self, key) <= 1:
                raise ConfigError(f"dry_run.{key}", getattr(self, key), "between 0 and 1")
        for key in ("babble_s", "hold_s", "margin", "session_h"):
            if not 0 <= getattr(self, key) < math.inf:
                raise ConfigError(f"dry_run.{key}", getattr(self, key), "a finite number of at least 0")
        for key, kind, what in _KINDS:
            if getattr(self, key) is not None and not isinstance(getattr(self, key), kind):
                raise ConfigError(f"dry_run.{key}", getattr(self, key), what)

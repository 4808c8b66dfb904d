"""Deterministic episodes of the policy on a stand-in in lock-step, so that this machine's speed does not count."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rlpd_robot.errors import PeerTimeoutError
from rlpd_robot.robot.driver import Driver
from rlpd_robot.robot.task import Task
from rlpd_robot.run.dry_run.stage import LINKS, own_words, stand_in_recipe, stand_in_words
from rlpd_robot.run.evaluate import Build, Evaluation, evaluate
from rlpd_robot.run.ports import free_addresses
from rlpd_robot.run.processes import Child
from rlpd_robot.run.settings import Settings
from rlpd_robot.types import PolicySnapshot

STAGE = "lockstep"
"""Of its logs."""

_CONNECT_S = 30.0


@dataclass(frozen=True, eq=False)
class Lockstep:
    """What each evaluation has in common.

    Attributes:
        settings, words: of the run that is to come.
        folder: of the dry run.
        build, compose: see `evaluate.Build` and `plan.Compose`.
        task: of the robot.
        snapshot: the policy.
    """

    settings: Settings
    words: Sequence[str]
    folder: Path
    build: Build
    compose: Callable[[Sequence[str]], Settings]
    task: Task
    snapshot: PolicySnapshot

    def evaluate(self, extra: Sequence[str], seeds: Sequence[int]) -> Evaluation:
        """Start a stand-in with these further words; one episode for each seed.

        Raises:
            ChildError, PeerTimeoutError: the stand-in cannot be started.
            RlpdRobotError: robot and policy cannot go on together.
        """
        words = [*self.words, *stand_in_words(self.settings)]
        mine = [*own_words(words, self.folder, free_addresses(len(LINKS))), "sim.lockstep=true", *extra]
        (self.folder / STAGE).mkdir(exist_ok=True)
        stand_in = Child("sim", ["sim", *mine], self.folder / STAGE)
        try:
            driver: Driver = self.build(self.compose(mine).robot.driver)
            try:
                _connect(driver, stand_in)
                safety = self.settings.safety
                return evaluate(driver, self.task, self.snapshot, safety, seeds, _CONNECT_S, simulated=True)
            finally:
                driver.close()
        finally:
            stand_in.end(5.0)

    @property
    def possible(self) -> bool:
        """Whether the stand-in can wait for commands at all: one behind rosbridge moves by its own clock."""
        recipe = stand_in_recipe(self.compose([*self.words, "sim.lockstep=true"])) or {}
        return recipe.get("lockstep") is True

    def seeds(self, count: int) -> list[int]:
        """Those of an evaluation, from the first on."""
        return [self.settings.eval.seed + i for i in range(count)]


def _connect(driver: Driver, stand_in: Child) -> None:
    for _ in range(round(_CONNECT_S)):
        try:
            driver.connect(1.0)
            return
        except PeerTimeoutError:
            stand_in.check()
    raise PeerTimeoutError("the stand-in", "its link", _CONNECT_S, f"Its log: {stand_in.log_path}")


def as_word(value: Any) -> str:
    """A value as it is written in a word of the command line."""
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{key}:{as_word(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(as_word(inner) for inner in value) + "]"
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    return repr(value) if isinstance(value, int | float) else "'" + str(value).replace("'", "\\'") + "'"

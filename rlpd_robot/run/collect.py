"""`rlpd-robot demos collect`: a trained policy acts, and its episodes become a demonstration store."""

import uuid
from dataclasses import replace
from pathlib import Path

import numpy as np

from rlpd_robot.data.demo_store import DemoStore, StoreWriter
from rlpd_robot.data.layout import LOCKSTEP
from rlpd_robot.errors import ConfigError, StoreError
from rlpd_robot.policy.base import NoisyPolicy, Policy, RandomPolicy
from rlpd_robot.policy.numpy_actor import NumpyActor
from rlpd_robot.policy.snapshot_file import check_snapshot, load_snapshot
from rlpd_robot.robot.control_loop import ControlLoop
from rlpd_robot.robot.episode import EpisodeSummary
from rlpd_robot.robot.safety import SafetyLimits
from rlpd_robot.robot.task import problem_of
from rlpd_robot.run.evaluate import Build
from rlpd_robot.run.reset_seed import SEED
from rlpd_robot.run.settings import Settings
from rlpd_robot.spec import ProblemSpec
from rlpd_robot.timing import SystemClock
from rlpd_robot.types import Segment, Transition

RANDOM = "random"
"""In the place of a policy's file: actions drawn uniformly."""


class EpisodeCollector:
    """Subscriber of a control loop that keeps the last episode whole."""

    def __init__(self) -> None:
        self._transitions: list[Transition] = []
        self.last: Segment | None = None

    def on_transition(self, transition: Transition) -> None:
        """Keep it."""
        self._transitions.append(transition)

    def on_episode(self, summary: EpisodeSummary) -> None:
        """The episode is whole."""
        made, self._transitions = self._transitions, []
        self.last = None
        if made:
            self.last = replace(Segment.from_transitions(made), ending=summary.ending, cause=summary.cause)


def run_collect(settings: Settings, build: Build) -> int:
    """Collect episodes until enough are kept: 0, or 1 when the policy fails too often."""
    wanted = settings.collect
    if not wanted.out or not wanted.policy:
        key = "collect.out" if not wanted.out else "collect.policy"
        raise ConfigError(key, None, "a path")
    if wanted.policy != RANDOM and not Path(wanted.policy).is_file():
        raise StoreError(wanted.policy, "there is no such policy file", "Train one with `rlpd-robot train`.")
    driver, task = build(settings.robot.driver), build(settings.task)
    try:
        spec = driver.connect(settings.actor.connect_s)
        problem = problem_of(task, spec)
        rng = np.random.default_rng([wanted.seed, 0xC0])
        policy = NoisyPolicy(_policy_of(wanted.policy, problem, rng), wanted.noise, rng)
        collector, boot = EpisodeCollector(), uuid.uuid4().hex
        limits = SafetyLimits.of_robot(settings.safety, spec, settings.robot.stand_in is not None or driver.lockstep)
        loop = ControlLoop(driver, task, problem, limits, lambda: policy, boot, SystemClock(), subscribers=(collector,))
        kept = attempts = sequence = 0
        limit = wanted.max_attempts or 10 * wanted.episodes
        about = {"policy_version": policy.version, SEED: wanted.seed, LOCKSTEP: driver.lockstep}
        with StoreWriter(wanted.out, problem, attributes=about) as writer:
            while kept < wanted.episodes and attempts < limit:
                summary = loop.run_episode(attempts, wanted.seed + attempts, wanted.explore)
                attempts += 1
                if collector.last is None or not (summary.success or wanted.keep_failures):
                    continue
                writer.append(replace(collector.last, first_sequence=sequence, episode=kept))
                kept += 1
                sequence += len(collector.last)
    finally:
        driver.close()
    summary_of_store = DemoStore.open(wanted.out).summary()
    print(
        f"{kept} of {attempts} episodes kept in {wanted.out}: success {100 * summary_of_store.success_rate:.0f} %, "
        f"normalised return {summary_of_store.mean_normalized_return:.1f}"
    )
    return 0 if kept == wanted.episodes else 1


def _policy_of(file: str, problem: ProblemSpec, rng: np.random.Generator) -> Policy:
    """What acts.

    Raises:
        SpecMismatchError, DataError: a policy of another robot or task, or no policy.
    """
    if file == RANDOM:
        return RandomPolicy(problem.action_size, rng)
    snapshot = load_snapshot(file)
    check_snapshot(snapshot, problem)
    return NumpyActor(snapshot, rng)

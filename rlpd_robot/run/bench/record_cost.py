"""What recording costs: a tick of the control loop, and the end of an episode."""

import time
import uuid
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import numpy as np

from rlpd_robot.policy.base import RandomPolicy
from rlpd_robot.robot.control_loop import ControlLoop
from rlpd_robot.robot.episode import EpisodeSummary
from rlpd_robot.robot.fake import FakeDriver, FakeTask
from rlpd_robot.robot.safety import SafetyLimits, SafetySettings
from rlpd_robot.robot.task import problem_of
from rlpd_robot.run.bench.made_up import made_up
from rlpd_robot.run.episode_recorder import EpisodeRecorder
from rlpd_robot.timing import SystemClock
from rlpd_robot.types import Transition

PERIOD_S = 0.01
JOINTS = 28
STEPS = 200
EPISODES = 100
TIMED = 5
"""Episodes that a control loop acts at 100 Hz, whose ticks are timed; the others follow at once."""


class _Timed:
    """A subscriber and what it adds to each tick [s]."""

    def __init__(self, recorder: EpisodeRecorder) -> None:
        self.tick_s: list[float] = []
        self._recorder = recorder

    def on_transition(self, transition: Transition) -> None:
        start_s = time.perf_counter()
        self._recorder.on_transition(transition)
        self.tick_s.append(time.perf_counter() - start_s)

    def on_episode(self, summary: EpisodeSummary) -> None:
        self._recorder.on_episode(summary)


def record_cost(store: Path) -> dict[str, dict[str, float]]:
    """Quantiles [ms], over episodes of 200 steps of a point with 28 axes into one store.

    Returns:
        `tick`: what the recorder adds to a tick. `durable`: from the end of an episode until it survives a power cut.
        `stored`: until it is in the store, too.
    """
    boot, driver = uuid.uuid4().hex, FakeDriver(lockstep=False, period_s=PERIOD_S, size=JOINTS)
    task = FakeTask(STEPS, JOINTS)
    spec = driver.connect(1.0)
    problem = problem_of(task, spec)
    limits = SafetyLimits.of_robot(SafetySettings(none_because="a point that is no robot"), spec, simulated=True)
    policy = RandomPolicy(JOINTS, np.random.default_rng(0))
    with closing(EpisodeRecorder(store, problem, boot, intervened=False)) as recorder:
        timed = _Timed(recorder)
        loop = ControlLoop(driver, task, problem, limits, lambda: policy, boot, SystemClock(), subscribers=(timed,))
        loop.warm_up()
        saved = []
        for number in range(TIMED):
            recorder.begin(loop.next_sequence)
            loop.run_episode(number, number, explore=True)
            saved.append(recorder.save())
        for number in range(TIMED, EPISODES):
            first = number * STEPS
            recorder.begin(first)
            for transition in made_up(problem, boot, STEPS, first, number):
                recorder.on_transition(transition)
            recorder.on_episode(EpisodeSummary(number, STEPS, -STEPS, False, 0.0, "truncated", "time limit", 1))
            saved.append(recorder.save())
    kept = [one for one in saved if one is not None]
    return {
        "tick": _quantiles([1e3 * s for s in timed.tick_s]),
        "durable": _quantiles([one.safe_ms for one in kept]),
        "stored": _quantiles([one.safe_ms + one.stored_ms for one in kept]),
    }


def _quantiles(values: Sequence[float]) -> dict[str, float]:
    return {name: float(np.percentile(values, q)) for name, q in {"p50": 50, "p99": 99, "max": 100}.items()}

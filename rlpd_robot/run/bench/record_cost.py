"""What recording costs: a tick of the control loop, and the end of an episode."""

import time
import uuid
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import numpy as np

from rlpd_robot.robot.episode import EpisodeSummary
from rlpd_robot.run.bench.made_up import made_up
from rlpd_robot.run.episode_recorder import EpisodeRecorder
from rlpd_robot.spec import ProblemSpec
from rlpd_robot.timing import SystemClock, Ticker

PERIOD_S = 0.01
STEPS = 200
EPISODES = 100
TIMED = 5
"""Episodes whose ticks are timed, at 100 Hz; the others follow at once."""


def record_cost(problem: ProblemSpec, store: Path) -> dict[str, dict[str, float]]:
    """Quantiles [ms], over episodes of 200 steps into one store.

    Returns:
        `tick`: what the recorder adds to a tick. `durable`: from the end of an episode until it survives a power cut.
        `stored`: until it is in the store, too.
    """
    boot = uuid.uuid4().hex
    tick_s: list[float] = []
    durable_ms, stored_ms = [], []
    ticker = Ticker(PERIOD_S, SystemClock())
    with closing(EpisodeRecorder(store, problem, boot, intervened=False)) as recorder:
        for episode in range(EPISODES):
            recorder.begin(episode * STEPS)
            ticker.start()
            for transition in made_up(problem, boot, STEPS, episode * STEPS, episode):
                if episode < TIMED:
                    ticker.wait()
                start_s = time.perf_counter()
                recorder.on_transition(transition)
                if episode < TIMED:
                    tick_s.append(time.perf_counter() - start_s)
            recorder.on_episode(EpisodeSummary(episode, STEPS, -STEPS, False, 0.0, "truncated", "time limit", 1))
            saved = recorder.save()
            assert saved is not None
            durable_ms.append(saved.safe_ms)
            stored_ms.append(saved.safe_ms + saved.stored_ms)
    return {
        "tick": _quantiles([1e3 * s for s in tick_s]),
        "durable": _quantiles(durable_ms),
        "stored": _quantiles(stored_ms),
    }


def _quantiles(values: Sequence[float]) -> dict[str, float]:
    return {name: float(np.percentile(values, q)) for name, q in {"p50": 50, "p99": 99, "max": 100}.items()}

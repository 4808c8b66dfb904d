"""What journalling costs a control loop in each tick: making the record, and its `write`, beside the syncing thread."""

import time
import uuid
from contextlib import closing
from pathlib import Path

import numpy as np

from rlpd_robot.run.bench.made_up import made_up
from rlpd_robot.run.ports import free_addresses
from rlpd_robot.spec import ProblemSpec
from rlpd_robot.timing import SystemClock, Ticker
from rlpd_robot.types import Segment
from rlpd_robot.wire.journal import Journal
from rlpd_robot.wire.uplink import ActorUplink

PERIOD_S = 0.005
TICKS = 1000


def journal_cost(problem: ProblemSpec, directory: Path) -> dict[str, float]:
    """Quantiles [ms] of one tick's journalling, over `TICKS` of 5 ms, without a learner."""
    boot, (nobody,) = uuid.uuid4().hex, free_addresses(1)
    took_s = []
    with (
        closing(Journal(directory, budget_mb=1000.0)) as journal,
        closing(ActorUplink(nobody, boot, problem, False, journal)) as uplink,
    ):
        ticker = Ticker(PERIOD_S, SystemClock())
        for transition in made_up(problem, boot, TICKS):
            ticker.wait()
            start_s = time.perf_counter()
            uplink.offer(Segment.from_transitions([transition]))
            took_s.append(time.perf_counter() - start_s)
    return {name: 1e3 * float(np.percentile(took_s, q)) for name, q in {"p50": 50, "p99": 99}.items()}

"""A run's directory as its processes would have left it so far."""

import json
from pathlib import Path
from typing import Any

from rlpd_robot.run.metrics import EPISODES, METRICS, append_event
from tests.run.test_health import row


def rows(first: int, last: int, **values: Any) -> list[dict[str, Any]]:
    """One a second, 10 steps each."""
    return [
        row(t, env_steps=10 * t, env_steps_target=4000, utd_target=5, utd_realised=4.98)
        | {"ring_rows": 10 * t, "demo_rows": 2500, "demo_return": 51.7, "policy_version": t // 5}
        | {"learner/q": 0.01 * t, "learner/target_q": 0.01 * t, "learner/policy_q": 0.011 * t, "learner/q_spread": 0.02}
        | {"learner/critic_loss": 1 / (t + 1), "learner/updates_per_s": 50.0}
        | {"actor/lateness_ms_p50": 0.05, "actor/lateness_ms_p99": 0.13, "actor/deadline_misses": 2}
        | {"actor/policy_age_s_p50": 1.0, "actor/policy_age_s_p99": 4.0, "actor/policy_version": t // 5}
        | {"actor/uncommitted": 12, "actor/armed": 1, "actor/faults": 0, "actor/filtered": t, "actor/lockstep": 0}
        | values
        for t in range(first, last)
    ]


def episode(steps: int, success: bool, solved: float) -> dict[str, Any]:
    return {"env_steps": steps, "success": success, "normalized_return": solved, "explore": True}


def append(path: Path, lines: list[dict[str, Any]]) -> None:
    with path.open("a") as file:
        file.write("".join(json.dumps(line) + "\n" for line in lines))


def make_run(directory: Path, seconds: int = 100) -> Path:
    """Learning for so long, every second episode solved."""
    directory.mkdir(parents=True)
    append(directory / METRICS, rows(1, seconds))
    append(directory / EPISODES, [episode(50 * i, i % 2 == 0, 30.0 * (i % 3)) for i in range(1, seconds // 5)])
    append_event(directory, "info", "learner", "compiled in 3.0 s")
    append_event(directory, "warning", "actor", "<b>learner</b> silent for 2 s")
    return directory

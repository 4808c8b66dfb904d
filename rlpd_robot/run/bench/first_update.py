"""How long a learner takes from its start to its first update, in a process of its own: compiling is the most of it."""

import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

from rlpd_robot.agent.config import AgentConfig
from rlpd_robot.errors import ChildError

_PATIENCE_S = 900.0


def first_update_s(config: AgentConfig) -> dict[str, float]:
    """Seconds without and with what an earlier one compiled; from the start of the process, its imports included."""
    with tempfile.TemporaryDirectory(prefix="rlpd-compiled-") as folder:
        return {name: _once(config, Path(folder)) for name in ("cold", "cached")}


def _once(config: AgentConfig, cache: Path) -> float:
    environment = {**os.environ, "XDG_CACHE_HOME": str(cache)}
    environment.pop("JAX_COMPILATION_CACHE_DIR", None)
    start_s = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", __name__, json.dumps(asdict(config))],
        env=environment,
        capture_output=True,
        text=True,
        timeout=_PATIENCE_S,
        check=False,
    )
    if done.returncode:
        raise ChildError("first update", f"ended ({done.returncode})", done.stderr.strip()[-600:])
    return time.monotonic() - start_s


def main(text: str) -> None:
    """Build a trainer, take one row, update once."""
    from rlpd_robot.run.bench.learner_parts import finish, made_up_rows, pen_sized
    from rlpd_robot.run.compile_cache import use_compile_cache
    from rlpd_robot.run.trainer import Trainer

    use_compile_cache("auto")
    problem = pen_sized()
    sizes = problem.observation_size, problem.action_size
    config = AgentConfig(**{**json.loads(text), "ring_capacity": 10_000})
    trainer = Trainer(config, problem, next(made_up_rows(*sizes, 1000, 1000, is_demo=True)), seed=0)
    trainer.receive(next(made_up_rows(*sizes, 1, 1)))
    trainer.step()
    finish(trainer.state)


if __name__ == "__main__":
    main(sys.argv[1])

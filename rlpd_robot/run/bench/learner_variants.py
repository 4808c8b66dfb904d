"""Ways to compute the same updates, each a learner in a process of its own, timed in turn: what is worth choosing here.

A process each, since XLA reads its flags once, and so that one that the compiler refuses costs the others nothing.
"""

import contextlib
import json
import os
import queue
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from typing import Any

from rlpd_robot.agent.config import AgentConfig
from rlpd_robot.errors import ChildError
from rlpd_robot.run.bench_settings import LearnerBenchSettings
from rlpd_robot.run.learner_settings import LearnerSettings

BASELINE = "as set"

ROUNDS = 5
_START_S = 900.0  # a program of twenty updates compiles for minutes
_TURN_S = 300.0

_COMMAND = (sys.executable, "-m", __name__)


@dataclass(frozen=True)
class Variant:
    """What is different.

    Attributes:
        name: for the table.
        agent, learner: settings of these groups.
        environment: variables of its process.
        flags: of XLA, beside those of this process.
    """

    name: str
    agent: Mapping[str, Any] = field(default_factory=dict)
    learner: Mapping[str, Any] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    flags: str = ""


def variants_for(platform: str, config: AgentConfig, flags: Sequence[str]) -> list[Variant]:
    """What is compared with the baseline on a platform of this name, "cpu" or another; `flags` of XLA, one each."""
    unrolled = [u for u in ((2, 5) if platform == "cpu" else (2, 5, config.utd)) if config.utd % u == 0]
    products = "JAX_DEFAULT_MATMUL_PRECISION"
    found = [
        *(Variant(f"updates unrolled by {u}", learner={"unroll": u}) for u in dict.fromkeys(unrolled) if u > 1),
        Variant("factors in bfloat16", agent={"precision": "bfloat16"}),
        Variant("ring in the host's memory", learner={"ring": "host"}),
    ]
    if platform == "cpu":
        found += [
            Variant("products on one core each", flags="--xla_cpu_multi_thread_eigen=false"),
            Variant("vectors of 512 bits", flags="--xla_cpu_prefer_vector_width=512"),
        ]
    else:
        buffers = "FUSION,CUBLAS,CUBLASLT,CUSTOM_CALL,CUDNN,DYNAMIC_SLICE_FUSION,CONDITIONAL,WHILE"
        found += [
            Variant("factors in TF32", environment={products: "tensorfloat32"}),
            Variant("factors in float32", environment={products: "float32"}),
            Variant("no command buffers", flags="--xla_gpu_enable_command_buffer="),
            Variant("command buffers for all", flags=f"--xla_gpu_enable_command_buffer={buffers}"),
            Variant("no products by Triton", flags="--xla_gpu_enable_triton_gemm=false"),
            Variant("all tilings tried", flags="--xla_gpu_exhaustive_tiling_search=true"),
        ]
    return [*found, *(Variant(text, flags=text) for text in flags)]


def compare(config: AgentConfig, learner: LearnerSettings, bench: LearnerBenchSettings) -> dict[str, Any]:
    """Critic updates a second of each variant, and as a multiple of the baseline's in the same round; medians.

    Returns:
        `platform` and `variants`, by name: `critic_updates_per_s`, `speed_up`, `fraction` of the bare products,
        `compile_s`, `device_peak_mb`; or `refused`, the last words of a process that could not do it.

    Raises:
        ChildError: the baseline itself could not be run.
    """
    rows: dict[str, dict[str, Any]] = {}
    with ExitStack() as stack:
        first = stack.enter_context(_running(Variant(BASELINE), config, learner, bench))
        running = {BASELINE: first}
        for variant in variants_for(first.platform, config, bench.flags):
            try:
                running[variant.name] = stack.enter_context(_running(variant, config, learner, bench))
            except ChildError as error:
                rows[variant.name] = {"refused": str(error)}
        turns = [{name: worker.turn(bench.seconds / ROUNDS) for name, worker in running.items()} for _ in range(ROUNDS)]
        for name, worker in running.items():
            rates = [turn[name]["critic_updates_per_s"] for turn in turns]
            rows[name] = {
                "critic_updates_per_s": statistics.median(rates),
                "speed_up": statistics.median(
                    rate / turn[BASELINE]["critic_updates_per_s"] for rate, turn in zip(rates, turns, strict=True)
                ),
                "fraction": statistics.median(turn[name]["fraction"] for turn in turns),
                "compile_s": worker.compile_s,
                "device_peak_mb": max(turn[name]["device_peak_mb"] for turn in turns),
            }
    return {"platform": first.platform, "variants": rows}


def table(report: Mapping[str, Any]) -> str:
    """For people, the fastest first."""
    width = max(map(len, report["variants"])) + 2
    lines = [f"{'':{width}} updates/s  times  fraction  compiled in [s]  device [MB]"]
    told = [(name, row) for name, row in report["variants"].items() if "refused" not in row]
    for name, row in sorted(told, key=lambda item: -item[1]["speed_up"]):
        lines.append(
            f"{name:{width}}{row['critic_updates_per_s']:10.1f}{row['speed_up']:7.2f}{row['fraction']:10.2f}"
            f"{row['compile_s']:17.1f}{row['device_peak_mb']:13.0f}"
        )
    lines += [f"{name}: {row['refused']}" for name, row in report["variants"].items() if "refused" in row]
    return "\n".join(lines)


class _Worker:
    """A learner in a process of its own, and its answers, one line of JSON each."""

    def __init__(self, process: "subprocess.Popen[str]", name: str, errors: Any) -> None:
        self._process, self._name, self._errors = process, name, errors
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read, name=f"answers of {name}", daemon=True)
        self._reader.start()
        said = self._answer(_START_S)
        self.platform, self.compile_s = str(said["platform"]), float(said["compile_s"])

    def turn(self, seconds: float) -> dict[str, float]:
        """Learn for so long."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{seconds}\n")
        self._process.stdin.flush()
        return self._answer(_TURN_S + 10 * seconds)

    def _answer(self, patience_s: float) -> dict[str, Any]:
        deadline_s = time.monotonic() + patience_s
        while (left_s := deadline_s - time.monotonic()) > 0:
            try:
                line = self._lines.get(timeout=left_s)
            except queue.Empty:
                break
            if line is None:
                raise ChildError(self._name, f"ended ({self._process.wait(5)})", self._last_words())
            if line.startswith("{"):
                answer: dict[str, Any] = json.loads(line)
                return answer
        raise ChildError(self._name, "running", f"no answer within {patience_s:g} s")

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            for line in lines:
                self._lines.put(line)
        self._lines.put(None)

    def _last_words(self) -> str:
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").strip().splitlines()
        return lines[-1][-300:] if lines else ""


@contextlib.contextmanager
def _running(
    variant: Variant, config: AgentConfig, learner: LearnerSettings, bench: LearnerBenchSettings
) -> Iterator[_Worker]:
    spec = {
        "agent": {**asdict(config), **variant.agent},
        "mesh": asdict(learner.mesh),
        "learner": {"ring": learner.ring, "unroll": learner.unroll, **variant.learner},
        "demo_rows": bench.demo_rows,
        "ring_rows": bench.ring_rows,
    }
    flags = f"{os.environ.get('XLA_FLAGS', '')} {variant.flags}".strip()
    # Many learners share one device: none may take all of its memory at its start.
    environment = {**os.environ, "XLA_PYTHON_CLIENT_PREALLOCATE": "false", **variant.environment, "XLA_FLAGS": flags}
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(
            [*_COMMAND, json.dumps(spec)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            env=environment,
            text=True,
            bufsize=1,
        )
        try:
            yield _Worker(process, variant.name, errors)
        finally:
            process.kill()
            process.wait(10)
            assert process.stdin is not None
            with contextlib.suppress(BrokenPipeError):
                process.stdin.close()


def main(text: str) -> None:
    """Be one: answer each line on the input, a time [s], with what was reached within it."""
    import jax

    from rlpd_robot.run.bench.learner_speed import full_trainer, speeds
    from rlpd_robot.run.devices import make_layout
    from rlpd_robot.run.learner_settings import MeshSettings

    spec = json.loads(text)
    config, learner = AgentConfig(**spec["agent"]), spec["learner"]
    layout = make_layout(MeshSettings(**spec["mesh"]), learner["unroll"])
    trainer = full_trainer(config, spec["demo_rows"], spec["ring_rows"], layout, learner["ring"])
    _say({"platform": jax.default_backend(), "compile_s": trainer.compiles.seconds})
    for line in sys.stdin:
        (speed,) = speeds([trainer], float(line), rounds=1)
        memory = jax.devices()[0].memory_stats() or {}
        peak_mb = memory.get("peak_bytes_in_use", 0) / 1e6
        figures = {"critic_updates_per_s": speed.updates_per_s, "fraction": speed.fraction}
        _say({**figures, "device_peak_mb": peak_mb})


def _say(answer: Mapping[str, Any]) -> None:
    print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])

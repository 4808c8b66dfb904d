"""SIGKILL for a learner, in lock-step with a robot's process and an actor's that live on: as if nothing had been."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rlpd_robot.data.demo_store import DemoStore
from rlpd_robot.run.metrics import read_jsonl
from tests.integration.running import Verb, link_words, read_json, row

pytestmark = pytest.mark.integration


@contextmanager
def robot_and_actor(words: list[str], logs: Path) -> Iterator[None]:
    """Both, until they are interrupted at the end."""
    logs.mkdir()
    started = [Verb([verb, *words], logs / f"{verb}.log") for verb in ("sim", "actor")]
    try:
        yield
        for verb in reversed(started):
            verb.interrupt()
            assert verb.ends() == 0, verb.text
    finally:
        for verb in started:
            verb.kill()


def finished(run: Path) -> bool:
    """Whether a learner says so."""
    return (run / "learner.json").exists() and read_json(run / "learner.json")["finished"]


def outcome(root: Path, demos: Path, name: str, kills: list[int]) -> dict[str, Any]:
    """What a run reaches whose learners are killed after so many transitions each."""
    words = ["experiment=point", f"run.demos={demos}", f"run.root={root}", f"run.name={name}", *link_words()]
    words += ["run.env_steps=170", "learner.checkpoint_every=30", "learner.metrics_s=0.02"]
    run = root / name
    with robot_and_actor(words, root / f"{name}-logs"):
        for number, steps in enumerate([*kills, None]):
            learner = Verb(["learner", *words], root / f"{name}-logs" / f"learner{number}.log")
            try:
                if steps is None:
                    learner.until(lambda: finished(run))
                    said = read_json(run / "learner.json")
                    learner.interrupt()
                    assert learner.ends() == 0, learner.text
                else:
                    learner.until(lambda steps=steps: row(run).get("env_steps", 0) >= steps)
            finally:
                learner.kill()
    rows = [row["wall_s"] for row in read_jsonl(run / "metrics.jsonl")]
    assert rows == sorted(rows)  # the clock of the curves goes on
    newest = max((run / "checkpoints").iterdir())
    with np.load(newest / "state.npz", allow_pickle=False) as state:
        arrays = {key: (str(state[key].dtype), state[key].tobytes()) for key in state.files}
    episodes = list(DemoStore.open(run / "live.zarr").episodes())
    columns = ("observations", "actions", "proposed_actions", "rewards", "policy_versions")
    return {
        **{key: said[key] for key in ("env_steps", "critic_updates", "published", "consumed_rows", "ring_digest")},
        "counters": json.loads((newest / "meta.json").read_text())["counters"],
        "episodes": [(e.first_sequence, e.episode, len(e)) for e in episodes],
        **{column: b"".join(getattr(e, column).tobytes() for e in episodes) for column in columns},
        **arrays,
    }


def test_a_learner_that_was_killed_has_never_stopped(demos: Path, tmp_path: Path) -> None:
    once, again = (outcome(tmp_path, demos, name, kills) for name, kills in (("a", []), ("b", [70])))
    assert [key for key in once if once[key] != again[key]] == []
    assert once.keys() == again.keys()

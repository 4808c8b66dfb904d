"""Whole runs in this process: a real actor on a fake robot, in lock-step with real learners that are killed and follow
one another. A killed learner loses its sockets and its locks, as the kernel would take them, and nothing is tidied up.
"""

import json
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rlpd_robot.agent.config import AgentConfig
from rlpd_robot.data.demo_store import DemoStore, StoreWriter
from rlpd_robot.data.digest import rows_digest
from rlpd_robot.errors import StoreError
from rlpd_robot.robot.fake import FakeDriver, FakeTask
from rlpd_robot.run import checkpoint as checkpoints
from rlpd_robot.run import course as courses
from rlpd_robot.run import trainer as trainers
from rlpd_robot.run.actor import run_actor
from rlpd_robot.run.checkpoint import fingerprint_of, load_newest
from rlpd_robot.run.learner import Learner
from rlpd_robot.run.settings import LearnerSettings, RunSettings, Settings
from rlpd_robot.types import Batch
from rlpd_robot.wire.settings import LinkSettings
from tests.run.point import HORIZON, PROBLEM, settings

AGENT = AgentConfig(
    ensemble=2,
    hidden_layers=1,
    hidden_width=8,
    batch_size=8,
    utd=3,
    random_steps=0,
    ring_capacity=64,  # wraps around twice
    clone_updates=1,
    clone_weight=1.0,
    clone_half_life=50,
    actor_average=0.3,
)
STEPS = 170  # four episodes, and a part of a fifth that no ending closes


class Killed(BaseException):
    """Stands for SIGKILL."""


def point_run(root: Path, demos: Path, **changes: Any) -> Settings:
    """A run of the fake point on sockets of its own; `changes` are of the agent, but for the first two."""
    sockets = tempfile.mkdtemp(prefix="rlpd")  # tmp_path is too long a name for a socket
    every, patience_s = changes.pop("checkpoint_every", 30), changes.pop("timeout_s", 10.0)
    names = ("robot", "data", "policy", "control")
    return settings(
        root,
        agent=replace(AGENT, **changes),
        link=LinkSettings(**{name: f"ipc://{sockets}/{name}" for name in names}, timeout_s=patience_s),
        run=RunSettings(name="point", root=str(root), env_steps=STEPS, demos=str(demos)),
        learner=LearnerSettings(publish_every=20, checkpoint_every=every, checkpoints_kept=3),
    )


@contextmanager
def acting(wanted: Settings) -> Iterator[None]:
    """An actor that lives through whatever befalls its learners."""
    stop, errors = threading.Event(), []

    def act() -> None:
        try:
            run_actor(wanted, FakeDriver(), FakeTask(HORIZON), stop)
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=act, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(30)
    assert errors == []
    assert not thread.is_alive()


class _Finished(threading.Event):
    """Set once the learner has finished; a learner that does not is stopped after a while."""

    learner: Learner

    def is_set(self) -> bool:
        return self.learner._finished


def learn(wanted: Settings, config_text: str = "") -> None:
    """One learner, to the end or to its death."""
    stop = _Finished()
    stop.learner = learner = Learner(wanted, config_text, stop)
    try:
        learner.run()
    except (Killed, StoreError):
        learner._resources.close()
        if learner._checkpointer._thread is not None:
            learner._checkpointer._thread.join(20)
        raise
    learner.close()


_PLACES: dict[str, tuple[Any, str]] = {
    "clone": (trainers, "clone"),
    "update": (trainers.Trainer, "step"),
    "admission": (courses.Course, "admit"),
    "publication": (courses.Course, "publish"),
    "commit": (StoreWriter, "append"),  # the episode is durable, and not acknowledged yet
    "checkpoint": (checkpoints, "_write"),  # of one of its files
    "rename": (checkpoints, "sync_directory"),  # before, or after, a checkpoint takes its name
}


def learn_killed(wanted: Settings, place: str, after: int) -> bool:
    """A learner that is killed right after so many calls at a place; whether it was, before it had finished."""
    owner, name = _PLACES[place]
    real: Callable[..., Any] = getattr(owner, name)
    left = [after]

    def counted(*arguments: Any, **keywords: Any) -> Any:
        result = real(*arguments, **keywords)
        left[0] -= 1
        if left[0] <= 0:
            raise Killed
        return result

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(owner, name, counted)
        try:
            learn(wanted)
        except (Killed, StoreError):
            return True
    return False


def outcome(wanted: Settings) -> dict[str, Any]:
    """Everything that must not depend on how often a learner was killed."""
    directory = wanted.run.directory
    newest, _ = load_newest(directory / "checkpoints", fingerprint_of(PROBLEM, wanted))
    assert newest is not None
    said = status(wanted)
    episodes = list(DemoStore.open(directory / "live.zarr").episodes())
    columns = ("observations", "actions", "proposed_actions", "rewards", "success", "policy_versions")
    return {
        **{name: said[name] for name in ("finished", "env_steps", "critic_updates", "published", "consumed_rows")},
        "ring_digest": said["ring_digest"],
        "compiles": said["compiles"],
        "consumed": list(said["consumed"].values()),
        "counters": newest.counters,
        **{f"agent{name}": array for name, array in newest.arrays.items()},
        **{f"policy/{name}": array for name, array in newest.policy.arrays.items()},
        "episodes": [(e.first_sequence, e.episode, len(e), e.ending, e.cause) for e in episodes],
        **{name: np.concatenate([getattr(e, name) for e in episodes]) for name in columns},
    }


def differences(one: dict[str, Any], other: dict[str, Any]) -> list[str]:
    """Names of what is not equal, bit for bit."""
    assert one.keys() == other.keys()
    return [name for name, value in one.items() if not _same(value, other[name])]


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, np.ndarray):
        return bool(one.dtype == other.dtype and one.tobytes() == other.tobytes())
    return bool(one == other)


def digest_on_disk(wanted: Settings) -> int:
    """The digest of the transitions in `live.zarr` that the ring has room for."""
    rows = DemoStore.open(wanted.run.directory / "live.zarr").transitions()
    return rows_digest(Batch(*(column[-wanted.agent.ring_capacity :] for column in rows)))


def status(wanted: Settings) -> dict[str, Any]:
    """`learner.json`."""
    found: dict[str, Any] = json.loads((wanted.run.directory / "learner.json").read_text())
    return found

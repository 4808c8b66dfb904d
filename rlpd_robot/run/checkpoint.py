"""Checkpoints of the learner: directories that exist whole or not at all.

| file | holds |
|---|---|
| state.npz | agent, targets, optimisers, averaged actor and random key, as plain arrays by name |
| consumed.npz | [R, 3] int64: the book of what was learned from, in order (`ConsumedBook`) |
| policy.npz | the policy last published: an actor and `eval` start from it without JAX; absent while it is random |
| config.yaml | the composed settings |
| meta.json | counters, fingerprint, boots of the book, the policy's version |
| manifest.json | size and SHA-256 of each file above |
| done | SHA-256 of the manifest |

Everything is written below a `.partial` name and fsynced before one rename gives it its own; its number is one
higher than any before it. No pickle. Transitions are not in it: they are in `live.zarr`, and those of an open episode
in the journal of their actor. The ring, and what is drawn from it, follow from these, the book and the key.
"""

import hashlib
import io
import json
import os
import shutil
import zipfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rlpd_robot.files import make_directories, sync_directory
from rlpd_robot.policy.snapshot_file import load_snapshot, save_snapshot
from rlpd_robot.run.consumed import ConsumedBook
from rlpd_robot.run.settings import Settings
from rlpd_robot.spec import ProblemSpec, fingerprint
from rlpd_robot.types import PolicySnapshot

STATE, CONSUMED, META, POLICY, CONFIG = "state.npz", "consumed.npz", "meta.json", "policy.npz", "config.yaml"
MANIFEST, DONE = "manifest.json", "done"
CHECKPOINTS = "checkpoints"
"""In the run's directory: what a restarted learner goes on from."""

_PREFIX, _PARTIAL = "checkpoint-", ".partial"


@dataclass(frozen=True)
class Checkpoint:
    """One moment of learning.

    Attributes:
        arrays: the agent's state by name; arrays of NumPy, or of a device that they are still on their way from.
        counters: received, critic_updates, policy_version and the others that `Course.capture` lists.
        consumed: boots and runs [R, 3] of the book.
        policy: as last published.
        fingerprint: of the problem and the agent's settings it belongs to.
        config_text: the composed settings.
    """

    arrays: Mapping[str, Any]
    counters: Mapping[str, int]
    consumed: tuple[tuple[str, ...], NDArray[np.int64]]
    policy: PolicySnapshot
    fingerprint: str
    config_text: str = ""

    @property
    def book(self) -> ConsumedBook:
        """What had been learned from, in order."""
        return ConsumedBook(*self.consumed)


def save_checkpoint(directory: Path, checkpoint: Checkpoint, kept: int) -> Path:
    """Write one checkpoint below `directory`, then drop all but the newest `kept`.

    Raises:
        OSError: the disk refused; older checkpoints are untouched.
    """
    make_directories(directory)
    for left in directory.glob(f"*{_PARTIAL}"):
        shutil.rmtree(left)
    names = _names(directory)
    number = 1 + max((int(name.removeprefix(_PREFIX)) for name in names), default=0)
    final = directory / f"{_PREFIX}{number:06d}"
    partial = directory / f"{final.name}{_PARTIAL}"
    partial.mkdir()
    _write_files(partial, checkpoint)
    sync_directory(partial)
    os.replace(partial, final)
    sync_directory(directory)
    for old in _names(directory)[:-kept]:
        shutil.rmtree(directory / old)
    return final


def load_newest(directory: Path, fingerprint: str) -> tuple[Checkpoint | None, list[str]]:
    """The newest checkpoint that is whole and belongs to these settings, and why newer ones were passed over."""
    passed: list[str] = []
    for name in reversed(_names(directory)):
        try:
            checkpoint = _load(directory / name)
        except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
            passed.append(f"{name} is damaged ({error})")
            continue
        if checkpoint.fingerprint != fingerprint:
            passed.append(f"{name} is of other agent settings or another task")
            continue
        return checkpoint, passed
    return None, passed


def newest_policy(directory: Path) -> Path | None:
    """The policy file of the newest checkpoint that is whole and has one."""
    for name in reversed(_names(directory)):
        try:
            files = _checked_files(directory / name)
        except (OSError, ValueError, KeyError, TypeError):
            continue
        if POLICY in files:
            return directory / name / POLICY
    return None


def fingerprint_of(problem: ProblemSpec, settings: Settings) -> str:
    """Of everything that a checkpoint's networks depend on."""
    return fingerprint({"problem": problem.fingerprint, "agent": asdict(settings.agent)})


def _write_files(partial: Path, checkpoint: Checkpoint) -> None:
    boots, runs = checkpoint.consumed
    policy = checkpoint.policy
    meta = {
        "counters": dict(checkpoint.counters),
        "fingerprint": checkpoint.fingerprint,
        "boots": list(boots),
        "policy": {key: getattr(policy, key) for key in ("version", "fingerprint", "env_steps", "critic_updates")},
    }
    _write(partial / STATE, _npz(checkpoint.arrays))
    _write(partial / CONSUMED, _npz({"runs": runs}))
    _write(partial / META, json.dumps(meta, indent=1).encode())
    _write(partial / CONFIG, checkpoint.config_text.encode())
    if policy.arrays:
        save_snapshot(partial / POLICY, policy)
    manifest = {path.name: _seal(path) for path in sorted(partial.iterdir())}
    _write(partial / MANIFEST, json.dumps(manifest, indent=1).encode())
    _write(partial / DONE, _seal(partial / MANIFEST)["sha256"].encode())


def _npz(arrays: Mapping[str, Any]) -> bytes:
    file = io.BytesIO()
    np.savez(file, allow_pickle=False, **{name: np.asarray(array) for name, array in arrays.items()})
    return file.getvalue()


def _write(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _seal(path: Path) -> dict[str, Any]:
    data = path.read_bytes()
    return {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def _checked_files(path: Path) -> Mapping[str, Any]:
    """The manifest of a checkpoint, each of whose files is what was written."""
    if (path / DONE).read_text() != _seal(path / MANIFEST)["sha256"]:
        raise ValueError(f"{MANIFEST} is not what was written")
    manifest: dict[str, Any] = json.loads((path / MANIFEST).read_bytes())
    for name, seal in manifest.items():
        if _seal(path / name) != seal:
            raise ValueError(f"{name} is not what was written")
    return manifest


def _load(path: Path) -> Checkpoint:
    files = _checked_files(path)
    meta = json.loads((path / META).read_bytes())
    policy = load_snapshot(path / POLICY) if POLICY in files else PolicySnapshot(arrays={}, **meta["policy"])
    with np.load(path / STATE, allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    with np.load(path / CONSUMED, allow_pickle=False) as file:
        runs = file["runs"]
    return Checkpoint(
        arrays=arrays,
        counters={str(name): int(value) for name, value in meta["counters"].items()},
        consumed=(tuple(meta["boots"]), runs),
        policy=policy,
        fingerprint=str(meta["fingerprint"]),
        config_text=(path / CONFIG).read_text(),
    )


def _names(directory: Path) -> list[str]:
    """Oldest first."""
    if not directory.is_dir():
        return []
    names = (path.name for path in directory.iterdir() if path.name.removeprefix(_PREFIX).isdigit())
    return sorted((name for name in names if name.startswith(_PREFIX)), key=lambda name: int(name[len(_PREFIX) :]))

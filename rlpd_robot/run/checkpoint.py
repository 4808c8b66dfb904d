"""Checkpoints of the learner: directories that exist whole or not at all.

Each holds `state.npz` (the agent, its optimisers and random key as plain arrays), `policy.npz` (what an actor needs)
and `meta.json` (counters, settings' fingerprint, checksum of the state). No pickle. Transitions are not in it: they are
in `live.zarr` already.
"""

import hashlib
import json
import os
import shutil
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rlpd_robot.data.durable import sync_directory
from rlpd_robot.policy.snapshot_file import save_snapshot
from rlpd_robot.types import PolicySnapshot

STATE, META, POLICY = "state.npz", "meta.json", "policy.npz"
_PREFIX, _PARTIAL = "at-", ".partial"


@dataclass(frozen=True)
class Checkpoint:
    """One moment of learning.

    Attributes:
        arrays: the agent's state by name.
        counters: transitions received, critic updates, policy version.
        fingerprint: of the problem and the agent's settings it belongs to.
    """

    arrays: Mapping[str, NDArray[Any]]
    counters: Mapping[str, int]
    fingerprint: str


def save_checkpoint(directory: Path, checkpoint: Checkpoint, policy: PolicySnapshot, kept: int) -> Path:
    """Write one checkpoint below `directory`, then drop all but the newest `kept`.

    It takes its name by one rename after everything in it is on the disk, so a crash leaves the old or the new.

    Raises:
        OSError: the disk refused; older checkpoints are untouched.
    """
    directory.mkdir(parents=True, exist_ok=True)
    name = f"{_PREFIX}{checkpoint.counters['received']:010d}"
    partial = directory / f"{name}{_PARTIAL}"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    state = partial / STATE
    np.savez(state, allow_pickle=False, **dict(checkpoint.arrays))
    meta = {
        "counters": dict(checkpoint.counters),
        "fingerprint": checkpoint.fingerprint,
        "sha256": hashlib.sha256(state.read_bytes()).hexdigest(),
    }
    (partial / META).write_text(json.dumps(meta, indent=1))
    if policy.arrays:
        save_snapshot(partial / POLICY, policy)
    for path in partial.iterdir():
        _sync(path)
    sync_directory(partial)
    final = directory / name
    if final.exists():  # the same moment again: nothing to add
        shutil.rmtree(partial)
    else:
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
        except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
            passed.append(f"checkpoint {name} is damaged ({error})")
            continue
        if checkpoint.fingerprint != fingerprint:
            passed.append(f"checkpoint {name} is of other agent settings or another task")
            continue
        return checkpoint, passed
    return None, passed


def _load(path: Path) -> Checkpoint:
    meta = json.loads((path / META).read_text())
    data = (path / STATE).read_bytes()
    if hashlib.sha256(data).hexdigest() != meta["sha256"]:
        raise ValueError(f"{STATE} is not what was written")
    with np.load(path / STATE, allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    counters = {str(name): int(value) for name, value in meta["counters"].items()}
    return Checkpoint(arrays, counters, str(meta["fingerprint"]))


def _names(directory: Path) -> list[str]:
    if not directory.is_dir():
        return []
    return sorted(p.name for p in directory.iterdir() if p.name.startswith(_PREFIX) and p.suffix != _PARTIAL)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

"""Policy snapshots on disk: an .npz that `numpy.load` opens too, with `meta.json` beside the arrays. No pickle."""

import json
import math
import os
import struct
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rlpd_robot.errors import DataError, SpecMismatchError
from rlpd_robot.policy.numpy_actor import layers
from rlpd_robot.spec import ProblemSpec
from rlpd_robot.types import PolicySnapshot

MAX_BYTES = 1 << 28
"""Largest policy file that is read [bytes]."""

_META = "meta.json"
_META_KEYS = {"version": int, "fingerprint": str, "env_steps": int, "critic_updates": int}
_WRITTEN_BY_US = "a file written by save_snapshot"


def save_snapshot(path: Path | str, snapshot: PolicySnapshot) -> None:
    """Write a snapshot so that `path` holds the old file or the whole new one, whatever happens.

    Raises:
        DataError: the snapshot is not a network that can act; nothing is written.
        OSError: the directory is missing or cannot be written.
    """
    layers(snapshot)
    path = Path(path)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with open(partial, "wb") as file:
            _write(file, snapshot)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
    directory = os.open(path.parent, os.O_RDONLY)  # the rename itself is durable only once the directory is
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def load_snapshot(path: Path | str) -> PolicySnapshot:
    """Read a snapshot, checking every size before memory is taken.

    Raises:
        DataError: no such file, or not one written by `save_snapshot`.
    """
    where = f"Policy file {str(path)!r}"
    try:
        with zipfile.ZipFile(path) as archive:
            snapshot = _read(archive, where)
    except FileNotFoundError as error:
        raise DataError(where, "there is no such file", _WRITTEN_BY_US) from error
    except DataError:
        raise
    except (zipfile.BadZipFile, EOFError, OSError, ValueError, RuntimeError, struct.error, zlib.error) as error:
        raise DataError(where, f"it cannot be read ({error})", _WRITTEN_BY_US) from error
    layers(snapshot)
    return snapshot


def check_snapshot(snapshot: PolicySnapshot, problem: ProblemSpec) -> None:
    """Make sure that a snapshot was trained for this problem and can act on it.

    Raises:
        SpecMismatchError: it was trained for another robot or task.
        DataError: its arrays do not form a network from O to A, or hold a non-finite number.
    """
    where = f"Policy snapshot {snapshot.version}"
    if snapshot.fingerprint != problem.fingerprint:
        raise SpecMismatchError(
            f"task '{problem.task}' on robot '{problem.robot.name}'",
            where,
            [f"fingerprint: {problem.fingerprint} here, {snapshot.fingerprint} there"],
            "Use a policy trained on this robot, with this task and control period.",
        )
    hidden, mean, _ = layers(snapshot)
    sizes = (hidden or [mean])[0][0].shape[0], mean[0].shape[1]
    wanted = problem.observation_size, problem.action_size
    if sizes != wanted:
        raise DataError(where, f"it maps {sizes[0]} observations to {sizes[1]} actions", f"{wanted[0]} to {wanted[1]}")


def _write(file: Any, snapshot: PolicySnapshot) -> None:
    meta = {key: getattr(snapshot, key) for key in _META_KEYS}
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(_META, json.dumps(meta))
        for name, array in snapshot.arrays.items():
            with archive.open(f"{name}.npy", "w") as member:
                np.lib.format.write_array(member, np.ascontiguousarray(array), version=(1, 0), allow_pickle=False)


def _read(archive: zipfile.ZipFile, where: str) -> PolicySnapshot:
    members = archive.infolist()
    total = sum(member.file_size for member in members)
    if total > MAX_BYTES:
        raise DataError(where, f"it unpacks to {total} bytes", f"at most {MAX_BYTES}")
    if _META not in archive.namelist():
        raise DataError(where, f"it holds no {_META}", _WRITTEN_BY_US)
    meta = _read_meta(archive.read(_META), where)
    arrays = {
        member.filename.removesuffix(".npy"): _read_array(archive, member, where)
        for member in members
        if member.filename != _META
    }
    return PolicySnapshot(arrays=arrays, **meta)


def _read_meta(data: bytes, where: str) -> dict[str, Any]:
    try:
        meta = json.loads(data)
        return {key: kind(meta[key]) for key, kind in _META_KEYS.items()}
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(
            where, f"{_META} is damaged ({type(error).__name__}: {error})", f"{list(_META_KEYS)}"
        ) from error


def _read_array(archive: zipfile.ZipFile, member: zipfile.ZipInfo, where: str) -> NDArray[np.float32]:
    name = member.filename
    with archive.open(member) as file:
        try:
            np.lib.format.read_magic(file)
            shape, fortran, dtype = np.lib.format.read_array_header_1_0(file)
        except ValueError as error:
            raise DataError(where, f"{name} is no array ({error})", _WRITTEN_BY_US) from error
        left = member.file_size - file.tell()
        if dtype != np.float32 or fortran or math.prod(shape) * 4 != left:
            raise DataError(
                where, f"{name} declares shape {shape} of {dtype} over {left} bytes", "float32 of that many bytes"
            )
        return np.frombuffer(file.read(left), np.float32).reshape(shape)

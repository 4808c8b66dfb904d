"""How a demonstration store lies on disk: THE table of its arrays, its attributes, and how an empty one is made.

    demos/door.zarr/
    ├── zarr.json        attributes: schema, schema_version, problem, fingerprint, committed_episodes, created_by, …;
    │                    where there are any, edits (`edits`: which episodes are hidden) and seal (`seal`)
    ├── data/<key>       one array a key, all episodes after each other, N+1 rows for an episode of N transitions
    └── meta/<key>       one row an episode

| key | dtype, row shape | row N of an episode | meaning |
|---|---|---|---|
| data/observations | float32 (O,) | the final observation | see `types.Segment` for these |
| data/actions, data/proposed_actions | float32 (A,) | 0 | |
| data/rewards | float32 | 0 | |
| data/success, data/intervened, data/filtered | bool | False | |
| data/safety | uint16 | 0 | absent from stores of before it; then 1 where `filtered`, the cause not being known |
| data/policy_versions | int64 | -1 | |
| data/stamps_s | float64 (4,) | 0 | |
| data/valid | bool | False | True where the row is a transition |
| meta/episode_ends | int64 | | row after the episode's last (diffusion_policy and UMI have the same array) |
| meta/boot | uint8 (64,) | | UTF-8, padded with 0: which start of an actor recorded it |
| meta/first_sequence, meta/episode | int64 | | as in `types.Segment`; `first_step` is always 0 |
| meta/ending | uint8 | | index into `types.ENDINGS` |
| meta/cause | uint8 (256,) | | UTF-8, padded with 0 |

Only `committed_episodes` decides how much of all this exists: whatever lies beyond is a killed writer's remains.
Strings are bytes because zarr 3 has no settled string type. Every chunk is written, also an all-zero one, so that a
missing file is known to be damage; Zstandard checksums tell flipped bits.
"""

import math
import shutil
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from zarr.codecs import ZstdCodec

from rlpd_robot.data.durable import DurableStore
from rlpd_robot.errors import DataError, StoreError
from rlpd_robot.files import sync_directory
from rlpd_robot.spec import ProblemSpec
from rlpd_robot.types import ENDINGS

SCHEMA = "rlpd-robot demonstrations"
SCHEMA_VERSION = 1
BOOT_BYTES = 64
CAUSE_BYTES = 256
CHUNK_BYTES = 1 << 18
"""Rewriting the last, partly filled chunk is what an append costs; smaller ones make large stores slow to read."""
MAX_CHUNK_BYTES = 1 << 26
"""What a foreign chunk may be at most: checked before memory is taken."""

EPISODE_ENDS = "meta/episode_ends"
SAFETY = "data/safety"
EDITS, SEAL = "edits", "seal"
LOCKSTEP = "lockstep"
"""Attribute that our recorders give a new store. True: a simulator waited for each command; stamps are not its time."""
WRITE_EVERY_CHUNK: dict[str, Any] = {"write_empty_chunks": True}
RESERVED = (
    "schema",
    "schema_version",
    "problem",
    "fingerprint",
    "committed_episodes",
    "created_by",
    "endings",
    EDITS,
    SEAL,
)
"""Attributes that only this package writes."""


@dataclass(frozen=True)
class Column:
    """One array of a store.

    Attributes:
        key: path inside the store.
        dtype: NumPy name.
        row: shape of one row.
        padding: what fills row N of an episode.
    """

    key: str
    dtype: str
    row: tuple[int, ...] = ()
    padding: int = 0

    @property
    def name(self) -> str:
        """The key without its folder."""
        return self.key.rpartition("/")[2]

    @property
    def row_bytes(self) -> int:
        """Bytes of one row."""
        return np.dtype(self.dtype).itemsize * math.prod(self.row)


def data_columns(problem: ProblemSpec) -> tuple[Column, ...]:
    """The arrays with N+1 rows an episode; their names after "data/" are the fields of `Segment`, and "valid"."""
    action = (problem.action_size,)
    return (
        Column("data/observations", "float32", (problem.observation_size,)),
        Column("data/actions", "float32", action),
        Column("data/proposed_actions", "float32", action),
        Column("data/rewards", "float32"),
        Column("data/success", "bool"),
        Column("data/intervened", "bool"),
        Column("data/filtered", "bool"),
        Column(SAFETY, "uint16"),
        Column("data/policy_versions", "int64", padding=-1),
        Column("data/stamps_s", "float64", (4,)),
        Column("data/valid", "bool"),
    )


META_COLUMNS = (
    Column("meta/boot", "uint8", (BOOT_BYTES,)),
    Column("meta/first_sequence", "int64"),
    Column("meta/episode", "int64"),
    Column("meta/ending", "uint8"),
    Column("meta/cause", "uint8", (CAUSE_BYTES,)),
    Column(EPISODE_ENDS, "int64"),
)
"""One row an episode. `episode_ends` is last because it is written last."""


def columns(problem: ProblemSpec) -> tuple[Column, ...]:
    """Every array of a store, in the order in which they are written."""
    return data_columns(problem) + META_COLUMNS


def create_store(path: Path, problem: ProblemSpec, attributes: Mapping[str, Any]) -> None:
    """Make an empty store: built beside `path` and moved there whole. The caller holds the lock.

    Raises:
        StoreError: something else is at `path`, or it cannot be written.
        DataError: an attribute has the name of one of the store's own.
    """
    taken = sorted(set(attributes) & set(RESERVED))
    if taken:
        raise DataError("Store attributes", f"{taken} are the store's own", f"names other than {list(RESERVED)}")
    path = path.resolve()
    partial = path.with_name(f".{path.name}.{uuid.uuid4().hex}.partial")
    try:
        for left in path.parent.iterdir():  # by a writer that was killed here
            if left.name.startswith(f".{path.name}.") and left.suffix == ".partial":
                shutil.rmtree(left)
        _build(partial, problem, attributes)
        partial.rename(path)  # onto nothing or onto an empty directory; anything else is refused by the kernel
        sync_directory(path.parent)
    except OSError as error:
        raise StoreError(
            path, f"it cannot be made: {error.strerror}", "Choose a new path in a directory that you may write to."
        ) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _build(path: Path, problem: ProblemSpec, attributes: Mapping[str, Any]) -> None:
    files = DurableStore(path)
    group = zarr.create_group(
        files,
        zarr_format=3,
        attributes={
            **attributes,
            "schema": SCHEMA,
            "schema_version": SCHEMA_VERSION,
            "problem": problem.to_json(),
            "fingerprint": problem.fingerprint,
            "endings": list(ENDINGS),
            "committed_episodes": 0,
            "created_by": f"rlpd-robot {version('rlpd-robot')}",
        },
    )
    for column in columns(problem):
        group.create_array(
            column.key,
            shape=(0, *column.row),
            chunks=(max(1, CHUNK_BYTES // column.row_bytes), *column.row),
            dtype=column.dtype,
            fill_value=0,
            chunk_key_encoding={"name": "default", "separator": "."},  # one directory an array: fewer to fsync
            compressors=ZstdCodec(level=3, checksum=True),
        )
    files.sync()

"""Sealing a store: a digest of all that it holds is written into it, and our writers leave it alone from then on.

The digest is of content, not of files: a copy in other chunks, or compressed otherwise, has the same one.
"""

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import zarr

from rlpd_robot.data.ahead import ahead
from rlpd_robot.data.durable import DurableStore, exclusive
from rlpd_robot.data.layout import SEAL, data_columns
from rlpd_robot.data.opening import OpenedStore, open_store
from rlpd_robot.data.progress import OnProgress, no_progress
from rlpd_robot.data.rows import Block, Rows, read_blocks, read_meta
from rlpd_robot.errors import StoreError


class ContentDigest:
    """SHA-256 over every committed row of every array, and over every attribute but the seal.

    Feed it all blocks in their order; how they are cut makes no difference.
    """

    def __init__(self, opened: OpenedStore) -> None:
        self._columns = {c.key: hashlib.sha256() for c in data_columns(opened.problem)}
        self._attributes = {key: value for key, value in opened.attributes.items() if key != SEAL}

    def update(self, block: Block) -> None:
        """The rows that come next."""
        for key, digest in self._columns.items():
            rows = np.ascontiguousarray(block.rows[key])
            digest.update(rows.astype(rows.dtype.newbyteorder("<"), copy=False).view(np.uint8).data)

    def finish(self, meta: Rows) -> str:
        """The digest, in hexadecimal."""
        parts = {key: digest.hexdigest() for key, digest in self._columns.items()}
        for key, rows in meta.items():
            parts[key] = hashlib.sha256(rows.astype(rows.dtype.newbyteorder("<")).tobytes()).hexdigest()
        whole = json.dumps([self._attributes, parts], sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(whole.encode()).hexdigest()


def seal_store(path: Path | str, on_progress: OnProgress = no_progress) -> str:
    """Seal a store, and return its digest.

    Raises:
        StoreLockedError: another process is writing it.
        StoreError: it is sealed already, holds nothing, or cannot be read or written.
    """
    path = Path(path)
    open_store(path)  # before even a lock file is made
    with exclusive(path, timeout_s=2.0):
        opened = open_store(path)
        opened.refuse_sealed()
        if not opened.episodes:
            raise StoreError(path, "it holds no episode", "Seal it when it is complete.")
        digest = ContentDigest(opened)
        for block in ahead(read_blocks(opened, 0, opened.episodes)):
            digest.update(block)
            on_progress(block.first + len(block.ends), opened.episodes)
        text = digest.finish(read_meta(opened))
        files = DurableStore(path)
        try:
            group = zarr.open_group(files, mode="r+", zarr_format=3)
            group.attrs[SEAL] = {"sha256": text, "at": datetime.now(UTC).isoformat(timespec="seconds")}
            files.sync()
        except OSError as error:
            raise StoreError(
                path, f"the seal cannot be written ({error.strerror or error})", "Make room on the disk."
            ) from error
    return text


def sealed_digest(attributes: Mapping[str, Any]) -> str | None:
    """The digest that a store was sealed with; None: it is not sealed; "": its seal is damaged."""
    if SEAL not in attributes:
        return None
    seal = attributes[SEAL]
    return str(seal.get("sha256", "")) if isinstance(seal, Mapping) else ""

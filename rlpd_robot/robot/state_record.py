"""Every state of a robot, on disk: one line of JSON with the fields, then rows of float64.

A stand-in writes down what it told, `RecordedDriver` what a driver made of it.
"""

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rlpd_robot.errors import ConfigError
from rlpd_robot.spec import RobotSpec

_ROWS = 50  # kept in memory before they are written


class StateRecord:
    """Writes one file anew; a killed process loses the last rows. A row: the monotonic time, then the fields flat.

    Args:
        path: of the file.
        spec: of the robot; fields that are no floating-point numbers are left out.
        setting: that named the file.

    Raises:
        ConfigError: it cannot be written.
    """

    def __init__(self, path: Path, spec: RobotSpec, setting: str) -> None:
        self._names = [f.name for f in spec.state if np.dtype(f.dtype).kind == "f"]
        head = {"fields": [{"name": name, "size": spec.state_field(name).size} for name in self._names]}
        self._rows: list[NDArray[np.float64]] = []
        try:
            self._file = open(path, "wb")  # noqa: SIM115 - `close`
            self._file.write(json.dumps(head).encode() + b"\n")
        except OSError as error:
            raise ConfigError(setting, str(path), f"a file to write ({error.strerror})") from error

    def add(self, values: Mapping[str, NDArray[Any]]) -> None:
        """One more reading of all fields."""
        self._rows.append(np.concatenate([[time.monotonic()], *(values[name].ravel() for name in self._names)]))
        if len(self._rows) >= _ROWS:
            self._write()

    @staticmethod
    def read(path: Path) -> dict[str, NDArray[np.float64]]:
        """By state field (N, elements), in order; "stamp_s" (N, 1) says when. A row that was cut off is left out."""
        head, _, body = path.read_bytes().partition(b"\n")
        fields = [("stamp_s", 1), *((f["name"], int(f["size"])) for f in json.loads(head)["fields"])]
        width = sum(size for _, size in fields)
        rows = np.frombuffer(body[: len(body) // (8 * width) * 8 * width], "<f8").reshape(-1, width)
        ends = np.cumsum([size for _, size in fields])
        return {name: rows[:, end - size : end] for (name, size), end in zip(fields, ends, strict=True)}

    def close(self) -> None:
        """Write the rest."""
        self._write()
        self._file.close()

    def _write(self) -> None:
        for row in self._rows:
            self._file.write(row.astype("<f8").tobytes())
        self._rows.clear()
        self._file.flush()

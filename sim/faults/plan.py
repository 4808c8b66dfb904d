"""Which faults are active now: scripted, random, or ordered while the robot runs; each noted down in a log."""

import json
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any, TypeVar

from rlpd_robot.errors import ConfigError
from rlpd_robot.robot.state_record import StateRecord
from rlpd_robot.spec import RobotSpec
from sim.faults.catalogue import schedule
from sim.faults.fault import Fault, Scheduled
from sim.faults.link import ClockFault

F = TypeVar("F", bound=Fault)

KEYS = ("seed", "script", "orders", "log", "record")


class Plan:
    """The faults of one robot. One thread owns it.

    Args:
        spec: of the robot.
        script: entries, see `catalogue.schedule`.
        seed: of all that is random about them.
        orders: file to which others append entries, one JSON object a line; each begins in the next control period.
            What stands there already was meant for a process before this one.
        log: file to which each beginning and end is appended, one JSON object a line, with the monotonic time.
        record: file to which every reading that is told is written, see `StateRecord`.
        per_period: how often the robot tells its readings in a control period, in which `periods` are counted.

    Raises:
        ConfigError: an entry of the script that means nothing, or a file that cannot be used.
    """

    def __init__(
        self,
        spec: RobotSpec,
        script: Sequence[Mapping[str, Any]] = (),
        seed: int = 0,
        orders: Path | None = None,
        log: Path | None = None,
        record: Path | None = None,
        per_period: int = 1,
    ) -> None:
        self._spec, self._seed, self._per_period = spec, seed, per_period
        self._all = [self._schedule(f"sim.faults.script[{i}]", entry, (seed, i)) for i, entry in enumerate(script)]
        self._ordered = 0
        self._now_s = 0.0
        try:
            self._orders: IO[bytes] | None = None if orders is None else open(orders, "a+b")  # noqa: SIM115 - `close`
            self._log: IO[str] | None = None if log is None else open(log, "a", buffering=1)  # noqa: SIM115
        except OSError as error:
            raise ConfigError("sim.faults", error.filename, f"paths of files to write ({error.strerror})") from error
        self.record = None if record is None else StateRecord(record, spec, "sim.faults.record")

    @staticmethod
    def of(settings: Mapping[str, Any], spec: RobotSpec, per_period: int = 1) -> "Plan | None":
        """From `sim.faults`; None when there is nothing to go wrong.

        Raises:
            ConfigError: see above.
        """
        for key in settings:
            if key not in KEYS:
                raise ConfigError(f"sim.faults.{key}", settings[key], f"one of the keys {', '.join(KEYS)}")
        orders, log = settings.get("orders"), settings.get("log")
        script, record = settings.get("script") or (), settings.get("record")
        if not script and orders is None and record is None:
            return None
        if isinstance(script, str | Mapping):
            raise ConfigError("sim.faults.script", script, "a list of entries such as {kind: noise, std: 0.01}")
        files = [Path(path) if path is not None else None for path in (orders, log, record)]
        return Plan(spec, script, int(settings.get("seed", 0)), files[0], files[1], files[2], per_period)

    def active(self, kind: type[F]) -> list[F]:
        """Faults of this class that go on now, in the order of the script."""
        return [one.fault for one in self._all if one.active and isinstance(one.fault, kind)]

    def step(self, now_s: float) -> list[Fault]:
        """A control period begins; the faults that begin with it.

        Args:
            now_s: since the first one [s].
        """
        self._now_s = now_s
        self._read_orders()
        begun = []
        for one in self._all:
            if one.active and now_s >= one.until_s:
                one.end()
                self._note(one, "end")
            if one.is_due(now_s, self._spec.period_s):
                one.begin(now_s)
                self._note(one, "begin")
                begun.append(one.fault)
        for fault in begun:
            fault.strike()
        return begun

    def stamp(self, stamp_s: float) -> float:
        """What the robot's clock says instead of this [s]."""
        return stamp_s + sum(fault.offset_s(self._now_s) for fault in self.active(ClockFault))

    def close(self) -> None:
        """Let go of the files."""
        for file in (self._orders, self._log, self.record):
            if file is not None:
                file.close()

    def _schedule(self, where: str, entry: Mapping[str, Any], seed: tuple[int, int]) -> Scheduled:
        if self._per_period != 1 and isinstance(entry, Mapping) and isinstance(entry.get("periods"), int):
            entry = {**entry, "periods": self._per_period * entry["periods"]}
        return schedule(where, entry, self._spec, seed)

    def _read_orders(self) -> None:
        """Half a line is left until it is whole."""
        if self._orders is None:
            return
        while line := self._orders.readline():
            if not line.endswith(b"\n"):
                self._orders.seek(-len(line), os.SEEK_CUR)
                return
            where = f"order {self._ordered}"
            try:
                entry = json.loads(line)
            except ValueError as error:
                raise ConfigError(where, line, "one JSON object a line") from error
            one = self._schedule(where, entry, (self._seed, 1_000_000 + self._ordered))
            one.at_s += self._now_s  # NaN stays: it is random
            self._ordered += 1
            self._all.append(one)

    def _note(self, one: Scheduled, what: str) -> None:
        if self._log is not None:
            line = {"what": what, "name": one.name, "stamp_s": time.monotonic(), "pid": os.getpid()}
            self._log.write(json.dumps(line) + "\n")

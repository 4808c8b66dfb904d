"""`rlpd-robot bench rosbridge`: how late states and commands are over rosbridge, and whether an old one ever arrives.

The stand-in is a process of its own, and its own book says which command was executed when. Both processes read the
same monotonic clock. A bare WebSocket echo of the same bytes, asked in turn with the driver, is the physical limit of
the same machine at the same time. For the cuts, a proxy between the two breaks the link at random bytes, while
commands go on being made.
"""

import os
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rlpd_robot.errors import ConfigError, PeerRefusedError, PeerTimeoutError
from rlpd_robot.robot.book import Outcome, read_book
from rlpd_robot.robot.rosbridge.driver import RosbridgeDriver
from rlpd_robot.run.bench import rosbridge_parts as parts
from rlpd_robot.run.bench.latency_parts import Part
from rlpd_robot.run.bench.tcp_proxy import TcpProxy
from rlpd_robot.run.evaluate import Build
from rlpd_robot.run.ports import free_addresses
from rlpd_robot.run.processes import Child
from rlpd_robot.run.realtime import Linux, come_first
from rlpd_robot.run.settings import Settings

AIMS = {
    "state_age_p50_ms": 2.0,
    "state_age_p99_ms": 6.0,
    "command_p50_ms": 2.0,
    "command_p99_ms": 8.0,
    "stale_commands": 0.0,
}
"""Upper limits, for 24 joints at 100 Hz on loopback."""

_START_S, _LOOK_S = 60.0, 1.0
_END_S = 10.0
_TAIL_S, _AGAIN_S = 10.0, 0.05
_STEP_S = 1e-4  # of the wall clock against the monotonic one, beyond which stamps tell nothing
_ROBOT_PRIORITY = 50  # as of the robot in `bench latency`
_SWITCH_S = 2e-4  # as the actor has it
_QUANTILES = {"p50": 50.0, "p99": 99.0, "p999": 99.9}
_BARE = "  its bytes, bare echo / 2"
_ROWS = (("state", "state_ms"), (_BARE, "echo_state_ms"), ("command", "command_ms"), (_BARE, "echo_command_ms"))

Floats = NDArray[np.float64]


def run_bench(settings: Settings, words: Sequence[str], build: Build) -> dict[str, Any]:
    """Measure. `rosbridge` says how long and how many cuts.

    Raises:
        ConfigError: the robot is not one behind rosbridge that a stand-in plays.
        ChildError, PeerTimeoutError: a process failed.
    """
    robot = settings.robot
    if robot.stand_in is None or not str(robot.driver.get("_target_", "")).endswith(RosbridgeDriver.__name__):
        raise ConfigError("robot", robot.name, "one behind rosbridge with a stand-in, such as adroit_pen_rosbridge")
    (address,) = free_addresses(1)
    origin_s = wall_clock_origin()
    with tempfile.TemporaryDirectory(prefix="rlpd-rosbridge-") as folder, ExitStack() as stack:
        book = Path(folder) / "book"
        stand_in = ["sim", *words, f"link.robot={address}", f"sim.book={book}"]
        sim = Child("sim", stand_in, Path(folder))
        stack.callback(sim.end, _END_S)
        driver = _driver(settings, build, address, stack)
        _meet(driver, sim)
        problems = come_first(settings.actor.cpu, settings.actor.realtime_priority)
        if settings.actor.realtime_priority:
            come_first(None, _ROBOT_PRIORITY, _Another(sim.pid))
        stack.callback(sys.setswitchinterval, sys.getswitchinterval())
        sys.setswitchinterval(_SWITCH_S)
        delays = _measure(driver, address, settings.rosbridge.seconds, origin_s, book)
        sim.check()
        cuts = _cut(settings, build, address, book, stack)
        sim.check()
    moved_s = abs(wall_clock_origin() - origin_s)
    figures = {f"state_age_{q}_ms": delays["state_ms"][q] for q in ("p50", "p99")}
    figures |= {f"command_{q}_ms": delays["command_ms"][q] for q in ("p50", "p99")}
    figures["stale_commands"] = float(cuts["stale_commands"])
    missed = [name for name, value in figures.items() if not value <= AIMS[name]]
    if moved_s > _STEP_S:
        missed.append(f"the wall clock was set meanwhile, by {1e3 * moved_s:.1f} ms: state ages are wrong by as much")
    machine = {"cores": os.cpu_count(), "load_before": os.getloadavg()[0], "not_permitted": problems}
    return {**delays, "cuts": cuts, "aims": AIMS, "missed": missed, **machine, "passed": not missed}


def table(report: Mapping[str, Any]) -> str:
    """The report for people."""
    lines = [f"{'one way [ms]':26} {'p50':>9} {'p99':>9} {'p99.9':>9}"]
    for name, key in _ROWS:
        lines.append(f"{name:26} " + " ".join(f"{report[key][q]:9.2f}" for q in _QUANTILES))
    cuts = report["cuts"]
    kinds = ", ".join(f"{count} {kind}" for kind, count in cuts["kinds"].items())
    lines.append(
        f"{report['joints']} joints at {report['hertz']:.0f} Hz; {report['states']} states, "
        f"{report['commands']} commands, {report['interruptions']} resets because the machine was busy"
    )
    lines.append(
        f"{cuts['count']} cuts ({kinds}), {cuts['connections']} connections: {cuts['made']} commands made, "
        f"{cuts['dropped']} dropped here, {cuts['executed']} executed, {cuts['stale_commands']} of them stale; "
        f"{cuts['refused_late']} arrived after a new connection and were refused by the robot"
    )
    lines += report["not_permitted"]
    return "\n".join([*lines, f"cores={report['cores']} missed aims: {', '.join(report['missed']) or 'none'}"])


def wall_clock_origin() -> float:
    """Wall-clock time at which the monotonic clock was zero [s]: what turns a robot's stamps into our time."""
    readings = []
    for _ in range(20):
        before_s = time.monotonic()
        wall_s = time.time()
        after_s = time.monotonic()
        readings.append((after_s - before_s, wall_s - (before_s + after_s) / 2))
    return min(readings)[1]


class _Another(Linux):
    """Another process, which stands for another computer: it goes before everything here."""

    def __init__(self, pid: int) -> None:
        self._pid = pid

    def threads(self) -> list[int]:
        """Ids of its threads."""
        return [int(path.name) for path in Path(f"/proc/{self._pid}/task").iterdir()]

    def lock_memory(self) -> None:
        """Its memory is its own."""


def _driver(settings: Settings, build: Build, address: str, stack: ExitStack) -> RosbridgeDriver:
    driver: RosbridgeDriver = build({**settings.robot.driver, "address": address})
    stack.callback(driver.close)
    return driver


def _meet(driver: RosbridgeDriver, sim: Child) -> None:
    """Connect, unless the stand-in ends before."""
    deadline_s = time.monotonic() + _START_S
    while True:
        sim.check()
        try:
            driver.connect(_LOOK_S)
            return
        except (PeerTimeoutError, PeerRefusedError):
            if time.monotonic() > deadline_s:
                raise


def _measure(driver: RosbridgeDriver, address: str, seconds: float, origin_s: float, book: Path) -> dict[str, Any]:
    """States and commands, beside the echo of their bytes."""
    spec = driver.connect(_START_S)
    commander = parts.Commander(driver, spec)
    layout = driver.layout
    state = parts.overhear(driver.url, layout.opening(), list(layout.ages))
    values = (spec.command_low + spec.command_high) / 2
    command = layout.encode(values, 1, driver.ros, time.time())
    (echo_address,) = free_addresses(1)
    port = echo_address.rpartition(":")[2]
    part = Part("echo", port, module=parts.__name__)
    try:
        echo = parts.Echo(f"ws://127.0.0.1:{port}", state, command)
        try:
            found = parts.measure_delays(commander, seconds, lambda stamp_s, now: now + origin_s - stamp_s, echo)
        finally:
            echo.close()
        part.end()
    finally:
        part.kill()
        driver.close()
    made_s, executed_s, _ = _executed(book, commander)
    return {
        "state_ms": _quantiles(found.state),
        "command_ms": _quantiles(executed_s - made_s),
        "echo_state_ms": _quantiles(found.echo_state),
        "echo_command_ms": _quantiles(found.echo_command),
        "state_bytes": sum(map(len, state)),
        "command_bytes": sum(map(len, command)),
        "states": len(found.state),
        "commands": len(executed_s),
        "interruptions": found.interruptions,
        "joints": spec.command_size,
        "hertz": 1 / spec.period_s,
    }


def _cut(settings: Settings, build: Build, address: str, book: Path, stack: ExitStack) -> dict[str, Any]:
    """Break the link again and again; what became of the commands."""
    rng = random.Random(settings.run.seed)
    proxy = TcpProxy(address)
    stack.callback(proxy.close)
    driver = _driver(settings, build, proxy.address, stack)
    spec = driver.connect(_START_S)
    commander = parts.Commander(driver, spec)
    period = sum(map(len, driver.layout.encode(spec.command_low, 1, driver.ros, time.time())))
    cuts = parts.draw_cuts(settings.rosbridge.cuts, rng, 3 * period)
    before = len(read_book(book))
    parts.be_cut(commander, proxy, cuts, rng)
    driver.close()
    proxy.check()
    made_s, executed_s, late = _executed(book, commander, before, proxy.made_s)
    return {
        "count": len(proxy.cut_s),
        "kinds": dict(Counter(cut.kind for cut in cuts)),
        "connections": len(proxy.made_s),
        "made": len(commander.made),
        "dropped": commander.refused,
        "executed": len(executed_s),
        "stale_commands": int(parts.stale(made_s, executed_s, proxy.made_s).sum()),
        "refused_late": late,
    }


def _executed(
    book: Path, commander: parts.Commander, start: int = 0, connected_s: Sequence[float] = ()
) -> tuple[Floats, Floats, int]:
    """When each executed command was made and executed [s], and how many came late and were refused."""
    records = _whole(book, commander.last)[start:]
    known = np.array([value in commander.made for value in records["values"][:, 0]], bool)
    records = records[known]
    made_s = np.array([commander.made[value] for value in records["values"][:, 0]], np.float64)
    done = records["outcome"] == Outcome.EXECUTED
    if not done.any():
        raise PeerTimeoutError("the stand-in, whose book holds no command of ours", str(book), _TAIL_S, "See its log.")
    late = parts.stale(made_s[~done], records["stamp_s"][~done], connected_s)
    return made_s[done], records["stamp_s"][done], int(late.sum())


def _whole(book: Path, last: float) -> NDArray[np.void]:
    """The book, once the robot has seen the last command; or as it is after a while."""
    deadline_s = time.monotonic() + _TAIL_S
    while True:
        records = read_book(book)
        if last in records["values"][:, 0] or time.monotonic() > deadline_s:
            return records
        time.sleep(_AGAIN_S)


def _quantiles(values_s: Sequence[float] | Floats) -> dict[str, float]:
    return {name: 1e3 * float(np.percentile(values_s, q)) for name, q in _QUANTILES.items()}

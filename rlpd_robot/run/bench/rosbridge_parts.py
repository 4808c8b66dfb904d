"""What `bench rosbridge` does with a driver, and the echo that it is compared with."""

import gc
import json
import random
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rlpd_robot.errors import PeerRefusedError, PeerTimeoutError
from rlpd_robot.robot.driver import Driver
from rlpd_robot.robot.safety import SafetyLimits, SafetySettings, filter_command
from rlpd_robot.run.bench.tcp_proxy import Cut, CutKind, TcpProxy
from rlpd_robot.run.stopping import stop_on_signals
from rlpd_robot.spec import RobotSpec
from rlpd_robot.types import Command, RobotState

ANSWER_S = 20.0
"""Longest wait for a robot that is there [s]."""

_ECHO_SHARE = 3  # the echo is asked for so much shorter than the robot
_LOOK_S, _AGAIN_S = 0.2, 0.05
_SWING = (0.25, 0.75)  # part of the first element's range in which it goes from one end to the other
_STEPS = 1 << 20  # of the swing, each of which is one command
_BACK_S = 60.0  # from a cut to the next connection
_ACTING, _TRYING = (3, 30), (0, 10)  # periods between a reset and a cut, and between a connection and a reset
_FREEZE_S, _LATE_S = (0.0, 2.0), (0.0, 0.3)

Floats = NDArray[np.float64]


Age = Callable[[float, float], float]
"""By a state's stamp of the robot's clock, and at this moment of ours [s]: how old it is [s]."""


class Commander:
    """Hands one command after another to a driver, and knows which was made when.

    No two have the same first element: by that a robot's book tells which it was.

    Args:
        driver: used in this thread.
        spec: of its robot.

    Attributes:
        made: first element → monotonic time at which the command was made [s].
        refused: commands that the driver dropped.
        last: first element of the newest command that it did not drop.
    """

    def __init__(self, driver: Driver, spec: RobotSpec) -> None:
        self.period_s = spec.period_s
        self.made: dict[float, float] = {}
        self.refused = 0
        self.last = float("nan")
        self._driver = driver
        self._limits = SafetyLimits.from_settings(SafetySettings("range"), spec)
        self._middle = (spec.command_low + spec.command_high) / 2
        self._low, self._width = float(spec.command_low[0]), float(spec.command_high[0] - spec.command_low[0])

    def reset(self) -> None:
        """Have the robot move from here on."""
        self._state = self._driver.reset(None, ANSWER_S)

    def read(self, timeout_s: float) -> RobotState:
        """The next state."""
        self._state = self._driver.read(timeout_s)
        return self._state

    def send(self) -> None:
        """Make a command and hand it over."""
        values, share = self._middle.copy(), len(self.made) / _STEPS
        values[0] = self._low + self._width * (_SWING[0] + (_SWING[1] - _SWING[0]) * share)
        command = filter_command(self._limits, None, Command(values), self._state)[0]
        name = float(command.values[0])
        self.made[name] = time.monotonic()
        if self._driver.send(command) >= 0:
            self.last = name
        else:
            self.refused += 1

    def go_on(self, timeout_s: float) -> None:
        """One period, whatever the link is like: read if something comes, and command in any case."""
        try:
            self.read(timeout_s)
        except (PeerTimeoutError, PeerRefusedError):  # the link is cut, or the robot has stopped by itself
            time.sleep(self.period_s)
        self.send()

    def stop(self) -> None:
        """Have it move no more."""
        self._driver.stop()


@dataclass
class Delays:
    """What was measured [s].

    Attributes:
        state: age of each state when the driver handed it out.
        echo_state, echo_command: half of a round trip of the same bytes on a bare WebSocket.
        interruptions: times that the robot had to be reset, because the machine was too busy for its watchdog.
    """

    state: list[float] = field(default_factory=list)
    echo_state: list[float] = field(default_factory=list)
    echo_command: list[float] = field(default_factory=list)
    interruptions: int = 0


def measure_delays(commander: Commander, seconds: float, age: Age, echo: "Echo") -> Delays:
    """Read each state and command at once; then ask the echo at the same pace, so that neither waits for the other."""
    found = Delays()
    commander.reset()
    end_s = time.monotonic() + seconds
    with _uncollected():
        while time.monotonic() < end_s or not found.state:
            try:
                state = commander.read(ANSWER_S)
            except PeerRefusedError:
                found.interruptions += 1
                commander.stop()
                commander.reset()
                continue
            now = time.monotonic()
            found.state.append(age(state.stamp_s, now))
            commander.send()
        commander.stop()
        end_s = time.monotonic() + seconds / _ECHO_SHARE
        while time.monotonic() < end_s or not found.echo_state:
            time.sleep(commander.period_s)
            found.echo_state.append(echo.one_way(echo.state))
            found.echo_command.append(echo.one_way(echo.command))
    return found


def draw_cuts(count: int, rng: random.Random, upstream_bytes: int) -> list[Cut]:
    """Cuts at random bytes: one in ten leaves the link silent, one in ten gives back late what it held."""
    kinds: list[CutKind] = ["reset"] * count
    tenth = max(1, count // 10) if count >= 3 else 0
    kinds[:tenth], kinds[tenth : 2 * tenth] = ["freeze"] * tenth, ["late"] * tenth
    rng.shuffle(kinds)
    lengths: dict[CutKind, tuple[float, float]] = {"reset": (0.0, 0.0), "freeze": _FREEZE_S, "late": _LATE_S}
    return [Cut(kind, rng.randrange(upstream_bytes), rng.uniform(*lengths[kind])) for kind in kinds]


def be_cut(commander: Commander, proxy: TcpProxy, cuts: Sequence[Cut], rng: random.Random) -> None:
    """Act, be cut, go on commanding all the while, reset once the link is back; again and again.

    Raises:
        PeerTimeoutError: a cut or the next connection did not come.
    """
    for cut in cuts:
        commander.reset()
        for _ in range(rng.randint(*_ACTING)):
            commander.go_on(ANSWER_S)
        cuts_so_far, connections = len(proxy.cut_s), len(proxy.made_s)
        proxy.cut(cut)
        deadline_s = time.monotonic() + _BACK_S
        while len(proxy.cut_s) == cuts_so_far or len(proxy.made_s) == connections:
            commander.go_on(commander.period_s)
            if time.monotonic() > deadline_s:
                raise PeerTimeoutError("the driver, which was to connect anew", proxy.address, _BACK_S, f"After {cut}.")
        for _ in range(rng.randint(*_TRYING)):
            commander.go_on(commander.period_s)
    commander.reset()
    deadline_s = time.monotonic() + _BACK_S
    for _ in range(_ACTING[1]):
        commander.go_on(ANSWER_S)
    while proxy.holds and time.monotonic() < deadline_s:  # what is to come late
        commander.go_on(ANSWER_S)
    commander.stop()


def stale(made_s: Floats, executed_s: Floats, connected_s: Sequence[float]) -> NDArray[np.bool_]:
    """Of commands made and executed at these times: whether a new connection was made in between."""
    connections = np.sort(np.asarray(connected_s, np.float64))
    before, after = (np.searchsorted(connections, times, side="right") for times in (made_s, executed_s))
    found: NDArray[np.bool_] = before < after
    return found


class Echo:
    """A bare WebSocket to a server that sends back what comes.

    Args:
        url: of the server, which may take a while to be there.
        state: the messages of one state.
        command: those of one command.
    """

    def __init__(self, url: str, state: Sequence[bytes], command: Sequence[bytes]) -> None:
        from websockets.sync.client import connect

        self.state, self.command = [one.decode() for one in state], [one.decode() for one in command]
        self._stack = ExitStack()
        deadline_s = time.monotonic() + ANSWER_S
        while True:
            try:
                dialled = connect(url, compression=None, open_timeout=ANSWER_S, close_timeout=1)
                self._socket = self._stack.enter_context(dialled)
                return
            except ConnectionRefusedError:
                if time.monotonic() > deadline_s:
                    raise
                time.sleep(_AGAIN_S)

    def one_way(self, texts: Sequence[str]) -> float:
        """Half of the time that these took there and back [s]."""
        start_s = time.perf_counter()
        for text in texts:
            self._socket.send(text)
        for _ in texts:
            self._socket.recv(ANSWER_S)
        return (time.perf_counter() - start_s) / 2

    def close(self) -> None:
        """End it."""
        self._stack.close()


def overhear(url: str, opening: Sequence[dict[str, Any]], topics: Sequence[str]) -> list[bytes]:
    """One message of each topic, as it goes over the wire.

    Raises:
        TimeoutError: nothing came.
    """
    from websockets.sync.client import connect

    found: dict[str, bytes] = {}
    with connect(url, compression=None, open_timeout=ANSWER_S, close_timeout=1) as socket:
        for message in opening:
            if message["op"] == "subscribe" and message["topic"] in topics:
                socket.send(json.dumps(message))
        while len(found) < len(topics):
            text = socket.recv(ANSWER_S)
            found[json.loads(text)["topic"]] = text.encode() if isinstance(text, str) else text
    return list(found.values())


def serve_echo(port: str) -> dict[str, float]:
    """A bare WebSocket server: what comes goes back. Ends when asked to."""
    import asyncio

    from websockets.asyncio.server import ServerConnection, serve

    stop = stop_on_signals()

    async def talk(socket: ServerConnection) -> None:
        async for text in socket:
            await socket.send(text)

    async def run() -> None:
        async with serve(talk, "127.0.0.1", int(port), compression=None, ping_interval=None):
            while not stop.is_set():
                await asyncio.sleep(_LOOK_S)

    asyncio.run(run())
    return {}


@contextmanager
def _uncollected() -> Iterator[None]:
    """As within an episode."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


if __name__ == "__main__":
    print(json.dumps({"echo": serve_echo}[sys.argv[1]](*sys.argv[2:])), flush=True)

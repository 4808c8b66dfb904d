"""Any robot behind a rosbridge server, ROS 1 or ROS 2: topics become states, commands become messages.

Real time only: the robot moves by its own clock. It moves between a reset and the next stop, and on the connection of
that reset: a command is dropped and counted when the connection is down or another one by now, when the newest state
is older than the time to live (2.5 periods), or when it could not leave within that time. Nothing is ever
kept for later.
"""

import json
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rlpd_robot.errors import ConfigError, FaultError, PeerRefusedError, PeerTimeoutError, RlpdRobotError
from rlpd_robot.robot.driver import SafeCommand
from rlpd_robot.robot.rosbridge import steps
from rlpd_robot.robot.rosbridge.checks import Checks
from rlpd_robot.robot.rosbridge.connection import Answer, Connection
from rlpd_robot.robot.rosbridge.diagnosed import Diagnosed
from rlpd_robot.robot.rosbridge.executed import Executed
from rlpd_robot.robot.rosbridge.latest import Heard, Latest
from rlpd_robot.robot.rosbridge.layout import Layout, websocket_url
from rlpd_robot.robot.rosbridge.messages import Reading
from rlpd_robot.robot.rosbridge.settings import Say
from rlpd_robot.robot.watchdog import E_STOP, REMEDY
from rlpd_robot.spec import RobotSpec
from rlpd_robot.types import RobotState

_STOPS = 5  # calls of `stop` that each tell the robot so; later ones do once a second
_STOP_AGAIN_S = 1.0
_CONNECT = "Start the robot's rosbridge server, or `rlpd-robot sim`."


class RosbridgeDriver(steps.Robot, Diagnosed):
    """Implements `Driver`, and `Diagnosable` for the doctor.

    Args:
        address: ws://HOST:PORT or wss://HOST:PORT; tcp://HOST:PORT means ws://.
        insecure: allow ws:// beyond this machine, which nobody encrypts or authenticates.
        rosapi: ask the server's /rosapi at the start whether topics, types and listeners are there.
        max_message_mb: largest message accepted [MB].
        robot: the rest of the description; see `Layout` and docs/rosbridge.md.

    Raises:
        ConfigError: a setting is wrong. Nobody needs to be there yet.
    """

    def __init__(
        self, address: str, insecure: bool = False, rosapi: bool = True, max_message_mb: float = 4.0, **robot: Any
    ) -> None:
        self.lockstep = False
        self.layout = layout = Layout.parse(robot)
        self.address = address
        self.url = websocket_url("robot.driver.address", address, insecure)
        self.peer = f"rosbridge server at {self.url}"
        self.rosapi, self._max_bytes = rosapi, int(1e6 * max_message_mb)
        self._spec = layout.spec
        self._latest = Latest(layout.names_paths(), layout.kept_topics())
        self._executed = Executed(self._latest, layout.echoes(), layout.transit_s, f"The {self.peer}")
        self._connection: Connection | None = None
        self._checks: Checks | None = None
        self._epoch = 0  # of the connection that was checked last
        self._moving_epoch = 0  # of the reset that lets the robot move; 0: it must not
        self._last = 0  # count of the pacing message returned last
        self._number = 0  # of the last command
        self._stops, self._stopped_s = 0, 0.0
        self._held: NDArray[np.float64] | None = None
        self._stop_answer: Answer | None = None
        self._e_stop_seen = 0
        self._counts = dict.fromkeys(("sent", "dropped_disconnected", "dropped_stale", "dropped_stopped", "states"), 0)

    # --- steps.Robot

    @property
    def connection(self) -> Connection:  # type: ignore[override]
        """The present one."""
        assert self._connection is not None
        return self._connection

    @property
    def ros(self) -> int:  # type: ignore[override]
        """Version of ROS: as set, as its stamps tell, else 1, whose names both take."""
        return self.layout.ros or self._latest.ros or 1

    def say(self, say: Say) -> None:
        """See `steps.Robot`."""
        text = json.dumps({"op": "publish", "topic": say.topic, "msg": dict(say.message)}).encode()
        if not self.connection.publish([text], self._epoch, time.monotonic() + self.layout.ttl_s):
            raise self._gone()

    def follow(self, values: NDArray[np.float64]) -> None:
        """See `steps.Robot`."""
        self._write(np.clip(values, self._spec.command_low, self._spec.command_high))

    def measured(self, deadline_s: float) -> NDArray[np.float64]:
        """See `steps.Robot`."""
        return self.layout.measured(self._next(deadline_s, patient=True).values)

    # --- Driver

    def connect(self, timeout_s: float) -> RobotSpec:
        """See `Driver.connect`. Goes on where an earlier call ran out of time.

        Raises:
            PeerTimeoutError: no server, or no state of all its topics.
            PeerRefusedError: something that the settings name is not there or of another type.
            ProtocolError: messages are not as the settings say.
        """
        deadline_s = time.monotonic() + timeout_s
        if self._connection is None:
            self._connection = Connection(self.url, self, self._max_bytes, self.layout.poll, self._latest.put)
        connection = self._connection
        if not connection.wait_up(deadline_s):
            raise PeerTimeoutError("a rosbridge server", self.address, timeout_s, _CONNECT)
        if self._checks is None or self._epoch != connection.epoch:
            self._epoch, self._checks = connection.epoch, Checks(connection, self.peer, self.address)
            if self.rosapi:
                self.layout.add_checks(self._checks)
        self._checks.run(deadline_s)
        if not self._latest.wait(lambda: not self._lacks() or self._cut, deadline_s) or self._cut:
            raise self._gone() if self._cut else PeerTimeoutError(*self._lacking(timeout_s))
        self._state(self._pace(), -1, self._newest())
        return self._spec

    def reset(self, seed: int | None, timeout_s: float) -> RobotState:
        """See `Driver.reset`. Carries out the steps of `reset`, then waits for a state that is sure to follow them.

        Raises:
            PeerTimeoutError, PeerRefusedError, ProtocolError: as `connect`; a step failed.
            FaultError: the e-stop is pressed.
        """
        deadline_s = time.monotonic() + timeout_s
        self.connect(timeout_s)
        self._check_e_stop()
        self._executed.begin()
        self._held, self._stops = None, 0
        self._moving_epoch = self._epoch
        try:
            steps.run(self.layout.reset, self, seed, deadline_s, self.layout.homes)
            seen = {topic: self._counts_of(topic) for topic in self.layout.paced_topics}
            # The first message after the last step may have been under way before it.
            after = self._latest.wait(
                lambda: (
                    self._cut or all(self._counts_of(t) >= n + 2 for t, n in seen.items()) and self._broken() is None
                ),
                deadline_s,
            )
            if self._cut:
                raise self._gone()
            if not after:
                broken = self._broken()
                if broken is not None:
                    raise PeerRefusedError(f"The robot at {self.url}", broken)
                raise PeerTimeoutError(*self._lacking(timeout_s))
            self._executed.begin()
            return self._next(deadline_s, patient=True)
        except BaseException:
            self._moving_epoch = 0
            raise

    def read(self, timeout_s: float) -> RobotState:
        """See `Driver.read`. Raises at once when the connection has ended since `connect`.

        Raises:
            PeerTimeoutError: no new state in time, the reading of another topic is too old, or the connection ended.
            PeerRefusedError: a condition of moving is broken: such a robot refuses commands in silence.
            ProtocolError: a message is not as the settings say.
            FaultError: the e-stop was pressed.
        """
        return self._next(time.monotonic() + timeout_s, timeout_s)

    def send(self, command: SafeCommand) -> int:
        """See `Driver.send`."""
        now, pace = time.monotonic(), self._newest_pace()
        if self._moving_epoch == 0:
            self._counts["dropped_stopped"] += 1
        elif self._cut or self._moving_epoch != self._epoch:
            self._counts["dropped_disconnected"] += 1
        elif pace is None or now - pace.received_s > self.layout.ttl_s:
            self._counts["dropped_stale"] += 1
        else:
            return self._write(np.asarray(command.values, np.float64))
        return -1

    def stop(self) -> None:
        """See `Driver.stop`: holds what is measured, brings rates to zero, and does the steps of `stop`."""
        try:
            self._stop()
        except RlpdRobotError:
            self._counts["failed_stops"] = self._counts.get("failed_stops", 0) + 1

    def close(self) -> None:
        """See `Driver.close`."""
        self._moving_epoch = 0
        if self._connection is not None:
            self._connection.close()

    def stats(self) -> Mapping[str, float]:
        """Commands sent, dropped by cause and expired on the way, states, losses of the link, rubbish that came."""
        stats = {name: float(count) for name, count in self._counts.items()}
        if self._connection is not None:
            link = self._connection
            stats |= {"connected": float(link.up), "losses": float(link.losses), "rubbish": float(link.rubbish)}
            stats["frozen"] = float(link.frozen)
            stats |= {"expired": float(link.expired), "unsent": float(link.unsent)}
        return {**stats, "repeated": float(self._latest.repeated)}

    def e_stop_pressed(self) -> bool | None:
        """See `TellsEStop`."""
        switch = self.layout.e_stop
        return switch.pressed(self._latest) if switch is not None else None

    # --- Listener

    def opened(self) -> list[dict[str, Any]]:
        """In the I/O thread: a connection begins with what is advertised and subscribed; what is old is void."""
        self._latest.clear()
        return self.layout.opening()

    def heard(self, topic: str, message: Mapping[str, Any]) -> None:
        """In the I/O thread."""
        self._latest.put(topic, message)

    def ended(self) -> None:
        """In the I/O thread: whoever waits must see it."""
        self._latest.wake()

    # --- states

    @property
    def _cut(self) -> bool:
        return self._connection is None or not self._connection.up or self._connection.epoch != self._epoch

    def _newest_pace(self) -> Heard | None:
        return self._latest.newest(self.layout.paced_by, self.layout.fits[self.layout.paced_by])

    def _pace(self) -> Heard:
        heard = self._newest_pace()
        assert heard is not None
        return heard

    def _counts_of(self, topic: str) -> int:
        heard = self._latest.newest(topic, self.layout.fits[topic])
        return heard.count if heard is not None else 0

    def _next(self, deadline_s: float, timeout_s: float = 0.0, patient: bool = False) -> RobotState:
        """The state after the last one. One with a reading that is too old is refused at once, since a moving robot
        must not wait; where there is patience, as before it moves, a fresher one is waited for: this process, and not
        the robot, may have been held up.
        """

        def ready() -> bool:
            pace = self._newest_pace()
            return self._cut or (pace is not None and pace.count > self._last and not (patient and self._lacks()))

        there = self._latest.wait(ready, deadline_s, self.layout.paced_by)
        self._check_e_stop()
        if self._cut:
            raise self._gone()
        if not there and not (patient and self._lacks()):
            remedy = "Its connection is up: see whether the robot's driver still publishes."
            raise PeerTimeoutError(f"topic '{self.layout.paced_by}'", self.address, timeout_s, remedy)
        newest = self._newest()
        if self._lacks(newest):
            raise PeerTimeoutError(*self._lacking(timeout_s))
        broken = self._broken() if self._moving_epoch else None
        if broken is not None:
            raise PeerRefusedError(f"The robot at {self.url}", broken)
        pace = self._pace()
        self._last = pace.count
        self._counts["states"] += 1
        return self._state(pace, self._executed.at(pace.received_s) if self._moving_epoch else -1, newest)

    def _newest(self) -> list[tuple[Reading, Heard | None]]:
        """Each field with the newest message that tells of it."""
        return [(one, self._latest.newest(one.topic, one.fits)) for one in self.layout.readings]

    def _state(self, pace: Heard, executed: int, newest: Sequence[tuple[Reading, Heard | None]]) -> RobotState:
        values = {}
        for reading, one in newest:
            heard = pace if reading.topic == self.layout.paced_by and reading.fits(pace.names) else one
            if heard is None:
                raise self._gone()
            values[reading.name] = reading.read(heard.message, heard.names)
        stamp_s = pace.stamp_s if pace.stamp_s is not None else pace.received_s
        return RobotState(values, pace.count, stamp_s, pace.received_s, executed)

    def _lacks(self, newest: Sequence[tuple[Reading, Heard | None]] | None = None) -> list[tuple[str, str]]:
        """(topic, what is the matter) of every field that has no reading young enough."""
        now, found = time.monotonic(), []
        for reading, heard in self._newest() if newest is None else newest:
            limit_s = self.layout.ages[reading.topic]
            if heard is None:
                names = self._latest.names_heard(reading.topic)
                missing = reading.missing(tuple(names))
                why = f"its joints {names} lack {missing}" if names and missing else "nothing has come on it"
                found.append((reading.topic, why))
            elif 0 < limit_s < now - heard.received_s:
                age_s = now - heard.received_s
                found.append((reading.topic, f"its newest message is {age_s:.2f} s old, {limit_s:g} s are allowed"))
        return found

    def _lacking(self, timeout_s: float) -> tuple[str, str, float, str]:
        """Arguments of a PeerTimeoutError."""
        lacks = self._lacks()
        if not lacks:
            return f"topic '{self.layout.paced_by}'", self.address, timeout_s, "It was late."
        topic, why = lacks[0]
        return f"topic '{topic}'", self.address, timeout_s, f"{why[0].upper()}{why[1:]}."

    def _broken(self) -> str | None:
        """The first condition of moving that does not hold."""
        return next((sentence for one in self.layout.require if (sentence := one.broken(self._latest))), None)

    def _check_e_stop(self) -> None:
        switch = self.layout.e_stop
        if switch is None:
            return
        pressed, self._e_stop_seen = switch.pressed_since(self._latest, self._e_stop_seen)
        if pressed:
            raise FaultError(f"{E_STOP}: {pressed}", REMEDY)

    def _gone(self) -> PeerTimeoutError:
        remedy = "The connection has ended: see whether the server still runs."
        return PeerTimeoutError("the rosbridge server", self.address, 0, remedy)

    # --- commands

    def _write(self, values: NDArray[np.float64]) -> int:
        """Hand a command to the connection; its number."""
        now, number = time.monotonic(), self._number + 1
        texts = self.layout.encode(values, number, self.ros, self._robot_s(now))
        self._executed.sent(number, values)
        left = self.connection.publish(
            texts, self._epoch, now + self.layout.ttl_s, lambda at_s: self._executed.written(number, at_s)
        )
        if not left:
            self._counts["dropped_disconnected"] += 1
            return -1
        self._number = number
        self._counts["sent"] += 1
        return number

    def _robot_s(self, now: float) -> float | None:
        """Present time of the robot's clock [s]; None: its states bear no stamps."""
        pace = self._newest_pace()
        return pace.stamp_s + now - pace.received_s if pace is not None and pace.stamp_s is not None else None

    def _stop(self) -> None:
        first, self._moving_epoch = self._moving_epoch != 0, 0
        now = time.monotonic()
        if first:
            self._stops, self._held = 0, self._hold_command()
        self._stops += 1
        if self._cut or (self._stops > _STOPS and now < self._stopped_s + _STOP_AGAIN_S):
            return
        self._stopped_s = now
        if self._held is not None and self._stops <= _STOPS:
            # The same target each time: one measured anew would let the robot sag a little further at each stop.
            texts = self.layout.encode(self._held, 0, self.ros, self._robot_s(now))
            self.connection.publish(texts, self._epoch, now + self.layout.ttl_s)
        for step in self.layout.stop:
            if step.say is not None:
                self.say(step.say)
            elif step.call is not None and (self._stop_answer is None or self._stop_answer.there):
                self._stop_answer = self.connection.call(step.call.service, steps.request(step.call, None))

    def _hold_command(self) -> NDArray[np.float64] | None:
        """(C,) what holds the robot where it stands, as far as the settings tell how."""
        if not self.layout.hold or self._lacks():
            return None
        state = self._state(self._pace(), -1, self._newest())
        return np.clip(self.layout.holding(state.values), self._spec.command_low, self._spec.command_high)


def layout_of(recipe: Mapping[str, Any]) -> Layout:
    """The layout of a driver's settings, without a connection; what a check of settings needs."""
    own = ("_target_", "address", "insecure", "rosapi", "max_message_mb")
    unknown: Sequence[str] = [key for key in recipe if not isinstance(key, str)]
    if unknown:
        raise ConfigError("robot.driver", unknown, "texts as keys")
    return Layout.parse({key: value for key, value in recipe.items() if key not in own})

"""A robot and a task that need nothing: for tests, demonstrations of the loop, and users' own experiments."""

from collections import deque
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from rlpd_robot.errors import PeerTimeoutError, SpecError
from rlpd_robot.robot.driver import SafeCommand
from rlpd_robot.spec import Field, RobotSpec
from rlpd_robot.timing import Clock, SystemClock
from rlpd_robot.types import RobotState


class FakeDriver:
    """A point that follows its command: velocity = 5/s · (target - position), one Euler step a period.

    Args:
        lockstep: wait for each command; otherwise the point moves by `clock` and holds the last command.
        clock: of the real-time point; a ManualClock makes it exact.
        period_s: control period [s].
        size: J, axes of the point.
        fail_after: `read` finds no state once this many have been returned since the reset.
        nan_after: `read` returns NaN positions once this many states have been returned since the reset.

    Attributes:
        sent: the last 1,000 commands, oldest first.
        stops: calls of `stop`.
        resets: seeds given to `reset`, in order.
    """

    def __init__(
        self,
        lockstep: bool = True,
        clock: Clock | None = None,
        period_s: float = 0.01,
        size: int = 2,
        fail_after: int | None = None,
        nan_after: int | None = None,
    ) -> None:
        self.lockstep = lockstep
        self.sent: deque[SafeCommand] = deque(maxlen=1000)
        self.stops = 0
        self.resets: list[int | None] = []
        self._clock = clock or SystemClock()
        self._spec = fake_spec(period_s, size)
        self._fail_after, self._nan_after = fail_after, nan_after
        self._position, self._velocity = np.zeros(size), np.zeros(size)
        self._target: NDArray[np.float64] | None = None
        self._sequence = self._returned = self._reads = self._commands = 0
        self._origin_s = self._clock.now()

    def connect(self, timeout_s: float) -> RobotSpec:
        """The point's description, at once."""
        return self._spec

    def reset(self, seed: int | None, timeout_s: float) -> RobotState:
        """Put the point to a random place, drawn from `seed`."""
        self.resets.append(seed)
        self._position = np.random.default_rng(seed).uniform(-0.5, 0.5, len(self._position))
        self._velocity, self._target, self._reads = np.zeros_like(self._position), None, 0
        self._sequence += 1
        self._origin_s = self._clock.now() - self._sequence * self._spec.period_s
        return self._state()

    def read(self, timeout_s: float) -> RobotState:
        """The newest state; see `Driver.read`."""
        self._reads += 1
        silent = self._fail_after is not None and self._reads > self._fail_after
        if silent or not (self._answer() if self.lockstep else self._catch_up(timeout_s)):
            self._clock.sleep_until(self._clock.now() + timeout_s)
            raise PeerTimeoutError(
                "fake robot", "this process", timeout_s, "It was told to be silent, or not told to move."
            )
        return self._state()

    def send(self, command: SafeCommand) -> int:
        """Take a new target."""
        self.sent.append(command)
        self._target = command.values
        self._commands += 1
        return self._commands

    def stop(self) -> None:
        """Count the call and hold the position."""
        self.stops += 1
        self._target = None

    def close(self) -> None:
        """Nothing to release."""

    def stats(self) -> Mapping[str, float]:
        """Commands kept and stops."""
        return {"sent": float(len(self.sent)), "stops": float(self.stops)}

    def _answer(self) -> bool:
        if self._target is None:
            return False
        self._step()
        self._target = None
        return True

    def _catch_up(self, timeout_s: float) -> bool:
        period = self._spec.period_s
        due_s = self._origin_s + (self._returned + 1) * period
        if due_s - self._clock.now() > timeout_s:
            return False
        self._clock.sleep_until(due_s)
        while self._sequence <= self._returned or self._origin_s + (self._sequence + 1) * period <= self._clock.now():
            self._step()
        return True

    def _step(self) -> None:
        target = self._position if self._target is None else self._target
        self._velocity = 5.0 * (target - self._position)
        self._position = self._position + self._velocity * self._spec.period_s
        self._sequence += 1

    def _state(self) -> RobotState:
        self._returned = self._sequence
        lost = self._nan_after is not None and self._reads > self._nan_after
        position = np.full_like(self._position, np.nan) if lost else self._position.copy()
        values = {"position": position, "velocity": self._velocity.copy()}
        stamp_s = self._sequence * self._spec.period_s
        return RobotState(values, self._sequence, stamp_s, self._clock.now())


class FakeTask:
    """Bring the point within 0.05 m of the origin on every axis. Reward: success - 1.

    Args:
        horizon: longest episode [control periods].
        ends: whether success terminates the episode.
    """

    name = "fake-reach"

    def __init__(self, horizon: int = 20, size: int = 2, ends: bool = False) -> None:
        self.observation_size = 2 * size
        self.horizon = horizon
        self._ends = ends

    def check(self, spec: RobotSpec) -> None:
        """See `Task.check`."""
        for name in ("position", "velocity"):
            if 2 * spec.state_field(name).size != self.observation_size:
                raise SpecError(
                    f"Robot '{spec.name}'", f"'{name}' has another size", f"{self.observation_size // 2} elements"
                )

    def observe(self, state: RobotState) -> NDArray[np.float32]:
        """(2 J,) position [m] and velocity [m/s]."""
        return np.concatenate([state.values["position"], state.values["velocity"]]).astype(np.float32)

    def success(self, state: RobotState) -> bool:
        """Whether every axis is within 0.05 m of the origin."""
        return bool(np.abs(state.values["position"]).max() < 0.05)

    def reward(self, state: RobotState, action: NDArray[np.float32], next_state: RobotState) -> float:
        """0 in the goal, else -1."""
        return float(self.success(next_state)) - 1.0

    def terminated(self, state: RobotState) -> bool:
        """Success, if it ends the episode."""
        return self._ends and self.success(state)


def fake_spec(period_s: float = 0.01, size: int = 2) -> RobotSpec:
    """What `FakeDriver` says of itself: position and velocity in, a target within ±1 m out."""
    return RobotSpec(
        name="fake",
        period_s=period_s,
        state=(Field("position", (size,), "float64", "m"), Field("velocity", (size,), "float64", "m/s")),
        command=(Field("target", (size,), "float64", "m", (-1.0,) * size, (1.0,) * size),),
    )

"""Environments of Gymnasium behind the robot's own interface, in lock-step: for studies, not for metal.

The environment's observation, reward and verdicts are readings of the "robot", so that a task can pass them on.
"""

import time
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rlpd_robot.errors import ConfigError, MissingPackageError, PeerTimeoutError, SpecError
from rlpd_robot.robot.driver import SafeCommand
from rlpd_robot.spec import Field, RobotSpec
from rlpd_robot.types import RobotState

_PERIOD_S = 0.02  # where an environment names no control period


class GymDriver:
    """`rlpd_robot.robot.driver.Driver` on one environment with a bounded continuous action.

    Each `read` makes one step with the command sent last. An observation of several arrays becomes one, in the order of
    their names. Time limits are the task's.

    Args:
        env_id: as registered with Gymnasium or gymnasium-robotics.
        options: further arguments of `gymnasium.make`.

    Raises:
        ConfigError: there is no such environment, or its actions are no bounded vector.
        MissingPackageError: Gymnasium is not installed.
    """

    lockstep = True

    def __init__(self, env_id: str, options: Mapping[str, Any] | None = None) -> None:
        self._env = _make(env_id, options or {})
        space = self._env.action_space
        if getattr(space, "shape", None) is None or len(space.shape) != 1 or not np.isfinite(space.high).all():
            self._env.close()
            raise ConfigError("task.env_id", env_id, "an environment whose action is a bounded vector")
        self._dtype = space.dtype
        first, _ = self._env.reset(seed=0)
        period_s = float(getattr(self._env, "dt", _PERIOD_S))
        low, high = (tuple(float(v) for v in bound) for bound in (space.low, space.high))
        self._spec = RobotSpec(
            name=env_id,
            period_s=period_s,
            state=(
                Field("observation", (_flat(first).size,), "float64", "-"),
                Field("reward", (), "float64", "-"),
                Field("success", (), "bool", "-"),
                Field("terminated", (), "bool", "-"),
            ),
            command=(Field("action", space.shape, "float64", "-", low, high),),
        )
        self._command: NDArray[np.float64] | None = None
        self._sequence = self._commands = 0
        self._steps = 0

    def connect(self, timeout_s: float) -> RobotSpec:
        """What the environment measures and accepts; at once."""
        return self._spec

    def reset(self, seed: int | None, timeout_s: float) -> RobotState:
        """Start an episode and return its first state."""
        observation, _ = self._env.reset(seed=seed)
        self._command = None
        return self._state(observation, 0.0, False, False)

    def read(self, timeout_s: float) -> RobotState:
        """Make one step with the command sent last and return what came of it.

        Raises:
            PeerTimeoutError: no command was sent since the last state, so that waiting would never end.
        """
        if self._command is None:
            raise PeerTimeoutError(
                "the environment", "this process", 0.0, "In lock-step it moves once per command: send one first."
            )
        command, self._command = self._command, None
        observation, reward, terminated, _, info = self._env.step(command.astype(self._dtype))
        self._steps += 1
        success = bool(info.get("success", info.get("is_success", False)))
        return self._state(observation, float(reward), success, bool(terminated))

    def send(self, command: SafeCommand) -> int:
        """Keep the action for the next `read`."""
        self._command = command.values
        self._commands += 1
        return self._commands

    def stop(self) -> None:
        """Nothing moves without a command."""
        self._command = None

    def close(self) -> None:
        """Let go of the environment."""
        self._env.close()

    def stats(self) -> Mapping[str, float]:
        """Steps made."""
        return {"steps": float(self._steps)}

    def _state(self, observation: Any, reward: float, success: bool, terminated: bool) -> RobotState:
        self._sequence += 1
        values = {
            "observation": _flat(observation),
            "reward": np.array(reward),
            "success": np.array(success),
            "terminated": np.array(terminated),
        }
        return RobotState(values, self._sequence, self._sequence * self._spec.period_s, time.monotonic())


class GymTask:
    """Implements `Task` with what a `GymDriver` reads.

    Args:
        env_id: of the environment, for its horizon.
        name: for stores and summaries.
        reward: "environment": its own; "success": success - 1 in each control period.
        options: not used here; the driver's.
        horizon: longest episode [control periods]; none: as the environment was registered.

    Attributes:
        observation_size: O; known after `check`.

    Raises:
        ConfigError: there is no such environment or reward, or no horizon.
        MissingPackageError: Gymnasium is not installed.
    """

    def __init__(
        self,
        env_id: str,
        name: str | None = None,
        reward: str = "environment",
        options: Mapping[str, Any] | None = None,
        horizon: int | None = None,
    ) -> None:
        if reward not in ("environment", "success"):
            raise ConfigError("task.reward", reward, "'environment' or 'success'")
        limit = horizon or _registered(env_id).max_episode_steps
        if not limit:
            raise ConfigError("task.horizon", horizon, f"given: {env_id} was registered without a time limit")
        self.name, self.horizon, self.observation_size = name or env_id, int(limit), 0
        self._own_reward = reward == "environment"

    def check(self, spec: RobotSpec) -> None:
        """See `Task.check`."""
        for field in ("reward", "success", "terminated"):
            spec.state_field(field)
        shape = spec.state_field("observation").shape
        if len(shape) != 1:
            raise SpecError(f"Robot '{spec.name}'", f"'observation' has shape {shape}", "one vector")
        self.observation_size = shape[0]

    def observe(self, state: RobotState) -> NDArray[np.float32]:
        """(O,) as the environment gives it."""
        return state.values["observation"].astype(np.float32)

    def success(self, state: RobotState) -> bool:
        """What the environment says; false where it says nothing."""
        return bool(state.values["success"])

    def reward(self, state: RobotState, action: NDArray[np.float32], next_state: RobotState) -> float:
        """See `reward` above."""
        return float(next_state.values["reward"]) if self._own_reward else float(self.success(next_state)) - 1.0

    def terminated(self, state: RobotState) -> bool:
        """Whether the environment says that no value follows."""
        return bool(state.values["terminated"])


def _gymnasium() -> Any:
    try:
        import gymnasium
    except ImportError as error:
        raise MissingPackageError("gymnasium", "environments by id", "sim") from error
    try:
        import gymnasium_robotics
    except ImportError:  # Gymnasium's own are there all the same
        return gymnasium
    gymnasium.register_envs(gymnasium_robotics)
    return gymnasium


def _registered(env_id: str) -> Any:
    gymnasium = _gymnasium()
    try:
        return gymnasium.spec(env_id)
    except gymnasium.error.Error as error:
        raise ConfigError("task.env_id", env_id, f"an environment of Gymnasium ({error})") from error


def _make(env_id: str, options: Mapping[str, Any]) -> Any:
    _registered(env_id)
    gymnasium = _gymnasium()
    try:
        return gymnasium.make(env_id, **options).unwrapped
    except (TypeError, gymnasium.error.Error) as error:
        raise ConfigError("task.options", dict(options), f"arguments that {env_id} takes ({error})") from error


def _flat(observation: Any) -> NDArray[np.float64]:
    """(O,) of one array, or of several by name."""
    parts = [observation[key] for key in sorted(observation)] if isinstance(observation, Mapping) else [observation]
    return np.concatenate([np.ravel(part) for part in parts]).astype(np.float64)

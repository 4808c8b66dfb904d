"""Sources without a person: a policy, trained or scripted, and actions that are played back."""

import math
import time
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rlpd_robot.errors import ConfigError, DataError, StoreError
from rlpd_robot.policy.base import NoisyPolicy, Policy, ScriptedPolicy
from rlpd_robot.policy.numpy_actor import NumpyActor
from rlpd_robot.policy.snapshot_file import load_snapshot
from rlpd_robot.robot.teleop.source import Event, TeleopSample
from rlpd_robot.spec import RobotSpec


class PolicyTeleop:
    """A policy in a person's place; the time limit or the task ends its episodes.

    Args:
        spec: of the robot.
        policy: acts.
        explore: sample from the policy; otherwise its most likely action.
    """

    name = "policy"
    person = False

    def __init__(self, spec: RobotSpec, policy: Policy, explore: bool = False) -> None:
        self.version = policy.version
        self._policy, self._explore = policy, explore
        self._action = np.zeros(spec.command_size, np.float32)
        self._seen: NDArray[np.float32] | None = None

    def begin(self, action: NDArray[np.float32]) -> None:
        """See `TeleopSource`."""
        self._action, self._seen = action.copy(), None

    def see(self, observation: NDArray[np.float32]) -> None:
        """What the next action answers."""
        self._seen = observation

    def poll(self) -> TeleopSample:
        """See `TeleopSource`."""
        if self._seen is not None:
            self._action, self._seen = self._policy.act(self._seen, self._explore), None
        return TeleopSample(self._action, True, (), time.monotonic())

    def help(self) -> Mapping[str, str]:
        """Nothing: nobody is asked."""
        return {}

    def stats(self) -> Mapping[str, float]:
        """The version that acts."""
        return {"policy_version": float(self.version)}

    def close(self) -> None:
        """Nothing to release."""


def trained(
    spec: RobotSpec, policy: str | None = None, explore: bool = False, noise: float = 0.0, seed: int = 0
) -> PolicyTeleop:
    """A policy file as a source.

    Args:
        spec: of the robot.
        policy: path of the file, as `rlpd-robot train` writes one.
        explore: see `PolicyTeleop`.
        noise: standard deviation of white noise added to each action, as of an unsteady hand [-].
        seed: of exploration and noise.

    Raises:
        ConfigError: no path, a policy for another number of actions, or a noise that is none.
        StoreError, DataError: there is no such file, or it is damaged.
    """
    if not policy:
        raise ConfigError("teleop.policy", policy, "the path of a policy file, such as runs/door-seed0/policy.npz")
    if not Path(policy).is_file():
        raise StoreError(policy, "there is no such policy file", "Train one with `rlpd-robot train`.")
    snapshot = load_snapshot(Path(policy))
    size = len(snapshot.arrays["mean/bias"]) if "mean/bias" in snapshot.arrays else 0
    if size != spec.command_size:
        raise ConfigError("teleop.policy", policy, f"a policy with {spec.command_size} actions; this one has {size}")
    if not 0.0 <= noise < math.inf:
        raise ConfigError("teleop.noise", noise, "a finite number of at least 0")
    rng = np.random.default_rng([seed, 0x7E])
    return PolicyTeleop(spec, NoisyPolicy(NumpyActor(snapshot, rng), noise, rng), explore)


def scripted(spec: RobotSpec, function: str | None = None) -> PolicyTeleop:
    """A plain function of the observation, (O,) float32 → (A,), as a source.

    Args:
        spec: of the robot.
        function: its dotted name, such as my_lab.expert.act.

    Raises:
        ConfigError: there is no such function.
    """
    module, _, name = (function or "").rpartition(".")
    try:
        act = getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigError("teleop.function", function, f"the dotted name of a function ({error})") from error
    if not callable(act):
        raise ConfigError("teleop.function", function, "the dotted name of a function")
    return PolicyTeleop(spec, ScriptedPolicy(act))


class ReplayTeleop:
    """Recorded actions, one a poll; after the last one it says how they ended, and holds still.

    Args:
        spec: of the robot.
        actions: (N, A) in [-1, 1].
        success: what to say at the end.

    Raises:
        DataError: actions of another size, or none.
    """

    name = "replay"
    person = False

    def __init__(self, spec: RobotSpec, actions: NDArray[np.float32], success: bool) -> None:
        if actions.ndim != 2 or not len(actions) or actions.shape[1] != spec.command_size:
            raise DataError("Replay", f"its actions have shape {actions.shape}", f"(N, {spec.command_size})")
        self._actions, self._last = actions, Event.SUCCESS if success else Event.FAILURE
        self._held = np.zeros(spec.command_size, np.float32)
        self._next = -1  # not in an episode

    def begin(self, action: NDArray[np.float32]) -> None:
        """From the first action again."""
        self._held, self._next = action.copy(), 0

    def poll(self) -> TeleopSample:
        """See `TeleopSource`."""
        events: Sequence[Event] = ()
        if 0 <= self._next < len(self._actions):
            self._held = self._actions[self._next]
            self._next += 1
            if self._next == len(self._actions):
                events, self._next = (self._last,), -1
        return TeleopSample(self._held, True, tuple(events), time.monotonic())

    def help(self) -> Mapping[str, str]:
        """Nothing: nobody is asked."""
        return {}

    def stats(self) -> Mapping[str, float]:
        """Actions of a replay."""
        return {"replay_actions": float(len(self._actions))}

    def close(self) -> None:
        """Nothing to release."""

"""The conformance suites that every driver and task passes, yours included, and the fakes to try things on.

In your own tests: `check_driver(lambda: MyDriver(...))` and `check_task(MyTask(), spec, state)`. Both raise
AssertionError with one sentence that says which promise was broken.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rlpd_robot.errors import PeerTimeoutError, SpecError
from rlpd_robot.robot.driver import Driver
from rlpd_robot.robot.fake import FakeDriver, FakeTask, fake_spec
from rlpd_robot.robot.safety import SafetyLimits, SafetySettings, filter_command
from rlpd_robot.robot.task import Task
from rlpd_robot.spec import Field, RobotSpec
from rlpd_robot.types import Command, RobotState

__all__ = ["FakeDriver", "FakeTask", "check_driver", "check_task", "fake_spec"]


def check_driver(make_driver: Callable[[], Driver], desired: Command | None = None, timeout_s: float = 10.0) -> None:
    """Hold a driver to the promises of the `Driver` protocol. It moves the robot.

    Args:
        make_driver: makes a new, unconnected driver.
        desired: what to command, three times; by default the middle of the command range. On a real robot give the
            command that holds it where it stands after a reset.
        timeout_s: allowed to connect, to reset, and for each state.

    Raises:
        AssertionError: a promise is broken; the sentence says which.
    """
    driver = make_driver()
    try:
        spec = driver.connect(timeout_s)
        _require(isinstance(spec, RobotSpec), f"connect returns a RobotSpec, not {type(spec).__name__}")
        _require(isinstance(driver.lockstep, bool), f"lockstep is a bool after connect, not {driver.lockstep!r}")
        first = driver.reset(0, timeout_s)
        _check_state(first, spec)
        _check_exchange(driver, spec, first, desired, timeout_s)
        if driver.lockstep:
            _check_lockstep(driver, timeout_s)
        for _ in range(5):
            driver.stop()
        numbers = all(isinstance(k, str) and isinstance(v, int | float) for k, v in driver.stats().items())
        _require(numbers, "stats maps names to numbers")
    finally:
        driver.close()
    driver.close()
    driver.stop()


def check_task(task: Task, spec: RobotSpec, state: RobotState) -> None:
    """Hold a task to the promises of the `Task` protocol.

    Args:
        task: the task.
        spec: of a robot that it works on.
        state: of that robot.

    Raises:
        AssertionError: a promise is broken; the sentence says which.
        SpecError: `task.check` refuses `spec`.
    """
    _require(bool(task.name), "a task has a name")
    _require(task.horizon >= 1, f"horizon is at least 1, not {task.horizon}")
    task.check(spec)
    bare = RobotSpec("bare", spec.period_s, (Field("nothing_it_needs", (), "float64", "-"),), spec.command)
    try:
        task.check(bare)
    except SpecError:
        pass
    else:
        raise AssertionError("Broken promise: check raises SpecError for a robot that measures nothing the task needs.")
    before = {name: np.array(values) for name, values in state.values.items()}
    seen, again = task.observe(state), task.observe(state)
    wanted = (task.observation_size,)
    _require(seen.shape == wanted and seen.dtype == np.float32, f"observe returns {wanted} float32, not {seen.shape}")
    _require(bool(np.isfinite(seen).all()), "observe returns finite values")
    _require(np.array_equal(seen, again), "observe is a function of the state alone")
    _require(not np.shares_memory(seen, again), "observe returns a new array each time")
    reward = task.reward(state, np.zeros(spec.command_size, np.float32), state)
    _require(isinstance(reward, float) and bool(np.isfinite(reward)), f"reward is a finite float, not {reward!r}")
    for method in (task.success, task.terminated):
        _require(isinstance(method(state), bool), f"{method.__name__} returns a bool, not {method(state)!r}")
    same = all(np.array_equal(values, before[name]) for name, values in state.values.items())
    _require(same, "the task leaves the state as it was")


def _check_state(state: RobotState, spec: RobotSpec) -> None:
    names = [f.name for f in spec.state]
    _require(set(state.values) == set(names), f"a state holds {names}, not {list(state.values)}")
    for field in spec.state:
        values: NDArray[Any] = state.values[field.name]
        got, wanted = (values.shape, values.dtype), (field.shape, np.dtype(field.dtype))
        _require(got == wanted, f"'{field.name}' is {wanted}, not {got}")
        _require(bool(np.isfinite(values).all()), f"'{field.name}' is finite")
    _require(bool(np.isfinite([state.stamp_s, state.received_s]).all()), "stamps are finite")


def _check_exchange(
    driver: Driver, spec: RobotSpec, first: RobotState, desired: Command | None, timeout_s: float
) -> None:
    limits = SafetyLimits.from_settings(SafetySettings("conformance"), spec)
    desired = desired or Command((limits.low + limits.high) / 2)
    kept = {name: np.array(values) for name, values in first.values.items()}
    history, before = None, first
    for _ in range(3):
        command, _, history = filter_command(limits, history, desired, before)
        driver.send(command)
        state = driver.read(timeout_s)
        _check_state(state, spec)
        _require(state.sequence > before.sequence, f"sequence grows: {before.sequence}, then {state.sequence}")
        _require(state.stamp_s > before.stamp_s, f"stamp_s grows: {before.stamp_s}, then {state.stamp_s}")
        _require(state.received_s >= before.received_s, "received_s never goes back")
        if driver.lockstep:
            _require(state.sequence == before.sequence + 1, "in lock-step one command makes one state")
        before = state
    same = all(np.array_equal(values, kept[name]) for name, values in first.values.items())
    _require(same, "a state that was returned never changes afterwards")


def _check_lockstep(driver: Driver, timeout_s: float) -> None:
    try:
        driver.read(min(0.05, timeout_s))
    except PeerTimeoutError:
        pass
    else:
        raise AssertionError("Broken promise: in lock-step, read without a command raises PeerTimeoutError.")
    one, two = driver.reset(7, timeout_s), driver.reset(7, timeout_s)
    same = all(np.array_equal(values, two.values[name]) for name, values in one.values.items())
    _require(same, "in lock-step, a reset with the same seed gives the same state")
    _require(two.sequence > one.sequence, "sequence counts on through a reset")


def _require(kept: bool, promise: str) -> None:
    if not kept:
        raise AssertionError(f"Broken promise: {promise}.")

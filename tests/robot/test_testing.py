"""The conformance suites pass what keeps the promises and name what breaks them."""

from dataclasses import replace

import numpy as np
import pytest

from rlpd_robot.errors import ConfigError, PeerTimeoutError
from rlpd_robot.robot.read_only import ReadOnlyDriver
from rlpd_robot.robot.testing import FakeDriver, FakeTask, check_driver, check_task, fake_spec
from rlpd_robot.timing import ManualClock

STATE = FakeDriver().reset(0, 1.0)


def manual():
    return FakeDriver(lockstep=False, clock=ManualClock())


@pytest.mark.parametrize("make_driver", [FakeDriver, manual, lambda: FakeDriver(lockstep=False, period_s=0.002)])
def test_fake_driver_conforms(make_driver):
    check_driver(make_driver)


def test_read_only_conforms_and_moves_nothing():
    inner = manual()
    check_driver(lambda: ReadOnlyDriver(inner))
    assert len(inner.sent) == inner.stops == 0
    assert inner.resets == []
    driver = ReadOnlyDriver(inner)
    driver.stop()
    assert driver.stats()["swallowed_stops"] == 1


def test_read_only_refuses_a_robot_that_waits_for_commands():
    with pytest.raises(ConfigError, match="Setting 'read_only' must be false for robot 'fake', which waits for each"):
        ReadOnlyDriver(FakeDriver()).connect(1.0)


def test_real_time_fake_holds_its_last_target_and_skips_what_nobody_read():
    clock = ManualClock()
    driver = FakeDriver(lockstep=False, clock=clock)
    first = driver.reset(3, 1.0)
    clock.advance(0.055)
    state = driver.read(1.0)
    assert state.sequence == first.sequence + 5
    assert clock.now() == pytest.approx(0.055)
    assert driver.read(1.0).sequence == first.sequence + 6
    assert clock.now() == pytest.approx(0.06)
    with pytest.raises(PeerTimeoutError):
        driver.read(0.001)


class StuckSequence(FakeDriver):
    def _state(self):
        return replace(super()._state(), sequence=4)


class SharedMemory(FakeDriver):
    def _state(self):
        state = super()._state()
        self.__dict__.setdefault("kept", state.values["position"])[:] = state.values["position"]
        return replace(state, values={**state.values, "position": self.kept})


class MissingField(FakeDriver):
    def _state(self):
        state = super()._state()
        return replace(state, values={"position": state.values["position"]})


class WrongType(FakeDriver):
    def _state(self):
        state = super()._state()
        return replace(state, values={**state.values, "position": state.values["position"].astype(np.float32)})


class Unseeded(FakeDriver):
    def reset(self, seed, timeout_s):
        return super().reset(None, timeout_s)


class Eager(FakeDriver):
    def _answer(self):
        self._step()
        return True


@pytest.mark.parametrize(
    ("broken", "sentence"),
    [
        (StuckSequence, "sequence grows: 4, then 4"),
        (SharedMemory, "a state that was returned never changes afterwards"),
        (MissingField, r"a state holds \['position', 'velocity'\], not \['position'\]"),
        (WrongType, "'position' is .*float64.*, not .*float32"),
        (Unseeded, "a reset with the same seed gives the same state"),
        (Eager, "read without a command raises PeerTimeoutError"),
        (lambda: FakeDriver(nan_after=0), "'position' is finite"),
    ],
)
def test_a_driver_that_breaks_a_promise_is_told_which(broken, sentence):
    with pytest.raises(AssertionError, match=f"Broken promise: .*{sentence}"):
        check_driver(broken)


def test_fake_task_conforms():
    check_task(FakeTask(), fake_spec(), STATE)


class Double(FakeTask):
    def observe(self, state):
        return super().observe(state).astype(np.float64)


class Buffered(FakeTask):
    def observe(self, state):
        self.__dict__.setdefault("buffer", np.zeros(4, np.float32))[:] = super().observe(state)
        return self.buffer


class Careless(FakeTask):
    def check(self, spec):
        pass


class Meddling(FakeTask):
    def success(self, state):
        state.values["position"][:] = 0
        return True


class NumpyBool(FakeTask):
    def success(self, state):
        return np.True_


@pytest.mark.parametrize(
    ("task", "sentence"),
    [
        (Double(), "observe returns"),
        (Buffered(), "observe returns a new array each time"),
        (Careless(), "check raises SpecError"),
        (Meddling(), "the task leaves the state as it was"),
        (NumpyBool(), "success returns a bool"),
        (FakeTask(horizon=0), "horizon is at least 1, not 0"),
    ],
)
def test_a_task_that_breaks_a_promise_is_told_which(task, sentence):
    with pytest.raises(AssertionError, match=f"Broken promise: {sentence}"):
        check_task(task, fake_spec(), FakeDriver().reset(0, 1.0))

"""The actor's watchdog: what makes a robot stop and stay stopped, as an explicit state machine.

    WARMING ──warmed──▶ ARMED ──fault──▶ FAULT ──arm, by a person, once the cause is gone──▶ WARMING

Every judgement is a function of what it is given, time included, so that a test can be exact about it. The first fault
is the one that counts: it latches, and nothing here clears it.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from rlpd_robot.errors import (
    ArmRefusedError,
    ConfigError,
    DataError,
    FaultError,
    ProtocolError,
    RlpdRobotError,
)
from rlpd_robot.robot.driver import Driver
from rlpd_robot.spec import RobotSpec
from rlpd_robot.types import RobotState

STALE, OVERRUN, FROZEN, NO_POLICY = "stale state", "overrun", "frozen sensor", "no policy"
DEAD_MAN, E_STOP, INTERVENTIONS = "dead-man released", "e-stop pressed", "filter interventions"
LINK, BAD_DATA, SAFETY = "robot link", "bad data", "safety filter"
"""How the sentence of a fault begins. An episode that a fault ended has the whole sentence as its cause."""

CAUSES = (STALE, OVERRUN, FROZEN, NO_POLICY, DEAD_MAN, E_STOP, INTERVENTIONS, LINK, BAD_DATA, SAFETY)

REMEDY = "See to the robot, then arm it again (`rlpd-robot arm`)."
_DRIVER_FLAG = "driver."


class Phase(StrEnum):
    """Where the watchdog stands."""

    WARMING = "warming"
    ARMED = "armed"
    FAULT = "fault"


@dataclass(frozen=True)
class WatchdogSettings:
    """What counts as a fault. Limits of wall-clock time mean nothing in lock-step and are not applied there.

    The defaults bear a busy machine; the robot's server, which stops the robot 2.5 periods after its last fresh
    command, is the faster of the two watchdogs.

    Attributes:
        stale_s: age from which a state is too old, by its arrival here and by the robot's own stamp [s].
        overrun_s: a single tick this late [s] is a fault.
        misses: so many ticks in a row, each more than a period late, are a fault; so are so many late actions in a row.
        frozen: so many commands that differ from the one before, without any floating-point state field changing in
            its last bit, are a fault; 0: never.
        interventions: so many commands in a row that the safety filter had to change are a fault; 0: never.
        non_finite: so many actions in a row that are no finite numbers are a fault.
        policy_age_s: a policy that no newer one has replaced for so long is a fault [s]; 0: never.
        dead_man: state field (or `driver.NAME`, an attribute of the driver) that is not 0 while a person holds the
            switch; null: there is none.
        e_stop: state field (or `driver.NAME`) that is not 0 while the emergency stop is pressed; null: there is none.
    """

    stale_s: float = 0.5
    overrun_s: float = 0.5
    misses: int = 25
    frozen: int = 100
    interventions: int = 0
    non_finite: int = 5
    policy_age_s: float = 0.0
    dead_man: str | None = None
    e_stop: str | None = None

    def __post_init__(self) -> None:
        for key in ("stale_s", "overrun_s"):
            if not 0 < getattr(self, key) < np.inf:  # NaN compares false
                raise ConfigError(f"watchdog.{key}", getattr(self, key), "a positive time in seconds")
        for key, low in (("misses", 1), ("frozen", 0), ("interventions", 0), ("non_finite", 1)):
            if not getattr(self, key) >= low:
                raise ConfigError(f"watchdog.{key}", getattr(self, key), f"a count of at least {low}")
        if not 0 <= self.policy_age_s < np.inf:
            raise ConfigError("watchdog.policy_age_s", self.policy_age_s, "a time in seconds, or 0 for no limit")


@dataclass(frozen=True, slots=True)
class Fault:
    """Why the robot was stopped: a sentence that begins with one of the causes, and since when [s]."""

    sentence: str
    since_s: float


class Watchdog:
    """Judges what the control loop sees and does; one for each loop.

    Every `check_…` raises FaultError with the cause when its limit is passed, and changes nothing else but counts of
    what happened in a row; `fault` latches. `arm` may be called from any thread.

    Args:
        settings: the limits.
        spec: of the robot.
        driver: connected; read only for its flags.

    Attributes:
        phase: where it stands.
        latched: the fault, while there is one.

    Raises:
        ConfigError: dead-man or e-stop name neither a state field of one element nor an attribute of the driver.
    """

    def __init__(self, settings: WatchdogSettings, spec: RobotSpec, driver: Driver) -> None:
        self.phase = Phase.WARMING
        self.latched: Fault | None = None
        self._settings, self._period_s, self._lockstep = settings, spec.period_s, driver.lockstep
        self._floats = [f.name for f in spec.state if np.dtype(f.dtype).kind == "f"]
        self._dead_man = _flag("watchdog.dead_man", settings.dead_man, spec, driver)
        self._e_stop = _flag("watchdog.e_stop", settings.e_stop, spec, driver)
        self._persists = ""  # why it may not be armed
        self._lock = threading.Lock()
        self._last: RobotState | None = None
        self._lag_s: float
        self._commanded: NDArray[np.float64] | None = None
        self._command_changed: bool
        self._frozen: int
        self._misses: int
        self._late: int
        self._interventions: int
        self._non_finite: int
        self._forget()

    def warmed(self) -> None:
        """Whatever is slow the first time has been done: WARMING → ARMED. Nothing happens in another phase."""
        with self._lock:
            if self.phase is Phase.WARMING:
                self.phase = Phase.ARMED

    def fault(self, sentence: str, now: float) -> Fault:
        """Any phase → FAULT. The first fault stays until a person arms."""
        with self._lock:
            if self.latched is None:
                self.phase, self.latched, self._persists = Phase.FAULT, Fault(sentence, now), sentence
            return self.latched

    def looked(self, problem: str) -> None:
        """In FAULT: what still stands in the way of arming; "" when a look at the robot found nothing."""
        with self._lock:
            self._persists = problem

    def arm(self) -> str:
        """A person's word: FAULT → WARMING, when the last look found the cause gone. Says what it did.

        Raises:
            ArmRefusedError: the cause persists.
        """
        with self._lock:
            if self.latched is None:
                return f"Not in fault: {self.phase}."
            if self._persists:
                raise ArmRefusedError(self._persists)
            cleared, self.latched, self.phase = self.latched, None, Phase.WARMING
            return f"Armed again after: {cleared.sentence.rstrip('.')}. The next episode begins with a reset."

    def begin(self, state: RobotState) -> None:
        """An episode begins with this state: what happened in a row before it does not count."""
        self._forget()
        self._last = state
        self._lag_s = state.received_s - state.stamp_s

    def check_state(self, state: RobotState, now: float) -> None:
        """A new state: its flags, its age by arrival and by stamp, and whether anything in it still changes."""
        self.check_flags(state)
        last, self._last = self._last, state
        if last is None:
            return
        if not self._lockstep:
            self._check_age(last, state, now)
        moved = any(state.values[name].tobytes() != last.values[name].tobytes() for name in self._floats)
        self._frozen = 0 if moved or not self._floats else self._frozen + self._command_changed
        if 0 < self._settings.frozen <= self._frozen:
            raise _fault(FROZEN, f"no reading changed over {self._frozen} commands that differed")

    def check_flags(self, state: RobotState) -> None:
        """The two inputs under a person's hand."""
        if self._e_stop is not None and self._e_stop(state):
            raise _fault(E_STOP, f"'{self._settings.e_stop}' says so in state {state.sequence}")
        if self._dead_man is not None and not self._dead_man(state):
            raise _fault(DEAD_MAN, f"'{self._settings.dead_man}' says so in state {state.sequence}")

    def check_tick(self, lateness_s: float) -> None:
        """Real time: how late the loop woke up [s]."""
        self._misses = self._misses + 1 if lateness_s > self._period_s else 0
        if lateness_s > self._settings.overrun_s:
            limit_ms = 1e3 * self._settings.overrun_s
            raise _fault(OVERRUN, f"a tick came {1e3 * lateness_s:.0f} ms late, {limit_ms:.0f} ms are allowed")
        if self._misses >= self._settings.misses:
            raise _fault(OVERRUN, f"{self._misses} ticks in a row came more than a period late")

    def check_action(self, late: bool) -> None:
        """Real time: whether the policy's action came after its deadline."""
        self._late = self._late + 1 if late else 0
        if self._late >= self._settings.misses:
            raise _fault(OVERRUN, f"{self._late} actions in a row came after their deadline (actor.deadline)")

    def check_policy(self, there: bool, age_s: float) -> None:
        """Whether anything acts, and how long ago it came [s]."""
        if not there:
            raise _fault(NO_POLICY, "no learner has published one that passed its checks")
        if not self._lockstep and 0 < self._settings.policy_age_s < age_s:
            raise _fault(NO_POLICY, f"the newest is {age_s:.1f} s old, {self._settings.policy_age_s:g} s are allowed")

    def check_command(self, proposed_finite: bool, filtered: bool, values: NDArray[np.float64]) -> None:
        """What was asked for and what left the filter, before it is sent."""
        self._non_finite = 0 if proposed_finite else self._non_finite + 1
        if self._non_finite >= self._settings.non_finite:
            raise _fault(BAD_DATA, f"{self._non_finite} actions in a row were not finite")
        self._interventions = self._interventions + 1 if filtered else 0
        if 0 < self._settings.interventions <= self._interventions:
            raise _fault(INTERVENTIONS, f"the safety filter changed {self._interventions} commands in a row")
        self._command_changed = self._commanded is not None and not np.array_equal(values, self._commanded)
        self._commanded = values

    def _check_age(self, last: RobotState, state: RobotState, now: float) -> None:
        limit_s = self._settings.stale_s
        if state.stamp_s <= last.stamp_s:
            raise _fault(STALE, f"the robot's stamp went from {last.stamp_s:.3f} to {state.stamp_s:.3f} s")
        if now - state.received_s > limit_s:
            raise _fault(STALE, f"it arrived {now - state.received_s:.2f} s ago, {limit_s:g} s are allowed")
        # The two clocks share no origin. The quickest state of the episode says how far apart they are.
        lag_s = state.received_s - state.stamp_s
        self._lag_s = min(self._lag_s, lag_s)
        if lag_s - self._lag_s > limit_s:
            late_s = lag_s - self._lag_s
            raise _fault(STALE, f"by the robot's stamp it was {late_s:.2f} s under way, {limit_s:g} s are allowed")

    def _forget(self) -> None:
        self._last, self._commanded = None, None
        self._command_changed = False
        self._lag_s = np.inf
        self._frozen = self._misses = self._late = self._interventions = self._non_finite = 0


def sentence_of(error: RlpdRobotError, lockstep: bool) -> str:
    """What happened, beginning with its cause where that is one of ours."""
    if isinstance(error, FaultError):
        known = any(error.cause.startswith(f"{cause}:") for cause in CAUSES)
        return error.cause if known else f"{SAFETY}: {error.cause}"
    if isinstance(error, DataError):
        return f"{BAD_DATA}: {error}"
    if isinstance(error, TimeoutError) and not lockstep:
        return f"{STALE}: {error}"
    return f"{LINK}: {error}" if isinstance(error, TimeoutError | ConnectionError | ProtocolError) else str(error)


def _fault(cause: str, sentence: str) -> FaultError:
    return FaultError(f"{cause}: {sentence}", REMEDY)


def _flag(key: str, name: str | None, spec: RobotSpec, driver: Driver) -> Callable[[RobotState], bool] | None:
    if name is None:
        return None
    if name.startswith(_DRIVER_FLAG) and hasattr(driver, attribute := name.removeprefix(_DRIVER_FLAG)):
        return lambda state: bool(getattr(driver, attribute))
    fields = [f.name for f in spec.state if f.size == 1]
    if name not in fields:
        raise ConfigError(
            key, name, f"`driver.` and an attribute of the driver, or a state field of one element {fields}"
        )
    return lambda state: bool(state.values[name].any())

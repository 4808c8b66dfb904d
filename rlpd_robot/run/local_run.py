"""The processes of one run on this machine, kept running, and shown while they learn."""

import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from rlpd_robot.errors import RlpdRobotError
from rlpd_robot.policy.snapshot_file import load_snapshot
from rlpd_robot.robot.task import Task
from rlpd_robot.run.arm_key import ArmKey
from rlpd_robot.run.evaluate import POLICY, Build, Evaluation, evaluate, seeds_of
from rlpd_robot.run.learner_status import is_finished
from rlpd_robot.run.live_view import LiveView
from rlpd_robot.run.metrics import EVENTS, Severity, append_event
from rlpd_robot.run.rearm import Rearm
from rlpd_robot.run.settings import Settings
from rlpd_robot.run.supervisor import ChildSpec, Supervisor
from rlpd_robot.wire.control import ask

SIM, LEARNER, ACTOR = "sim", "learner", "actor"

_LOOK_S = 0.25
_NICE = 10
_ASK_S = 3.0
_STOP_S = 9.0  # for all to end, when a person has asked for it
_FINISH_S = 24.0  # for all to end, when the run is done


class LocalRun:
    """Stand-in, learner and actor of one run; the robot's stand-in alone when the run no longer learns.

    Args:
        settings: of the run.
        words: of the command line, which every process is given.
        directory: of the run.
        learns: whether there is something left to learn.
        lockstep: whether the robot waits for each command. Otherwise the learner lets the actor go first.
    """

    def __init__(
        self, settings: Settings, words: Sequence[str], directory: Path, learns: bool = True, lockstep: bool = True
    ) -> None:
        self._settings, self._directory = settings, directory
        simulated = settings.robot.stand_in is not None
        # One that died in front of a real robot may have been in a fault: somebody must look before it moves again.
        again = () if simulated else ("actor.armed_at_start=false",)
        specs = [ChildSpec(SIM, [SIM, *words, "resume=auto"])] if simulated else []
        if learns:
            polite = () if lockstep else (f"learner.nice={_NICE}",)  # a person's own word comes after it
            specs.append(ChildSpec(LEARNER, [LEARNER, *polite, *words, "resume=auto"]))
            specs.append(ChildSpec(ACTOR, [ACTOR, *words, "resume=auto"], restart_words=again))
        self._names = [spec.name for spec in reversed(specs)]  # in the order of their ends: the sim last
        self._rearm = Rearm(lambda: self._ask("status"), lambda: self._ask("arm"), self._tell_of_actor)
        self._supervisor = Supervisor(specs, directory, settings.supervise, self._tell, self._restarted)
        self._supervisor.start()

    def learn(self, stop: threading.Event) -> None:
        """Watch until the learner says that it has finished, or a person stops the run.

        Raises:
            ChildError: a process ended and could not be kept running.
        """
        title = f"{self._settings.run.name}: {self._settings.robot.name}"
        with LiveView(self._directory, title) as view, ArmKey() as key:
            while not stop.wait(_LOOK_S):
                if key.confirmed():
                    self._arm()
                view.prompt = key.prompt
                view.processes(self._states())
                view.update()
                if is_finished(self._settings):
                    break
                self._supervisor.look()
            self.end([name for name in self._names if name != SIM], stop)
            view.update()
        for name in (LEARNER, ACTOR):
            child = self._supervisor.child(name)
            if not stop.is_set() and child.status != 0:  # it could not hand over or commit what was executed
                child.check()

    def evaluate(self, build: Build, task: Task, stop: threading.Event) -> Evaluation:
        """Deterministic episodes on the robot or stand-in that training left."""
        snapshot = load_snapshot(self._directory / POLICY)
        driver = build(self._settings.robot.driver)
        try:
            return evaluate(
                driver,
                task,
                snapshot,
                self._settings.safety,
                seeds_of(self._settings.eval),
                self._settings.actor.connect_s,
                stop,
                simulated=self._settings.robot.stand_in is not None,
            )
        finally:
            driver.close()

    def end(self, names: Sequence[str] | None, stop: threading.Event) -> None:
        """End these, or all that still run: the actor hands over, the learner commits, the stand-in comes last."""
        self._rearm.close()
        self._supervisor.end(self._names if names is None else names, _STOP_S if stop.is_set() else _FINISH_S)

    def _states(self) -> dict[str, str]:
        counts = self._supervisor.restarted
        return {
            name: state + (f" ({counts[name]} restarts)" if counts[name] else "")
            for name, state in self._supervisor.states().items()
        }

    def _restarted(self, name: str) -> None:
        if name == SIM:
            self._rearm.begin()
        elif name == ACTOR and self._settings.robot.stand_in is None:
            text = "waits for a person: see to the robot, then `rlpd-robot arm` or key a"
            append_event(self._directory, "warning", ACTOR, text)

    def _arm(self) -> None:
        """On a person's typed word."""
        try:
            self._tell_of_actor("info", self._ask("arm"))
        except RlpdRobotError as error:
            self._tell_of_actor("error", str(error))

    def _ask(self, word: str) -> str:
        link = self._settings.link
        return ask(link.control, word, {}, _ASK_S, self._settings.security)

    def _tell(self, severity: Severity, name: str, text: str) -> None:
        try:
            append_event(self._directory, severity, name, text)
        except OSError as error:  # a full disk: whoever is watched is watched on
            print(f"{severity.upper()} {name}: {text}\n(not in {EVENTS}: {error})", file=sys.stderr, flush=True)

    def _tell_of_actor(self, severity: Severity, text: str) -> None:
        self._tell(severity, ACTOR, text)

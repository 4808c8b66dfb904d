"""One stand-in and one actor as real processes, what is inflicted on them, and what the robot's own book says of it."""

import contextlib
import json
import os
import re
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rlpd_robot.errors import PeerRefusedError, PeerTimeoutError, RlpdRobotError
from rlpd_robot.robot.book import Outcome, new_records
from rlpd_robot.run.dry_run.evidence import READINGS
from rlpd_robot.run.metrics import Severity
from rlpd_robot.run.ports import free_addresses
from rlpd_robot.run.processes import Child, path_word
from rlpd_robot.run.settings import Recipe, Settings
from rlpd_robot.run.supervisor import ChildSpec, Supervisor
from rlpd_robot.types import PolicySnapshot
from rlpd_robot.wire.control import ask
from rlpd_robot.wire.policy_channel import PolicyPublisher

SIM, ACTOR = "sim", "actor"
LINKS = ("robot", "data", "policy", "control", "serve")

_ROSBRIDGE = ".rosbridge.driver.RosbridgeDriver"
_JOINTS: Recipe = {"_target_": "robot_configs/stand_in/joints.yaml", "faults": {}, "lockstep": False}

_TURN_S = 0.03
_ASK_S = 0.5
_WEIGH_S = 1.0
_END_S = 40.0  # of an actor too, that is on a slow way home: its figures come with its end
_EPISODE = re.compile(r"^episode (\d+): (solved|not solved),.* (\d+) steps,", re.MULTILINE)


def own_words(words: Sequence[str], folder: Path, addresses: Sequence[str]) -> list[str]:
    """The words of a person, and after them those that keep a stage to itself: no real robot can be reached."""
    links = [f"link.{name}={address}" for name, address in zip(LINKS, addresses, strict=True)]
    return [
        *words,
        path_word("run.root", folder),
        "sim.lockstep=false",
        "link.keys=null",
        "link.insecure=false",
        *links,
    ]


def stand_in_recipe(settings: Settings) -> Recipe | None:
    """Of what plays the robot in a dry run: that of the dry run itself, else of the robot's file, else its joints."""
    recipe: Recipe | None = settings.dry_run.stand_in
    if recipe is None:
        recipe = settings.robot.stand_in
    return _JOINTS if recipe is None and plays_joints(settings) else recipe


def plays_joints(settings: Settings) -> bool:
    """Whether the robot's own file is all there is, and says enough to play its joints."""
    given = settings.dry_run.stand_in is not None or settings.robot.stand_in is not None
    return not given and str(settings.robot.driver.get("_target_")).endswith(_ROSBRIDGE)


def stand_in_words(settings: Settings) -> list[str]:
    """For whatever starts the stand-in: which one. The actor is not told, and acts as in front of the robot."""
    if plays_joints(settings):
        return ["+stand_in@robot.stand_in=joints"]
    return [] if settings.dry_run.stand_in is None else ["robot.stand_in=${dry_run.stand_in}"]


class Stage:
    """A context: the processes run in it.

    Args:
        name: of the stage's directory below `folder`.
        folder: of the dry run.
        settings: of the run that is to come.
        words: that they came from.
        snapshot: the policy that acts.
        actor_words: further ones, for the actor alone.

    Attributes:
        directory: everything the stage writes.
        book: of the robot.
        events: (severity, process, sentence) of the supervisor.
        memory: (monotonic time [s], MB of the actor) about every second.
    """

    def __init__(
        self,
        name: str,
        folder: Path,
        settings: Settings,
        words: Sequence[str],
        snapshot: PolicySnapshot,
        actor_words: Sequence[str] = (),
    ) -> None:
        self.directory = folder / name
        self.directory.mkdir(parents=True)
        self.book, self.record = self.directory / "book", self.directory / READINGS
        self._orders, self._log = self.directory / "orders", self.directory / "faults.jsonl"
        self.events: list[tuple[Severity, str, str]] = []
        self.memory: list[tuple[float, float]] = []
        addresses = free_addresses(len(LINKS))
        self._control = dict(zip(LINKS, addresses, strict=True))["control"]
        shared = [*own_words(words, folder, addresses), f"run.name={name}"]
        files = [("orders", self._orders), ("log", self._log), ("record", self.record)]
        sim = [
            *shared,
            *stand_in_words(settings),
            path_word("sim.book", self.book),
            *(path_word(f"sim.faults.{key}", path) for key, path in files),
        ]
        actor = [*shared, "actor.unattended=false", *actor_words]
        # As in front of a real robot: an actor that was started again waits for a person.
        specs = [
            ChildSpec(SIM, [SIM, *sim]),
            ChildSpec(ACTOR, [ACTOR, *actor], restart_words=("actor.armed_at_start=false",)),
        ]
        supervise = replace(settings.supervise, restarts=100)
        self._publisher = PolicyPublisher(dict(zip(LINKS, addresses, strict=True))["policy"])
        self._publisher.publish(snapshot)
        self._supervisor = Supervisor(specs, self.directory, supervise, self._on_event)
        self._records: list[NDArray[np.void]] = []
        self._count = 0
        self._suspended: tuple[float, Child] | None = None

    def __enter__(self) -> "Stage":
        self._supervisor.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()

    def end(self) -> None:
        """End both, the stand-in last. A second call does nothing."""
        if self._suspended is not None:
            _signal(self._suspended[1], signal.SIGCONT)
            self._suspended = None
        self._supervisor.end((ACTOR, SIM), _END_S)
        self._publisher.close()

    def look(self) -> None:
        """See how the processes stand, and what is new in the book.

        Raises:
            ChildError: one of them ended, and starting it again cannot help.
        """
        if self._suspended is not None and time.monotonic() >= self._suspended[0]:
            _signal(self._suspended[1], signal.SIGCONT)
            self._suspended = None
        self._supervisor.look()
        self._weigh()
        fresh = new_records(self.book, self._count)
        if len(fresh):
            self._records.append(fresh)
            self._count += len(fresh)

    def until(self, condition: Callable[[], Any], timeout_s: float) -> bool:
        """Look after everything until the condition holds; False: it did not in time."""
        deadline = time.monotonic() + timeout_s
        while not condition():
            if time.monotonic() >= deadline:
                return False
            time.sleep(_TURN_S)
            self.look()
        return True

    def wait(self, seconds: float) -> None:
        """Look after everything for so long."""
        self.until(bool, seconds)

    def records(self) -> NDArray[np.void]:
        """The robot's book until now."""
        if len(self._records) > 1:
            self._records = [np.concatenate(self._records)]
        return self._records[0] if self._records else np.zeros(0, [("outcome", "<u4"), ("stamp_s", "<f8")])

    def followed(self, since_s: float = 0.0) -> int:
        """Commands that the robot followed from this time on."""
        records = self.records()
        return int(((records["outcome"] == Outcome.EXECUTED) & (records["stamp_s"] >= since_s)).sum())

    def acted(self) -> int:
        """Transitions that the actor has made; -1 while nobody answers."""
        return self._counted("transitions")

    def begun(self) -> int:
        """Episodes that the actor has begun; -1 while nobody answers."""
        return self._counted("episodes")

    def _counted(self, what: str) -> int:
        with contextlib.suppress(PeerTimeoutError, PeerRefusedError):
            found = re.search(rf"(\d+) {what}", ask(self._control, "status", {}, _ASK_S))
            return int(found[1]) if found else -1
        return -1

    def fault(self) -> str:
        """The actor's latched fault in its own words; "" while there is none, or nobody answers."""
        with contextlib.suppress(PeerTimeoutError, PeerRefusedError):
            said = ask(self._control, "status", {}, _ASK_S)
            if said.startswith("FAULT: "):
                return re.split(r"; \d+ episodes, ", said.removeprefix("FAULT: "))[0]
        return ""

    def arm(self) -> str:
        """A person's word; "" when it was carried out, else why not."""
        try:
            ask(self._control, "arm", {}, 4 * _ASK_S)
        except RlpdRobotError as error:
            return str(error)
        return ""

    def order(self, **entry: Any) -> None:
        """Inflict a fault of the stand-in."""
        with open(self._orders, "a") as file:
            file.write(json.dumps(entry) + "\n")

    def noted(self, name: str, what: str = "begin") -> float:
        """When the stand-in noted that a fault of this name began (or "end"ed) [s]; NaN: it has not."""
        with contextlib.suppress(FileNotFoundError):
            for line in reversed(self._log.read_text().splitlines()):
                entry = json.loads(line)
                if (entry["name"], entry["what"]) == (name, what):
                    return float(entry["stamp_s"])
        return float("nan")

    def strike_actor(self, number: signal.Signals, seconds: float) -> float:
        """Kill the actor's process, or suspend it for so long; when [s]."""
        child, now_s = self._supervisor.child(ACTOR), time.monotonic()
        _signal(child, number)
        if number == signal.SIGSTOP:
            self._suspended = (now_s + seconds, child)
        return now_s

    def episodes(self) -> list[tuple[int, bool, int]]:
        """(number, solved, steps) of each that has ended, as the actor told."""
        path = self.directory / "logs" / f"{ACTOR}.log"
        text = path.read_text(errors="replace") if path.exists() else ""
        return [(int(n), word == "solved", int(steps)) for n, word, steps in _EPISODE.findall(text)]

    def _weigh(self) -> None:
        now_s = time.monotonic()
        if not self.memory or now_s >= self.memory[-1][0] + _WEIGH_S:
            self.memory.append((now_s, self._supervisor.child(ACTOR).memory_mb))

    def _on_event(self, severity: Severity, name: str, text: str) -> None:
        self.events.append((severity, name, text))


def _signal(child: Child, number: signal.Signals) -> None:
    if child.running:  # not waited for yet, so its number is not another's
        os.kill(child.pid, number)

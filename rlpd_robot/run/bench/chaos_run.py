"""One training run as real processes, on links that can be spoilt, and what befalls them."""

import json
import os
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType

from rlpd_robot.data.demo_store import DemoStore
from rlpd_robot.errors import PeerTimeoutError, StoreError
from rlpd_robot.run.bench.chaos_faults import LINKS, Fault
from rlpd_robot.run.bench.lane import LinkFault
from rlpd_robot.run.bench.link_proxy import LinkProxy
from rlpd_robot.run.checkpoint import CHECKPOINTS
from rlpd_robot.run.learner_status import read_status
from rlpd_robot.run.metrics import Severity
from rlpd_robot.run.processes import Child, path_word
from rlpd_robot.run.rearm import Rearm
from rlpd_robot.run.settings import Settings
from rlpd_robot.run.supervisor import ChildSpec, Supervisor
from rlpd_robot.wire.control import ask

LIVE = "live.zarr"

_SERVED = {"sim": ("robot",), "learner": ("data", "policy"), "actor": ()}
"""By process, the links on which it listens and others connect."""

_INFLICTED = ("killed by SIGKILL", "suspended (SIGSTOP)", "was killed, since it hung: suspended")
"""How the supervisor tells of what was done here."""

_LOOK_S = 0.05
_AIM_S = 0.001  # between two looks for a checkpoint on its way
_ASK_S = 3.0
_MOMENT_S = 20.0  # longest wait for the moment of a fault
_UNSENT_S = 0.4  # what an actor does in this time, with its link cut, stays in its journal alone
_AWAY_S = 1.0  # connections of a dead process are closed for so long, as its kernel would
_END_S = 60.0
_START_S = 240.0


@dataclass
class Struck:
    """A fault that has happened.

    Attributes:
        fault: which.
        at_s: when it struck [s].
        over_s: when it had ended by itself; as `at_s` where it had not [s].
        recovered_s: when a transition executed after `over_s` was committed [s]; None: not yet.
        seen_s: when the supervisor reported its process [s]; None: it has not.
    """

    fault: Fault
    at_s: float
    over_s: float
    recovered_s: float | None = None
    seen_s: float | None = None


class ChaosRun:
    """Processes of one run below `folder`, kept running by the supervisor that `train` has.

    Args:
        name: of the run.
        folder: for everything it writes.
        settings: of the run.
        words: they came from.
        lockstep: of the stand-in.
        addresses: free ones, by link.
        seed: of what the links do.

    Attributes:
        directory: of the run.
        struck: the faults until now.
        events: (severity, process, sentence) of the supervisor.
        armed: how often the actor was armed again from here.
    """

    def __init__(
        self,
        name: str,
        folder: Path,
        settings: Settings,
        words: Sequence[str],
        lockstep: bool,
        addresses: dict[str, str],
        seed: int,
    ) -> None:
        self.directory, self.book = folder / name, folder / f"{name}.book"
        self.lockstep = lockstep
        self.struck: list[Struck] = []
        self.events: list[tuple[Severity, str, str]] = []
        self.armed = 0
        self._control, self._security = addresses["control"], settings.security
        self._proxies = {
            link: LinkProxy("broadcast" if link == "policy" else "requests", addresses[link], seed + i)
            for i, link in enumerate(LINKS)
        }
        run = [path_word("run.root", folder), f"run.name={name}", f"sim.lockstep={str(lockstep).lower()}"]
        self._words = [*words, *run, path_word("sim.book", self.book)]
        served = [*self._words, *(f"link.{link}={addresses[link]}" for link in LINKS)]
        reached = [*self._words, *(f"link.{link}={self._proxies[link].address}" for link in LINKS)]
        self._learner_words = ["learner", *served]
        endless = "run.env_steps=1000000000"
        # Restarts are what is measured here: each comes as soon as a first one.
        supervise = replace(settings.supervise, restarts=1_000_000, backoff_max_s=settings.supervise.backoff_s)
        self._supervisor = Supervisor(
            [
                ChildSpec("sim", ["sim", *served]),
                ChildSpec("learner", [*self._learner_words, endless]),
                ChildSpec("actor", ["actor", *reached, endless, f"link.control={self._control}"]),
            ],
            self.directory,
            supervise,
            self._on_event,
            self._on_restart,
        )
        self._rearm = Rearm(lambda: self._ask("status"), lambda: self._ask("arm"), self._on_arm, patience_s=_START_S)
        self._suspended: list[tuple[float, Child]] = []
        self._seen = 0  # episodes of the store

    def __enter__(self) -> "ChaosRun":
        self._supervisor.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._continue_all()
        self._rearm.close()
        self._supervisor.end(("actor", "learner", "sim"), 3.0)
        for proxy in self._proxies.values():
            proxy.close()

    def learns(self) -> None:
        """Wait until a first transition is committed.

        Raises:
            PeerTimeoutError: none was.
            ChildError: a process cannot be kept running.
        """
        if not self._until(lambda: self._seen > 0, _START_S):
            raise PeerTimeoutError(
                "a first committed transition", str(self.directory / LIVE), _START_S, "See its logs."
            )

    def strike(self, fault: Fault) -> Struck:
        """Wait for its moment and let it happen.

        Raises:
            ChildError: a process cannot be kept running.
        """
        self._until(lambda: False, fault.pause_s)
        if fault.link_fault is not None:
            at_s = time.monotonic()
            self._proxies[fault.target].inflict(fault.link_fault)
            if fault.target == "robot":
                self._rearm.begin()  # a stand-in: nobody needs to look at it
        else:
            at_s = self._befall(fault)
        struck = Struck(fault, at_s, at_s + fault.seconds)
        self.struck.append(struck)  # nothing has looked since
        return struck

    def recovers(self, patience_s: float) -> bool:
        """Wait until every fault has been followed by a new committed transition; False: one was not, in time.

        Args:
            patience_s: counted from the end of the last fault [s].

        Raises:
            ChildError: a process cannot be kept running.
        """
        until_s = max((struck.over_s for struck in self.struck), default=0.0) + patience_s
        return self._until(lambda: all(s.recovered_s is not None for s in self.struck), until_s - time.monotonic())

    def own_deaths(self) -> list[tuple[str, str]]:
        """(process, how) of those that ended though nobody had killed them."""
        return [
            (name, text)
            for severity, name, text in self.events
            if severity == "error"
            and not text.startswith(("killed by SIGKILL", "was killed, since it hung: suspended"))
        ]

    def end(self) -> dict[str, int | None]:
        """End them, the stand-in last: the actor hands over, the learner commits; their exit statuses."""
        self._continue_all()
        self._rearm.close()
        children = {name: self._supervisor.child(name) for name in ("actor", "learner", "sim")}
        for name in children:
            self._supervisor.end((name,), _END_S)
        for proxy in self._proxies.values():
            proxy.close()
        return {name: child.status for name, child in children.items()}

    def settle(self, transitions: int) -> int | None:
        """Start a learner alone once more, which has all there is to learn from; its exit status.

        In lock-step whole blocks are learned from; the rest is when the run's end is known.
        """
        words = [*self._learner_words, f"run.env_steps={transitions}", "actor.policy_s=20"]
        learner = Child("learner", words, self.directory / "logs")
        deadline = time.monotonic() + _START_S
        try:
            while learner.running and time.monotonic() < deadline:
                status = read_status(self.directory)
                if status.get("finished") and status.get("env_steps_target") == transitions:
                    break
                time.sleep(_LOOK_S)
        finally:
            learner.end(_END_S)
        return learner.status

    def _befall(self, fault: Fault) -> float:
        """A process's fault; when it struck."""
        name = fault.target
        if fault.moment == "unsent":
            self._proxies["data"].inflict(LinkFault("cut", _UNSENT_S + 1.0, 0.0))
            self._until(lambda: False, _UNSENT_S)
        self._until(lambda: self._supervisor.child(name).running, _MOMENT_S)
        if fault.moment == "checkpoint":
            deadline = time.monotonic() + _MOMENT_S
            self._until(self._checkpoint_on_its_way, deadline - time.monotonic(), _AIM_S)
        child = self._supervisor.child(name)
        at_s = time.monotonic()
        _signal(child, signal.SIGKILL if fault.kind == "kill" else signal.SIGSTOP)
        if fault.kind == "kill":
            for link in _SERVED[name]:
                self._proxies[link].inflict(LinkFault("reopen", _AWAY_S, 0.0))
        if fault.kind == "stop":
            self._suspended.append((at_s + fault.seconds, child))
        if name == "sim":
            self._rearm.begin()
        return at_s

    def _checkpoint_on_its_way(self) -> bool:
        try:
            with os.scandir(self.directory / CHECKPOINTS) as entries:
                return any(entry.name.endswith(".partial") for entry in entries)
        except FileNotFoundError:
            return False

    def _until(self, condition: Callable[[], bool], timeout_s: float, look_s: float = _LOOK_S) -> bool:
        """Look after everything until the condition holds; False: it did not in time."""
        deadline, next_s = time.monotonic() + timeout_s, 0.0
        while not condition():
            now = time.monotonic()
            if now >= deadline:
                return False
            if now >= next_s:
                next_s = now + _LOOK_S
                self._look(now)
            time.sleep(max(0.0, min(look_s, deadline - time.monotonic())))
        return True

    def _look(self, now: float) -> None:
        for until_s, child in [pair for pair in self._suspended if pair[0] <= now]:
            self._suspended.remove((until_s, child))
            _signal(child, signal.SIGCONT)
        self._supervisor.look()
        self._look_at_store()

    def _look_at_store(self) -> None:
        """Whether there is a new episode, and what that means for the faults until now."""
        path = self.directory / LIVE
        try:
            committed = json.loads((path / "zarr.json").read_text())["attributes"]["committed_episodes"]
        except FileNotFoundError:
            return
        if committed <= self._seen:
            return
        self._seen, now = committed, time.monotonic()
        try:
            executed_s = float(DemoStore.open(path).episode(committed - 1).stamps_s[-1, 3])
        except StoreError:  # a killed learner has left it in the middle of a commit; the next one mends it
            return
        for struck in self.struck:
            if struck.recovered_s is None and executed_s > struck.over_s:
                struck.recovered_s = now

    def _continue_all(self) -> None:
        for _, child in self._suspended:
            _signal(child, signal.SIGCONT)
        self._suspended.clear()

    def _on_event(self, severity: Severity, name: str, text: str) -> None:
        self.events.append((severity, name, text))
        for struck in self.struck:
            if struck.seen_s is None and struck.fault.target == name and text.startswith(_INFLICTED):
                struck.seen_s = time.monotonic()

    def _on_restart(self, name: str) -> None:
        if name == "sim":
            self._rearm.begin()

    def _on_arm(self, severity: Severity, text: str) -> None:
        self.armed += severity == "info"
        self._on_event(severity, "actor", text)

    def _ask(self, word: str) -> str:
        return ask(self._control, word, {}, _ASK_S, self._security)


def _signal(child: Child, number: signal.Signals) -> None:
    if child.running:  # not waited for yet, so its number is not another's
        os.kill(child.pid, number)

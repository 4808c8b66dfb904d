"""Every process that listens, started for an attack: a robot, a learner, an actor with a robot of its own, a server."""

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from types import TracebackType

from rlpd_robot.errors import PeerTimeoutError
from rlpd_robot.policy.snapshot_file import save_snapshot
from rlpd_robot.robot.book import Outcome, read_book
from rlpd_robot.robot.task import Task, problem_of
from rlpd_robot.robot.zmq_driver import ZmqDriver
from rlpd_robot.run.bench.networks import random_network
from rlpd_robot.run.ports import free_addresses
from rlpd_robot.run.processes import Child, end_all
from rlpd_robot.spec import ProblemSpec
from rlpd_robot.wire.control import ask
from rlpd_robot.wire.policy_channel import PolicySubscriber

_START_S = 240.0
_ANSWER_S = 10.0
_LOOK_S = 1.0


class Processes:
    """A robot that nobody drives is attacked; the actor has another one, and no policy, so that it commands nothing.

    Args:
        folder: for everything they write.
        words: settings of all of them.

    Attributes:
        children: by name.
        addresses: by link.
    """

    def __init__(self, folder: Path, words: Sequence[str]) -> None:
        self._folder, self._words = folder, list(words)
        names = ("robot", "data", "policy", "control", "serve", "own_robot", "nobody", "none")
        self.addresses = dict(zip(names, free_addresses(len(names)), strict=True))
        self.children: dict[str, Child] = {}

    def __enter__(self) -> "Processes":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        end_all([self.children[name] for name in reversed(self.children)], _ANSWER_S)

    def start(self, task: Task) -> ProblemSpec:
        """Start them all and wait until each answers.

        Raises:
            ChildError, PeerTimeoutError: one did not.
        """
        a = self.addresses
        self._child("robot", "sim", link_robot=a["robot"], sim_lockstep="false", sim_book=self._book("robot"))
        self._child(
            "own robot", "sim", link_robot=a["own_robot"], sim_lockstep="false", sim_book=self._book("own robot")
        )
        self._child("learner", "learner", link_data=a["data"], link_policy=a["policy"])
        with closing(ZmqDriver(a["robot"])) as driver:
            problem = problem_of(task, driver.connect(_START_S))
        policy = self._folder / "policy.npz"
        save_snapshot(policy, random_network(problem.observation_size, problem.action_size, problem.fingerprint))
        self._child("serve", "serve", link_serve=a["serve"], serve_policy=policy)
        actor = {"link_robot": a["own_robot"], "link_data": a["nobody"], "link_policy": a["none"]}
        self._child("actor", "actor", link_control=a["control"], actor_policy_s=3600, **actor)
        self._wait_for_learner()
        self.actor_status(_START_S)
        return problem

    def actor_status(self, timeout_s: float = _ANSWER_S) -> str:
        """What the actor says of itself.

        Raises:
            PeerTimeoutError: nothing.
        """
        return ask(self.addresses["control"], "status", {}, timeout_s)

    def connect_robot(self) -> None:
        """Be welcomed by the attacked robot.

        Raises:
            PeerTimeoutError, PeerRefusedError: it did not.
        """
        with closing(ZmqDriver(self.addresses["robot"])) as driver:
            driver.connect(_ANSWER_S)

    def count(self, outcome: Outcome) -> int:
        """How many commands the robots' own books hold of this outcome."""
        return sum(int((read_book(self._book(name))["outcome"] == outcome).sum()) for name in ("robot", "own robot"))

    def _book(self, name: str) -> Path:
        return self._folder / f"{name}.book"

    def _child(self, name: str, verb: str, **settings: object) -> None:
        given = [f"{key.replace('_', '.', 1)}={value}" for key, value in settings.items()]
        root = f"run.root={self._folder / name.replace(' ', '-')}"
        self.children[name] = Child(name, [verb, *self._words, root, *given], self._folder)

    def _wait_for_learner(self) -> None:
        """Until its first policy is out: what it compiles before that takes memory, too."""
        with closing(PolicySubscriber(self.addresses["policy"])) as subscriber:
            waited_s = 0.0
            while subscriber.poll(_LOOK_S) is None:
                self.children["learner"].check()
                waited_s += _LOOK_S
                if waited_s > _START_S:
                    raise PeerTimeoutError("the learner", self.addresses["policy"], _START_S, "Try a smaller agent.")

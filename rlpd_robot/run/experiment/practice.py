"""Acting and learning turn by turn in one process, as in Algorithm 1 of RLPD (arXiv:2302.02948)."""

from collections.abc import Callable, Sequence

import numpy as np

from rlpd_robot.policy.base import Policy, RandomPolicy
from rlpd_robot.policy.numpy_actor import NumpyActor
from rlpd_robot.robot.episode import EpisodeSummary
from rlpd_robot.run.trainer import Trainer
from rlpd_robot.types import Batch, PolicySnapshot, Segment, Transition, to_batch


class Practice:
    """Subscriber of a control loop that learns from each block of transitions before the next one is acted.

    The exploration noise depends on seed and episode alone, as the actor's does.

    Args:
        trainer: warmed up, and cloned where its settings say so.
        block: transitions acted with one policy; 1 is the paper's.
        total: transitions to learn from; later ones do not count.
        enough: called when they are in.
        remember: called with each whole episode.
        version: of the policy that begins.
        rows: what a job before this one has learned from.

    Attributes:
        rows: everything learned from, in order.
    """

    def __init__(
        self,
        trainer: Trainer,
        block: int,
        total: int,
        seed: int,
        enough: Callable[[], None],
        remember: Callable[[Segment], None],
        version: int = 0,
        rows: Sequence[Batch] = (),
    ) -> None:
        self._trainer, self._block, self._total, self._seed = trainer, block, total, seed
        self._enough, self._remember = enough, remember
        self._rng = np.random.default_rng(0)
        self._waiting: list[Transition] = []
        self._episode: list[Segment] = []
        self.version, self.rows = version, list(rows)
        self.policy = self._policy_of(trainer.snapshot(self.version))

    @property
    def received(self) -> int:
        """Transitions learned from."""
        return self._trainer.budget.received

    def begin_episode(self, episode: int) -> None:
        """Draw the noise anew."""
        # In place: the policies hold this very generator.
        self._rng.bit_generator.state = np.random.default_rng([self._seed, 0xAC, episode]).bit_generator.state

    def on_transition(self, transition: Transition) -> None:
        """Take it; learn where the block is full."""
        if self.received + len(self._waiting) >= self._total:
            return
        self._waiting.append(transition)
        full = len(self._waiting) >= self._block or self.received + len(self._waiting) >= self._total
        if full or transition.ending:
            self._learn()
        if self.received >= self._total:
            self._enough()

    def on_episode(self, summary: EpisodeSummary) -> None:
        """It is over: what is left counts too."""
        if self._waiting:
            self._learn()
        if self._episode and self._episode[-1].ending:
            self._remember(Segment.join(self._episode))
        self._episode = []

    def _learn(self) -> None:
        segment, self._waiting = Segment.from_transitions(self._waiting), []
        self._episode.append(segment)
        self.rows.append(to_batch(segment, is_demo=False))
        self._trainer.receive(self.rows[-1])
        while self._trainer.budget.owed:
            self._trainer.step()
        self.version += 1
        self.policy = self._policy_of(self._trainer.snapshot(self.version))

    def _policy_of(self, snapshot: PolicySnapshot) -> Policy:
        if snapshot.arrays:
            return NumpyActor(snapshot, self._rng)
        policy = RandomPolicy(self._trainer.problem.action_size, self._rng)
        policy.version = snapshot.version
        return policy

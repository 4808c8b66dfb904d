"""Acting and learning turn by turn in one process, as in Algorithm 1 of RLPD (arXiv:2302.02948)."""

from collections.abc import Callable, Sequence

import numpy as np

from rlpd_robot.agent.config import AgentConfig
from rlpd_robot.data.chunks import Chunker
from rlpd_robot.robot.episode import EpisodeSummary
from rlpd_robot.run.experiment.acting import Acting
from rlpd_robot.run.trainer import Trainer
from rlpd_robot.types import Batch, Segment, Transition, to_batch


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
        policy: what acts.
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
        self._chunker = chunker_of(trainer.config)
        self._unbooked = 0  # transitions taken while nothing could be learned from yet
        self.version, self.rows = version, list(rows)
        self.policy = Acting(trainer, self._rng)
        self.policy.take(trainer.snapshot(self.version))

    @property
    def received(self) -> int:
        """Transitions learned from."""
        return self._trainer.budget.received + self._unbooked

    def begin_episode(self, episode: int) -> None:
        """Draw the noise anew."""
        # In place: the policies hold this very generator.
        self._rng.bit_generator.state = np.random.default_rng([self._seed, 0xAC, episode]).bit_generator.state
        self._chunker.begin()
        self.policy.begin()

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
        rows = self._chunker.take(to_batch(segment, is_demo=False), ended=bool(segment.ending))
        if rows is not None:
            self.rows.append(rows)
            self._trainer.refill(rows)
        self._unbooked += len(segment)
        if self._trainer.ring_rows:
            self._trainer.budget.receive(self._unbooked)
            self._unbooked = 0
        while self._trainer.budget.owed:
            self._trainer.step()
        self.version += 1
        self.policy.take(self._trainer.snapshot(self.version))


def chunker_of(agent: AgentConfig) -> Chunker:
    """Makes the rows that these settings learn from."""
    return Chunker(agent.chunk, agent.n_step, agent.discount, agent.reward_offset)

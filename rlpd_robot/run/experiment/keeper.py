"""What a job leaves for later studies where `study.keep` says so: its episodes as a store, and its policies."""

from dataclasses import replace
from pathlib import Path

from rlpd_robot.data.layout import LOCKSTEP
from rlpd_robot.data.store_writer import StoreWriter
from rlpd_robot.files import make_directories
from rlpd_robot.policy.snapshot_file import save_snapshot
from rlpd_robot.robot.episode import EpisodeSummary
from rlpd_robot.run.collect import EpisodeCollector
from rlpd_robot.run.reset_seed import SEED
from rlpd_robot.spec import ProblemSpec
from rlpd_robot.types import PolicySnapshot, Transition

LIVE, POLICIES = "live.zarr", "policies"
"""In a job's directory: all that it played, which is a medium-replay set, and what it was evaluated with, by
transitions: what `rlpd-robot demos collect` makes expert and medium sets of."""


class Keeper:
    """Subscriber of a job's control loop.

    Args:
        directory: of the job.
        seed: of its resets.
    """

    def __init__(self, directory: Path, problem: ProblemSpec, boot: str, seed: int) -> None:
        make_directories(directory / POLICIES)
        self._policies, self._boot, self._collector = directory / POLICIES, boot, EpisodeCollector()
        self._store = StoreWriter(directory / LIVE, problem, attributes={SEED: seed, LOCKSTEP: True})

    def on_transition(self, transition: Transition) -> None:
        """Keep it."""
        self._collector.on_transition(transition)

    def on_episode(self, summary: EpisodeSummary) -> None:
        """Write it. A job that was cut plays some episodes anew, bit for bit; those are there already."""
        self._collector.on_episode(summary)
        episode = self._collector.last
        if episode is not None and summary.episode >= len(self._store):
            first = self._store.next_sequences.get(self._boot, 0)
            self._store.append(replace(episode, boot=self._boot, first_sequence=first))

    def policy(self, at: int, snapshot: PolicySnapshot) -> None:
        """What is evaluated after `at` transitions."""
        save_snapshot(self._policies / f"{at}.npz", snapshot)

    def close(self) -> None:
        """Let go of the store."""
        self._store.close()

"""Which policy acts: the newest that passed its checks, or an earlier one that a person pinned."""

import time
from collections.abc import Callable
from typing import Literal

import numpy as np

from rlpd_robot.errors import DataError
from rlpd_robot.policy.base import NO_VERSION, Policy, RandomPolicy
from rlpd_robot.policy.numpy_actor import NumpyActor
from rlpd_robot.policy.snapshot_file import check_snapshot
from rlpd_robot.run.policy_archive import PolicyArchive
from rlpd_robot.spec import ProblemSpec
from rlpd_robot.timing import Histogram
from rlpd_robot.types import PolicySnapshot
from rlpd_robot.wire.policy_channel import PolicySubscriber

Reason = Literal["spec", "nonfinite", "shape", "older"]
REASONS: tuple[Reason, ...] = ("spec", "nonfinite", "shape", "older")
"""Why a snapshot is refused: of another robot or task; NaN or infinity; no network from O to A; not newer."""

_BURST_S = 10.0  # a reason is told again after so long without it


class PolicySource:
    """Takes snapshots, refuses bad ones, and says which policy acts.

    The loop's thread takes and asks; `pin` and `unpin` may come from another one.

    Args:
        subscriber: where snapshots come from.
        problem: what they must fit.
        seed: of the exploration noise.
        archive: keeps what was accepted; where pinned versions come from.
        tell: called with one sentence when a snapshot is refused, once per reason and burst.

    Attributes:
        received: snapshots accepted.
        refused: snapshots not accepted, by reason.
        age: time that a policy had been here when it acted [s].
        swap: time from finding a snapshot in the queue to acting with it [s].
    """

    def __init__(
        self,
        subscriber: PolicySubscriber,
        problem: ProblemSpec,
        seed: int,
        archive: PolicyArchive,
        tell: Callable[[str], None],
    ) -> None:
        self.received = 0
        self.refused: dict[Reason, int] = dict.fromkeys(REASONS, 0)
        self.age, self.swap = Histogram(), Histogram()
        self._subscriber, self._problem, self._seed = subscriber, problem, seed
        self._archive, self._tell = archive, tell
        self._rng = np.random.default_rng()
        self.begin_episode(0)
        self._newest: Policy | None = None
        self._pinned: Policy | None = None
        self._last: PolicySnapshot | None = None  # accepted
        self._told_s: dict[str, float] = {}
        self._since = time.monotonic()

    @property
    def acting(self) -> Policy | None:
        """What acts at the next tick; None before the first policy."""
        return self._pinned or self._newest

    @property
    def pinned(self) -> bool:
        """Whether a person chose what acts."""
        return self._pinned is not None

    def seconds_old(self) -> float:
        """How long ago what acts came [s]; 0 for what a person chose."""
        return 0.0 if self.pinned else time.monotonic() - self._since

    def begin_episode(self, episode: int) -> None:
        """Draw the exploration noise anew: it depends on seed and episode alone, not on what was acted before."""
        # In place: the policies hold this very generator.
        self._rng.bit_generator.state = np.random.default_rng([self._seed, 0xAC, episode]).bit_generator.state

    def take(self, snapshot: PolicySnapshot | None) -> None:
        """Act with this snapshot from the next tick on, unless something is wrong with it or it was here before."""
        if snapshot is None or _same(self._last, snapshot):  # a restarted learner publishes its last one again
            return
        refusal = self._refusal(snapshot)
        if refusal is not None:
            self._refuse(snapshot, *refusal)  # the last good one goes on acting
            return
        self._newest = self._make(snapshot)
        self._last = snapshot
        if self._archive.problem is not None and self._begins_a_burst("archive"):
            self._tell(self._archive.problem)
        self._archive.keep(snapshot)
        self.received += 1
        self._since = time.monotonic()

    def newest(self) -> Policy:
        """For each tick: never waits."""
        before_s = time.monotonic()
        snapshot = self._subscriber.poll()
        if snapshot is not None:
            self.take(snapshot)
            self.swap.add(time.monotonic() - before_s)
        return self.current()

    def current(self) -> Policy:
        """As `newest`, without looking for a newer one: in lock-step the learner says when."""
        policy = self.acting
        assert policy is not None
        self.age.add(time.monotonic() - self._since)
        return policy

    def has(self, version: int) -> bool:
        """Lock-step: whether this version, or what was pinned instead, can act."""
        return self.pinned or (self._newest is not None and self._newest.version >= version)

    def wait(self, version: int, timeout_s: float) -> None:
        """Take the first snapshot of at least this version, if it comes in time."""
        if not self.has(version):
            self.take(self._subscriber.wait(version, timeout_s))

    def begin_from_archive(self) -> None:
        """Take the newest policy on disk, where there is one that fits: a learner may be long in coming."""
        self.take(self._archive.newest())

    def pin(self, version: int) -> str:
        """Act with this version from the next tick on, whatever comes; a sentence about it.

        Raises:
            DataError, SpecMismatchError: it is not at hand, or does not fit. What acted goes on acting.
        """
        snapshot = self._archive.load(version)
        check_snapshot(snapshot, self._problem)
        before = self.acting
        self._pinned = self._make(snapshot)
        instead = f" instead of {before.version}" if before is not None and before.version != version else ""
        return f"policy {version} acts{instead} until `rlpd-robot unpin`"

    def unpin(self) -> str:
        """Let the newest policy act again; a sentence about it.

        Raises:
            DataError: no other policy has come yet.
        """
        pinned, newest = self._pinned, self._newest
        if pinned is None:
            return "no policy is pinned"
        if newest is None:
            raise DataError(f"Policy {pinned.version}", "no other has come yet", "a learner to send one first")
        self._pinned = None
        return f"policy {newest.version} acts instead of {pinned.version}, and newer ones as they come"

    def stats(self) -> dict[str, float]:
        """Policies by what became of them; versions acting, pinned and newest (-1: none); age of what acts [s]."""
        acting, pinned, newest = self.acting, self._pinned, self._newest
        return {
            "policies_received": float(self.received),
            "policies_refused": float(sum(self.refused.values())),
            **{f"policies_refused_{reason}": float(count) for reason, count in self.refused.items()},
            "policy_version": float(acting.version if acting else NO_VERSION),
            "policy_pinned": float(pinned.version if pinned else NO_VERSION),
            "policy_newest": float(newest.version if newest else NO_VERSION),
            "policies_not_archived": float(self._archive.errors),
            **self.age.summary("policy_age_s"),
            **self.swap.summary("policy_swap_ms", 1e3),
        }

    def _make(self, snapshot: PolicySnapshot) -> Policy:
        if snapshot.arrays:
            return NumpyActor(snapshot, self._rng)
        policy = RandomPolicy(self._problem.action_size, self._rng)  # the learner asks for uniform random actions
        policy.version = snapshot.version
        return policy

    def _refusal(self, snapshot: PolicySnapshot) -> tuple[Reason, str] | None:
        if snapshot.fingerprint != self._problem.fingerprint:
            return "spec", "it was trained for another robot or task"
        if snapshot.arrays:
            try:
                check_snapshot(snapshot, self._problem)
            except DataError as error:
                finite = all(np.isfinite(a).all() for a in snapshot.arrays.values() if a.dtype.kind == "f")
                return ("shape" if finite else "nonfinite"), str(error)
        if self._newest is not None and snapshot.version <= self._newest.version:
            return "older", f"version {self._newest.version} was here before"
        return None

    def _refuse(self, snapshot: PolicySnapshot, reason: Reason, text: str) -> None:
        self.refused[reason] += 1
        if self._begins_a_burst(reason):
            acting = self.acting
            rest = f"policy {acting.version} goes on acting" if acting is not None else "there is no other yet"
            self._tell(f"refused policy {snapshot.version} ({reason}): {text.rstrip('.')}; {rest}")

    def _begins_a_burst(self, what: str) -> bool:
        now = time.monotonic()
        last_s, self._told_s[what] = self._told_s.get(what, -1e9), now
        return now - last_s > _BURST_S


def _same(one: PolicySnapshot | None, other: PolicySnapshot) -> bool:
    """Whether both are the same version of the same numbers."""
    return (
        one is not None
        and (one.version, one.fingerprint, one.arrays.keys()) == (other.version, other.fingerprint, other.arrays.keys())
        and all(np.array_equal(one.arrays[name], array) for name, array in other.arrays.items())
    )

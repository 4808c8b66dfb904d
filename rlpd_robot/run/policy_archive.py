"""Earlier policies of a run on disk: what an actor can go back to, and what a restarted one begins with."""

import logging
import threading
from collections.abc import Iterator
from pathlib import Path

from rlpd_robot.errors import DataError, RlpdRobotError
from rlpd_robot.liveness import Pulse, beating
from rlpd_robot.policy.snapshot_file import load_snapshot, save_snapshot
from rlpd_robot.types import PolicySnapshot

KEPT = 20
"""Policies that stay in an actor's archive."""

_EVERY_S = 1.0  # between two writes: a disk that also takes the journal must not be kept busy with policies
_PREFIX, _SUFFIX = "policy-", ".npz"
_CLOSE_S = 5.0
_LOOK_S = 0.5
_DISK_S = 30.0  # a slow disk is no hanging thread

_log = logging.getLogger(__name__)


class PolicyArchive:
    """Keeps the policies that an actor accepted, about one a second, and finds those of the run's checkpoints too.

    A thread writes, so that no tick waits for a disk; of several that come while it writes, the newest is kept.

    Args:
        run: the run's directory; the archive is `actor/policies/` in it, made when there is something to keep.

    Attributes:
        errors: writes that the disk refused.
        problem: the last such refusal, or None when the last write was done.
    """

    def __init__(self, run: Path) -> None:
        self.errors = 0
        self.problem: str | None = None
        self._run, self._directory = run, run / "actor" / "policies"
        self._next: PolicySnapshot | None = None
        self._changed = threading.Condition()
        self._closing = False
        self._thread = threading.Thread(target=self._write_all, name="policy archive", daemon=True)
        self._thread.start()

    def keep(self, snapshot: PolicySnapshot) -> None:
        """Have a policy written. Never waits."""
        if snapshot.arrays:  # otherwise it stands for random actions, which need no file
            with self._changed:
                self._next = snapshot
                self._changed.notify_all()

    def versions(self) -> list[int]:
        """Those that `load` finds now, in order."""
        return sorted({version for version, _ in self._files()})

    def load(self, version: int) -> PolicySnapshot:
        """One version, from the archive or else from the run's checkpoints.

        Raises:
            DataError: it is not at hand; the sentence lists those that are.
        """
        waiting = self._next
        if waiting is not None and waiting.version == version:
            return waiting
        for known, path in self._files():
            if known == version:
                return load_snapshot(path)
        at_hand = f"one of {', '.join(map(str, self.versions()))}" if self.versions() else "one that was kept: none yet"
        raise DataError(f"Policy {version}", f"it is not on this machine in {str(self._run)!r}", at_hand)

    def newest(self) -> PolicySnapshot | None:
        """The newest that can be read; None when there is none."""
        for _, path in sorted(self._files(), key=lambda found: found[0], reverse=True):
            try:
                return load_snapshot(path)
            except RlpdRobotError as error:
                _log.warning("passed over: %s", error)
        return None

    def close(self) -> None:
        """Write what is waiting and end the thread. A second call does nothing."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join(_CLOSE_S)

    def _files(self) -> Iterator[tuple[int, Path]]:
        """(version, path) of every policy file, the archive's first."""
        for path in self._directory.glob(f"{_PREFIX}*{_SUFFIX}"):
            number = path.name.removeprefix(_PREFIX).removesuffix(_SUFFIX)
            if number.isdigit():
                yield int(number), path
        for path in (*self._run.glob("checkpoints/*/policy.npz"), self._run / "policy.npz"):
            try:
                yield load_snapshot(path).version, path
            except RlpdRobotError:  # not there, or dropped while we looked
                continue

    def _write_all(self) -> None:
        with beating("policy archive") as pulse:
            while self._write_next(pulse):
                pass

    def _write_next(self, pulse: Pulse) -> bool:
        """Wait for a policy and write it; false when there is none to come."""
        with self._changed:
            while self._next is None and not self._closing:
                pulse.beat("waiting for a policy")
                self._changed.wait(_LOOK_S)
            snapshot = self._next
        if snapshot is not None:
            pulse.beat("writing", _DISK_S)
            self._write(snapshot)
            with self._changed:
                if self._next is snapshot:
                    self._next = None
                self._changed.wait_for(lambda: self._closing, _EVERY_S)
        return snapshot is not None

    def _write(self, snapshot: PolicySnapshot) -> None:
        try:
            self._directory.mkdir(parents=True, exist_ok=True)
            save_snapshot(self._directory / f"{_PREFIX}{snapshot.version:010d}{_SUFFIX}", snapshot)
            for old in sorted(self._directory.glob(f"{_PREFIX}*{_SUFFIX}"))[:-KEPT]:
                old.unlink()
            self.problem = None
        except OSError as error:  # acting needs no archive: it is counted and told, and the robot goes on
            self.errors += 1
            self.problem = f"policy {snapshot.version} could not be kept on disk ({error})"

"""Checkpoints written beside the learning: the loop hands one over and goes on."""

import threading
from pathlib import Path

from rlpd_robot.errors import StoreError
from rlpd_robot.liveness import beating
from rlpd_robot.run.checkpoint import Checkpoint, save_checkpoint

_DISK_S = 120.0  # a slow disk is no hanging thread


class Checkpointer:
    """Writes checkpoints in a thread of its own, one at a time.

    Args:
        directory: of the checkpoints.
        kept: newest ones that stay.

    Attributes:
        written: checkpoints on disk so far.
    """

    def __init__(self, directory: Path, kept: int) -> None:
        self.written = 0
        self._directory, self._kept = directory, kept
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None

    @property
    def busy(self) -> bool:
        """Whether one is on its way to the disk.

        Raises:
            StoreError: the last one could not be written.
        """
        if self._thread is not None and not self._thread.is_alive():
            self._thread = None
        if self._error is not None:
            error, self._error = self._error, None
            raise StoreError(
                self._directory,
                f"a checkpoint cannot be written ({error})",
                "Older ones are whole; make room on the disk and start again with resume=auto.",
            ) from error
        return self._thread is not None

    def write(self, checkpoint: Checkpoint) -> None:
        """Begin to write one; its arrays must not change any more. Not while one is on its way.

        Raises:
            StoreError: the last one could not be written.
        """
        assert not self.busy
        self._thread = threading.Thread(target=self._run, args=(checkpoint,), name="checkpoint writer", daemon=True)
        self._thread.start()

    def wait(self, timeout_s: float) -> bool:
        """Whether nothing is on its way any more, waiting up to `timeout_s`.

        Raises:
            StoreError: the last one could not be written.
        """
        if self._thread is not None:
            self._thread.join(timeout_s)
        return not self.busy

    def _run(self, checkpoint: Checkpoint) -> None:
        try:
            with beating("checkpoint writer") as pulse:
                pulse.beat("writing", _DISK_S)
                save_checkpoint(self._directory, checkpoint, self._kept)
            self.written += 1
        except BaseException as error:
            self._error = error  # raised in the learner's loop by its next look

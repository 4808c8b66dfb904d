"""Every error this toolkit raises on purpose.

Each class takes *data* and writes the sentence itself: what is wrong, where, what was received, and what would have
worked. `cli.py` prints that sentence and exits with status 2; nothing has been written or moved by then.
"""

from collections.abc import Mapping, Sequence

_MOST_DIFFERENCES = 5
_LONGEST = 160  # characters of one


class RlpdRobotError(Exception):
    """Base of all errors that a user can cause and mend."""


class ConfigError(RlpdRobotError, ValueError):
    """A setting is wrong: which key, what it was, what is allowed."""

    def __init__(self, key: str, received: object, expected: str) -> None:
        super().__init__(f"Setting '{key}' must be {expected}. Received {received!r}.")


class SpecError(RlpdRobotError, ValueError):
    """A robot or task description contradicts itself."""

    def __init__(self, where: str, problem: str, expected: str) -> None:
        super().__init__(f"{where}: {problem}. Expected {expected}.")


def in_brief(differences: Sequence[str]) -> str:
    """What differs between two robots and tasks, as part of a sentence.

    Task, horizon and sizes come first, since they say more than a robot's fields.
    """
    first = sorted(differences, key=lambda text: text.startswith("robot."))
    told = [text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…" for text in first[:_MOST_DIFFERENCES]]
    left = len(first) - len(told)
    return "; ".join([*told, f"and {left} more"] if left else told)


class SpecMismatchError(RlpdRobotError, ValueError):
    """Two sides describe different robots or tasks; what differs is named, in brief where it is much.

    Attributes:
        differences: all of them.
    """

    def __init__(self, ours: str, theirs: str, differences: Sequence[str], remedy: str) -> None:
        self.differences = tuple(differences)
        super().__init__(f"{theirs} does not match {ours}: {in_brief(differences)}. {remedy}")


class StoreError(RlpdRobotError, OSError):
    """A demonstration store is missing, damaged, or of another schema."""

    def __init__(self, path: object, problem: str, remedy: str) -> None:
        super().__init__(f"Store {str(path)!r}: {problem}. {remedy}")


class StoreLockedError(RlpdRobotError, BlockingIOError):
    """Another process is writing this store."""

    def __init__(self, path: object, waited_s: float) -> None:
        super().__init__(
            f"Store {str(path)!r} is being written by another process (waited {waited_s:g} s for its lock). "
            "Stop that process, or write to another path."
        )


class DataError(RlpdRobotError, ValueError):
    """Values that must not enter a store, a batch or a robot: NaN, wrong shape, out of range."""

    def __init__(self, where: str, problem: str, expected: str) -> None:
        super().__init__(f"{where}: {problem}. Expected {expected}.")


class ProtocolError(RlpdRobotError, ValueError):
    """A peer sent bytes that are not a message of this protocol."""

    def __init__(self, peer: str, problem: str, expected: str) -> None:
        super().__init__(f"Message from {peer}: {problem}. Expected {expected}.")


class PeerVersionError(RlpdRobotError, ConnectionError):
    """A peer speaks another protocol version."""

    def __init__(self, peer: str, received: object, ours: int) -> None:
        super().__init__(
            f"{peer} speaks protocol version {received!r}, this side speaks {ours}. "
            "Install the same rlpd-robot version on both machines."
        )


class AddressError(RlpdRobotError, OSError):
    """An address cannot be bound or may not be used."""

    def __init__(self, key: str, address: str, problem: str, remedy: str) -> None:
        super().__init__(f"Cannot listen on {address} ('{key}'): {problem}. {remedy}")


class KeyFileError(RlpdRobotError, OSError):
    """A CURVE key file is missing, damaged, readable by others, or in the way."""

    def __init__(self, path: object, problem: str, remedy: str) -> None:
        super().__init__(f"Key file {str(path)!r}: {problem}. {remedy}")


class PeerTimeoutError(RlpdRobotError, TimeoutError):
    """A peer did not answer before the deadline."""

    def __init__(self, peer: str, address: str, waited_s: float, remedy: str) -> None:
        super().__init__(f"No answer from {peer} at {address} within {waited_s:g} s. {remedy}")


class PeerRefusedError(RlpdRobotError, ConnectionRefusedError):
    """A peer answered, and refused: its own sentence is passed on."""

    def __init__(self, peer: str, reason: str) -> None:
        super().__init__(f"{peer} refused: {reason}")


class FaultError(RlpdRobotError, RuntimeError):
    """The robot was stopped and stays stopped until a person has looked."""

    def __init__(self, cause: str, remedy: str) -> None:
        self.cause = cause
        super().__init__(f"Robot stopped: {cause.rstrip('.')}. {remedy}")


class ArmRefusedError(RlpdRobotError, RuntimeError):
    """A person asked to arm the robot while the cause of its fault was still there."""

    def __init__(self, cause: str) -> None:
        super().__init__(f"Not armed, the cause of the fault is still there: {cause.rstrip('.')}.")


class ChildError(RlpdRobotError, RuntimeError):
    """A supervised process ended or hung."""

    def __init__(self, name: str, problem: str, last_words: str) -> None:
        super().__init__(f"Process '{name}' {problem}. Last words: {last_words or '(none)'}")


class MissingPackageError(RlpdRobotError, ModuleNotFoundError):
    """An optional package is not installed; the extra that brings it is named."""

    def __init__(self, package: str, purpose: str, extra: str) -> None:
        super().__init__(
            f"Package '{package}', needed for {purpose}, is not installed. "
            f"Install it with: pip install 'rlpd-robot[{extra}]'"
        )


class NoRenderingError(RlpdRobotError, RuntimeError):
    """This machine cannot draw pictures; everything else works without."""

    def __init__(self, tried: Mapping[str, str]) -> None:
        reasons = "; ".join(f"{backend}: {reason}" for backend, reason in tried.items())
        super().__init__(
            f"No video was made, because nothing here could draw it ({reasons}). Install libosmesa6, "
            "or for a GPU libegl1 with libopengl0, or set MUJOCO_GL to a backend that works."
        )


class ImportSourceError(RlpdRobotError, ValueError):
    """A file of another format is damaged, hostile, or not what it was taken for."""

    def __init__(self, path: object, problem: str, expected: str) -> None:
        super().__init__(f"Source {str(path)!r}: {problem}. Expected {expected}.")


class ExportError(RlpdRobotError, OSError):
    """A file of another format cannot be written."""

    def __init__(self, path: object, problem: str, remedy: str) -> None:
        super().__init__(f"Export {str(path)!r}: {problem}. {remedy}")

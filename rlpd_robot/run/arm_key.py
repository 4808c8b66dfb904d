"""The key of the live view that arms the robot: `a`, then the word, since a slip of a finger must not move metal."""

from rlpd_robot.robot.teleop.terminal import TerminalKeys

WORD = "arm"


class ArmKey:
    """Reads keys from a terminal for as long as the context lasts; from anything else nothing. See `TerminalKeys`.

    Args:
        fd: where keys come from; standard input unless told otherwise.
    """

    def __init__(self, fd: int | None = None) -> None:
        self._keys = TerminalKeys(fd)
        self._typed: str | None = None  # since the key; None: nobody has pressed it

    @property
    def prompt(self) -> str:
        """What to show: the question while it is open, else how to ask for it; "" where no keys are read."""
        if not self._keys.reads:
            return ""
        if self._typed is None:
            return "key a arms the robot after a fault"
        return f"the robot will move: type '{WORD}' and Enter, or Escape: {self._typed}"

    def __enter__(self) -> "ArmKey":
        self._keys.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._keys.__exit__()

    def confirmed(self) -> bool:
        """Whether the word was typed since the last call. Never waits."""
        return any([self._take(key) for key in self._keys.read()])  # every key is taken

    def _take(self, key: str) -> bool:
        if self._typed is None:
            self._typed = "" if key == "a" else None
        elif key == "enter":
            right, self._typed = self._typed == WORD, None
            return right
        elif key == "escape":
            self._typed = None
        elif key == "backspace":
            self._typed = self._typed[:-1]
        elif len(key) == 1:
            self._typed = (self._typed + key)[:20]
        return False

"""Words of `rlpd-robot demos show`."""

from dataclasses import dataclass

GROUPS = ("robot", "task", "safety", "link", "sim", "experiment", "watchdog", "actor")
"""Groups of the other settings that it takes; they matter to the pictures alone."""


@dataclass(frozen=True)
class ShowSettings:
    """What is shown, and where it is written.

    Attributes:
        episodes: to be drawn one by one, as "3", "0,4-7" or "all"; "": those of lowest, median and highest return, and
            the newest.
        out: folder for page and pictures; "": `<task>-<name of the store>` in the working directory.
        film: whether to draw the robot, where a stand-in can play the episodes once more.
    """

    episodes: str = ""
    out: str = ""
    film: bool = True

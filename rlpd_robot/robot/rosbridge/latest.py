"""The newest message of each topic, and when it came: all that the I/O thread writes and the driver reads.

A topic may have several publishers, each with joints of its own: so the newest is kept for each list of joint names.
A message whose stamp is not newer than the one before is the same measurement again, and makes nothing younger.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from rlpd_robot.robot.rosbridge.messages import names_of, ros_version_of, stamp_of

_SOURCES = 16  # lists of joint names on one topic
_HISTORY = 64  # of echoes


@dataclass(frozen=True, slots=True)
class Heard:
    """One message.

    Attributes:
        message: as it came.
        names: joint names in it.
        stamp_s: of its header, in the robot's clock [s]; None: it has none.
        received_s: monotonic time of its arrival here [s].
        count: of measurements on this topic, this one included.
    """

    message: Mapping[str, Any]
    names: tuple[str, ...]
    stamp_s: float | None
    received_s: float
    count: int


class Latest:
    """Slots by topic. `put` is for the I/O thread, all else for the driver's.

    Args:
        names_paths: topic → ways to lists of joint names in its messages.
        kept: topics of which not only the newest is kept.

    Attributes:
        repeated: messages that were the same measurement again.
        ros: version of ROS by the way stamps are written; None: no stamp has come.
    """

    def __init__(self, names_paths: Mapping[str, Iterable[str]], kept: Iterable[str] = ()) -> None:
        self.repeated = 0
        self.ros: int | None = None
        self._paths = {topic: tuple(dict.fromkeys(paths)) for topic, paths in names_paths.items()}
        self._changed = threading.Condition()
        self._awaited: str | None = None
        self._slots: dict[str, dict[tuple[str, ...], Heard]] = {topic: {} for topic in self._paths}
        self._counts = dict.fromkeys(self._paths, 0)
        self._kept: dict[str, deque[Heard]] = {topic: deque(maxlen=_HISTORY) for topic in kept}

    def put(self, topic: str, message: Mapping[str, Any], at_s: float | None = None) -> None:
        """A message came, or tells of `at_s` where that is given. One of a topic that nobody asked for is ignored."""
        paths = self._paths.get(topic)
        if paths is None:
            return
        names = next((found for path in paths if (found := names_of(message, path))), ())
        stamp_s, now = stamp_of(message), time.monotonic() if at_s is None else at_s
        self.ros = ros_version_of(message) or self.ros
        slots = self._slots[topic]
        before = slots.get(names)
        if before is not None and stamp_s is not None and before.stamp_s is not None and stamp_s <= before.stamp_s:
            self.repeated += 1
            return
        with self._changed:
            self._counts[topic] += 1
            heard = Heard(message, names, stamp_s, now, self._counts[topic])
            slots.pop(names, None)
            slots[names] = heard
            if len(slots) > _SOURCES:
                del slots[next(iter(slots))]
            if topic in self._kept:
                self._kept[topic].append(heard)
            if self._awaited in (None, topic):
                self._changed.notify_all()

    def clear(self) -> None:
        """Forget every message; the counts go on."""
        with self._changed:
            for slots in self._slots.values():
                slots.clear()
            for kept in self._kept.values():
                kept.clear()

    def newest(self, topic: str, fits: Callable[[tuple[str, ...]], bool]) -> Heard | None:
        """The newest message of a topic whose joint names fit."""
        with self._changed:
            slots = list(self._slots[topic].items())  # the newest is the last
        return next((heard for names, heard in reversed(slots) if fits(names)), None)

    def history(self, topic: str, until_s: float) -> list[Heard]:
        """The kept messages of a topic that came until then, newest first."""
        with self._changed:
            return [heard for heard in reversed(self._kept[topic]) if heard.received_s <= until_s]

    def names_heard(self, topic: str) -> list[str]:
        """Every joint name heard on a topic."""
        with self._changed:
            return sorted({name for names in self._slots[topic] for name in names})

    def wait(self, ready: Callable[[], bool], deadline_s: float, topic: str | None = None) -> bool:
        """Until it is so, or the deadline; whether it is.

        `ready` is asked after each message; of this topic alone where one is given, since each time takes the
        interpreter from the I/O thread, which has the messages of other topics to take as well.
        """
        with self._changed:
            self._awaited = topic
            while not ready():
                left_s = deadline_s - time.monotonic()
                if left_s <= 0:
                    return False
                self._changed.wait(left_s)
        return True

    def wake(self) -> None:
        """Have whoever waits look again."""
        with self._changed:
            self._changed.notify_all()

"""What topics must say for the robot to move, and the emergency stop's topic."""

import sys
import time

from rlpd_robot.errors import ProtocolError
from rlpd_robot.robot.rosbridge.latest import Heard, Latest
from rlpd_robot.robot.rosbridge.messages import find
from rlpd_robot.robot.rosbridge.settings import Condition


class Requirement:
    """Something that must be so while the robot may move, such as "its controllers follow".

    Args:
        settings: what must stand where.
    """

    def __init__(self, settings: Condition) -> None:
        self.settings = settings

    def broken(self, latest: Latest) -> str | None:
        """In which way it is not so; None: it is."""
        settings = self.settings
        heard = latest.newest(settings.topic, _any)
        if heard is None:
            return f"nothing has come on topic '{settings.topic}', which must say {self._words}"
        if 0 < settings.max_age_s < time.monotonic() - heard.received_s:
            return f"topic '{settings.topic}' is silent, and must say {self._words}"
        value = _value(heard, settings)
        if value == settings.value and isinstance(value, bool) == isinstance(settings.value, bool):
            return None
        return f"topic '{settings.topic}' says {settings.path}={value!r}, and must say {self._words}"

    @property
    def _words(self) -> str:
        return f"{self.settings.path}={self.settings.value!r}"


class EStop:
    """A topic that says when the emergency stop is pressed. A short press counts although it is over when one looks.

    Args:
        settings: what stands where while it is pressed.
    """

    def __init__(self, settings: Condition) -> None:
        self.settings = settings

    def pressed(self, latest: Latest) -> bool:
        """Whether it is pressed now, or silent where it must not be."""
        return self.pressed_since(latest, sys.maxsize)[0] is not None

    def pressed_since(self, latest: Latest, seen: int) -> tuple[str | None, int]:
        """What tells that it is pressed, or was since message number `seen`, and the number of the newest message."""
        settings, now = self.settings, time.monotonic()
        newest = latest.newest(settings.topic, _any)
        if newest is None or 0 < settings.max_age_s < now - newest.received_s:
            silent = settings.max_age_s > 0
            return (f"topic '{settings.topic}' is silent" if silent else None), seen
        told = [heard for heard in latest.history(settings.topic, now) if heard.count > seen] or [newest]
        if any(_value(heard, settings) == settings.value for heard in told):
            return f"topic '{settings.topic}' says {settings.path}={settings.value!r}", newest.count
        return None, newest.count


def _any(names: tuple[str, ...]) -> bool:
    return True


def _value(heard: Heard, settings: Condition) -> object:
    try:
        return find(heard.message, settings.path, settings.topic)
    except ProtocolError:
        return None

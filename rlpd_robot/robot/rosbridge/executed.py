"""Which command a robot behind rosbridge followed when a state was measured, as far as that can be known.

The protocol acknowledges nothing. So, from best to least:

1. `echo` on a topic of the robot's own (a trajectory controller's `state`, say): the newest command whose values the
   robot told before the state came is the one that it followed.
2. `echo` on the command topic itself: the newest command that the server had given to ROS before it sent the state.
3. No echo: the newest command that left here, on a connection that was up and within its time to live, at least
   `transit_s` before the state came.

A command that was dropped, or expired on its way to the socket, counts in none of them.
"""

from collections import deque
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from rlpd_robot.errors import PeerRefusedError, ProtocolError
from rlpd_robot.robot.rosbridge.latest import Heard, Latest
from rlpd_robot.robot.rosbridge.messages import find, names_of, to_numbers
from rlpd_robot.robot.rosbridge.settings import Echo

UNANSWERED = 100
"""Commands written without any of them coming back, after which the robot counts as one that refuses them."""

_KEPT = 64  # commands
_TOLERANCE = 1e-5  # of an element's size, or of 1: an echo may be single precision


class EchoReader:
    """The values of a command in the messages of its echo topic.

    Args:
        settings: where.
        names: of the elements.
        scale: (K,) factor from the command's unit to the message's.
    """

    def __init__(self, settings: Echo, names: Sequence[str], scale: NDArray[np.float64]) -> None:
        self.topic, self._settings = settings.topic, settings
        self._names, self._scale = tuple(names), scale
        self._place: tuple[tuple[str, ...], list[int]] = ((), [])  # names of the last message, and where ours are there

    def read(self, heard: Heard) -> NDArray[np.float64] | None:
        """(K,) in the command's units; None where the message speaks of something else."""
        settings = self._settings
        try:
            numbers = to_numbers(find(heard.message, settings.path, settings.topic), settings.topic, settings.path)
        except ProtocolError:
            return None
        if settings.names_path is not None:
            names = names_of(heard.message, settings.names_path)
            if names != self._place[0]:
                if not set(self._names) <= set(names):
                    return None
                self._place = names, [names.index(name) for name in self._names]
            if len(names) != numbers.size:
                return None
            numbers = numbers[self._place[1]]
        return numbers / self._scale if numbers.shape == self._scale.shape else None


class Executed:
    """The commands of one episode and what is known of their fate.

    Args:
        latest: where echoes arrive.
        echoes: by the slice of the command that each speaks of.
        transit_s: out to the robot and back [s], where there are no echoes.
        peer: for errors.
    """

    def __init__(
        self, latest: Latest, echoes: Mapping[tuple[int, int], EchoReader], transit_s: float, peer: str
    ) -> None:
        self._latest, self._echoes, self._transit_s, self._peer = latest, dict(echoes), transit_s, peer
        self._sent: deque[tuple[int, NDArray[np.float64]]] = deque(maxlen=_KEPT)
        self._written: deque[tuple[int, float]] = deque(maxlen=_KEPT)
        self._unanswered = 0

    def begin(self) -> None:
        """An episode begins: the robot stands under no command."""
        self._sent.clear()
        self._written.clear()
        self._unanswered = 0

    def sent(self, number: int, values: NDArray[np.float64]) -> None:
        """This command (C,) was handed to the connection."""
        self._sent.append((number, values))

    def written(self, number: int, now: float) -> None:
        """In the I/O thread: it has left."""
        self._written.append((number, now))
        self._unanswered += 1

    def at(self, received_s: float) -> int:
        """Number of the command behind a state that came at this time [s]; -1: none.

        Raises:
            PeerRefusedError: commands leave and never come back.
        """
        if self._echoes:
            number = min(self._echoed(place, echo, received_s) for place, echo in self._echoes.items())
        else:
            left = [number for number, left_s in list(self._written) if left_s + self._transit_s <= received_s]
            number = left[-1] if left else -1
        if number != -1 or not self._echoes:
            self._unanswered = 0
        if self._unanswered >= UNANSWERED:
            topics = ", ".join(sorted({echo.topic for echo in self._echoes.values()}))
            raise PeerRefusedError(
                self._peer,
                f"{self._unanswered} commands left and none of them came back on {topics}; a server says nothing of a "
                "wrong field or type, nor a controller of wrong joints",
            )
        return number

    def _echoed(self, place: tuple[int, int], echo: EchoReader, received_s: float) -> int:
        heard = self._latest.history(echo.topic, received_s)
        told = next((values for one in heard if (values := echo.read(one)) is not None), None)
        if told is None:
            return -1
        near, part = _TOLERANCE * np.maximum(1.0, np.abs(told)), slice(*place)
        for number, values in reversed(self._sent):  # the newest that fits, most often one of the last few
            if (np.abs(values[part] - told) <= near).all():  # False for NaN
                return number
        return -1

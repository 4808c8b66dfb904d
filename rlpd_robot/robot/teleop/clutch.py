"""Taking a robot over with a device that stands somewhere else: a leader arm, a glove, a tracked hand."""

import numpy as np
from numpy.typing import ArrayLike, NDArray


class Clutch:
    """From the absolute positions of a device to actions without a bump.

    While it is engaged the action is the device's position plus an offset that was fixed at the moment of engaging, so
    that the robot begins where it is. With `realign` the offset shrinks, so that device and robot come to agree.

    Args:
        size: A.
        realign: how fast the offset shrinks, one number or (A,) [action per poll]; 0: never.
    """

    def __init__(self, size: int, realign: ArrayLike = 0.0) -> None:
        self._realign = np.broadcast_to(np.asarray(realign, np.float64), (size,))
        self._held, self._offset = np.zeros(size), np.zeros(size)
        self._engaged = False

    def begin(self, action: NDArray[np.float32]) -> None:
        """The robot rests where this action (A,) holds it; whoever holds the clutch takes it over there."""
        self._held = action.astype(np.float64)
        self._engaged = False

    def move(self, device: NDArray[np.float64], engaged: bool) -> NDArray[np.float32]:
        """(A,) the action for this position (A,) of the device, finite."""
        if engaged:
            if self._engaged:
                self._offset = self._offset - np.clip(self._offset, -self._realign, self._realign)
            else:
                self._offset = self._held - device
            self._held = np.clip(device + self._offset, -1.0, 1.0)
        self._engaged = engaged
        return self._held.astype(np.float32)

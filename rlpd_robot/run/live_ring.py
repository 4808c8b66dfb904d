"""Where the live ring is held: on the device, or, where that has no room, in the host's memory."""

from typing import Protocol

import jax
import numpy as np

from rlpd_robot.agent.config import AgentConfig
from rlpd_robot.agent.layout import Layout
from rlpd_robot.agent.ring import Ring, add, make_ring
from rlpd_robot.errors import ConfigError
from rlpd_robot.run.host_ring import HostRing
from rlpd_robot.types import Batch

_SHARE = 0.8
"""Of the device's free memory that the ring may take: the agent, its batches and what XLA needs beside come on top."""

_INSERT = 256  # rows of one insertion


class LiveRing(Protocol):
    """The live transitions, for super-steps to draw from.

    Attributes:
        layout: where the agent has to be.
        waited_s: that super-steps had to wait for their rows [s].
    """

    layout: Layout
    waited_s: float

    def wait(self) -> None:
        """Until the rows are where super-steps find them."""

    def add(self, rows: Batch) -> None:
        """Append rows [N]; the oldest give way. N = 0 compiles what later calls run."""

    def source(self, key: jax.Array, demo_rows: int) -> Ring | Batch:
        """What `update_from_rings` draws from, or has been drawn for it, in the super-step that begins with `key`."""

    def columns(self) -> Batch:
        """All rows, in NumPy, by slot."""

    def forget(self) -> None:
        """The agent's key has changed otherwise than by super-steps."""

    def close(self) -> None:
        """Let go of threads."""


class DeviceRing:
    """A ring on the device, or on each device of a mesh."""

    def __init__(self, config: AgentConfig, observation_size: int, action_size: int, layout: Layout) -> None:
        self.layout, self.waited_s = layout, 0.0
        self._ring: Ring = layout.place(make_ring(config.ring_capacity, observation_size, action_size))

    def add(self, rows: Batch) -> None:
        """As `LiveRing.add`."""
        self._ring = add(self._ring, rows, _INSERT)

    def source(self, key: jax.Array, demo_rows: int) -> Ring:
        """The ring: slots are drawn within the super-step."""
        return self._ring

    def columns(self) -> Batch:
        """As `LiveRing.columns`."""
        added, rows = jax.device_get((self._ring.added, self._ring.rows))
        return Batch(*(np.asarray(column)[: int(added)] for column in rows))

    def wait(self) -> None:
        """As `LiveRing.wait`."""
        self._ring.added.block_until_ready()

    def forget(self) -> None:
        """Nothing is drawn ahead."""

    def close(self) -> None:
        """There is no thread."""


def make_live_ring(
    setting: str, config: AgentConfig, observation_size: int, action_size: int, layout: Layout
) -> tuple[LiveRing, str]:
    """An empty ring, and a sentence that says where it is and why.

    Args:
        setting: "device", "host", or "auto": on the device if there is room.
        config, observation_size, action_size: its size.
        layout: the devices.

    Raises:
        ConfigError: it was to be on the device, which has no room.
    """
    needed = ring_bytes(config.ring_capacity, observation_size, action_size)
    free = free_bytes(layout)
    size = f"{config.ring_capacity:,} transitions ({needed / 1e9:.2f} GB)"
    sizes = config, observation_size, action_size, layout
    if holds_on_device(setting, needed, free, size):
        return DeviceRing(*sizes), f"the live ring of {size} is on the device"
    ring = HostRing(*sizes)
    why = "as learner.ring=host says" if setting == "host" else f"the device has {(free or 0) / 1e9:.2f} GB free"
    way = "page-locked buffers" if ring.pinned else "plain memory"
    return ring, f"the live ring of {size} is in the host's memory ({why}); minibatches go ahead through {way}"


def holds_on_device(setting: str, needed: int, free: int | None, size: str) -> bool:
    """Whether the ring goes there.

    Args:
        setting: as of `make_live_ring`.
        needed: by the ring [bytes].
        free: on the device [bytes]; None: it does not tell, as a CPU, whose memory is the host's.
        size: for the sentence.

    Raises:
        ConfigError: as `make_live_ring`.
    """
    fits = free is None or needed <= _SHARE * free
    if setting == "device" and not fits:
        room = f"{size} exceed {_SHARE:.0%} of the {(free or 0) / 1e9:.2f} GB that the device has free"
        raise ConfigError("learner.ring", setting, f"auto or host: {room}")
    return setting != "host" and fits


def free_bytes(layout: Layout) -> int | None:
    """Of the fullest device of a layout; None where devices do not tell."""
    devices = [jax.devices()[0]] if layout.mesh is None else list(layout.mesh.local_mesh.devices.flat)
    known = [stats for stats in (device.memory_stats() for device in devices) if stats and "bytes_limit" in stats]
    return min((stats["bytes_limit"] - stats.get("bytes_in_use", 0) for stats in known), default=None)


def ring_bytes(capacity: int, observation_size: int, action_size: int) -> int:
    """Of a ring [bytes]."""
    return 4 * capacity * (2 * observation_size + action_size + 3)

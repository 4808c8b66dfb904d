"""A live ring in the host's memory, for those that the device has no room for; minibatches are fetched ahead of use.

Slots, and so minibatches, are those that `ring.draw` takes of a ring on the device with the same key.
"""

import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import NamedSharding

from rlpd_robot.agent.config import AgentConfig
from rlpd_robot.agent.layout import Layout, mesh_of
from rlpd_robot.agent.update import live_slots
from rlpd_robot.types import Batch

_PINNED = "pinned_host"
_FETCH_S = 60.0  # longest that gathering one super-step's rows and sending them may take


class _Fetched(NamedTuple):
    rows: Batch  # [U, B - demo_rows], on the device
    demo_rows: int
    key: jax.Array  # that the super-step will leave behind


class HostRing:
    """The last `capacity` transitions, as NumPy columns, and a super-step's minibatches made ready in a thread.

    Two are on the way at any time: one that the device works on, one that is gathered and sent meanwhile, through
    page-locked memory where the device has such. New rows, which change what is drawn, have the latter made anew.

    Args:
        config: gives the sizes of minibatches.
        observation_size, action_size: O and A.
        layout: the devices that the rows go to.

    Attributes:
        layout: the same, explicit where it was JAX's default.
        added: transitions ever added.
        refetches: super-steps whose rows were gathered in vain, as new ones came in between.
        waited_s: that super-steps had to wait for their rows [s].
    """

    def __init__(self, config: AgentConfig, observation_size: int, action_size: int, layout: Layout) -> None:
        capacity = config.ring_capacity

        def zeros(*shape: int) -> np.ndarray:
            return np.zeros((capacity, *shape), np.float32)

        wide = observation_size
        self.rows = Batch(zeros(wide), zeros(action_size), zeros(), zeros(wide), zeros(), zeros())
        self.added = self.refetches = 0
        self.waited_s = 0.0
        self._config, self._capacity = config, capacity
        # Rows that have been sent to a device stay there, and with them all that is computed of them: so the agent has
        # to be placed explicitly from the start, or its second update would find it elsewhere and be compiled anew.
        self.layout = layout if layout.mesh is not None else replace(layout, mesh=mesh_of(jax.devices()[:1], 1, 1))
        self._target = self.layout.everywhere()
        self._staging = None if self.layout.spans else _staging(self._target)
        self._host = _host_device()
        self._key: jax.Array | None = None  # of the next super-step, on the host
        self._ahead: Future[_Fetched] | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="minibatches")

    @property
    def pinned(self) -> bool:
        """Whether rows go through page-locked memory."""
        return self._staging is not None

    @property
    def size(self) -> int:
        """Rows filled."""
        return min(self.added, self._capacity)

    def add(self, rows: Batch) -> None:
        """Append rows [N]; the oldest give way."""
        count = len(rows.reward)
        if not count:
            return
        self._drop()
        kept = min(count, self._capacity)  # of more, the first would be written over
        slots = (self.added + count - kept + np.arange(kept)) % self._capacity
        for column, new in zip(self.rows, rows, strict=True):
            column[slots] = np.asarray(new, np.float32)[count - kept :]
        self.added += count

    def source(self, key: jax.Array, demo_rows: int) -> Batch:
        """Live rows [U, B - demo_rows] of the super-step that begins with `key`, on the device.

        Args:
            key: of the agent's state. It is looked at, which waits for the device, only after `forget`.
            demo_rows: of each minibatch, which are drawn on the device.

        Raises:
            TimeoutError: gathering and sending took longer than a minute.
        """
        began_s = time.perf_counter()
        ahead, self._ahead = self._ahead, None
        fetched = ahead.result(_FETCH_S) if ahead is not None else None
        if fetched is None or fetched.demo_rows != demo_rows:
            if self._key is None:
                words = np.asarray(jax.random.key_data(key))
                self._key = jax.random.wrap_key_data(jax.device_put(words, self._host))
            fetched = self._thread.submit(self._fetch, self._key, demo_rows).result(_FETCH_S)
        self.waited_s += time.perf_counter() - began_s
        self._key = fetched.key
        self._ahead = self._thread.submit(self._fetch, self._key, demo_rows)
        return fetched.rows

    def columns(self) -> Batch:
        """[size] of every column, in NumPy."""
        return Batch(*(column[: self.size] for column in self.rows))

    def wait(self) -> None:
        """Rows are in place when `add` returns."""

    def forget(self) -> None:
        """The key has changed otherwise than by super-steps: cloning, a restart, a trial on a copy."""
        self._drop()
        self._key = None

    def close(self) -> None:
        """Let the thread end."""
        self._drop()
        self._thread.shutdown(wait=True)

    def _drop(self) -> None:
        if self._ahead is not None:
            self._ahead.result(_FETCH_S)  # it reads what will be written now
            self._ahead = None
            self.refetches += 1

    def _fetch(self, key: jax.Array, demo_rows: int) -> _Fetched:
        size = jax.device_put(np.int32(self.size), self._host)
        slots, after = live_slots(key, size, self._config, demo_rows)
        place = np.asarray(slots)
        rows = Batch(*(column[place] for column in self.rows))
        if self._staging is not None:
            rows = jax.device_put(rows, self._staging)
        return _Fetched(self.layout.place(rows), demo_rows, after)


def _staging(target: NamedSharding) -> NamedSharding | None:
    """The same devices' page-locked memory, from which a copy needs no processor; None where there is none."""
    device: Any = next(iter(target.device_set))
    kinds = {memory.kind for memory in device.addressable_memories()}
    return target.with_memory_kind(_PINNED) if _PINNED in kinds else None


def _host_device() -> jax.Device:
    """Where slots are drawn: a busy accelerator would answer only after the super-step that it works on."""
    try:
        return jax.local_devices(backend="cpu")[0]
    except RuntimeError:  # JAX was told to have no other platform
        return jax.local_devices()[0]

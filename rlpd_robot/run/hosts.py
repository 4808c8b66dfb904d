"""Several processes, on one machine or several, that are one learner: how they meet, agree, and take orders.

All of them must put the same programs onto their devices in the same order (JAX calls this multi-controller). What
comes next is known to the first alone, which has the sockets, the store and the budget. So it gives orders, and the
others carry them out. Orders go by the key-value store of JAX's own coordinator, which the processes need anyway: an
idle learner then waits in no collective operation, where a device would spin and time out.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jax

from rlpd_robot.errors import ConfigError, ProtocolError
from rlpd_robot.run.learner_settings import MeshSettings
from rlpd_robot.run.meeting import absent, meet

_GROUP = 256  # orders that are deleted together, once every process has taken them
_LOOK_S = 2.0  # longest wait for an order without a sign of life
_SILENT_S = 60  # after so much silence JAX takes a process for dead, and ends the others
_JOIN_S = 30  # at least, now that all are there
_CLOSE_S = 10


@dataclass(frozen=True)
class Order:
    """What the first process has begun.

    Attributes:
        name: of it.
        payload: whatever belongs to it.
    """

    name: str
    payload: bytes = b""


class Hosts:
    """The processes of one learner, seen from one of them; made by `join`.

    Args:
        mesh: how many there are, and which this is.
        client: of JAX's coordinator.

    Attributes:
        count, index: processes, and which of them this is; 0 gives the orders.
    """

    def __init__(self, mesh: MeshSettings, client: Any) -> None:
        self.count, self.index = mesh.processes, mesh.process
        self._mesh, self._client = mesh, client
        self._next = 0

    def agree(self, facts: Mapping[str, Any]) -> None:
        """Make sure that all processes have the same settings and the same prior data.

        Raises:
            ConfigError: another one has not; all of them say so.
            PeerTimeoutError: one did not tell in time.
        """
        ours = {name: json.dumps(fact, sort_keys=True) for name, fact in facts.items()}
        self._client.key_value_set(f"rlpd/facts/{self.index}", json.dumps(ours))
        for other in range(self.count):
            theirs = json.loads(self._told(f"rlpd/facts/{other}", other))
            for name in sorted(ours.keys() | theirs.keys()):
                if ours.get(name) != theirs.get(name):
                    text = f"{theirs.get(name)} in process {other}"
                    raise ConfigError(name, f"{ours.get(name)} in process {self.index}", f"the same as {text}")

    def order(self, name: str, payload: bytes = b"") -> None:
        """Tell the other processes what this one is about to do.

        Raises:
            PeerTimeoutError: one has not taken its orders for long.
        """
        if self._next % _GROUP == 0 and self._next >= 2 * _GROUP:
            group = self._next // _GROUP - 2
            for other in range(1, self.count):
                self._told(f"rlpd/taken/{other}/{group}", other)
            self._client.key_value_delete(f"rlpd/orders/{group}/")
        self._client.key_value_set_bytes(self._key(), name.encode() + b"\0" + payload)
        self._next += 1

    def next_order(self) -> Order | None:
        """The next one, or None if there was none for a while.

        Raises:
            ProtocolError: the first process is gone.
        """
        try:
            told = self._client.blocking_key_value_get_bytes(self._key(), int(1e3 * _LOOK_S))
        except jax.errors.JaxRuntimeError as error:
            if _is_late(error):
                return None
            raise ProtocolError(
                f"Process 0 of the learner at {self._mesh.coordinator}", "it is gone", "orders"
            ) from error
        name, _, payload = told.partition(b"\0")
        self._next += 1
        if self._next % _GROUP == 0:
            self._client.key_value_set(f"rlpd/taken/{self.index}/{self._next // _GROUP - 1}", "")
        return Order(name.decode(), payload)

    def leave(self) -> None:
        """Part, once all have come here."""
        jax.distributed.shutdown()  # type: ignore[no-untyped-call]

    def _key(self) -> str:
        return f"rlpd/orders/{self._next // _GROUP}/{self._next}"

    def _told(self, key: str, other: int) -> str:
        try:
            told: str = self._client.blocking_key_value_get(key, int(1e3 * self._mesh.wait_s))
        except jax.errors.JaxRuntimeError as error:
            raise absent(self._mesh, f"process {other} of the learner") from error
        return told


def join(mesh: MeshSettings) -> Hosts | None:
    """Meet the other processes; None where this one is alone. Before anything else is asked of JAX's devices.

    Raises:
        AddressError, PeerRefusedError, PeerTimeoutError: as `meet`.
    """
    if mesh.processes == 1:
        return None
    meet(mesh)
    jax.distributed.initialize(
        mesh.coordinator,
        mesh.processes,
        mesh.process,
        cluster_detection_method="deactivate",
        initialization_timeout=max(_JOIN_S, int(mesh.wait_s)),
        heartbeat_timeout_seconds=_SILENT_S,
        shutdown_timeout_seconds=_CLOSE_S,
        coordinator_bind_address=mesh.coordinator,  # by default JAX would listen on every interface
    )
    jax.devices()  # of all: each process waits here for the others
    from jax._src import distributed  # the only way to the store, which JAX's own `multihost_utils` goes too

    return Hosts(mesh, distributed.global_state.client)


def _is_late(error: Exception) -> bool:
    return "DEADLINE_EXCEEDED" in str(error)

"""The processes of one learner wait for each other before JAX is told of them: it ends a process that waits in vain.

Process 0 listens at the address that JAX's own service will have. Each of the others connects, says in a line which it
is, and is kept until all are there; then each is told to go on, and the address is free again.
"""

import contextlib
import socket
import time
from contextlib import ExitStack

from rlpd_robot.errors import AddressError, PeerRefusedError, PeerTimeoutError
from rlpd_robot.run.learner_settings import MeshSettings

_LINE = 64  # bytes of one at most
_LOOK_S = 0.2
_GO = b"go\n"


def meet(mesh: MeshSettings) -> None:
    """Until all processes are there.

    Raises:
        AddressError: process 0 cannot listen at `learner.mesh.coordinator`.
        PeerRefusedError: process 0 expects other processes.
        PeerTimeoutError: not all have come within `learner.mesh.wait_s`.
    """
    deadline_s = time.monotonic() + mesh.wait_s
    if mesh.process == 0:
        _gather(mesh, deadline_s)
    else:
        _come(mesh, deadline_s)


def absent(mesh: MeshSettings, who: str) -> PeerTimeoutError:
    """The sentence about whoever has not come, or takes no orders."""
    return PeerTimeoutError(
        who,
        str(mesh.coordinator),
        mesh.wait_s,
        f"Start all {mesh.processes} with the same words but for learner.mesh.process=0 to {mesh.processes - 1}, "
        "and let them reach process 0 at learner.mesh.coordinator.",
    )


def _gather(mesh: MeshSettings, deadline_s: float) -> None:
    assert mesh.coordinator is not None
    missing = set(range(1, mesh.processes))
    with ExitStack() as stack:
        try:
            server = stack.enter_context(socket.create_server(_address(mesh)))
        except OSError as error:
            remedy = "Give learner.mesh.coordinator an address of this machine and a port that is free."
            raise AddressError("learner.mesh.coordinator", mesh.coordinator, str(error), remedy) from error
        server.settimeout(_LOOK_S)
        there = []
        while missing:
            if time.monotonic() > deadline_s:
                numbers = " and ".join(map(str, sorted(missing)))
                raise absent(mesh, f"process {numbers} of the learner's {mesh.processes}")
            with contextlib.suppress(TimeoutError):
                peer = stack.enter_context(server.accept()[0])
                number = _told(peer, mesh.processes)
                if number in missing:
                    missing.discard(number)
                    there.append(peer)
        for peer in there:
            with contextlib.suppress(OSError):  # it has gone again: its absence will show
                peer.sendall(_GO)


def _told(peer: socket.socket, processes: int) -> int | None:
    """Which it is; None for a stranger, or one of another learner, which is told so."""
    peer.settimeout(_LOOK_S * 5)
    try:
        words = peer.recv(_LINE).split()
        if len(words) == 2 and all(word.isdigit() for word in words):
            if int(words[1]) == processes:
                return int(words[0])
            peer.sendall(f"it is one of {processes}\n".encode())
    except OSError:
        pass
    return None


def _come(mesh: MeshSettings, deadline_s: float) -> None:
    while time.monotonic() < deadline_s:
        answer = _answer(mesh, deadline_s)
        if answer == _GO:
            return
        if answer:
            raise PeerRefusedError(f"Process 0 of the learner at {mesh.coordinator}", answer.decode().strip())
        time.sleep(_LOOK_S)
    raise absent(mesh, f"process 0 of the learner's {mesh.processes}")


def _answer(mesh: MeshSettings, deadline_s: float) -> bytes:
    """What process 0 says once it knows; nothing if it is not there, or not any more."""
    try:
        with socket.create_connection(_address(mesh), timeout=5 * _LOOK_S) as first:
            first.sendall(f"{mesh.process} {mesh.processes}\n".encode())
            first.settimeout(max(_LOOK_S, deadline_s - time.monotonic()))
            return first.recv(_LINE)
    except OSError:
        return b""


def _address(mesh: MeshSettings) -> tuple[str, int]:
    assert mesh.coordinator is not None
    host, _, port = mesh.coordinator.rpartition(":")
    return host.strip("[]"), int(port)

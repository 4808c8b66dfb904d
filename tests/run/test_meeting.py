"""Processes of one learner that wait for each other, as threads here."""

import socket
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from rlpd_robot.errors import AddressError, PeerRefusedError, PeerTimeoutError
from rlpd_robot.run.learner_settings import MeshSettings
from rlpd_robot.run.meeting import meet
from tests.integration.running import free_ports


@pytest.fixture
def mesh() -> MeshSettings:
    return MeshSettings(3, 1, processes=3, coordinator=f"127.0.0.1:{free_ports(1)[0]}", wait_s=20.0)


def test_all_come_in_any_order_among_strangers_and_the_address_is_free_again(mesh: MeshSettings) -> None:
    host, _, port = str(mesh.coordinator).rpartition(":")
    with ThreadPoolExecutor() as threads:
        waiting = [threads.submit(meet, replace(mesh, process=i)) for i in (2, 0)]
        with pytest.raises(PeerRefusedError, match="it is one of 3"):
            meet(replace(mesh, ensemble=2, processes=2, process=1))
        with socket.create_connection((host, int(port)), timeout=5.0) as stranger:
            stranger.sendall(b"GET / HTTP/1.1")
        assert not any(future.done() for future in waiting)
        waiting.append(threads.submit(meet, replace(mesh, process=1)))
        for future in waiting:
            future.result(20.0)
    socket.create_server((host, int(port))).close()


@pytest.mark.parametrize(
    ("process", "who"), [(0, "process 1 and 2 of the learner's 3 at"), (2, "process 0 of the learner's 3 at")]
)
def test_whoever_does_not_come_is_named(mesh: MeshSettings, process: int, who: str) -> None:
    with pytest.raises(PeerTimeoutError, match=rf"^No answer from {who} .* within 1 s\. Start all 3"):
        meet(replace(mesh, process=process, wait_s=1.0))


def test_an_address_that_is_taken_is_named(mesh: MeshSettings) -> None:
    host, _, port = str(mesh.coordinator).rpartition(":")
    with socket.create_server((host, int(port))), pytest.raises(AddressError, match=r"learner\.mesh\.coordinator"):
        meet(mesh)

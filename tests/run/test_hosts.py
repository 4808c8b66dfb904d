"""Orders of a learner's first process to the others, over a store that is a dictionary here."""

from typing import Any

import jax
import pytest

from rlpd_robot.errors import ConfigError, PeerTimeoutError, ProtocolError
from rlpd_robot.run.hosts import Hosts, Order, join
from rlpd_robot.run.learner_settings import MeshSettings

GROUP = 256


class Store:
    """JAX's coordinator."""

    def __init__(self) -> None:
        self.held: dict[str, Any] = {}
        self.failure = "DEADLINE_EXCEEDED: too late"

    def key_value_set(self, key: str, value: str) -> None:
        assert key not in self.held
        self.held[key] = value

    def blocking_key_value_get(self, key: str, timeout_ms: int) -> Any:
        assert timeout_ms > 0
        if key not in self.held:
            raise jax.errors.JaxRuntimeError(self.failure)
        return self.held[key]

    def key_value_delete(self, key: str) -> None:
        self.held = {name: value for name, value in self.held.items() if not name.startswith(key)}

    key_value_set_bytes, blocking_key_value_get_bytes = key_value_set, blocking_key_value_get


def mesh(process: int = 0) -> MeshSettings:
    return MeshSettings(2, 1, processes=2, process=process, coordinator="127.0.0.1:5570", wait_s=5.0)


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def first(store: Store) -> Hosts:
    return Hosts(mesh(0), store)


@pytest.fixture
def second(store: Store) -> Hosts:
    return Hosts(mesh(1), store)


def test_orders_are_taken_in_turn_with_their_payload(first: Hosts, second: Hosts) -> None:
    assert second.next_order() is None
    first.order("receive", b"\0rows\0")
    first.order("end")
    assert second.next_order() == Order("receive", b"\0rows\0")
    assert second.next_order() == Order("end", b"")
    assert second.next_order() is None


def test_orders_that_have_been_taken_are_let_go(store: Store, first: Hosts, second: Hosts) -> None:
    for _ in range(5 * GROUP):
        first.order("step")
        assert second.next_order() == Order("step")
    assert sum(key.startswith("rlpd/orders") for key in store.held) <= 2 * GROUP


def order_steps(first: Hosts, count: int) -> None:
    for _ in range(count):
        first.order("step")


def test_whoever_takes_no_orders_is_named(first: Hosts) -> None:
    with pytest.raises(
        PeerTimeoutError, match=r"process 1 of the learner at 127\.0\.0\.1:5570 within 5 s\. Start all 2"
    ):
        order_steps(first, 3 * GROUP)


def test_a_first_process_that_is_gone_ends_the_others(store: Store, second: Hosts) -> None:
    store.failure = "UNAVAILABLE: connection refused"
    with pytest.raises(ProtocolError, match="Process 0 of the learner"):
        second.next_order()


def test_processes_that_differ_say_in_what(store: Store, first: Hosts, second: Hosts) -> None:
    store.held["rlpd/facts/1"] = '{"run.seed": "0", "run.demos": "7"}'
    with pytest.raises(
        ConfigError, match=r"'run\.seed' must be the same as 0 in process 1\. Received '3 in process 0'"
    ):
        first.agree({"run.seed": 3, "run.demos": 7})
    store.held.clear()
    store.held["rlpd/facts/1"] = '{"run.seed": "3"}'
    first.agree({"run.seed": 3})


def test_a_learner_that_is_one_process_waits_for_nobody() -> None:
    assert join(MeshSettings()) is None


@pytest.mark.parametrize(
    ("key", "settings"),
    [
        ("process", {"processes": 2, "process": 2, "coordinator": "127.0.0.1:1"}),
        ("coordinator", {"processes": 2}),
        ("coordinator", {"processes": 2, "coordinator": "localhost"}),
        ("coordinator", {"processes": 2, "coordinator": "127.0.0.1:0"}),
        ("processes", {"processes": 3, "coordinator": "127.0.0.1:5570"}),
        ("wait_s", {"wait_s": 0.5}),
    ],
)
def test_processes_that_cannot_be_are_refused(key: str, settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=rf"'learner\.mesh\.{key}'"):
        MeshSettings(2, 1, **settings)

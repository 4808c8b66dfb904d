"""A trainer over the devices of several processes: the first one's tells the others' what to do, and does it too."""

import struct
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

import numpy as np
from jax.experimental.multihost_utils import broadcast_one_to_all

from rlpd_robot.agent.config import AgentConfig
from rlpd_robot.agent.layout import ONE_DEVICE, Layout
from rlpd_robot.data.digest import rows_digest
from rlpd_robot.errors import ProtocolError
from rlpd_robot.run.hosts import Hosts, Order
from rlpd_robot.run.trainer import Progress, Trainer
from rlpd_robot.spec import ProblemSpec
from rlpd_robot.types import Batch

_ROWS = 1000  # of one order
_COUNTS = struct.Struct("<qq")


class LeadingTrainer(Trainer):
    """In the first process. Whatever all devices take part in is an order to the others before it is begun here.

    Args:
        hosts: all processes.
        config, problem, demos, seed, layout, ring: as of `Trainer`, and the same in each process.

    Raises:
        ConfigError: as `Trainer`; or another process has other settings or prior data.
    """

    def __init__(
        self,
        hosts: Hosts,
        config: AgentConfig,
        problem: ProblemSpec,
        demos: Batch | None,
        seed: int,
        layout: Layout = ONE_DEVICE,
        ring: str = "auto",
    ) -> None:
        self._hosts, self._telling = hosts, True  # what the others do by themselves as they are made
        hosts.agree(facts_of(config, problem, demos, seed, ring))
        super().__init__(config, problem, demos, seed, layout, ring)
        self._telling = False

    def warm_up(self, from_demos: bool = True) -> float:
        """As `Trainer.warm_up`."""
        with self._ordered("warm_up", b"\1" if from_demos else b"\0"):
            return super().warm_up(from_demos)

    def start_from_demos(self, progress: Progress) -> None:
        """As `Trainer.start_from_demos`; whether to go on is an order as well."""

        def told(share: float) -> bool:
            goes_on = progress(share)
            self._hosts.order("go_on" if goes_on else "leave_it")
            return goes_on

        with self._ordered("start_from_demos"):
            super().start_from_demos(told)

    def receive(self, rows: Batch) -> None:
        """As `Trainer.receive`."""
        for part in _parts(rows):
            with self._ordered("receive", _packed(part)):
                super().receive(part)

    def refill(self, rows: Batch) -> None:
        """As `Trainer.refill`."""
        for part in _parts(rows):
            with self._ordered("refill", _packed(part)):
                super().refill(part)

    def step(self) -> None:
        """As `Trainer.step`."""
        with self._ordered("step"):
            super().step()

    def weights(self) -> tuple[Any, Any]:
        """As `Trainer.weights`."""
        with self._ordered("weights"):
            return super().weights()

    def export_state(self) -> dict[str, Any]:
        """As `Trainer.export_state`."""
        with self._ordered("export_state"):
            return super().export_state()

    def restore(self, arrays: Mapping[str, Any], received: int, critic_updates: int) -> None:
        """As `Trainer.restore`; the others are sent the arrays."""
        self.check(arrays)
        with self._ordered("restore", _COUNTS.pack(received, critic_updates)):
            super().restore(_from_first(self, arrays), received, critic_updates)

    def close(self) -> None:
        """As `Trainer.close`, and let the other processes end."""
        super().close()
        self._hosts.order("end")
        self._hosts.leave()

    @contextmanager
    def _ordered(self, name: str, payload: bytes = b"") -> Iterator[None]:
        """Unless it is a part of what has been ordered already."""
        whole = self._telling
        if not whole:
            self._hosts.order(name, payload)
        self._telling = True
        try:
            yield
        finally:
            self._telling = whole


def follow(trainer: Trainer, hosts: Hosts, beat: Callable[[str], None]) -> None:
    """In the other processes: do with this trainer what the first has begun with its own, to the end.

    Args:
        trainer: made with the same arguments.
        hosts: all processes.
        beat: called with what is done next.

    Raises:
        ProtocolError: the first process is gone, or what it ordered is not known here.
    """
    columns = trainer.problem.observation_size, trainer.actor_size
    while True:
        beat("waiting for orders")
        order = hosts.next_order()
        if order is None:
            continue
        beat(order.name)
        if order.name == "end":
            trainer.close()
            hosts.leave()
            return
        _carry_out(order, trainer, hosts, columns)


def _carry_out(order: Order, trainer: Trainer, hosts: Hosts, columns: tuple[int, int]) -> None:
    match order.name:
        case "receive":
            trainer.receive(_unpacked(order.payload, *columns))
        case "refill":
            trainer.refill(_unpacked(order.payload, *columns))
        case "step":
            trainer.step()
        case "warm_up":
            trainer.warm_up(order.payload == b"\1")
        case "start_from_demos":
            trainer.start_from_demos(lambda share: _goes_on(hosts))
        case "weights":
            trainer.weights()
        case "export_state":
            trainer.export_state()
        case "restore":
            trainer.restore(_from_first(trainer, None), *_COUNTS.unpack(order.payload))
        case _:
            raise ProtocolError("Process 0 of the learner", f"it ordered {order.name!r}", "the same program everywhere")


def facts_of(config: AgentConfig, problem: ProblemSpec, demos: Batch | None, seed: int, ring: str) -> dict[str, Any]:
    """What all processes must have in common, by the setting that it comes from."""
    return {
        "agent": asdict(config),
        "robot": problem.fingerprint,
        "run.demos": None if demos is None else f"{len(demos.reward)} transitions, digest {rows_digest(demos):016x}",
        "run.seed": seed,
        "learner.ring": ring,
    }


def _goes_on(hosts: Hosts) -> bool:
    while (order := hosts.next_order()) is None:
        pass
    if order.name not in ("go_on", "leave_it"):
        raise ProtocolError("Process 0 of the learner", f"it ordered {order.name!r}", "go_on or leave_it")
    return order.name == "go_on"


def _from_first(trainer: Trainer, arrays: Mapping[str, Any] | None) -> dict[str, Any]:
    """The first process's arrays, in every process."""
    shapes = trainer.shapes()
    ours = {name: np.asarray(arrays[name]) if arrays else np.zeros(s.shape, s.dtype) for name, s in shapes.items()}
    sent: dict[str, Any] = broadcast_one_to_all(ours)
    return sent


def _parts(rows: Batch) -> Iterator[Batch]:
    for start in range(0, max(1, len(rows.reward)), _ROWS):
        yield Batch(*(column[start : start + _ROWS] for column in rows))


def _packed(rows: Batch) -> bytes:
    count = len(rows.reward)
    wide = [np.asarray(column, np.float32).reshape(count, -1) if count else np.zeros((0, 1)) for column in rows]
    return np.concatenate(wide, axis=1).tobytes() if count else b""


def _unpacked(payload: bytes, observation_size: int, action_size: int) -> Batch:
    sizes = np.cumsum([observation_size, action_size, 1, observation_size, 1, 1])
    table = np.frombuffer(payload, np.float32).reshape(-1, sizes[-1])
    observation, action, reward, after, bootstrap, is_demo = np.split(table, sizes[:-1], axis=1)
    return Batch(observation, action, reward[:, 0], after, bootstrap[:, 0], is_demo[:, 0])

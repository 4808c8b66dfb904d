"""A trainer that leads and one that follows, in one process: what is ordered is done, once, and in the same order."""

from collections import deque
from typing import Any

import numpy as np
import pytest

from rlpd_robot.errors import ProtocolError
from rlpd_robot.run.hosts import Order
from rlpd_robot.run.trainer_hosts import _packed, _parts, _unpacked, follow
from tests.run.point import PROBLEM
from tests.run.test_trainer import batch


def test_rows_are_what_they_were_on_the_other_side() -> None:
    rows = batch(2300, 1, is_demo=False)
    parts = list(_parts(rows))
    assert [len(part.reward) for part in parts] == [1000, 1000, 300]
    back = [_unpacked(_packed(part), PROBLEM.observation_size, PROBLEM.action_size) for part in parts]
    for name in rows._fields:
        np.testing.assert_array_equal(np.concatenate([getattr(part, name) for part in back]), getattr(rows, name))
    (none,) = _parts(batch(0, 1, is_demo=False))
    assert _unpacked(_packed(none), PROBLEM.observation_size, PROBLEM.action_size).action.shape == (0, 2)


def test_a_follower_does_what_it_is_told_and_ends() -> None:
    orders = deque([Order("step"), None, Order("start_from_demos"), Order("go_on"), Order("leave_it"), Order("end")])
    done: list[Any] = []

    class Hosts:
        def next_order(self) -> Order | None:
            return orders.popleft()

        def leave(self) -> None:
            done.append("left")

    class Trainer:
        problem = PROBLEM
        actor_size = PROBLEM.action_size

        def step(self) -> None:
            done.append("step")

        def start_from_demos(self, progress: Any) -> None:
            done.extend([progress(0.0), progress(0.5)])

        def close(self) -> None:
            done.append("closed")

    trainer: Any = Trainer()
    hosts: Any = Hosts()
    follow(trainer, hosts, lambda doing: None)
    assert done == ["step", True, False, "closed", "left"]
    orders.append(Order("dance"))
    with pytest.raises(ProtocolError, match="'dance'"):
        follow(trainer, hosts, lambda doing: None)

"""When policies leave for actors by the wall clock: not before the device has its next work, and never too late."""

from collections.abc import Callable
from typing import Any

import pytest

from rlpd_robot.run.budget import UpdateBudget
from rlpd_robot.run.course import Course
from rlpd_robot.types import PolicySnapshot

BLOCK = 2


class Learner:
    """In the place of a trainer: writes down what it is asked for."""

    def __init__(self) -> None:
        self.budget = UpdateBudget(1)
        self.budget.receive(100)
        self.happened: list[str] = []

    def step(self) -> None:
        self.budget.spend()
        self.happened.append("step")

    def begin_snapshot(self, version: int) -> Callable[[], PolicySnapshot]:
        self.happened.append(f"{version} leaves")
        trained = self.budget.updates
        return lambda: PolicySnapshot(version, "robot", 100, trained, {})

    def snapshot(self, version: int) -> PolicySnapshot:
        return self.begin_snapshot(version)()

    def export_state(self) -> dict[str, Any]:
        return {}


@pytest.fixture
def learner() -> Learner:
    return Learner()


@pytest.fixture
def course(learner: Learner) -> Course:
    trainer: Any = learner
    course = Course(trainer, BLOCK, 100, lambda policy: learner.happened.append(f"{policy.version} published"))
    course.lockstep = False
    return course


def test_a_policy_is_published_once_the_next_super_step_has_begun(learner: Learner, course: Course) -> None:
    for _ in range(5):
        course.step()
    assert learner.happened == [
        "step", "step", "1 leaves", "step", "1 published", "step", "2 leaves", "step", "2 published"
    ]  # fmt: skip


def test_nothing_that_is_on_its_way_is_overtaken(learner: Learner, course: Course) -> None:
    for _ in range(BLOCK):
        course.step()
    course.publish()
    assert learner.happened[-4:] == ["1 leaves", "1 published", "2 leaves", "2 published"]


def test_a_checkpoint_holds_the_policy_that_was_on_its_way(learner: Learner, course: Course) -> None:
    for _ in range(BLOCK):
        course.step()
    checkpoint = course.capture("agent", "settings")
    assert learner.happened[-1] == "1 published"
    assert checkpoint.policy.version == checkpoint.counters["policy_version"] == 1
    assert checkpoint.policy.critic_updates == BLOCK
    course.send_off()
    assert learner.happened.count("1 published") == 1

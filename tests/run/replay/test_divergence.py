"""Hand-derived differences, and what an observation is made of."""

from dataclasses import replace

import numpy as np
import pytest

from rlpd_robot.robot.fake import FakeTask, fake_spec
from rlpd_robot.run.replay.divergence import DERIVED, Observed, divergence, farthest, what_is_observed
from rlpd_robot.spec import Field, RobotSpec
from rlpd_robot.types import RobotState

SPEC = fake_spec()
STATE = RobotState({"position": np.zeros(2), "velocity": np.zeros(2)}, 0, 0.0, 0.0)


class Mixed(FakeTask):
    """Observes velocity before position, a difference, and a flag."""

    def observe(self, state):
        p, v = state.values["position"], state.values["velocity"]
        return np.array([v[1], p[0], p[0] - p[1], 1.0 if p[0] > 1 else -1.0], np.float32)


def test_elements_are_known_even_where_all_of_them_are_0_at_the_start() -> None:
    found = [str(what) for what in what_is_observed(FakeTask(), STATE, SPEC)]
    assert found == ["position[0]", "position[1]", "velocity[0]", "velocity[1]"]


def test_what_is_no_element_is_derived() -> None:
    found = what_is_observed(Mixed(), STATE, SPEC)
    assert found == [
        Observed("velocity", "1", "m/s"),
        Observed("position", "0", "m"),
        Observed(DERIVED, "2", ""),
        Observed(DERIVED, "3", ""),
    ]


def test_labels_and_scalars() -> None:
    spec = RobotSpec(
        name="arm",
        period_s=0.1,
        state=(Field("angle", (), "float64", "rad"), Field("place", (2,), "float32", "m", labels=("x", "y"))),
        command=SPEC.command,
    )
    state = RobotState({"angle": np.array(0.5), "place": np.array([9.0, 9.0], np.float32)}, 0, 0.0, 0.0)

    class Arm(FakeTask):
        def observe(self, state):
            return np.array([*state.values["place"][::-1], state.values["angle"]], np.float32)

    assert [str(what) for what in what_is_observed(Arm(), state, spec)] == ["place[y]", "place[x]", "angle"]
    assert state.values["angle"] == 0.5


def test_figures_are_those_worked_out_by_hand() -> None:
    recorded = np.zeros((5, 4), np.float32)
    recorded[:, 0] = 1.0
    replayed = recorded[1:].copy()
    replayed[1, 0] += 3.0  # after step 1
    replayed[3, 1] -= 4.0  # after step 3
    replayed[2, 3] += 0.5
    observed = what_is_observed(FakeTask(), STATE, SPEC)
    position, velocity = divergence(recorded, replayed, np.arange(4), observed)
    assert (position.field, position.unit, position.elements) == ("position", "m", 2)
    assert position.rms == pytest.approx(np.sqrt((9 + 16) / 8))
    assert (position.largest, position.worst, position.step) == (4.0, "1", 3)
    assert position.by_step == pytest.approx((0, np.sqrt(9 / 2), 0, np.sqrt(16 / 2)))
    assert position.quarters == pytest.approx(position.by_step)
    assert (velocity.largest, velocity.worst, velocity.step) == (0.5, "1", 2)


def test_steps_that_were_not_seen_are_left_out() -> None:
    recorded = np.arange(10, dtype=np.float32)[:, None] * np.ones(4, np.float32)
    steps = np.array([2, 3, 7])
    (position, velocity) = divergence(recorded, recorded[steps + 1], steps, what_is_observed(FakeTask(), STATE, SPEC))
    assert (position.rms, velocity.largest) == (0.0, 0.0)
    assert divergence(recorded, recorded[:0], steps[:0], []) == []


def test_derived_numbers_come_last_as_one() -> None:
    found = divergence(
        np.zeros((2, 4), np.float32), np.ones((1, 4), np.float32), np.array([0]), what_is_observed(Mixed(), STATE, SPEC)
    )
    assert [(f.field, f.elements) for f in found] == [("velocity", 1), ("position", 1), (DERIVED, 2)]


def test_the_number_that_differs_most() -> None:
    assert farthest(np.zeros(3, np.float32), np.array([0.1, -0.5, 0.2], np.float32)) == (0.5, 1)


def test_a_task_is_not_told_of_another_state_than_it_knows() -> None:
    """Cameras and counters stay as they are."""
    spec = replace(SPEC, state=(*SPEC.state, Field("image", (2, 2), "uint8", "-")))
    image = np.full((2, 2), 7, np.uint8)
    seen = []

    class Looks(FakeTask):
        def observe(self, state):
            seen.append(state.values["image"])
            return super().observe(state)

    what_is_observed(Looks(), replace(STATE, values={**STATE.values, "image": image}), spec)
    assert (seen[0] == 7).all()

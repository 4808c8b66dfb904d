"""Another robot in each episode, and one robot that is not the model."""

from pathlib import Path

import numpy as np
import pytest

from rlpd_robot.config import load
from rlpd_robot.errors import ConfigError
from rlpd_robot.run.dry_run.randomized import ranges_of as asked_of
from sim.hand import AdroitHand
from sim.physics import Delay, Twin
from sim.randomize import Randomizer, Sizes

SIZES = Sizes(3, 4, 5, 2)
ALL = {
    "mass": [0.5, 0.9],
    "friction": [1.2, 1.3],
    "damping": [2.0, 3.0],
    "gain": [0.8, 0.9],
    "joint_friction": [0.01, 0.02],
    "base": [0.001, 0.01],
    "tracker": [-0.01, -0.001],
    "start": [0.01, 0.02],
    "command_delay_s": [0.003, 0.015],
    "observation_delay": [2, 3],
}


def drawn(settings, seed=0, sizes=SIZES):
    return Randomizer(settings, sizes).draw(seed)


def test_everything_is_drawn_from_its_range_by_its_seed() -> None:
    one, again, other = drawn(ALL), drawn(ALL), drawn(ALL, seed=1)
    for name, (low, high) in ALL.items():
        value = np.asarray(getattr(one, name))
        assert ((value >= low) & (value <= high)).all(), name
        np.testing.assert_array_equal(value, getattr(again, name))
        if name != "observation_delay":
            assert not np.array_equal(value, getattr(other, name)), name
            np.testing.assert_array_equal(value, getattr(drawn({name: ALL[name]}), name))  # whatever else is drawn
    assert (len(one.mass), len(one.friction)) == (3, 4)
    assert drawn({"seed": 1, **ALL}).command_delay_s != one.command_delay_s
    randomizer = Randomizer(ALL, SIZES)
    assert randomizer.draw(None).command_delay_s != randomizer.draw(None).command_delay_s


def test_ranges_widen_with_the_episodes() -> None:
    randomizer = Randomizer({"gain": [0.5, 0.5], "base": [1.0, 1.0], "widen": 2}, SIZES)
    seen = [(change.gain[0], change.base[0]) for change in (randomizer.draw(None) for _ in range(4))]
    assert seen == [(1.0, 0.0), (0.75, 0.5), (0.5, 1.0), (0.5, 1.0)]


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"masses": [1, 2]}, "one of the keys seed, widen, mass,"),
        ({"mass": [2, 1]}, "a range"),
        ({"mass": [1]}, "a range"),
        ({"mass": [1, float("nan")]}, "a range"),
        ({"mass": [0, 1]}, "factors above 0"),
        ({"command_delay_s": [-0.1, 1]}, "at least 0"),
        ({"observation_delay": [0, 0.5]}, "whole control periods"),
        ({"mass": [1, 1], "widen": -1}, "a whole number"),
    ],
)
def test_what_means_nothing_is_refused(settings, told) -> None:
    with pytest.raises(ConfigError, match=rf"Setting 'sim.randomize\..*{told}"):
        Randomizer(settings, SIZES)


def test_a_delay_of_commands_is_exact_and_smooth_between_steps() -> None:
    one, half = Delay(2, np.zeros(1)), Delay(2.25, np.zeros(1))
    told = [np.array([value]) for value in (1.0, 2.0, 3.0, 4.0)]
    assert [one.passes(value)[0] for value in told] == [0.0, 0.0, 1.0, 2.0]
    assert [half.passes(value)[0] for value in told] == [0.0, 0.0, 0.75, 1.75]
    one.fill(np.array([9.0]))
    assert one.passes(np.zeros(1))[0] == 9.0


def _moved(hand: AdroitHand, periods: int = 5, seed: int = 3) -> dict[str, np.ndarray]:
    hand.reset(seed)
    hand.write(0.5 * hand.spec.command_high)
    for _ in range(periods):
        hand.advance()
    return hand.read()


def test_a_randomised_hand_is_another_one_in_the_same_scene() -> None:
    plain, hand = AdroitHand("door"), AdroitHand("door", randomize=ALL)
    sizes = Sizes(hand.model.nbody, hand.model.ngeom, hand.model.nv, hand.model.nu)
    change = drawn(ALL, seed=3, sizes=sizes)
    for _ in range(2):  # nothing is left of the draw before
        hand.reset(8)
        hand.reset(3)
        plain.reset(3)
        np.testing.assert_array_equal(hand.snapshot().placement, plain.snapshot().placement)
        np.testing.assert_allclose(hand.model.body_mass, plain.model.body_mass * change.mass)
        np.testing.assert_allclose(hand.model.geom_friction[:, 0], plain.model.geom_friction[:, 0] * change.friction)
        np.testing.assert_allclose(hand.model.dof_damping, plain.model.dof_damping * change.damping)
        np.testing.assert_allclose(hand.model.actuator_gainprm[:, 0], plain.model.actuator_gainprm[:, 0] * change.gain)
        assert hand.model.body_subtreemass[0] < plain.model.body_subtreemass[0]  # what follows from masses
    seen, true = hand.read(), plain.read()
    np.testing.assert_allclose(seen["handle_position"] - true["handle_position"], change.tracker)
    start = np.concatenate([seen["slide_position"], seen["joint_position"]])
    np.testing.assert_allclose(start, np.clip(change.start, *hand.model.jnt_range[: hand.model.nu].T))
    late = change.observation_delay
    _moved(hand, late)
    np.testing.assert_array_equal(np.concatenate([hand.read()["slide_position"], hand.read()["joint_position"]]), start)
    hand.advance()
    assert not np.array_equal(hand.read()["joint_position"], start[1:])
    np.testing.assert_array_equal(
        _moved(hand)["joint_position"], _moved(AdroitHand("door", randomize=ALL))["joint_position"]
    )


def test_a_twin_is_one_robot_and_its_stop_holds_at_once(tmp_path: Path) -> None:
    path = tmp_path / "twin.yaml"
    path.write_text("command_delay_s: 0.02\njoints:\n  FFJ3: {gain: 2.0, friction: 0.05}\n  THJ0: {damping: 3}\n")
    assert Twin.load(path) == Twin({"FFJ3": 2.0}, {"THJ0": 3.0}, {"FFJ3": 0.05}, 0.02)
    hand, plain = AdroitHand("pen", twin=str(path)), AdroitHand("pen")
    finger, thumb = hand.model.actuator("A_FFJ3").id, hand.model.joint("THJ0").dofadr[0]
    assert hand.model.actuator_gainprm[finger, 0] == -hand.model.actuator_biasprm[finger, 1] == 2.0
    assert hand.model.dof_damping[thumb] == pytest.approx(3 * plain.model.dof_damping[thumb])
    assert hand.model.dof_frictionloss[hand.model.joint("FFJ3").dofadr[0]] == 0.05
    start = _moved(hand, 0)["joint_position"]
    for _ in range(2):  # of its delay
        hand.advance()
    unmoved = AdroitHand("pen", twin=str(path))
    unmoved.reset(3)
    for _ in range(2):
        unmoved.advance()
    np.testing.assert_array_equal(hand.read()["joint_position"], unmoved.read()["joint_position"])
    hand.advance()
    assert not np.array_equal(hand.read()["joint_position"], start)
    hand.stop()
    held = hand.data.ctrl.copy()
    hand.advance()
    np.testing.assert_array_equal(hand.data.ctrl, held)
    path.write_text("joints: {elbow: {gain: 1}}")
    with pytest.raises(ConfigError, match=r"sim.twin: joints' must be some of WRJ1, "):
        AdroitHand("pen", twin=str(path))
    path.write_text("joints: {FFJ3: {gain: 2}}")
    randomised = AdroitHand("pen", twin=str(path), randomize={"gain": [1.5, 1.5]})
    randomised.reset(0)
    assert randomised.model.actuator_gainprm[finger, 0] == 3.0  # around the twin


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (None, "a file that `rlpd-robot identify` wrote"),
        ("a: [", "a file that `rlpd-robot identify` wrote"),
        ("[1]", "a file of the keys robot, command_delay_s, joints"),
        ("command_delay_s: -1", "a number of at least 0"),
        ("joints: {FFJ3: {gian: 1}}", "one of gain, damping, friction"),
        ("joints: {FFJ3: {gain: 0}}", "a number above 0"),
        ("joints: {FFJ3: 1}", "by joint, some of"),
    ],
)
def test_a_file_that_is_no_twin_is_refused(text, told, tmp_path: Path) -> None:
    path = tmp_path / "twin.yaml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ConfigError, match=rf"Setting 'sim.twin.*{told}"):
        Twin.load(path)


def test_a_dry_run_draws_from_what_the_run_says_before_what_it_says_itself() -> None:
    settings, _ = load("dry_run", [])
    assert set(asked_of(settings)) == set(ALL)
    settings, _ = load("dry_run", ["sim.randomize.mass=[1,2]", "sim.randomize.widen=9"])
    assert asked_of(settings) == {"mass": [1.0, 2.0]}
    assert asked_of(load("dry_run", ["robot=shadow_hand", "task=fields"])[0]) == {}
    AdroitHand("pen", randomize=asked_of(load("dry_run", [])[0]))

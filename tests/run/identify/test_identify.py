"""Hidden parameters of a robot, found again from a store of its motion; and what is refused."""

import json
from pathlib import Path

import numpy as np
import pytest
import yaml

from rlpd_robot import cli
from rlpd_robot.data.demo_store import StoreWriter
from rlpd_robot.robot.task import ActionMap, problem_of
from rlpd_robot.robot.teleop.wander import WanderTeleop
from rlpd_robot.types import Command, RobotState, Segment
from sim.hand import AdroitHand
from sim.physics import Twin
from sim.tasks.registry import make_task

JOINTS = ("FFJ2", "FFJ1", "FFJ0")  # that move; a test of all takes minutes
NOISE = 3e-4  # [rad, m] standard deviation in all that is observed: an encoder of 14 bits


def hidden(path: Path) -> Path:
    """A robot that is not the model."""
    rng = np.random.default_rng(3)
    ranges = {"gain": (0.7, 1.4), "damping": (0.7, 1.5), "friction": (0.02, 0.05)}
    joints = {name: {key: float(rng.uniform(*ends)) for key, ends in ranges.items()} for name in JOINTS}
    path.write_text(yaml.safe_dump({"command_delay_s": 0.017, "joints": joints}))
    return path


def record(path: Path, twin: Path | None, episodes: int, steps: int) -> Path:
    """A store of small motions of these joints."""
    hand, task = AdroitHand("door", twin=None if twin is None else str(twin)), make_task("door")
    source, actions = WanderTeleop(hand.spec, reach=0.3, quickest_hz=8.0), ActionMap.of(hand.spec)
    moves = np.isin([label for f in hand.spec.command for label in f.labels], JOINTS)

    rng = np.random.default_rng(1)

    def observe():
        seen = task.observe(RobotState(hand.read(), 0, 0.0, 0.0))
        return seen + rng.normal(0.0, NOISE, seen.shape).astype(np.float32)

    with StoreWriter(path, problem_of(task, hand.spec)) as writer:
        for number in range(episodes):
            hand.reset(number)
            source.begin(np.zeros(hand.spec.command_size, np.float32))
            seen, done = [observe()], []
            for _ in range(steps):
                source.see(seen[-1])
                command = np.where(moves, actions.to_command(source.poll().action).values, 0.0)
                done.append(actions.to_action(Command(command)))
                hand.write(actions.to_command(done[-1]).values)
                hand.advance()
                seen.append(observe())
            acted, no = np.array(done), np.zeros(steps, np.bool_)
            columns = (np.zeros(steps, np.float32), no, no, np.zeros(steps, np.uint16), np.full(steps, -1))
            stamps = np.zeros((steps, 4))
            head = ("boot", number * steps, number, 0, np.array(seen), acted, acted)
            writer.append(Segment(*head, *columns, stamps, "truncated", "time limit"))
    return path


def test_hidden_parameters_are_found_within_a_tenth(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = record(tmp_path / "motion.zarr", hidden(tmp_path / "hidden.yaml"), 1, 40)
    found = tmp_path / "twins" / "found.yaml"
    words = ["identify", str(store), f"out={found}", "window=10", "max_delay=2.5"]
    assert cli.main([*words, "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    true, twin = Twin.load(tmp_path / "hidden.yaml"), Twin.load(found)
    assert twin.command_delay_s == pytest.approx(true.command_delay_s, rel=0.1)
    for key in ("gain", "damping", "friction"):
        assert getattr(twin, key) == pytest.approx(getattr(true, key), rel=0.1), key
    for one in said["joints"].values():
        assert one["held_out_after"] < 2 * NOISE < one["held_out_before"]  # of two readings, and nothing else
    assert said["unsure"] == said["unexplained"] == []
    assert cli.main(words) == 2
    assert "a file that is not there yet" in capsys.readouterr().err


@pytest.fixture(scope="module")
def short(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return record(tmp_path_factory.mktemp("stores") / "short.zarr", None, 1, 3)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["robot=ur5e", "task=fields"], "robot 'ur5e' has no model that can be fitted"),
        (["robot=adroit_pen", "task=pen"], "does not match The model of robot 'adroit_pen'"),
        (["episodes=9"], "numbers below 1"),
        (["windo=9"], "one of the keys out, episodes, periods, window, max_delay"),
        (["window=1"], "at least 5"),
    ],
)
def test_what_cannot_be_identified_is_told(words, told, short: Path, tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.main(["identify", str(short), *words]) == 2
    said = capsys.readouterr().err
    assert told in said
    assert said.count("\n") == 1
    assert not (tmp_path / "twins").exists()

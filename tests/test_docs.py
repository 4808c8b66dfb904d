"""Every block of the documents is run by a test, or says why not; those that no other test has are run here."""

import json
import re
import sys
import time
from pathlib import Path
from typing import Any

import msgpack
import numpy as np
import pytest
import yaml
import zmq

from rlpd_robot.data.demo_store import DemoStore
from rlpd_robot.data.importers.topic_map import TopicMap
from rlpd_robot.data.layout import META_COLUMNS, data_columns
from rlpd_robot.robot.rosbridge.settings import Step, parse_list
from rlpd_robot.robot.teleop.axes import AxisMap
from rlpd_robot.robot.teleop.source import Following, Resting, TeleopSource
from rlpd_robot.run.conversion_settings import ImportSettings
from rlpd_robot.run.demos_import import problem_of_settings
from rlpd_robot.run.keys import run_keys
from rlpd_robot.spec import Field, RobotSpec
from rlpd_robot.types import RobotState
from tests.documents import ALL, NOT_RUN, OURS, PAGES, ROOT, TESTED, Block, block_of, lines

COMMANDS = (*OURS, "python", "pip", "sudo", "docker", "cd", "export", "ros2", "systemctl", "ssh")


@pytest.mark.parametrize("block", ALL, ids=str)
def test_a_block_is_run_or_says_why_not(block: Block) -> None:
    assert block.language in ("sh", "python", "yaml", "json", "text"), f"{block}: of which language?"
    if block.mark.startswith(TESTED):
        test = ROOT / block.mark.removeprefix(TESTED)
        assert block.page.name in test.read_text() or "README.md" in block.page.name or "own_robot" in test.name, block
    elif block.mark.startswith(NOT_RUN):
        assert len(block.mark) > len(NOT_RUN) + 10, f"{block}: which reason?"
    elif block.language == "sh":
        others = [line.words[0] for line in lines(block) if line.words[0] not in OURS]
        assert not others, f"{block}: nobody runs {others}; mark it with '<!-- {NOT_RUN}reason -->'"
    else:
        assert block.mark == "", f"{block}: what is {block.mark!r}?"
        assert block.language == "text", f"{block}: nobody reads it; mark it with '<!-- {TESTED}file -->'"
        assert not [line for line in block.text.splitlines() if line.split(" ")[0] in COMMANDS], f"{block}: it is sh"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.parent.name + "/" + page.name)
def test_no_block_hides_in_an_indentation(page: Path) -> None:
    outside = re.sub(r"^ *```.*?^ *```$", "", page.read_text(), flags=re.M | re.S)
    assert re.findall(r"^ {4,}\S.*", outside, re.M) == []


def test_the_arrays_of_a_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (ROOT / "docs" / "stores.md").read_text()
    store = DemoStore.open(ROOT / "demos" / "adroit_pen" / "demos.zarr")
    columns = {column.key for column in (*data_columns(store.problem), *META_COLUMNS)}
    rows = re.findall(r"^\| (`(?:data|meta)/.*?) \|", page.partition("## On the disk")[2], re.M)
    assert {key for row in rows for key in re.findall(r"`(\S+?)`", row)} == columns
    (tmp_path / "mine.zarr").symlink_to(ROOT / "demos" / "adroit_pen" / "demos.zarr")
    monkeypatch.chdir(tmp_path)
    known: dict[str, Any] = {}
    exec(block_of("stores.md", "import zarr"), known)
    assert np.array_equal(known["observations"], store.episode(3).observations)
    assert np.array_equal(known["actions"], store.episode(3).actions)


def test_the_steps_of_a_reset_through_ros() -> None:
    steps = parse_list(Step, yaml.safe_load(block_of("rosbridge.md", "- call:")), "reset")
    assert [kind for step in steps for kind in vars(step) if vars(step)[kind]] == ["call", "say", "switch", "home"]


def test_the_files_of_an_import(tmp_path: Path) -> None:
    topics = TopicMap.from_yaml(yaml.safe_load(block_of("demonstrations.md", "observation:")))
    assert {"/joint_states", "/wrench", "/position_controller/commands", "/reward", "/episode"} == topics.topics
    path = tmp_path / "problem.yaml"
    path.write_text(block_of("demonstrations.md", "task: reach"))
    problem = problem_of_settings(ImportSettings(problem=str(path)))
    assert (problem.task, problem.observation_size, problem.robot.period_s) == ("reach", 5, 0.02)


def test_the_description_of_a_robot_on_the_link() -> None:
    assert RobotSpec.from_json(json.loads(block_of("robot_link.md", '{"name"'))).command_size == 6


def test_the_keys_of_a_keyboard() -> None:
    recipe = yaml.safe_load(block_of("recording.md", "_target_:"))
    arm = Field("target", (3,), "float64", "rad", (-1.0,) * 3, (1.0,) * 3, ("shoulder", "elbow", "jaw"))
    axes = AxisMap(recipe["axes"], RobotSpec(name="arm", period_s=0.02, state=(arm,), command=(arm,)))
    assert {way.removeprefix("-") for way in recipe["keys"].values()} == set(axes.names)


def test_a_device_of_ones_own() -> None:
    known: dict[str, Any] = {}
    exec(block_of("recording.md", "class MyDevice"), known)
    device = known["MyDevice"](spec=None)
    for protocol in (TeleopSource, Resting, Following):
        for name, member in vars(protocol).items():
            assert name.startswith("_") or not callable(member) or callable(getattr(device, name)), name
    assert (device.help(), device.stats(), device.person) == ({"stick": "forward"}, {}, True)


def test_a_device_that_publishes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with zmq.Context() as context, context.socket(zmq.SUB) as recorder:
        recorder.subscribe(b"")
        port = recorder.bind_to_random_port("tcp://127.0.0.1")
        deadline = time.monotonic() + 20

        def read_my_arm() -> list[float]:
            assert time.monotonic() < deadline
            if recorder.poll(10):
                raise EOFError  # the page's loop has no end
            return [0.5, -0.25]

        known: dict[str, Any] = {"read_my_arm": read_my_arm, "pedal_is_down": lambda: True}
        with pytest.raises(EOFError):
            exec(block_of("recording.md", "import time, msgpack").replace("5570", str(port)), known)
        assert msgpack.unpackb(recorder.recv()) == {"v": 1, "position": [0.5, -0.25], "enabled": True}
        assert run_keys(tmp_path / "keys") == 0
        monkeypatch.chdir(tmp_path)
        exec(block_of("recording.md", "import zmq.auth"), known)
        assert known["socket"].mechanism == zmq.CURVE
        known["socket"].context.destroy(linger=0)


def test_a_task_is_held_to_its_promises(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT / "docs" / "examples" / "own_robot")
    import reach  # type: ignore[import-not-found]

    joints = Field("joint_position", (3,), "float64", "rad", (-1.0,) * 3, (1.0,) * 3)
    spec = RobotSpec(name="arm", period_s=0.05, state=(joints,), command=(joints,))
    state = RobotState({"joint_position": np.zeros(3)}, 1, 0.0, 0.0)
    known = {"task": reach.Reach("reach", [0.1, 0.2, 0.3], 100), "spec": spec, "state": state}
    exec(
        block_of("tasks.md", "from rlpd_robot"),
        {**known, "state": RobotState({"joint_position": np.zeros(3)}, 1, 0.0, 0.0)},
    )
    del sys.modules["reach"]

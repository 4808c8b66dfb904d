from dataclasses import replace as changed

import numpy as np
import pytest

from rlpd_robot.data.demo_store import StoreWriter
from rlpd_robot.errors import ConfigError, SpecMismatchError
from rlpd_robot.run.replay_source import replay
from tests.data.episodes import make_episode, make_problem

PROBLEM = make_problem()


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    path = tmp_path_factory.mktemp("replay") / "demos.zarr"
    with StoreWriter(path, PROBLEM) as writer:
        for i in range(2):
            writer.append(make_episode(i + 1))
    return str(path)


@pytest.mark.parametrize("proposed", [False, True])
def test_the_actions_of_one_episode_come_again(store, proposed):
    source = replay(PROBLEM.robot, store, 1, proposed)
    source.begin(np.zeros(3, np.float32))
    episode = make_episode(2)
    expected = episode.proposed_actions if proposed else episode.actions
    assert np.array_equal([source.poll().action for _ in range(len(expected))], expected)


@pytest.mark.parametrize(
    ("path", "episode", "key"), [(None, 0, "store"), ("", 2, "episode"), ("", -1, "episode"), ("", "x", "episode")]
)
def test_what_cannot_be_played(store, path, episode, key):
    with pytest.raises(ConfigError, match=rf"'teleop\.{key}' must be"):
        replay(PROBLEM.robot, store if path == "" else path, episode)


def test_actions_of_another_robot_are_refused(store):
    """As many of them do not make it the same robot."""
    robot = PROBLEM.robot
    wider = changed(robot.command[0], high=tuple(2 * v for v in robot.command[0].high))
    with pytest.raises(SpecMismatchError, match=r"robot\.command.*\.high.*replay it on its own robot"):
        replay(changed(robot, command=(wider, *robot.command[1:])), store)
    with pytest.raises(SpecMismatchError, match=r"robot\.period_s"):
        replay(changed(robot, period_s=2 * robot.period_s), store)
    assert replay(changed(robot, name="renamed", state=robot.state[:1]), store)

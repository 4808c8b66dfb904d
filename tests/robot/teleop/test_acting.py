import numpy as np
import pytest

from rlpd_robot.errors import ConfigError, DataError, StoreError
from rlpd_robot.robot.fake import fake_spec
from rlpd_robot.robot.teleop.acting import ReplayTeleop, scripted, trained
from rlpd_robot.robot.teleop.source import Event
from tests.run.point import save_policy

SPEC = fake_spec()


def halves(observation):
    """A script: half of the first two numbers that it sees."""
    return observation[:2] / 2


def test_a_script_answers_what_it_sees():
    source = scripted(SPEC, f"{__name__}.halves")
    source.begin(np.array([0.1, 0.2], np.float32))
    assert source.poll().action.tolist() == pytest.approx([0.1, 0.2])  # it has seen nothing yet
    source.see(np.array([0.5, -1.0, 9, 9], np.float32))
    sample = source.poll()
    assert sample.action.tolist() == [0.25, -0.5]
    assert (sample.enabled, sample.events, source.person) == (True, (), False)


@pytest.mark.parametrize("name", [None, "", "nowhere.act", f"{__name__}.nothing", f"{__name__}.SPEC"])
def test_a_script_that_is_not_there(name):
    with pytest.raises(ConfigError, match=r"teleop.function' must be the dotted name of a function"):
        scripted(SPEC, name)


def test_a_trained_policy_acts(tmp_path):
    source = trained(SPEC, str(save_policy(tmp_path / "policy.npz")))
    source.begin(np.zeros(2, np.float32))
    source.see(np.array([0.5, -0.5, 0, 0], np.float32))
    assert source.poll().action.tolist() == pytest.approx([np.tanh(-1.0), np.tanh(1.0)])
    assert source.version == 3


def test_a_policy_that_does_not_fit(tmp_path):
    path = str(save_policy(tmp_path / "policy.npz"))
    with pytest.raises(ConfigError, match="a policy with 3 actions; this one has 2"):
        trained(fake_spec(size=3), path)
    with pytest.raises(StoreError, match="there is no such policy file"):
        trained(SPEC, str(tmp_path / "none.npz"))
    with pytest.raises(ConfigError, match=r"'teleop\.noise' must be a finite number of at least 0\. Received -1"):
        trained(SPEC, path, noise=-1.0)
    with pytest.raises(ConfigError, match=r"teleop.policy"):
        trained(SPEC)


@pytest.mark.parametrize(("success", "word"), [(True, Event.SUCCESS), (False, Event.FAILURE)])
def test_a_replay_plays_each_action_once_and_says_how_it_ended(success, word):
    actions = np.array([[0.1, 0.2], [0.3, 0.4]], np.float32)
    source = ReplayTeleop(SPEC, actions, success)
    for _ in range(2):
        assert source.poll().action.tolist() == source.poll().action.tolist()  # between episodes nothing is played
        source.begin(np.zeros(2, np.float32))
        played = [source.poll() for _ in range(4)]
        assert [sample.action.tolist() for sample in played] == [
            *actions.tolist(),
            actions[1].tolist(),
            actions[1].tolist(),
        ]
        assert [sample.events for sample in played] == [(), (word,), (), ()]


@pytest.mark.parametrize("shape", [(0, 2), (3, 4), (2,)])
def test_a_replay_of_another_size(shape):
    with pytest.raises(DataError, match="its actions have shape"):
        ReplayTeleop(SPEC, np.zeros(shape, np.float32), True)

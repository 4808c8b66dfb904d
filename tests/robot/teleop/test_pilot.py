import numpy as np
import pytest

from rlpd_robot.errors import ConfigError, FaultError
from rlpd_robot.robot.teleop.pilot import Pilot
from rlpd_robot.robot.teleop.source import Event, TeleopSample

STANCE = np.array([0.25, -0.5], np.float32)


class Puppet:
    """A source that tells what it is set to."""

    name, person = "puppet", True

    def __init__(self) -> None:
        self.action, self.enabled, self.events, self.stamp = np.zeros(2, np.float32), True, (), 0.0
        self.begun: list[list[float]] = []
        self.rested: list[list[float]] = []
        self.followed: list[list[float]] = []

    def begin(self, action):
        self.begun.append(action.tolist())

    def rest(self, action):
        self.rested.append(action.tolist())

    def follow(self, action):
        self.followed.append(action.tolist())

    def poll(self):
        events, self.events = self.events, ()
        return TeleopSample(self.action, self.enabled, events, self.stamp)


def pilot(**options):
    puppet, heard = Puppet(), []
    return puppet, heard, Pilot(puppet, heard.append, lambda: STANCE, clock=lambda: 10.0, **options)


def act(flown):
    return flown.act(np.zeros(3, np.float32), False).tolist()


def test_the_source_begins_where_the_robot_stands_once_an_episode():
    puppet, _, flown = pilot(silent_s=60.0)
    for _ in range(2):
        flown.begin()
        act(flown)
        act(flown)
    assert puppet.begun == [STANCE.tolist()] * 2


def test_a_released_switch_holds_the_last_action_that_counted():
    puppet, _, flown = pilot(silent_s=60.0)
    puppet.enabled = False
    puppet.action = np.array([0.9, 0.9], np.float32)
    assert act(flown) == STANCE.tolist()  # not held yet: the robot stays where it stands
    puppet.enabled = True
    assert act(flown) == puppet.action.tolist()
    puppet.action, puppet.enabled = np.array([-0.9, 0.1], np.float32), False
    assert act(flown) == pytest.approx([0.9, 0.9])
    assert not flown.enabled


def test_a_robot_that_lags_behind_stays_where_it_is_when_the_switch_is_let_go():
    """The safety filter slows it down: it must not go on to where the person wanted it to be."""
    puppet, _, flown = pilot(silent_s=60.0)
    puppet.action = np.array([0.9, 0.9], np.float32)
    assert act(flown) == puppet.action.tolist()
    flown.executed(np.array([0.3, -0.5], np.float32))
    assert act(flown) == puppet.action.tolist()
    flown.executed(np.array([0.4, -0.5], np.float32))
    puppet.enabled = False
    assert act(flown) == pytest.approx([0.4, -0.5])
    flown.executed(np.array([0.41, -0.5], np.float32))
    assert act(flown) == pytest.approx([0.4, -0.5])
    assert puppet.rested == [pytest.approx([0.4, -0.5])]  # and the device goes on from there
    flown.begin()
    assert act(flown) == STANCE.tolist()  # nothing of the last episode is left
    assert len(puppet.rested) == 1
    assert puppet.followed == [pytest.approx([x, -0.5]) for x in (0.3, 0.4, 0.41)]


def test_a_released_switch_stops_where_that_was_asked_for():
    puppet, _, flown = pilot(release="stop", silent_s=60.0)
    puppet.enabled = False
    act(flown)  # it has not been held yet
    puppet.enabled = True
    act(flown)
    puppet.enabled = False
    with pytest.raises(FaultError, match="^Robot stopped: dead-man released: the switch of 'puppet' was let go"):
        act(flown)
    flown.begin()
    act(flown)


@pytest.mark.parametrize("release", ["hold", "stop"])
def test_a_silent_device_is_a_released_switch(release):
    puppet, heard, flown = pilot(release=release, silent_s=0.5)
    puppet.stamp = 9.5
    act(flown)
    puppet.stamp, puppet.events = 9.4, (Event.QUIT,)
    with pytest.raises(FaultError, match=r"dead-man released: 'puppet' has been silent for 0\.6 s"):
        act(flown)
    assert heard == [Event.QUIT]  # a word counts all the same
    assert not flown.enabled


def test_a_person_is_heard_in_order():
    puppet, heard, flown = pilot(silent_s=60.0)
    puppet.events = (Event.UNDO, Event.START)
    flown.look()
    flown.look()
    assert heard == [Event.UNDO, Event.START]


def test_another_release_is_refused():
    with pytest.raises(ConfigError, match=r"record\.release"):
        pilot(release="explode")

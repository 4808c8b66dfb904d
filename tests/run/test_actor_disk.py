"""An actor whose disk refuses in the midst of an episode: the robot stops, nothing executed is lost, and it is said."""

import contextlib
import errno
import os

import numpy as np
import pytest

from rlpd_robot.errors import FaultError
from rlpd_robot.policy.base import ScriptedPolicy
from rlpd_robot.robot.control_loop import ControlLoop
from rlpd_robot.robot.fake import FakeDriver, FakeTask
from rlpd_robot.robot.safety import SafetyLimits, SafetySettings
from rlpd_robot.robot.task import problem_of
from rlpd_robot.run.journal_watch import JournalWatch
from rlpd_robot.timing import ManualClock
from rlpd_robot.types import Segment
from rlpd_robot.wire.intake import LearnerIntake
from rlpd_robot.wire.journal import Journal
from rlpd_robot.wire.messages import EpisodeEnd
from rlpd_robot.wire.sockets import ANY_PORT
from rlpd_robot.wire.uplink import ActorUplink
from tests.wire.waiting import wait_until


class Recorder:
    """What an actor does with the loop's data."""

    def __init__(self, uplink, watch, disk_fails):
        self.uplink, self.watch, self.disk_fails = uplink, watch, disk_fails

    def on_transition(self, transition):
        if transition.step == 5:
            self.disk_fails()
        self.uplink.offer(Segment.from_transitions([transition]))
        self.watch.look()

    def on_episode(self, summary):
        self.uplink.end_episode(summary.episode, summary.ending, summary.cause)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EROFS])
def test_the_robot_stops_and_what_it_did_is_delivered(tmp_path, monkeypatch, code):
    def refuse(*arguments):
        raise OSError(code, os.strerror(code))

    driver, task = FakeDriver(), FakeTask()
    problem = problem_of(task, driver.connect(1.0))
    limits = SafetyLimits.from_settings(SafetySettings(), problem.robot)
    with (
        contextlib.closing(LearnerIntake(ANY_PORT, "run", lambda found: None, lambda boot: 0)) as learner,
        contextlib.closing(Journal(tmp_path, 10)) as journal,
        contextlib.closing(ActorUplink(learner.address, "boot", problem, True, journal)) as uplink,
    ):
        watch = JournalWatch(journal, uplink.tell)
        recorder = Recorder(uplink, watch, lambda: monkeypatch.setattr(os, "write", refuse))
        policy = ScriptedPolicy(lambda observation: np.zeros(2, np.float32))
        loop = ControlLoop(driver, task, problem, limits, lambda: policy, "boot", ManualClock(), subscribers=[recorder])
        with pytest.raises(FaultError, match=rf"the disk refuses \({os.strerror(code)}\)"):
            loop.run_episode(0, seed=1, explore=False)
        assert driver.stops >= 5
        assert not watch.has_room()
        monkeypatch.undo()
        got = []
        wait_until(lambda: got.extend(learner.poll(0.01)) or (got and isinstance(got[-1], EpisodeEnd)))
        assert [piece.first_sequence for piece in got[:-1]] == list(range(6)) == list(range(len(driver.sent)))
        assert (got[-1].ending, got[-1].sequence) == ("truncated", 6)
        assert os.strerror(code) in got[-1].cause
        wait_until(watch.has_room)
    with contextlib.closing(Journal(tmp_path, 10, problem.fingerprint)) as again:
        assert again.pending() == [("boot", 0, 6, True)]

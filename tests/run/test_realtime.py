"""What is asked of the operating system, what is said when it refuses, and that the real one does it."""

import errno
import os
import subprocess
import sys

import pytest

from rlpd_robot.errors import ConfigError
from rlpd_robot.run.realtime import Linux, check_core, come_first, go_last
from rlpd_robot.run.settings import ActorSettings, LearnerSettings


class Recorded:
    """Two threads, one of which ends when it is looked at; refuses what it is told to."""

    def __init__(self, *refused):
        self.done, self._refused = [], refused

    def cores(self):
        return {0, 3}

    def threads(self):
        return [7, 8]

    def _ask(self, what, thread, *arguments):
        if what in self._refused:
            raise PermissionError(errno.EPERM, "Operation not permitted")
        if thread == 8:
            raise ProcessLookupError(errno.ESRCH, "No such process")
        self.done.append((what, thread, *arguments))

    def pin(self, thread, core):
        self._ask("pin", thread, core)

    def prioritise(self, thread, priority):
        self._ask("prioritise", thread, priority)

    def lock_memory(self):
        self._ask("lock", None)

    def be_nice(self, thread, nice):
        self._ask("nice", thread, nice)


def test_everything_permitted_is_done_for_every_thread_and_nothing_said():
    system = Recorded()
    assert come_first(3, 20, system) == []
    assert system.done == [("pin", 7, 3), ("prioritise", 7, 20), ("lock", None)]


def test_nothing_is_asked_where_nothing_is_wanted():
    system = Recorded("pin", "prioritise", "lock", "nice")
    assert come_first(None, 0, system) == []
    go_last(0, system)
    assert system.done == []


def test_what_is_not_permitted_is_told_in_one_line_each_and_the_rest_is_done():
    system = Recorded("prioritise")
    (line,) = come_first(3, 20, system)
    assert line.startswith("not permitted: actor.realtime_priority=20 (Operation not permitted); ticks are as late")
    assert "\n" not in line
    assert system.done == [("pin", 7, 3)]  # memory is locked for real-time processes only
    system = Recorded("pin", "lock")
    pinned, locked = come_first(3, 20, system)
    assert pinned == "not permitted: actor.cpu=3 (Operation not permitted); the actor runs on any core"
    assert locked.startswith("not permitted: to lock memory (Operation not permitted)")
    assert system.done == [("prioritise", 7, 20)]


def test_a_core_that_is_not_there_is_refused():
    check_core(None, Recorded())
    check_core(3, Recorded())
    with pytest.raises(ConfigError, match=r"'actor.cpu' must be null, or one of the cores \[0, 3\]. Received 1"):
        check_core(1, Recorded())


@pytest.mark.parametrize(("settings", "values"), [(ActorSettings, (-1, 99)), (LearnerSettings, (-1, 20))])
def test_settings_out_of_range_are_refused(settings, values):
    key = "realtime_priority" if settings is ActorSettings else "nice"
    for value in values:
        with pytest.raises(ConfigError, match=key):
            settings(**{key: value})


def run(program):
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.skipif(sys.platform != "linux", reason="Linux's own calls")
def test_linux_does_it_to_threads_that_run_and_threads_to_come():
    core = max(Linux().cores())
    program = f"""
import os, threading
from rlpd_robot.run.realtime import come_first, go_last
told, go = [], threading.Event()
def tell():
    go.wait(30)
    told.append((os.sched_getaffinity(0), os.getpriority(os.PRIO_PROCESS, threading.get_native_id())))
before = threading.Thread(target=tell); before.start()
assert come_first({core}, 0) == []
go_last(5)
after = threading.Thread(target=tell); after.start(); go.set()
before.join(); after.join()
assert told == [({{{core}}}, os.getpriority(os.PRIO_PROCESS, 0))] * 2, told
print(told[0][1])
"""
    assert int(run(program)) == 5


@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="takes a right that root has")
def test_linux_gives_real_time_priority_where_it_is_permitted():
    program = """
import os, resource
from rlpd_robot.run.realtime import come_first
problems = come_first(None, 11)
print(problems or (os.sched_getscheduler(0) == os.SCHED_FIFO, os.sched_getparam(0).sched_priority))
"""
    said = run(program)
    assert said.strip() == "(True, 11)" or "not permitted" in said  # a container's root may have lost the right

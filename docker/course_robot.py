"""The robot profile before a robot that is none: nothing moves before a person arms; the rest is as in the sim profile.

The robot is a program of its own at the host's loopback: over ZeroMQ with keys (check_robot/arm.py), or the arm of
`robot=ros2_control_arm` behind the rosbridge stand-in, which the health check of the rosbridge service is asked of.
"""

import json
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from course_record import record_by_hand
from looking import delivered_once, kill_and_recover, learns, row, say, start, stop_in_order, wait
from processes import Processes

from rlpd_robot.robot.book import Outcome, new_records

HERE = Path(__file__).parent
LEARNER, ACTOR, OPERATOR = "robot-learner", "robot-actor", "robot-operator"
NOBODY_LOOKED = "started again without a person's look"
PRIORITY = 20
DEMO = "demos/mine.zarr"
SETTLES_S = 0.3


@dataclass(frozen=True)
class FarEnd:
    """A robot.

    Attributes:
        configs: what its user has put into configs/.
        environment: and into .env.
        words: its program, given where its book is to be and where its keys are.
        check: of a service that stands before it; empty: none.
        recorded: whether demonstrations are recorded on it first.
    """

    configs: Path
    environment: Mapping[str, str]
    words: Callable[[Path, Path], list[str]]
    check: tuple[str, ...] = ()
    recorded: bool = False


ZMQ = FarEnd(
    HERE / "check_robot" / "zmq",
    {},
    lambda book, keys: [
        *(sys.executable, str(HERE / "check_robot" / "arm.py"), "tcp://127.0.0.1:5560"),
        *(str(book), str(keys)),
    ],
    recorded=True,
)
ROSBRIDGE = FarEnd(
    HERE / "check_robot" / "rosbridge",
    {"ROBOT_LINK": "tcp://127.0.0.1:9090"},
    lambda book, keys: [
        *(sys.executable, "-m", "rlpd_robot", "sim", "robot=ros2_control_arm", "+stand_in@robot.stand_in=joints"),
        *("link.robot=tcp://127.0.0.1:9090", "sim.lockstep=false", f"sim.book={book}"),
    ],
    check=(sys.executable, str(HERE / "rosbridge_check.py")),
)


def check(place: Processes, robot: FarEnd, folder: Path) -> None:
    """The whole course.

    Args:
        place: where, with the robot's configs and environment.
        robot: that is driven.
        folder: for its book.

    Raises:
        AssertionError: something did not hold, or not in time.
    """
    book = folder / "robot.book"
    if robot.check:
        status, text = place.ask_beside([*robot.check])
        assert status == 1, f"nothing listens, and the health check has status {status}: {text}"
        say(f"before its start: {text.strip()}")
    place.start_beside("robot", robot.words(book, place.keys_for("a-robot", "robot.key_secret", "actor.key")))
    if robot.check:
        wait("rosbridge is well", lambda: place.ask_beside([*robot.check])[0] == 0)
    if robot.recorded:
        record_by_hand(place, "robot-record", DEMO, OPERATOR)
    before = executed(book)
    start(place, LEARNER, ACTOR, "dashboard")
    await_arming(place, book, before)
    arm(place)
    learns(place, LEARNER, 0, lambda: arm_after_a_fault(place))
    say(place.run(OPERATOR, "status", place.directory(ACTOR))[1])
    say(f"the actor's process is scheduled as {priority(place)}")
    moved = executed(book)
    reached = kill_and_recover(
        place, LEARNER, place.kill_process, "its process", LEARNER, meanwhile=lambda: arm_after_a_fault(place)
    )
    say(f"  the robot carried out {executed(book) - moved} commands meanwhile")

    moved_by_then: list[int] = []

    def kill(name: str) -> None:
        place.kill_container(name)
        moved_by_then.append(settled(book))

    def arm_it() -> None:
        await_arming(place, book, moved_by_then[0])
        arm(place)

    kill_and_recover(place, ACTOR, kill, "its container", LEARNER, reached, arm_it, lambda: arm_after_a_fault(place))
    stop_in_order(place, "dashboard", ACTOR, LEARNER)
    delivered_once(place, LEARNER, OPERATOR)
    place.end_beside()


def await_arming(place: Processes, book: Path, before: int) -> None:
    """Until the actor says that it waits for a person; the robot has followed nothing meanwhile."""
    wait("the actor waits for a person", lambda: NOBODY_LOOKED in fault(place))
    assert executed(book) == before, f"the robot carried out {executed(book) - before} commands before a person armed"
    say("  nothing has moved the robot")


def arm(place: Processes) -> None:
    """As a person does."""
    status, text = place.run(OPERATOR, "arm", "link.keys=/run/secrets")
    say(f"armed: {text.strip()}")
    assert status == 0, text


def arm_after_a_fault(place: Processes) -> None:
    """A busy machine may well hold the actor up for longer than a robot bears; a person looks, and arms again."""
    if row(place, LEARNER).get("actor/armed") == 0 and fault(place):
        status, text = place.run(OPERATOR, "arm", "link.keys=/run/secrets")
        say(f"  a fault; armed again (status {status}): {text.strip()}")


def fault(place: Processes) -> str:
    """Of the actor; empty: none, or it does not answer."""
    status, text = place.run(OPERATOR, "status", place.directory(ACTOR), "--json")
    assert status == 0, text
    return str(json.loads(text)["actor"]["fault"] or "")


def executed(book: Path) -> int:
    """How many commands the robot has carried out, by its own book."""
    return int((new_records(book, 0)["outcome"] == Outcome.EXECUTED).sum())


def settled(book: Path) -> int:
    """The same, once what was on its way has arrived: some seconds pass before another actor is connected."""
    before, now = -1, executed(book)
    while now != before:
        time.sleep(SETTLES_S)
        before, now = now, executed(book)
    return now


def priority(place: Processes) -> str:
    """How the actor's process is scheduled, and what it says was not permitted.

    Raises:
        AssertionError: it was given its limits, and is not scheduled by the promised priority.
    """
    told = place.within(ACTOR, "chrt", "--pid", str(place.pid(ACTOR)))
    said = [line.strip() for line in place.read(f"{place.directory(ACTOR)}/logs/actor.log").splitlines()]
    refused = [line for line in said if line.startswith("not permitted")]
    if place.limits:
        assert "SCHED_FIFO" in told, f"{told} {refused}"
        assert f"priority: {PRIORITY}" in told, told
        assert not refused, refused
        return f"SCHED_FIFO {PRIORITY}, within its limits"
    assert refused, "it had no right to real-time priority, and has not said so"
    return f"an ordinary one, since this machine lets nobody raise limits, and it says so: {refused[0]}"

"""When faults begin and end, and what they do to a robot, in lock-step time and through a real server."""

import json
import os
import threading

import numpy as np
import pytest

from rlpd_robot.errors import ConfigError
from rlpd_robot.robot.book import Outcome, read_book
from rlpd_robot.wire import messages as m
from sim.faults import events
from sim.faults.plan import Plan
from sim.faults.robot import FaultyRobot
from sim.faults.sensing import Noise, SensorFault
from sim.faults.server import FaultyServer
from tests.robot.robots import TellingRobot
from tests.robot.test_server import controlling
from tests.sim.faults.test_sensing import SPEC

ORDER = {"kind": "reflex", "seconds": 1e6}


def active(plan, now_s):
    plan.step(now_s)
    return [type(fault).__name__ for fault in plan.active(SensorFault)]


def test_a_script_is_kept_to_the_period():
    script = [{"kind": "bias", "at_s": 0.2, "seconds": 0.3}, {"kind": "noise"}]
    plan = Plan(SPEC, script)
    seen = [active(plan, round(0.1 * i, 6)) for i in range(7)]
    assert seen == [["Noise"], ["Noise"], *[["Bias", "Noise"]] * 3, ["Noise"], ["Noise"]]


def test_random_faults_come_at_their_rate_and_are_the_same_again():
    def begins(seed):
        plan = Plan(SPEC, [{"kind": "noise", "per_minute": 60, "seconds": 0.1}], seed)
        return [i for i in range(6000) if any(isinstance(f, Noise) for f in plan.step(0.1 * i))]

    first = begins(1)
    assert first == begins(1) != begins(2)
    assert 450 < len(first) < 650  # 1/s over 600 s, none while one is active


def test_one_more_fault_changes_nothing_of_the_others():
    def noise(script):
        robot = FaultyRobot(_Still(), Plan(SPEC, script, 3))
        robot.advance()
        return robot.read()["joint_position"]

    alone = noise([{"kind": "noise"}])
    np.testing.assert_array_equal(alone, noise([{"kind": "noise"}, {"kind": "noise", "fields": ["ball"]}]))


def test_orders_are_taken_whole_and_those_of_before_are_not(tmp_path):
    orders, log = tmp_path / "orders", tmp_path / "log"
    orders.write_text('{"kind": "noise", "name": "of before"}\n')
    plan = Plan(SPEC, orders=orders, log=log)
    assert active(plan, 0.0) == []
    with open(orders, "a") as file:
        file.write('{"kind": "bias", "name": "mine", ')
        file.flush()
        assert active(plan, 0.1) == []
        file.write('"seconds": 0.2}\n')
        file.flush()
        assert [active(plan, t) for t in (0.2, 0.3, 0.41)] == [["Bias"], ["Bias"], []]
    plan.close()
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert [(line["what"], line["name"], line["pid"]) for line in lines] == [
        ("begin", "mine", os.getpid()),
        ("end", "mine", os.getpid()),
    ]
    assert lines[0]["stamp_s"] <= lines[1]["stamp_s"]


def test_what_goes_nowhere_is_refused(tmp_path):
    for settings, sentence in (
        ({"scrpt": []}, "one of the keys seed, script, orders, log"),
        ({"script": "noise"}, "a list of entries"),
        ({"script": [{"kind": "nois"}]}, r"sim.faults.script\[0\].kind"),
        ({"orders": str(tmp_path / "none" / "orders")}, "paths of files to write"),
    ):
        with pytest.raises(ConfigError, match=sentence):
            Plan.of(settings, SPEC)
    assert Plan.of({"seed": 3, "script": [], "orders": None, "log": None}, SPEC) is None


class _Still:
    """Notes down what is done to it."""

    spec = SPEC

    def __init__(self):
        self.done = []

    def read(self):
        return {"joint_position": np.arange(3.0), "ball": np.zeros(2, np.float32), "presses": np.array(0)}

    def write(self, values):
        self.done.append(values.tolist())

    def advance(self):
        self.done.append("advance")

    def reset(self, seed):
        self.done.append("reset")

    def stop(self):
        self.done.append("stop")


def test_commands_go_through_the_motors_faults_and_a_stop_goes_past_them():
    inner = _Still()
    robot = FaultyRobot(inner, Plan(SPEC, [{"kind": "actuator_delay", "periods": 1}]))
    robot.advance()
    for value in (0.1, 0.2):
        robot.write(np.full(3, value))
        robot.advance()
    robot.stop()
    robot.advance()
    robot.write(np.full(3, 0.3))
    robot.advance()
    told = [item[0] if isinstance(item, list) else item for item in inner.done]
    # Nothing that was under way to the motors comes out after the stop.
    assert told == ["advance", 0.1, "advance", 0.1, "advance", "stop", "advance", 0.3, "advance"]


def test_a_reflex_stops_and_lets_no_command_through_until_it_is_over():
    inner = _Still()
    robot = FaultyRobot(inner, Plan(SPEC, [{"kind": "reflex", "at_s": 0.1, "seconds": 0.2}]))
    reasons = []
    for _ in range(4):
        robot.write(np.zeros(3))
        robot.advance()
        reasons.append(robot.stopped_because)
    assert reasons == ["", "controller reflex (cartesian_reflex)", "controller reflex (cartesian_reflex)", ""]
    told = ["write" if isinstance(item, list) else item for item in inner.done]
    assert told == ["write", "advance", "stop", "advance", "advance", "write", "advance"]


def test_an_e_stop_shows_in_its_field():
    robot = FaultyRobot(_Still(), Plan(SPEC, [{"kind": "e_stop", "field": "presses", "at_s": 0.1, "seconds": 0.1}]))
    pressed = []
    for _ in range(3):
        robot.advance()
        pressed.append((int(robot.read()["presses"]), bool(robot.stopped_because)))
    assert pressed == [(0, False), (1, True), (0, False)]


def test_death_and_hang_strike_once(monkeypatch):
    struck = []
    monkeypatch.setattr(events.os, "kill", lambda pid, number: struck.append("kill"))
    monkeypatch.setattr(events.time, "sleep", struck.append)
    plan = Plan(SPEC, [{"kind": "death", "at_s": 0.1}, {"kind": "hang", "at_s": 0.2, "for_s": 0.5}])
    for i in range(5):
        plan.step(round(0.1 * i, 6))
    assert struck == ["kill", 0.5]


class _Served:
    """A faulty robot behind a server in lock-step, in a thread; `orders` go to its plan."""

    def __init__(self, tmp_path, script=()):
        self.orders, self.book = tmp_path / "orders", tmp_path / "book"
        self.robot = TellingRobot()
        plan = Plan(self.robot.spec, script, orders=self.orders)
        self.server = FaultyServer(FaultyRobot(self.robot, plan), "tcp://127.0.0.1:*", True, book=self.book)
        self._stop, self._thread = threading.Event(), None

    def __enter__(self):
        self._thread = threading.Thread(target=self.server.run, args=(self._stop,))
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join(10)
        self.server.close()

    def order(self, **entry):
        with open(self.orders, "a") as file:
            file.write(json.dumps(entry) + "\n")

    def outcomes(self):
        return [Outcome(r["outcome"]).name for r in read_book(self.book)]


def _reset(controller, state):
    controller.number += 1
    controller.say(m.Reset(controller.boot, controller.number, state.sequence, None))
    return controller.next()


def test_a_robot_that_stops_by_itself_refuses_with_its_reason_until_a_reset(tmp_path):
    with _Served(tmp_path) as served, controlling(served.server.address) as c:
        state = c.start()
        served.order(kind="reflex", seconds=0.05)  # 2.5 periods; in lock-step one passes with each request
        c.command(state.sequence, 0.1)
        state = c.next()
        c.command(state.sequence, 0.2)
        refused = c.next()
        assert isinstance(refused, m.Refused)
        assert "controller reflex (cartesian_reflex), and it follows no command before a reset" in refused.reason
        assert served.outcomes()[-2:] == ["STOP", "NOT_RESET"]
        assert served.robot.written == 0
        answers = [_reset(c, state)]
        while isinstance(answers[-1], m.Refused) and len(answers) < 9:
            answers.append(_reset(c, state))
        assert "does not move before this is over: controller reflex" in answers[0].reason
        assert isinstance(answers[-1], m.State)


def test_every_command_twice_is_followed_once(tmp_path):
    with _Served(tmp_path, [{"kind": "duplication", "share": 1.0, "by_s": 0.0, "way": "commands"}]) as served:
        with controlling(served.server.address) as c:
            state = c.start()
            for i in range(5):
                c.command(state.sequence, 0.1 * i)
                number = c.last_command
                while not (isinstance(state := c.next(), m.State) and state.reply_to >= number):
                    pass
        assert served.outcomes().count("EXECUTED") == 5
        # The first was taken before the fault began; of the last, the second copy may still be on its way.
        assert served.outcomes().count("REPEATED") >= 3


def test_a_wrong_clock_changes_what_is_told_and_not_what_is_fresh(tmp_path):
    with _Served(tmp_path, [{"kind": "clock_jump", "by_s": -100.0, "at_s": 0.03}]) as served:
        with controlling(served.server.address) as c:
            state, stamps = c.start(), []
            for _ in range(4):
                c.command(state.sequence, 0.1)
                state = c.next()
                stamps.append(state.stamp_s)
        steps = np.diff(stamps)
        assert sorted(np.round(steps, 6).tolist()) == [-99.98, 0.02, 0.02]
        assert served.outcomes().count("EXECUTED") == 4

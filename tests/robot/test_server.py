import contextlib
import os
import re
import signal
import time

import msgpack
import numpy as np
import pytest
import zmq

from rlpd_robot.errors import AddressError, ConfigError, SpecError, StoreError
from rlpd_robot.robot.book import Outcome, read_book
from rlpd_robot.robot.server import FRESH_PERIODS, RobotServer
from rlpd_robot.spec import Field
from rlpd_robot.wire import messages as m
from rlpd_robot.wire.codec import Message, encode_single
from rlpd_robot.wire.security import Security
from tests.robot.robots import TellingRobot, served_by_a_process, serving

DEADLINE_S = 20.0


class Controller:
    """Speaks the protocol by hand, to say what a driver never would."""

    def __init__(self, address: str, boot: str = "controller-a") -> None:
        self.boot, self.number = boot, 0
        self.context = zmq.Context()
        self.socket = self.context.socket(zmq.DEALER)
        self.socket.setsockopt(zmq.LINGER, 0)
        self.socket.connect(address)

    def say(self, message) -> None:
        self.socket.send(m.to_bytes(message))

    def next(self, timeout_s: float = DEADLINE_S):
        assert self.socket.poll(1e3 * timeout_s), "no answer"
        return m.from_bytes(self.socket.recv(), "server")

    def greet(self):
        self.say(m.Hello(self.boot))
        return self.next()

    def start(self):
        """Shake hands and reset, so that the robot may move; the state after the reset."""
        welcome = self.greet()
        seen = -1 if welcome.lockstep else self.now().sequence
        while True:
            self.number += 1
            self.say(m.Reset(self.boot, self.number, seen, seed=7))
            state = self.next()
            while isinstance(state, m.State) and state.reply_to < self.number and state.sequence < seen + 3:
                state = self.next()
            assert isinstance(state, m.State), state
            if state.reply_to >= self.number:
                return state
            seen = state.sequence  # it was refused as stale: this machine is busy

    def command(self, state_sequence: int, value: float, boot: str | None = None) -> None:
        self.number += 1
        self.last_command = self.number
        values = np.full(2, value)
        self.say(m.CommandMessage(boot or self.boot, self.number, state_sequence, values))

    def greet_again(self) -> None:
        self.say(m.Hello(self.boot))

    def refusal(self):
        """The first refusal among what has come and comes."""
        message = self.next()
        while not isinstance(message, m.Refused):
            message = self.next()
        return message

    def ping(self) -> None:
        self.number += 1
        self.say(m.Ping(self.boot, self.number))

    def state_where(self, condition):
        """The first state that fulfils the condition, pinging so that they keep coming."""
        deadline = time.monotonic() + DEADLINE_S
        while time.monotonic() < deadline:
            self.ping()
            message = self.next()
            if isinstance(message, m.State) and condition(message):
                return message
        raise AssertionError("no such state")

    def now(self):
        """A state measured after this call."""
        self.ping()
        number = self.number
        return self.state_where(lambda state: state.reply_to >= number)

    def close(self) -> None:
        self.context.destroy(linger=0)


@contextlib.contextmanager
def controlling(address: str, boot: str = "controller-a"):
    controller = Controller(address, boot)
    try:
        yield controller
    finally:
        controller.close()


def wait_until(condition) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        os.sched_yield()


def test_lockstep_answers_each_command_with_the_state_after_it():
    with serving(TellingRobot(), lockstep=True) as server, controlling(server.address) as c:
        welcome = c.greet()
        assert welcome.lockstep
        assert welcome.spec == TellingRobot().spec
        c.say(m.Reset(c.boot, 1, -1, seed=7))
        first = c.next()
        assert (first.reply_to, int(first.values["seed"])) == (1, 7)
        c.number = 1
        for i in range(5):
            c.command(first.sequence + i, 0.1 * i)
            state = c.next()
            assert (state.reply_to, state.sequence) == (c.number, first.sequence + i + 1)
            assert int(state.values["periods"]) == i + 1
            assert state.values["target"][0] == 0.1 * i
            assert state.stamp_s == pytest.approx(state.sequence * 0.02)
        assert server.stats()["executed"] == 5


def test_lockstep_answers_again_without_moving_again():
    with serving(TellingRobot(), lockstep=True) as server, controlling(server.address) as c:
        c.start()
        c.command(1, 0.5)
        c.number -= 1
        c.command(1, 0.5)
        assert c.next().sequence == c.next().sequence == 2
        assert server.stats()["executed"] == 1


def test_lockstep_refuses_a_command_that_answers_another_state():
    with serving(TellingRobot(), lockstep=True) as server, controlling(server.address) as c:
        c.start()
        c.command(3, 0.5)
        assert c.next() == m.Refused("a command answers state 3, the robot is at 1", request=c.number)
        assert server.stats()["executed"] == 0


def test_real_time_moves_on_and_executes_a_fresh_command():
    with serving(TellingRobot(0.05), lockstep=False) as server, controlling(server.address) as c:
        c.start()
        c.state_where(lambda s: int(s.values["periods"]) > 3)
        wait_until(lambda: c.command(c.now().sequence, 0.25) or server.stats()["executed"] > 0)
        assert c.state_where(lambda s: int(s.values["written"]) > 0).values["target"].tolist() == [0.25, 0.25]


def test_a_command_that_answers_an_old_state_is_refused():
    with serving(TellingRobot(), lockstep=False) as server, controlling(server.address) as c:
        old = c.start().sequence
        c.state_where(lambda s: s.sequence > old + FRESH_PERIODS + 1)
        c.command(old, 0.5)
        c.command(10**6, 0.5)  # of a state that never was
        c.command(-1, 0.5)
        assert int(c.now().values["written"]) == 0
        assert server.stats()["refused_stale"] == 3


def test_commands_out_of_order_or_from_another_boot_are_refused():
    with serving(TellingRobot(0.2), lockstep=False) as server, controlling(server.address) as c:
        c.start()
        fresh = c.now().sequence
        c.number -= 1
        c.command(fresh, 0.5)  # the ping had this number
        c.command(fresh, 0.5, boot="another")
        refusal = c.next()
        while isinstance(refusal, m.State):
            refusal = c.next()
        assert "does not know this controller" in refusal.reason
        assert int(c.now().values["written"]) == 0
        assert server.stats()["refused_order"] == 1
        assert server.stats()["strangers"] == 1


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        (np.array([0.0, np.nan]), "command element 1 is nan, outside [-1, 1]"),
        (np.array([np.inf, 0.0]), "command element 0 is inf, outside [-1, 1]"),
        (np.array([0.0, -1.001]), "command element 1 is -1.001, outside [-1, 1]"),
        (np.zeros(3), "a command has shape (3,) and dtype float64, not (2,) and float64"),
        (np.zeros(2, np.float32), "a command has shape (2,) and dtype float32, not (2,) and float64"),
    ],
)
def test_an_impossible_command_is_refused_with_its_reason(values, sentence):
    with serving(TellingRobot(), lockstep=True) as server, controlling(server.address) as c:
        c.start()
        c.say(m.CommandMessage(c.boot, 2, 1, values))
        assert c.next() == m.Refused(sentence, request=2)
        assert server.stats()["executed"] == 0


def test_without_fresh_commands_the_robot_is_stopped_once():
    robot = TellingRobot(0.05)
    with serving(robot, lockstep=False) as server, controlling(server.address) as c:
        c.start()
        wait_until(lambda: c.command(c.now().sequence, 0.25) or server.stats()["executed"] > 0)
        first = c.state_where(lambda s: int(s.values["stopped"]) > 0)
        later = c.state_where(lambda s: s.sequence > first.sequence + 10)
        assert int(later.values["stopped"]) == 1
        assert later.values["target"].tolist() == [0.25, 0.25]
    assert robot.stopped == 2  # once more when the server ends


def test_commands_issued_while_the_server_was_frozen_are_never_executed():
    with served_by_a_process(0.02, lockstep=False) as (process, address), controlling(address) as c:
        c.start()
        last = c.now()
        os.kill(process.pid, signal.SIGSTOP)
        _, status = os.waitpid(process.pid, os.WUNTRACED)
        assert os.WIFSTOPPED(status)
        while c.socket.poll(0):  # what it said before it froze
            message = m.from_bytes(c.socket.recv(), "server")
            last = message if isinstance(message, m.State) else last
        before = int(last.values["written"])
        frozen_s = time.monotonic()
        for _ in range(20):
            c.command(last.sequence, 0.9)
        wait_until(lambda: time.monotonic() > frozen_s + 2 * FRESH_PERIODS * 0.02)
        os.kill(process.pid, signal.SIGCONT)
        later = c.state_where(lambda s: s.sequence > last.sequence + 5 and s.reply_to > 20)
        assert int(later.values["written"]) == before
        assert later.values["target"].tolist() == [0.0, 0.0]


def test_a_second_controller_is_refused_until_the_first_leaves():
    with (
        serving(TellingRobot(), lockstep=False) as server,
        controlling(server.address) as one,
        controlling(server.address, "controller-b") as two,
    ):
        one.greet()
        one.now()
        refused = two.greet()
        assert isinstance(refused, m.Refused)
        assert refused.busy
        assert re.fullmatch(r"another controller was heard \d\.\d s ago; stop that one first", refused.reason)
        one.say(m.Bye(one.boot))
        wait_until(lambda: isinstance(two.greet(), m.Welcome))
        two.now()


def test_a_silent_controller_is_replaced_and_refused_afterwards():
    with (
        serving(TellingRobot(), lockstep=True) as server,
        controlling(server.address) as one,
        controlling(server.address, "controller-b") as two,
    ):
        one.greet()
        wait_until(lambda: isinstance(two.greet(), m.Welcome))  # after a second
        one.command(0, 0.5)
        assert "has another one by now" in one.next().reason
        assert server.stats()["executed"] == 0


def test_a_peer_of_another_version_is_told_so():
    with serving(TellingRobot(), lockstep=True) as server, controlling(server.address) as c:
        header = msgpack.packb({"v": 2, "kind": "hello", "fields": {}, "arrays": b""})
        c.socket.send(b"RLPD" + len(header).to_bytes(4, "little") + header + bytes(-len(header) % 8))
        assert re.fullmatch(
            r"controller \w+ on tcp://127\.0\.0\.1:\d+ speaks protocol version 2, this side speaks 1\. "
            r"Install the same rlpd-robot version on both machines\.",
            c.next().reason,
        )


def test_rubbish_is_counted_and_the_robot_goes_on():
    with serving(TellingRobot(), lockstep=True) as server, controlling(server.address) as c:
        c.socket.send(b"")
        c.socket.send(b"rubbish")
        c.socket.send_multipart([b"two", b"frames"])
        c.socket.send(encode_single(Message("grant", {"boot": "b", "until_sequence": 1, "policy_version": 1})))
        assert isinstance(c.greet(), m.Welcome)
        assert server.stats()["rubbish"] == 4


def test_a_frame_that_is_too_large_ends_that_connection_only():
    with (
        serving(TellingRobot(), lockstep=True) as server,
        controlling(server.address) as large,
        controlling(server.address, "controller-b") as other,
    ):
        large.socket.send(bytes(3_000_000))
        assert isinstance(other.greet(), m.Welcome)
        assert server.stats()["rubbish"] == 0


def test_a_port_in_use_and_an_open_address_are_refused():
    with serving(TellingRobot(), lockstep=True) as server:
        with pytest.raises(AddressError) as caught:
            RobotServer(TellingRobot(), server.address, lockstep=True)
        assert str(caught.value) == (
            f"Cannot listen on {server.address} ('link.robot'): the port is in use. "
            "Stop the program that uses it, or choose another address for 'link.robot'."
        )
    with pytest.raises(AddressError) as caught:
        RobotServer(TellingRobot(), "tcp://0.0.0.0:5560", lockstep=True)
    assert str(caught.value) == (
        "Cannot listen on tcp://0.0.0.0:5560 ('link.robot'): other machines could reach it, and nothing on it is "
        "encrypted. Use a loopback address, or make keys (`rlpd-robot keys`, link.keys=DIR), or set "
        "link.insecure=true on a network that you trust."
    )
    with pytest.raises(ConfigError, match=r"link\.robot"):
        RobotServer(TellingRobot(), "127.0.0.1:5560", lockstep=True)
    RobotServer(TellingRobot(), "tcp://0.0.0.0:*", lockstep=True, security=Security(insecure=True)).close()


def test_an_error_of_the_robot_stops_it_and_is_raised():
    robot = TellingRobot()

    def fail():
        raise RuntimeError("motor 3 is hot")

    robot.advance = fail
    with pytest.raises(RuntimeError, match="motor 3 is hot"), serving(robot, lockstep=False):
        wait_until(lambda: robot.stopped)
    assert robot.stopped == 1


def test_a_robot_that_measures_something_else_is_refused():
    robot = TellingRobot()
    robot.spec = type(robot.spec)("telling", 0.02, (Field("other", (), "float64", "m"),), robot.spec.command)
    with pytest.raises(SpecError, match="Robot 'telling': it measures"), serving(robot, lockstep=True):
        pass


def test_its_book_tells_what_became_of_each_command(tmp_path):
    path = tmp_path / "book"
    with serving(TellingRobot(), lockstep=True, book=path) as server, controlling(server.address) as c:
        c.greet()
        c.say(m.Reset(c.boot, 1, -1, seed=3))
        first = c.next().sequence
        c.number = 1
        for value, state in ((0.5, first), (9.0, first + 1), (0.1, first)):  # good, out of range, stale
            c.command(state, value)
            c.next()
        c.number -= 1
        c.command(first + 1, 0.2)  # the same number again
        c.next()
        assert read_book(path)["outcome"].tolist() == [5, 0, 3, 1, 4]  # on the disk before the answer comes
        executed = read_book(path)[1]
        assert executed["controller"] == c.boot.encode()
        assert (executed["number"], executed["answers"], executed["state"]) == (2, first, first)
        assert executed["values"].tolist() == [0.5, 0.5]
        c.number = 0
        c.command(first + 1, 0.2)
        c.say(m.Stop(c.boot))
        wait_until(lambda: len(read_book(path)) == 7)
    assert [Outcome(o).name for o in read_book(path)["outcome"][-2:]] == ["OUT_OF_ORDER", "STOP"]


def test_a_file_that_is_no_book_is_left_alone(tmp_path):
    path = tmp_path / "book"
    path.write_text("the notes of somebody else")
    with pytest.raises(StoreError, match="no book"):
        RobotServer(TellingRobot(), "tcp://127.0.0.1:*", lockstep=True, book=path)
    assert path.read_text() == "the notes of somebody else"


def test_after_its_own_stop_a_robot_follows_nothing_before_a_reset():
    robot = TellingRobot(0.05)
    with serving(robot, lockstep=False) as server, controlling(server.address) as c:
        c.start()
        wait_until(lambda: c.command(c.now().sequence, 0.25) or server.stats()["executed"] > 0)
        wait_until(lambda: c.ping() or server.stats()["own_stops"] > 0)
        executed = server.stats()["executed"]
        assert c.now().executed == -1  # what it measures now is not what the last command led to
        c.greet_again()
        c.command(c.now().sequence, 0.9)  # fresh, in order, in range: and yet it has not been reset
        refusal = c.refusal()
        assert re.fullmatch(
            r"it stopped by itself: no fresh command for \d+ ms, and it follows no command before a reset",
            refusal.reason,
        )
        assert refusal.request == c.last_command
        assert (server.stats()["executed"], robot.target.tolist()) == (executed, [0.25, 0.25])
        c.start()
        wait_until(lambda: c.command(c.now().sequence, 0.5) or server.stats()["executed"] > executed)


def test_what_it_tells_about_the_commands_it_followed():
    with serving(TellingRobot(), lockstep=True) as server, controlling(server.address) as c:
        assert c.start().executed == -1
        c.command(1, 0.5)
        assert c.next().executed == c.number
        c.say(m.Reset(c.boot, c.number + 1, -1, seed=7))
        assert c.next().executed == -1


def test_a_stop_counts_in_lockstep_too():
    with serving(TellingRobot(), lockstep=True) as server, controlling(server.address) as c:
        state = c.start()
        c.say(m.Stop(c.boot))
        c.command(state.sequence, 0.5)
        assert c.next().reason == "its controller told it to stop, and it follows no command before a reset"
        assert server.stats()["executed"] == 0


def test_another_controller_finds_a_robot_that_stands():
    robot = TellingRobot()
    with (
        serving(robot, lockstep=True) as server,
        controlling(server.address) as one,
        controlling(server.address, "controller-b") as two,
    ):
        state = one.start()
        wait_until(lambda: isinstance(two.greet(), m.Welcome))  # after a second of silence
        two.command(state.sequence, 0.5)
        assert "another controller took over" in two.next().reason
        assert robot.written == 0


def test_limits_beyond_the_robots_own_are_refused_with_the_reset():
    robot = TellingRobot()
    robot.max_speed = np.array([1.0, 1.0])
    with serving(robot, lockstep=True) as server, controlling(server.address) as c:
        c.greet()
        c.say(m.Reset(c.boot, 1, -1, None, np.array([[-1.0, -1.0], [1.0, 1.0], [1.0, 2.0]])))
        assert c.next().reason == (
            "the controller's speed limit of 'target[1]' is 2, the robot's own is 1; choose safety limits inside those "
            "of the robot"
        )
        assert server.stats()["resets"] == 0


def test_a_robot_needs_three_methods():
    class Bare:
        spec = TellingRobot().spec

        def __init__(self):
            self.inner = TellingRobot()
            self.read, self.write, self.stop = self.inner.read, self.inner.write, self.inner.stop

    robot = Bare()
    with serving(robot, lockstep=True) as server, controlling(server.address) as c:
        c.command(c.start().sequence, 0.5)
        assert c.next().values["target"].tolist() == [0.5, 0.5]

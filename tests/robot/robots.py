"""A robot that tells in its state what was done to it, and ways to serve it."""

import contextlib
import multiprocessing
import threading
from collections.abc import Iterator

import numpy as np

from rlpd_robot.robot.server import RobotServer
from rlpd_robot.spec import Field, RobotSpec


class TellingRobot:
    """Its state says how many commands it was given, the last one, how often it was stopped, and the last seed."""

    def __init__(self, period_s: float = 0.02) -> None:
        self.spec = RobotSpec(
            name="telling",
            period_s=period_s,
            state=(
                Field("target", (2,), "float64", "m"),
                Field("written", (), "int64", "-"),
                Field("stopped", (), "int64", "-"),
                Field("seed", (), "int64", "-"),
                Field("periods", (), "int64", "-"),
            ),
            command=(Field("target", (2,), "float64", "m", low=(-1.0, -1.0), high=(1.0, 1.0)),),
        )
        self.target = np.zeros(2)
        self.written = self.stopped = self.periods = 0
        self.seed = -1

    def read(self):
        counts = {name: np.array(getattr(self, name)) for name in ("written", "stopped", "seed", "periods")}
        return {"target": self.target, **counts}

    def write(self, values):
        self.target[:] = values  # in place: a state that was sent must not change with it
        self.written += 1

    def advance(self):
        self.periods += 1

    def reset(self, seed):
        self.target[:] = 0.0
        self.seed = -1 if seed is None else seed

    def stop(self):
        self.stopped += 1


@contextlib.contextmanager
def serving(robot, lockstep: bool, address: str = "tcp://127.0.0.1:*", book=None) -> Iterator[RobotServer]:
    """The robot behind a server in a thread; what the server raises is raised at the end."""
    server = RobotServer(robot, address, lockstep, book=book)
    stop, errors = threading.Event(), []

    def run() -> None:
        try:
            server.run(stop)
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield server
    finally:
        stop.set()
        thread.join(10)
        server.close()
    if errors:
        raise errors[0]


def _serve(sender, period_s: float, lockstep: bool, address: str) -> None:
    server = RobotServer(TellingRobot(period_s), address, lockstep)
    sender.send(server.address)
    server.run(threading.Event())


@contextlib.contextmanager
def served_by_a_process(period_s: float, lockstep: bool, address: str = "tcp://127.0.0.1:*"):
    """(process, address) of a server that is killed at the end."""
    spawn = multiprocessing.get_context("spawn")
    receiver, sender = spawn.Pipe(duplex=False)
    process = spawn.Process(target=_serve, args=(sender, period_s, lockstep, address))
    process.start()
    try:
        assert receiver.poll(20), "the server did not start"
        yield process, receiver.recv()
    finally:
        process.kill()
        process.join(10)
        receiver.close()
        sender.close()

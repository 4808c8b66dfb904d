"""A robot's side of the robot link with nothing of rlpd-robot, as another language would write it: docs/robot_link.md.

Two imaginary joints that go where they are told: python bare_robot.py tcp://127.0.0.1:5560
"""

import json
import struct
import sys
import time
import uuid

import msgpack
import numpy as np
import zmq

PERIOD_S, FRESH = 0.02, 2.5
FIELD = {"shape": [2], "dtype": "float64", "unit": "rad", "labels": []}
SPEC = {
    "name": "bare",
    "period_s": PERIOD_S,
    "state": [FIELD | {"name": "joint_position", "low": [], "high": []}],
    "command": [FIELD | {"name": "joint_target", "low": [-1.0, -1.0], "high": [1.0, 1.0]}],
}


def pack(kind, fields, arrays=()):
    """One message as one frame; arrays are (name, float64 numbers)."""
    layout = msgpack.packb([[name, "float64", list(array.shape)] for name, array in arrays])
    header = msgpack.packb({"v": 1, "kind": kind, "fields": fields, "arrays": layout})
    pieces = [struct.pack("<4sI", b"RLPD", len(header)), header, bytes(-len(header) % 8)]
    return b"".join(pieces + [array.astype("<f8").tobytes() for _, array in arrays])  # eight bytes a number: no padding


def unpack(data):
    """Kind, fields and arrays of a frame."""
    magic, size = struct.unpack_from("<4sI", data)
    header = msgpack.unpackb(data[8 : 8 + size])
    if magic != b"RLPD" or header["v"] != 1:
        raise ValueError("another protocol")
    at, arrays = 8 + size + -size % 8, {}
    for name, dtype, shape in msgpack.unpackb(header["arrays"]):
        count = int(np.prod(shape))
        arrays[name] = np.frombuffer(data, dtype, count, at).reshape(shape)
        at += arrays[name].nbytes + -arrays[name].nbytes % 8
    return header["kind"], header["fields"], arrays


class Bare:
    """The robot, for one controller at a time."""

    def __init__(self, address):
        self.socket = zmq.Context().socket(zmq.ROUTER)
        self.socket.setsockopt(zmq.ROUTER_HANDOVER, 1)
        self.socket.bind(address)
        self.boot, self.peer, self.controller = uuid.uuid4().hex, None, ""
        self.position = self.target = np.zeros(2)
        self.number = self.executed = self.state = -1
        self.measured, self.moving, self.fresh_s, self.heard_s = {}, False, 0.0, 0.0

    def run(self):
        deadline = time.monotonic()
        while True:
            deadline += PERIOD_S
            while (left_s := deadline - time.monotonic()) > 0:
                if self.socket.poll(1e3 * left_s):
                    self.take(*self.socket.recv_multipart())
            if self.moving and time.monotonic() - self.fresh_s > FRESH * PERIOD_S:
                self.stop()  # nobody commands it any more
            self.position = self.position + np.clip(self.target - self.position, -0.05, 0.05)
            self.measure()
            if self.peer is not None and time.monotonic() - self.heard_s < 1.0:
                self.socket.send_multipart([self.peer, self.message])

    def take(self, peer, data):
        kind, fields, arrays = unpack(data)
        if kind == "hello":
            if fields["boot"] != self.controller:
                if self.peer is not None and time.monotonic() - self.heard_s < 1.0:
                    return self.answer(peer, "refused", {"reason": "it has a controller", "busy": True, "request": -1})
                self.stop()
                self.number = self.executed = -1
            self.peer, self.controller, self.heard_s = peer, fields["boot"], time.monotonic()
            return self.answer(peer, "welcome", {"boot": self.boot, "spec": json.dumps(SPEC), "lockstep": False})
        if peer != self.peer or fields["boot"] != self.controller:
            return self.answer(peer, "refused", {"reason": "connect again", "busy": False, "request": -1})
        self.heard_s = time.monotonic()
        number = fields.get("request", fields.get("sequence", -1))
        fresh = time.monotonic() - self.measured.get(fields.get("state_sequence"), -1e9) <= FRESH * PERIOD_S
        if kind in ("stop", "bye"):
            self.stop()
            self.peer = None if kind == "bye" else self.peer
        elif number > self.number and (fresh or kind != "reset"):
            self.number = number
            self.obey(kind, number, fresh, arrays)

    def obey(self, kind, number, fresh, arrays):
        if kind == "reset":  # a real one goes to its start of episode here
            self.target, self.moving, self.fresh_s, self.executed = self.position, True, time.monotonic(), -1
            self.measure()
            self.socket.send_multipart([self.peer, self.message])
        elif kind == "command" and not self.moving:
            self.answer(self.peer, "refused", {"reason": "it waits for a reset", "busy": False, "request": number})
        elif kind == "command" and not np.abs(arrays["values"]).max() <= 1.0:  # NaN compares false
            self.answer(self.peer, "refused", {"reason": "out of range", "busy": False, "request": number})
        elif kind == "command" and fresh:
            self.target, self.executed, self.fresh_s = arrays["values"], number, time.monotonic()

    def stop(self):
        self.target, self.moving, self.executed = self.position, False, -1

    def measure(self):
        self.state += 1
        self.measured = {n: s for n, s in self.measured.items() if n > self.state - 16} | {self.state: time.monotonic()}
        counts = {"sequence": self.state, "reply_to": self.number, "executed": self.executed}
        self.message = pack("state", counts | {"stamp_s": time.monotonic()}, [("joint_position", self.position)])

    def answer(self, peer, kind, fields):
        self.socket.send_multipart([peer, pack(kind, fields)])


if __name__ == "__main__":
    Bare(sys.argv[1]).run()

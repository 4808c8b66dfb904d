"""Ask `rlpd-robot serve` for actions. Needs nothing of rlpd-robot: docs/policy_server.md has the bytes."""

import struct
import sys
import time

import zmq

REQUEST, REPLY = struct.Struct("<4sHHQQII"), struct.Struct("<4sHHQQqII")


class PolicyClient:
    """One connection."""

    def __init__(self, address: str = "tcp://127.0.0.1:5564") -> None:
        self.socket = zmq.Context.instance().socket(zmq.DEALER)
        self.socket.linger, self.socket.immediate = 0, 1  # nothing waits for a server that is not there
        self.socket.connect(address)
        self.sequence = 0

    def act(self, observation: list[float], budget_s: float = 0.02) -> tuple[int, tuple[float, ...]] | None:
        """(policy version, action in [-1, 1]); None: no answer in time, so hold or stop the robot."""
        self.sequence += 1
        start, size = time.monotonic_ns(), len(observation)
        head = REQUEST.pack(b"RLPQ", 1, 0, self.sequence, start, int(1e6 * budget_s), size)
        if self.socket.poll(int(1e3 * budget_s), zmq.POLLOUT):
            self.socket.send(head + struct.pack(f"<{size}f", *observation))
        while (left_s := budget_s - 1e-9 * (time.monotonic_ns() - start)) > 0:
            if self.socket.poll(max(1, int(1e3 * left_s))):
                reply = self.socket.recv()
                _, _, status, sequence, _, version, _, size = REPLY.unpack_from(reply)
                if sequence == self.sequence:  # an older one is the answer to a question given up
                    if status:
                        raise RuntimeError(f"refused with status {status}")
                    return version, struct.unpack_from(f"<{size}f", reply, REPLY.size)
        return None


if __name__ == "__main__":
    print(PolicyClient(sys.argv[1]).act([float(x) for x in sys.argv[2:]], budget_s=5.0))

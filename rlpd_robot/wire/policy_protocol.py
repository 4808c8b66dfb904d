"""The byte layout that foreign clients of `rlpd-robot serve` speak: fixed, little-endian, no msgpack.

`docs/policy_server.md` has it as a table, for whoever writes a client in another language.
"""

import struct
from enum import IntEnum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rlpd_robot.errors import ProtocolError

VERSION = 1
REQUEST_MAGIC, REPLY_MAGIC = b"RLPQ", b"RLPA"
REQUEST_HEADER = struct.Struct("<4sHHQQII")
"""magic, version, flags (0), sequence, stamp, budget [µs], O."""

REPLY_HEADER = struct.Struct("<4sHHQQqII")
"""magic, version, status, sequence, stamp, policy version, time in the server [µs], A."""

MAX_OBSERVATION = 1 << 16
MAX_REQUEST_BYTES = REQUEST_HEADER.size + 4 * MAX_OBSERVATION
FLOAT32 = np.dtype("<f4")


class Status(IntEnum):
    """What became of a request. A late one has no reply at all."""

    OK = 0
    WRONG_VERSION = 1  # of this layout
    MALFORMED = 2  # flags that are not 0, no budget, or a length that contradicts O
    WRONG_SIZE = 3  # O is not the policy's
    NOT_FINITE = 4  # a NaN, an infinity, or a number beyond serve.max_observation
    NO_POLICY = 5  # none has arrived yet
    POLICY_FAILED = 6  # the policy gave a number that is no action


class Request(NamedTuple):
    """One observation that wants an action.

    Attributes:
        sequence: the client's, given back.
        stamp: the client's, given back; any 64 bits, such as its clock.
        budget_us: longest time from receipt to reply [µs], 1 or more.
        observation: (O,) float32, a view of the bytes received.
    """

    sequence: int
    stamp: int
    budget_us: int
    observation: NDArray[np.float32]


class Refusal(NamedTuple):
    """A request that has no observation to act on; sequence and stamp are given back."""

    sequence: int
    stamp: int
    status: Status


class Reply(NamedTuple):
    """What came back.

    Attributes:
        status: OK, or why there is no action.
        sequence, stamp: the request's.
        policy_version: of the policy that acted; -1: none did.
        server_us: from receipt to reply [µs].
        action: (A,) float32 in [-1, 1]; empty unless OK.
    """

    status: Status
    sequence: int
    stamp: int
    policy_version: int
    server_us: int
    action: NDArray[np.float32]


def pack_request(request: Request) -> bytes:
    """A request as one frame."""
    size = len(request.observation)
    head = REQUEST_HEADER.pack(REQUEST_MAGIC, VERSION, 0, request.sequence, request.stamp, request.budget_us, size)
    return head + request.observation.astype(FLOAT32, copy=False).tobytes()


def unpack_request(data: bytes, peer: str) -> Request | Refusal:
    """Inverse of `pack_request`.

    Raises:
        ProtocolError: it is too short for a header or has another magic: nothing in it can be trusted for a reply.
    """
    if len(data) < REQUEST_HEADER.size:
        raise ProtocolError(peer, f"{len(data)} bytes", f"a header of {REQUEST_HEADER.size}")
    magic, version, flags, sequence, stamp, budget_us, size = REQUEST_HEADER.unpack_from(data)
    if magic != REQUEST_MAGIC:
        raise ProtocolError(peer, f"it starts with {magic!r}", f"{REQUEST_MAGIC!r}")
    if version != VERSION:
        return Refusal(sequence, stamp, Status.WRONG_VERSION)
    if flags or not budget_us or len(data) != REQUEST_HEADER.size + FLOAT32.itemsize * size:
        return Refusal(sequence, stamp, Status.MALFORMED)
    return Request(sequence, stamp, budget_us, np.frombuffer(data, FLOAT32, size, REQUEST_HEADER.size))


def pack_reply(reply: Reply) -> bytes:
    """A reply as one frame."""
    status, sequence, stamp, version, server_us, action = reply
    head = REPLY_HEADER.pack(REPLY_MAGIC, VERSION, status, sequence, stamp, version, server_us, len(action))
    return head + action.tobytes()


def unpack_reply(data: bytes, peer: str) -> Reply:
    """Inverse of `pack_reply`.

    Raises:
        ProtocolError: it is no reply of this version.
    """
    expected = f"{REPLY_MAGIC!r}, version {VERSION}"
    if len(data) < REPLY_HEADER.size:
        raise ProtocolError(peer, f"{len(data)} bytes", expected)
    magic, layout, status, sequence, stamp, version, server_us, size = REPLY_HEADER.unpack_from(data)
    whole = len(data) == REPLY_HEADER.size + FLOAT32.itemsize * size
    if magic != REPLY_MAGIC or layout != VERSION or not whole or status not in tuple(Status):
        raise ProtocolError(peer, f"{magic!r}, version {layout}, status {status}, {len(data)} bytes", expected)
    action = np.frombuffer(data, FLOAT32, size, REPLY_HEADER.size)
    return Reply(Status(status), sequence, stamp, version, server_us, action)

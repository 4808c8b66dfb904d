"""What hostile or broken peers send: valid messages spoiled in every way we could think of, from a seed."""

import random
import struct
from collections.abc import Callable, Sequence
from typing import Any

import msgpack
import numpy as np

from rlpd_robot.spec import ProblemSpec
from rlpd_robot.types import PolicySnapshot, Segment
from rlpd_robot.wire import messages as m
from rlpd_robot.wire.codec import PROTOCOL_VERSION, Message, encode_single
from rlpd_robot.wire.policy_protocol import Request, pack_request

Mutate = Callable[[random.Random, bytes], list[bytes]]

_PREFIX = struct.Struct("<4sI")
_FAR = 1 << 40
"""Number of a state that no robot reaches: no command made here can be a fresh one."""

_LIES: Sequence[Any] = (
    None, True, -1, 0, 1 << 31, (1 << 63) - 1, (1 << 64) - 1, -(1 << 63), 1.5, float("nan"), float("inf"), "",
    "x" * 5000, b"", b"\0" * 100, [], {}, [[]], {"a": {"b": []}}, "\u2028\0",
)  # fmt: skip
_SHAPES: Sequence[Any] = (
    [1 << 31, 1 << 31], [-1], [0], [], [1 << 62], [1.5], ["2"], [None], [True], [1] * 40, [0, 1 << 40], 7, None, [[2]],
)  # fmt: skip
_DTYPES: Sequence[Any] = (
    "object",
    "O",
    "<f8",
    "float128",
    "complex64",
    "U10",
    "",
    "void",
    8,
    None,
    ["float32"],
    "int64",
)
_MSGPACK_LENGTHS = b"\xdd\xdf\xc6\xdb\xc9\xdc\xde\xc5"
"""Type bytes that a big length follows: array32, map32, bin32, str32, ext32, array16, map16, bin16."""


def corpus(problem: ProblemSpec, rng: random.Random) -> list[bytes]:
    """One valid message of every kind, the control link's and the policy server's included."""
    boot, spec = f"{rng.getrandbits(128):032x}", problem.robot
    observations = np.zeros((4, problem.observation_size), np.float32)
    actions = np.zeros((3, problem.action_size), np.float32)
    segment = Segment(
        boot=boot,
        first_sequence=0,
        episode=0,
        first_step=0,
        observations=observations,
        actions=actions,
        proposed_actions=actions,
        rewards=-np.ones(3, np.float32),
        success=np.zeros(3, np.bool_),
        intervened=np.zeros(3, np.bool_),
        safety=np.zeros(3, np.uint16),
        policy_versions=np.zeros(3, np.int64),
        stamps_s=np.zeros((3, 4)),
    )
    state = {f.name: np.zeros(f.shape, f.dtype) for f in spec.state}
    snapshot = PolicySnapshot(1, problem.fingerprint, 0, 0, {"mean/kernel": np.zeros((2, 2), np.float32)})
    ours: list[m.AnyMessage] = [
        m.Hello(boot),
        m.Welcome(boot, spec, False),
        m.Refused("no"),
        m.Reset(boot, 1, _FAR, 0),
        m.State(1, 0.0, -1, -1, state),
        m.CommandMessage(boot, 1, _FAR, np.zeros(spec.command_size)),
        m.Stop(boot),
        m.Ping(boot, 2),
        m.Bye(boot),
        m.ActorHello(boot, problem, False, 0),
        m.LearnerWelcome("run", problem.fingerprint, boot, 0, 0),
        m.SayHello(),
        m.SegmentMessage(segment),
        m.EpisodeEnd(boot, 3, 0, "truncated", "stop requested"),
        m.Ack(boot, 0, 0),
        m.Grant(boot, 1, 1),
        m.Heartbeat(1, {"steps": 1.0}),
        m.Event("hello", "info"),
        m.PolicyMessage(boot, snapshot),
    ]
    words = [
        Message("control_hello", {"nonce": boot}),
        Message("control_word", {"ticket": boot, "word": "arm", "arguments": {}}),
        Message("control_word", {"ticket": boot, "word": "pin", "arguments": {"version": "1"}}),
    ]
    request = pack_request(Request(1, 2, 10_000, observations[0]))
    return [*map(m.to_bytes, ours), *map(encode_single, words), request]


def mutate(rng: random.Random, data: bytes) -> list[bytes]:
    """The frames of one spoiled message."""
    return rng.choice(MUTATIONS)(rng, data)


def _flip(rng: random.Random, data: bytes) -> list[bytes]:
    spoiled = bytearray(data)
    for _ in range(rng.randint(1, 8)):
        spoiled[rng.randrange(len(spoiled))] ^= 1 << rng.randrange(8)
    return [bytes(spoiled)]


def _truncate(rng: random.Random, data: bytes) -> list[bytes]:
    return [data[: rng.randrange(len(data))]]


def _lengthen(rng: random.Random, data: bytes) -> list[bytes]:
    return [data + rng.randbytes(rng.randint(1, 200))]


def _splice(rng: random.Random, data: bytes) -> list[bytes]:
    start, end = sorted(rng.randrange(len(data)) for _ in range(2))
    at = rng.randrange(len(data))
    return [data[:at] + data[start:end] + data[at:]]


def _noise(rng: random.Random, data: bytes) -> list[bytes]:
    head = rng.choice((b"", b"RLPD", b"RLPQ", data[:8], data[: rng.randrange(len(data))]))
    return [head + rng.randbytes(rng.randint(0, 300))]


def _lie_of_length(rng: random.Random, data: bytes) -> list[bytes]:
    """A length that is not so: of the header, of the request's observation, or within msgpack."""
    spoiled, lie = bytearray(data), rng.choice((0, 1, 0x7FFFFFFF, 0xFFFFFFFF, len(data), rng.getrandbits(32)))
    if rng.random() < 0.3:
        struct.pack_into("<I", spoiled, rng.choice((4, 24, min(28, len(data) - 4))), lie)
    else:
        at = rng.randrange(8, len(data) - 5)
        spoiled[at] = rng.choice(_MSGPACK_LENGTHS)
        struct.pack_into(">I", spoiled, at + 1, lie)
    return [bytes(spoiled)]


def _bomb(rng: random.Random, data: bytes) -> list[bytes]:
    """Nested lists or maps, and lists that claim to be long at every level."""
    depth = rng.choice((10, 500, 1100, 50_000))
    level = rng.choice((b"\x91", b"\x81\xa1a", b"\xdc\x04\x00", b"\xdd\xff\xff\xff\xff", b"\xdf\x00\xff\xff\xff\xa1a"))
    header = level * depth if rng.random() < 0.5 else b"\x84\xa1v\x01\xa4kind\xa5hello\xa6fields" + level * depth
    return [_single(header)]


def _lie_of_field(rng: random.Random, data: bytes) -> list[bytes]:
    """A field or a whole part of the header of another type, a missing one, a surplus one, another kind."""
    header, body = _parts(data)
    if header is None:
        return _flip(rng, data)
    part = rng.choice(("v", "kind", "fields", "arrays", "field", "field", "field", "missing", "surplus"))
    names = list(header["fields"])
    if part in header:
        header[part] = rng.choice(_LIES)
    elif part == "surplus":
        header["fields"][f"extra{rng.randrange(9)}"] = rng.choice(_LIES)
    elif names and part == "missing":
        del header["fields"][rng.choice(names)]
    elif names:
        header["fields"][rng.choice(names)] = rng.choice(_LIES)
    return [_single(_pack(header), body)]


def _lie_of_array(rng: random.Random, data: bytes) -> list[bytes]:
    """A shape or a dtype that is not so, a name twice, a surplus array."""
    header, body = _parts(data)
    if header is None:
        return _flip(rng, data)
    layout = msgpack.unpackb(header["arrays"]) or [["a", "float32", [2]]]
    entry = rng.choice(layout)
    match rng.randrange(4):
        case 0:
            entry[2] = rng.choice(_SHAPES)
        case 1:
            entry[1] = rng.choice(_DTYPES)
        case 2:
            entry[0] = rng.choice((*_LIES[:8], layout[0][0]))
        case _:
            layout.extend([[f"x{i}", "float64", [1 << 20]] for i in range(rng.choice((1, 50, 2000)))])
    header["arrays"] = _pack(layout)
    return [_single(_pack(header), body)]


def _frames(rng: random.Random, data: bytes) -> list[bytes]:
    return rng.choice(([b""], [b"", data], [data, b""], [data] * 20, [b""] * 50, [data[:4], data[4:]]))


MUTATIONS: Sequence[Mutate] = (
    _flip, _truncate, _lengthen, _splice, _noise, _lie_of_length, _bomb, _lie_of_field, _lie_of_array, _frames
)  # fmt: skip


def spoil_subscription(rng: random.Random, data: bytes) -> list[bytes]:
    """What a subscriber may send to a publisher: topics nobody publishes, and messages that are no subscriptions."""
    topic = rng.choice((rng.randbytes(rng.randint(1, 200)), data[: rng.randint(1, 500)]))
    return rng.choice(([b"\x01" + topic], [b"\x00" + topic], [rng.randbytes(1) + topic], [topic] * 3, [b""]))


def other_version(version: int) -> bytes:
    """A message whose refusal names this version: it tells that everything sent before it has been handled."""
    return _single(_pack({"v": version, "kind": "hello", "fields": {}, "arrays": b""}))


def _parts(data: bytes) -> tuple[dict[str, Any] | None, bytes]:
    """(header, what follows it); None for what has no header."""
    magic, size = _PREFIX.unpack_from(data)
    if magic != b"RLPD":
        return None, b""
    end = _PREFIX.size + size
    header: dict[str, Any] = msgpack.unpackb(data[_PREFIX.size : end])
    assert header["v"] == PROTOCOL_VERSION
    return header, data[end + -size % 8 :]


def _pack(value: Any) -> bytes:
    packed: bytes = msgpack.packb(value)
    return packed


def _single(header: bytes, body: bytes = b"") -> bytes:
    return _PREFIX.pack(b"RLPD", len(header)) + header + bytes(-len(header) % 8) + body

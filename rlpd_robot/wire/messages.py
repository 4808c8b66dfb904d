"""Every message of the three links, as dataclasses, and the way to bytes and back.

Robot link (actor's driver ⇄ robot's server): Hello → Welcome | Refused; Reset, CommandMessage, Ping, Stop, Bye → State.
Data link (actor ⇄ learner): ActorHello → LearnerWelcome | Refused; SegmentMessage, EpisodeEnd, Heartbeat, Event → Ack,
Grant, SayHello.
Policy link (learner → actors): PolicyMessage.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, get_type_hints

from numpy.typing import NDArray

from rlpd_robot.errors import DataError, ProtocolError, SpecError
from rlpd_robot.spec import ProblemSpec, RobotSpec
from rlpd_robot.types import ENDINGS, Ending, PolicySnapshot, Segment
from rlpd_robot.wire.codec import DEFAULT_MAX_BYTES, Message, decode_single, encode_single

MAX_INTEGER = (1 << 62) - 1
"""Largest number that a message may carry: msgpack takes up to 64 bits unsigned, while stores and books keep 64 bits
signed, and counting on from it must fit them too."""


@dataclass(frozen=True, slots=True)
class Hello:
    """A controller introduces itself to a robot. `boot` is drawn at random at each connection."""

    kind: ClassVar[str] = "hello"
    boot: str


@dataclass(frozen=True, slots=True)
class Welcome:
    """The robot takes this controller. `boot` is the server's own."""

    kind: ClassVar[str] = "welcome"
    boot: str
    spec: RobotSpec
    lockstep: bool


@dataclass(frozen=True, slots=True)
class Refused:
    """The other side will not work with this one.

    `busy`: asking again later may help. `request`: number of the command or reset that is refused; -1: all of them.
    """

    kind: ClassVar[str] = "refused"
    reason: str
    busy: bool = False
    request: int = -1


@dataclass(frozen=True, slots=True)
class Reset:
    """Bring the robot to a start of episode, and let it be moved from then on.

    `request` counts with the commands; `state_sequence` proves freshness. `limits` (3, C) float64: lowest and highest
    value and fastest change [1/s] that the controller's own safety filter lets through; None: it does not say.
    """

    kind: ClassVar[str] = "reset"
    boot: str
    request: int
    state_sequence: int
    seed: int | None
    limits: NDArray[Any] | None = None


@dataclass(frozen=True, slots=True)
class State:
    """One measurement.

    `reply_to`: the highest request or command number that the robot had seen; -1: none. `executed`: number of the
    command that it was following; -1: none.
    """

    kind: ClassVar[str] = "state"
    sequence: int
    stamp_s: float
    reply_to: int
    executed: int
    values: Mapping[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class CommandMessage:
    """One command. `sequence` counts up; `state_sequence` is that of the state it answers; values (C,) float64."""

    kind: ClassVar[str] = "command"
    boot: str
    sequence: int
    state_sequence: int
    values: NDArray[Any]


@dataclass(frozen=True, slots=True)
class Stop:
    """Stop the robot now."""

    kind: ClassVar[str] = "stop"
    boot: str


@dataclass(frozen=True, slots=True)
class Ping:
    """A sign of life from a controller that has no command to send. `request` counts with the commands."""

    kind: ClassVar[str] = "ping"
    boot: str
    request: int


@dataclass(frozen=True, slots=True)
class Bye:
    """The controller leaves; another may come at once."""

    kind: ClassVar[str] = "bye"
    boot: str


@dataclass(frozen=True, slots=True)
class ActorHello:
    """An actor offers the transitions of one boot, from `next_sequence` on.

    `end_sequence`: -1 for the actor's own boot; for that of a dead predecessor, whose journal it found, where it ends.
    `end_told`: whether what it left closes with an `EpisodeEnd`, which is then still to come.
    """

    kind: ClassVar[str] = "actor_hello"
    boot: str
    problem: ProblemSpec
    lockstep: bool
    next_sequence: int
    end_sequence: int = -1
    end_told: bool = False


@dataclass(frozen=True, slots=True)
class LearnerWelcome:
    """The learner takes transitions of `boot`. Below `committed` they are on its disk; it expects `received` next.

    `episode_open`: it has no end yet of the episode that transition `received - 1` belongs to.
    """

    kind: ClassVar[str] = "learner_welcome"
    run: str
    fingerprint: str
    boot: str
    committed: int
    received: int
    episode_open: bool = False


@dataclass(frozen=True, slots=True)
class SayHello:
    """The learner does not know the sender (it was restarted, or the link was): introduce yourself again."""

    kind: ClassVar[str] = "say_hello"


@dataclass(frozen=True, slots=True)
class SegmentMessage:
    """Consecutive transitions of one episode."""

    kind: ClassVar[str] = "segment"
    segment: Segment


@dataclass(frozen=True, slots=True)
class EpisodeEnd:
    """An episode ended after its last transition had been handed over: by a fault or a stop.

    It takes no number of its own: `sequence` is that of the next transition. `ending` and `cause` as in `Segment`; a
    true terminal is told with its transition, never so.
    """

    kind: ClassVar[str] = "episode_end"
    boot: str
    sequence: int
    episode: int
    ending: Ending
    cause: str

    def __post_init__(self) -> None:
        if self.ending not in ("truncated", "unknown"):
            raise DataError(f"End of episode {self.episode}", f"ending is {self.ending!r}", "'truncated' or 'unknown'")


@dataclass(frozen=True, slots=True)
class Ack:
    """Transitions of `boot` below `next_sequence` are on the learner's disk; it expects `received` next.

    An episode is put on the disk when it has ended, so its end need not be sent again either. `episode_open` as in
    `LearnerWelcome`. `reply_to` is the number of the heartbeat that this answers; -1: none, `received` then proves no
    loss.
    """

    kind: ClassVar[str] = "ack"
    boot: str
    next_sequence: int
    received: int
    reply_to: int = -1
    episode_open: bool = False


@dataclass(frozen=True, slots=True)
class Grant:
    """The actor of `boot` may act up to, not including, transition `until_sequence`, with this policy.

    In lock-step it waits for the next; by the wall clock none comes before the learner has enough, and the actor begins
    no episode from `until_sequence` on.
    """

    kind: ClassVar[str] = "grant"
    boot: str
    until_sequence: int
    policy_version: int


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """The actor lives; its counters. The learner answers with one Ack a boot, and the last Grant."""

    kind: ClassVar[str] = "heartbeat"
    number: int
    stats: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Event:
    """Something worth telling a person. Severity is "info", "warning" or "error"."""

    kind: ClassVar[str] = "event"
    text: str
    severity: str


@dataclass(frozen=True, slots=True)
class PolicyMessage:
    """One policy. `publisher` is drawn at each start of a learner, so that equal versions of two are told apart."""

    kind: ClassVar[str] = "policy"
    publisher: str
    snapshot: PolicySnapshot


AnyMessage = (
    Hello
    | Welcome
    | Refused
    | Reset
    | State
    | CommandMessage
    | Stop
    | Ping
    | Bye
    | ActorHello
    | LearnerWelcome
    | SayHello
    | SegmentMessage
    | EpisodeEnd
    | Ack
    | Grant
    | Heartbeat
    | Event
    | PolicyMessage
)

_PLAIN: tuple[type[Any], ...] = (
    Hello, Welcome, Refused, Stop, Ping, Bye,
    ActorHello, LearnerWelcome, SayHello, EpisodeEnd, Ack, Grant, Heartbeat, Event,
)  # fmt: skip
_CLASSES = {cls.kind: cls for cls in _PLAIN}
_HINTS = {cls.kind: {k: hint for k, hint in get_type_hints(cls).items() if k != "kind"} for cls in _PLAIN}
_SPECS: tuple[type[Any], ...] = (RobotSpec, ProblemSpec)
_FIELDS = {cls: tuple((f.name, _HINTS[cls.kind][f.name] in _SPECS) for f in fields(cls)) for cls in _PLAIN}
_SEGMENT_SCALARS = {
    "boot": str, "first_sequence": int, "episode": int, "first_step": int, "ending": str, "cause": str
}  # fmt: skip
_SEGMENT_ARRAYS = tuple(f.name for f in fields(Segment) if f.name not in _SEGMENT_SCALARS)
_STATE_SCALARS = {"sequence": int, "stamp_s": float, "reply_to": int, "executed": int}
_RESET_SCALARS = {"boot": str, "request": int, "state_sequence": int, "seed": int | None}
_SNAPSHOT_SCALARS = {"version": int, "fingerprint": str, "env_steps": int, "critic_updates": int}


def to_bytes(message: AnyMessage) -> bytes:
    """One message as one frame."""
    return encode_single(to_message(message))


def from_bytes(data: bytes | memoryview, peer: str, max_bytes: int = DEFAULT_MAX_BYTES) -> AnyMessage:
    """Inverse of `to_bytes`.

    Raises:
        PeerVersionError: another protocol version.
        ProtocolError: anything else that is not one of these messages, values that contradict each other included.
    """
    return from_message(decode_single(data, peer, max_bytes), peer)


def to_message(message: AnyMessage) -> Message:
    """The codec's form of a message."""
    match message:
        case State():
            return Message(message.kind, {name: getattr(message, name) for name in _STATE_SCALARS}, message.values)
        case Reset():
            plain = {name: getattr(message, name) for name in _RESET_SCALARS}
            return Message(message.kind, plain, {} if message.limits is None else {"limits": message.limits})
        case CommandMessage():
            numbers = {"sequence": message.sequence, "state_sequence": message.state_sequence}
            return Message(message.kind, {"boot": message.boot, **numbers}, {"values": message.values})
        case SegmentMessage():
            return segment_to_message(message.segment)
        case PolicyMessage():
            scalars = {name: getattr(message.snapshot, name) for name in _SNAPSHOT_SCALARS}
            return Message(message.kind, {"publisher": message.publisher, **scalars}, message.snapshot.arrays)
    values = {}
    for name, is_spec in _FIELDS[type(message)]:
        value = getattr(message, name)
        values[name] = json.dumps(value.to_json()) if is_spec else value  # text: msgpack's list limits stay short
    return Message(message.kind, values)


def from_message(message: Message, peer: str) -> AnyMessage:
    """Inverse of `to_message`. Errors as `from_bytes`."""
    where = f"'{message.kind[:40]}' from {peer}"
    match message.kind:
        case State.kind:
            return State(**_read(message.fields, _STATE_SCALARS, where), values=message.arrays)
        case Reset.kind:
            head = _read(message.fields, _RESET_SCALARS, where)
            if head["seed"] is not None and head["seed"] < 0:
                raise ProtocolError(where, f"seed {head['seed']}", "none, or one from 0 on")
            return Reset(**head, limits=message.arrays.get("limits"))
        case CommandMessage.kind:
            head = _read(message.fields, {"boot": str, "sequence": int, "state_sequence": int}, where)
            return CommandMessage(**head, values=_array(message, "values", where))
        case SegmentMessage.kind:
            return SegmentMessage(segment_from_message(message, peer))
        case PolicyMessage.kind:
            publisher = _read(message.fields, {"publisher": str}, where)["publisher"]
            scalars = _read(message.fields, _SNAPSHOT_SCALARS, where)
            return PolicyMessage(publisher, PolicySnapshot(**scalars, arrays=message.arrays))
    if message.kind not in _CLASSES:
        raise ProtocolError(peer, f"its kind is {message.kind[:40]!r}", "a kind of this protocol")
    try:
        plain: AnyMessage = _CLASSES[message.kind](**_read(message.fields, _HINTS[message.kind], where))
    except DataError as error:
        raise ProtocolError(peer, f"a {message.kind} that is none ({error})", "a valid one") from error
    return plain


def segment_to_message(segment: Segment) -> Message:
    """A segment: scalars as fields, columns as arrays."""
    scalars = {name: getattr(segment, name) for name in _SEGMENT_SCALARS}
    return Message(SegmentMessage.kind, scalars, {name: getattr(segment, name) for name in _SEGMENT_ARRAYS})


def segment_from_message(message: Message, peer: str) -> Segment:
    """Inverse of `segment_to_message`.

    Raises:
        ProtocolError: it is no segment, or its values are not those of one.
    """
    where = f"'{message.kind[:40]}' from {peer}"
    scalars = _read(message.fields, _SEGMENT_SCALARS, where)
    columns: dict[str, Any] = {name: _array(message, name, where) for name in _SEGMENT_ARRAYS}
    short = [name for name, column in columns.items() if column.ndim == 0]
    if message.kind != SegmentMessage.kind or short:
        raise ProtocolError(peer, f"it is no segment ({message.kind[:40]}, scalars {short})", "columns of transitions")
    if scalars["first_sequence"] < 0 or scalars["first_step"] < 0:
        raise ProtocolError(peer, "a negative sequence or step", "counts from 0")
    try:
        return Segment(**scalars, **columns)
    except DataError as error:
        raise ProtocolError(peer, f"a segment that is none ({error})", "a valid segment") from error


def _array(message: Message, name: str, where: str) -> NDArray[Any]:
    if name not in message.arrays:
        raise ProtocolError(where, f"array '{name}' is missing", f"'{name}'")
    return message.arrays[name]


def _read(values: Mapping[str, Any], hints: Mapping[str, Any], where: str) -> dict[str, Any]:
    missing = hints.keys() - values.keys()
    if missing:
        raise ProtocolError(where, f"field '{min(missing)}' is missing", f"'{min(missing)}'")
    return {name: _value(values[name], hint, name, where) for name, hint in hints.items()}


def _value(value: Any, hint: Any, name: str, where: str) -> Any:
    """The value as its hint says: exact types, since a bool is an int to Python and a float loses sequence numbers."""
    if type(value) is int and abs(value) > MAX_INTEGER and hint is not float:
        raise ProtocolError(where, f"field '{name}' is {value}", f"at most {MAX_INTEGER} either way")
    if type(value) is hint and hint is not float:
        return value
    if hint is float and type(value) in (float, int):
        return float(value)
    if hint == (int | None) and (value is None or type(value) is int):
        return value
    if hint in _SPECS and type(value) is str:
        return _spec(value, hint, where)
    if hint == Ending and value in ENDINGS:
        return value
    if hint == Mapping[str, float] and isinstance(value, dict):
        return {str(key): _value(v, float, f"{name}.{key}"[:80], where) for key, v in value.items()}
    expected = getattr(hint, "__name__", str(hint))
    raise ProtocolError(where, f"field '{name}' is {str(value)[:40]!r}", f"a value of type {expected}")


def _spec(text: str, cls: Any, where: str) -> Any:
    try:
        return cls.from_json(json.loads(text))
    except (ValueError, TypeError, AttributeError, OverflowError, RecursionError, SpecError) as error:
        raise ProtocolError(where, f"a description that is none ({error})", f"a {cls.__name__}") from error

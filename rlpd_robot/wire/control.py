"""The control link: words of a person (or of the supervisor) to a running actor, such as "arm" or "pin".

A word moves metal, so it must never be carried out late. Whoever asks first gets a ticket, and shows it with the word;
the server takes each ticket once and only while it is fresh by its own clock. So a word that waited in a queue, because
the actor was stopped or the network hung, is refused and not done.

    ask → control_hello{nonce} · control_ticket{nonce, ticket} · control_word{ticket, word, arguments} · control_answer
"""

import contextlib
import logging
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from typing import Any

import zmq

from rlpd_robot.errors import PeerRefusedError, PeerTimeoutError, PeerVersionError, ProtocolError, RlpdRobotError
from rlpd_robot.liveness import beating
from rlpd_robot.wire.codec import Message, decode_single, encode_single
from rlpd_robot.wire.gate import refused_peers
from rlpd_robot.wire.security import LOOPBACK_ONLY, Security
from rlpd_robot.wire.sockets import Complaints, Options, Waker, dial, listen, make_socket

MAX_MESSAGE_BYTES = 16_384
"""Largest message of this link, either way."""

TICKET_S = 2.0
"""How long a word may be under way [s]."""

_TICKETS = 64  # of one moment: askers beyond that are refused
_TURN = 64  # messages
_LOOK_S = 0.5
_CLOSE_S = 5.0
_TEXT = 4000  # characters of an answer

Handle = Callable[[str, Mapping[str, str]], str]
"""(word, arguments) → a sentence for whoever asked; an `RlpdRobotError` is a refusal, in its own words."""

_log = logging.getLogger(__name__)


class ControlServer:
    """Answers words from a small thread of its own.

    Args:
        address: where to listen; port * or 0 chooses one.
        handle: carries a word out, in the server's thread: it must be thread-safe, and return within a second.
        security: of the link; loopback alone unless told otherwise.
        key: the setting that `address` came from, for errors.

    Attributes:
        address: where to ask.

    Raises:
        ConfigError, AddressError: the address cannot be used.
    """

    def __init__(
        self, address: str, handle: Handle, security: Security = LOOPBACK_ONLY, key: str = "link.control"
    ) -> None:
        self._handle = handle
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        options: Options = {zmq.SNDHWM: 64, zmq.RCVHWM: 64}
        try:
            self._socket = make_socket(self._context, zmq.ROUTER, MAX_MESSAGE_BYTES, options)
            self.address = listen(self._socket, key, address, security)
        except BaseException:
            self._context.term()
            raise
        self._waker = Waker()
        self._tickets: dict[str, float] = {}  # issued at [s]
        self._done = self._refused = 0
        self._rubbish = Complaints(_log)
        self._closing = False
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="control", daemon=True)
        self._thread.start()

    def check(self) -> None:
        """Make sure that the thread still serves.

        Raises:
            Exception: whatever ended it.
        """
        if self._error is not None:
            raise self._error

    def stats(self) -> dict[str, float]:
        """Words carried out and refused; messages not understood; peers without the right key turned away."""
        return {
            "done": float(self._done),
            "refused": float(self._refused),
            "rubbish": float(self._rubbish.count),
            "unauthorized": float(refused_peers(self._context)),
        }

    def close(self) -> None:
        """End the thread and release the address. A second call does nothing."""
        if not self._closing:
            self._closing = True
            self._waker.wake()
            self._thread.join(_CLOSE_S)
            self._waker.close()

    def _run(self) -> None:
        try:
            poller = zmq.Poller()
            poller.register(self._socket, zmq.POLLIN)
            poller.register(self._waker.fd, zmq.POLLIN)
            with beating("control") as pulse:
                while not self._closing:
                    pulse.beat()
                    poller.poll(int(1e3 * _LOOK_S))
                    self._waker.clear()
                    for _ in range(_TURN):
                        if self._closing or not self._receive():
                            break
        except BaseException as error:
            self._error = error  # raised by the next `check`
        finally:
            self._socket.close(linger=200)
            self._context.term()

    def _receive(self) -> bool:
        """Handle one message; False when there is none."""
        try:
            frames = self._socket.recv_multipart(zmq.NOBLOCK)
        except zmq.Again:
            return False
        peer = f"{frames[0][:8].hex()} on {self.address}"
        try:
            if len(frames) != 2:
                raise ProtocolError(peer, f"{len(frames) - 1} frames", "one")
            answer = self._answer(decode_single(frames[1], peer, MAX_MESSAGE_BYTES), peer)
        except (ProtocolError, PeerVersionError) as error:
            self._rubbish.add(error)
            return True
        self._socket.send_multipart((frames[0], encode_single(answer)), zmq.NOBLOCK)
        return True

    def _answer(self, message: Message, peer: str) -> Message:
        if message.kind == "control_hello":
            return self._issue(_text(message.fields, "nonce", peer))
        if message.kind != "control_word":
            raise ProtocolError(peer, f"a '{message.kind[:40]}'", "'control_hello' or 'control_word'")
        ticket, word = (_text(message.fields, name, peer) for name in ("ticket", "word"))
        arguments = message.fields.get("arguments")
        if not (isinstance(arguments, dict) and all(isinstance(v, str) for pair in arguments.items() for v in pair)):
            raise ProtocolError(peer, "arguments that are none", "texts by name")
        issued_s = self._tickets.pop(ticket, None)
        if issued_s is None or time.monotonic() - issued_s > TICKET_S:
            self._refused += 1
            return _reply(ticket, False, f"'{word[:40]}' came too late or twice, so it was not done. Ask again.")
        try:
            text, done = self._handle(word, arguments), True
        except RlpdRobotError as error:
            text, done = str(error), False
        self._done += done
        self._refused += not done
        return _reply(ticket, done, text)

    def _issue(self, nonce: str) -> Message:
        now = time.monotonic()
        self._tickets = {ticket: at for ticket, at in self._tickets.items() if now - at <= TICKET_S}
        if len(self._tickets) >= _TICKETS:
            self._refused += 1
            return _reply(nonce, False, "too many ask at once. Ask again.")
        ticket = uuid.uuid4().hex
        self._tickets[ticket] = now
        return Message("control_ticket", {"nonce": nonce, "ticket": ticket})


def ask(
    address: str,
    word: str,
    arguments: Mapping[str, str] | None = None,
    timeout_s: float = 5.0,
    security: Security = LOOPBACK_ONLY,
    peer: str = "the actor",
) -> str:
    """Have a running actor carry out one word; its sentence.

    Args:
        address: of its control server.
        word: such as "arm".
        arguments: of the word.
        timeout_s: longest wait for an answer [s]. Out of time, the word may still have been carried out if its answer
            was lost on the way, but it will not be carried out from then on, `TICKET_S` later at the latest.
        security: of the link; loopback alone unless told otherwise.
        peer: who is asked, for errors.

    Raises:
        PeerTimeoutError: nobody answered.
        PeerRefusedError: it was refused, and not carried out.
        ConfigError: the address cannot be used.
        ProtocolError, PeerVersionError: whoever listens there is no such server.
    """
    deadline = time.monotonic() + timeout_s
    with zmq.Context() as context:
        sock = make_socket(context, zmq.DEALER, MAX_MESSAGE_BYTES, {zmq.IMMEDIATE: 1, zmq.SNDHWM: 4})
        dial(sock, "link.control", address, security)
        try:
            nonce = uuid.uuid4().hex
            got = _exchange(sock, Message("control_hello", {"nonce": nonce}), nonce, deadline, peer)
            if got is not None and got.kind == "control_ticket":
                ticket = _text(got.fields, "ticket", peer)
                fields = {"ticket": ticket, "word": word, "arguments": dict(arguments or {})}
                got = _exchange(sock, Message("control_word", fields), ticket, deadline, peer)
        finally:
            sock.close(linger=0)
    if got is None:
        remedy = "See whether it runs on this machine, with the same 'link.control'."
        raise PeerTimeoutError(peer, address, timeout_s, remedy)
    text = _text(got.fields, "text", peer)
    if got.fields.get("done") is not True:
        raise PeerRefusedError(peer[:1].upper() + peer[1:], text)
    return text


def _exchange(sock: "zmq.Socket[bytes]", message: Message, key: str, deadline: float, peer: str) -> Message | None:
    """Send once a peer is there and receive the answer to it; None out of time."""
    data, sent = encode_single(message), False
    while (left_s := deadline - time.monotonic()) > 0:
        wanted = zmq.POLLIN if sent else zmq.POLLOUT
        if not zmq.zmq_poll([(sock, wanted)], int(1e3 * left_s) + 1):
            continue
        if not sent:
            with contextlib.suppress(zmq.Again):  # the peer was there a moment ago
                sock.send(data, zmq.NOBLOCK)
                sent = True
            continue
        answer = decode_single(sock.recv(zmq.NOBLOCK), peer, MAX_MESSAGE_BYTES)
        if answer.fields.get("nonce" if answer.kind == "control_ticket" else "reply_to") == key:
            return answer
    return None


def _reply(reply_to: str, done: bool, text: str) -> Message:
    return Message("control_answer", {"reply_to": reply_to, "done": done, "text": text[:_TEXT]})


def _text(fields: Mapping[str, Any], name: str, peer: str) -> str:
    value = fields.get(name)
    if not isinstance(value, str):
        raise ProtocolError(peer, f"field '{name}' is {str(value)[:40]!r}", "a text")
    return value

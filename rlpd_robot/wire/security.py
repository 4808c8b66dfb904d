"""Who may talk on a link: loopback alone, holders of CURVE keys, or (on a person's word) everybody.

Whoever listens proves who he is by his role's key, and lets in only the role that belongs at the other end; the
handshake itself (RFC 26, CurveZMQ) is ZeroMQ's.
"""

import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import zmq

from rlpd_robot.errors import AddressError, ConfigError
from rlpd_robot.wire.gate import Gate
from rlpd_robot.wire.keys import read_pair, read_public
from rlpd_robot.wire.settings import check_form, is_local

ENDS = {
    "link.robot": ("robot", "actor"),
    "link.data": ("learner", "actor"),
    "link.policy": ("learner", "actor"),
    "link.control": ("actor", "operator"),
    "link.serve": ("actor", "client"),
    "teleop.address": ("actor", "operator"),
}
"""Link → (role that listens, role that dials)."""

BEYOND = "a loopback address, unless link.keys names a directory of keys (`rlpd-robot keys`) or link.insecure=true"


@dataclass(frozen=True)
class Security:
    """What protects a process's links.

    Attributes:
        keys: directory with the key files of `rlpd-robot keys`; every link is then encrypted and authenticated. None:
            links are plain.
        insecure: allow plain links to be reached from other machines.
    """

    keys: str | None = None
    insecure: bool = False

    def check(self, key: str, address: str) -> None:
        """Make sure that this address may be used.

        Raises:
            ConfigError: it is no address, or others could reach it without keys.
        """
        check_form(key, address)
        if not self._allows(address):
            raise ConfigError(key, address, f"{BEYOND}: nothing on this link is encrypted")

    def prepare_listener(
        self, sock: "zmq.Socket[bytes]", key: str, address: str, complain: Callable[[str], None]
    ) -> None:
        """To be called before `bind`.

        Args:
            key: the link, one of `ENDS`.
            complain: told of each peer that was refused.

        Raises:
            ConfigError: it is no address.
            AddressError: others could reach it without keys.
            KeyFileError: a key is missing, damaged, or readable by others.
        """
        check_form(key, address)
        if not self._allows(address):
            remedy = (
                "Use a loopback address, or make keys (`rlpd-robot keys`, link.keys=DIR), "
                "or set link.insecure=true on a network that you trust."
            )
            raise AddressError(key, address, "other machines could reach it, and nothing on it is encrypted", remedy)
        if self.keys is None:
            self._warn(key, address)
            return
        own, other = ENDS[key]
        pair = read_pair(Path(self.keys), own)
        allowed = read_public(Path(self.keys), other)
        sock.curve_server = True
        sock.curve_publickey, sock.curve_secretkey = pair.public, pair.secret
        Gate(sock, key, allowed, other, complain)

    def prepare_dialler(self, sock: "zmq.Socket[bytes]", key: str, address: str) -> None:
        """To be called before `connect`. Arguments as `prepare_listener`.

        Raises:
            ConfigError: it is no address, or one of another machine without keys.
            KeyFileError: a key is missing, damaged, or readable by others.
        """
        self.check(key, address)
        if self.keys is None:
            self._warn(key, address)
            return
        other, own = ENDS[key]
        pair = read_pair(Path(self.keys), own)
        sock.curve_serverkey = read_public(Path(self.keys), other)
        sock.curve_publickey, sock.curve_secretkey = pair.public, pair.secret

    def _allows(self, address: str) -> bool:
        return self.insecure or self.keys is not None or is_local(address)

    @staticmethod
    def _warn(key: str, address: str) -> None:
        if not is_local(address) and not _warned.is_set():
            _warned.set()
            print(
                f"WARNING: link.insecure=true and '{key}' is {address}: whoever reaches this network can read and send "
                "everything on it, commands to the robot included. `rlpd-robot keys` makes keys.",
                file=sys.stderr,
                flush=True,
            )


LOOPBACK_ONLY = Security()
"""Plain links that no other machine can reach."""

_warned = threading.Event()  # once a process

"""Where the links of one training run meet, and the limits on what they carry."""

import math
from dataclasses import dataclass

from rlpd_robot.errors import ConfigError

PREFIXES = ("tcp://", "ipc://", "inproc://")

ADDRESSES = ("robot", "data", "policy", "control", "serve")
"""Those of `LinkSettings` that are addresses."""


@dataclass(frozen=True)
class LinkSettings:
    """Addresses and limits of the links, the same for every process of a run.

    Attributes:
        robot: where the robot's server listens and the actor connects.
        data: where the learner listens for transitions.
        policy: where the learner publishes policies.
        control: where the actor takes a person's words, such as `rlpd-robot arm`.
        serve: where `rlpd-robot serve` listens for foreign clients.
        keys: directory of the key files made by `rlpd-robot keys`; every link is then encrypted and authenticated.
        insecure: without keys, allow addresses beyond loopback. Nothing on these links is encrypted or authenticated.
        timeout_s: how long to wait for a peer before giving up [s].
        max_message_mb: largest message accepted [MB].

    Raises:
        ConfigError: an address of unknown form, a time or a size that is not positive.
    """

    robot: str = "tcp://127.0.0.1:5560"
    data: str = "tcp://127.0.0.1:5561"
    policy: str = "tcp://127.0.0.1:5562"
    control: str = "tcp://127.0.0.1:5563"
    serve: str = "tcp://127.0.0.1:5564"
    keys: str | None = None
    insecure: bool = False
    timeout_s: float = 10.0
    max_message_mb: float = 64

    def __post_init__(self) -> None:
        for key in ADDRESSES:
            check_form(f"link.{key}", getattr(self, key))
        for key, limit in (("timeout_s", 86_400), ("max_message_mb", 4096)):
            value = getattr(self, key)
            if not (math.isfinite(value) and 0 < value <= limit):
                raise ConfigError(f"link.{key}", value, f"above 0 and at most {limit}")

    @property
    def max_message_bytes(self) -> int:
        """Largest message accepted [bytes]."""
        return int(self.max_message_mb * 1e6)


def check_form(key: str, address: str) -> None:
    """Make sure that an address looks like one.

    Raises:
        ConfigError: it has no known prefix, or a TCP address has no port.
    """
    port = address.rpartition(":")[2]
    tcp_ok = port == "*" or (port.isascii() and port.isdigit() and int(port) <= 65535)
    if not address.startswith(PREFIXES) or (address.startswith("tcp://") and not tcp_ok):
        raise ConfigError(key, address, "an address such as tcp://127.0.0.1:5560 or ipc:///run/robot.sock")


def is_local(address: str) -> bool:
    """Whether only processes of this machine can reach the address."""
    if not address.startswith("tcp://"):
        return True
    host = address.removeprefix("tcp://").rpartition(":")[0].strip("[]")
    octets = host.split(".")
    loopback4 = len(octets) == 4 and octets[0] == "127" and all(o.isascii() and o.isdigit() for o in octets)
    return loopback4 or host in ("localhost", "::1")

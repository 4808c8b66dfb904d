"""Settings of `rlpd-robot dashboard`."""

import ipaddress
import re
from dataclasses import dataclass
from typing import Any

from rlpd_robot.errors import ConfigError

_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,252}[A-Za-z0-9])?")


@dataclass(frozen=True)
class DashboardSettings:
    """Where it listens, and what a browser may do.

    Attributes:
        host: address to listen on. On another than loopback, whoever reaches it can read.
        port: to listen on; 0: any that is free.
        names: of this machine, under which browsers reach it, beside `localhost` and numbers; a list or none.
        token: file with the word that lets a browser arm, pin and unpin; made where there is none; none: read-only.
    """

    host: str = "127.0.0.1"
    port: int = 8420
    names: Any = None
    token: str | None = None

    def __post_init__(self) -> None:
        if self._address is None:
            raise ConfigError("dashboard.host", self.host, "an address of this machine in numbers, such as 127.0.0.1")
        if not 0 <= self.port < 1 << 16:
            raise ConfigError("dashboard.port", self.port, "between 0 and 65535")
        names = self.names or ()
        if not isinstance(names, list | tuple) or not all(isinstance(n, str) and _NAME.fullmatch(n) for n in names):
            raise ConfigError("dashboard.names", self.names, "a list of host names, such as [workstation.local]")
        if self.token is not None and not self.loopback:
            expected = "null: words that move a robot are taken on loopback alone, since HTTP does not hide the token"
            raise ConfigError("dashboard.token", self.token, expected)

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach it."""
        return self._address is not None and self._address.is_loopback

    @property
    def _address(self) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
        try:
            return ipaddress.ip_address(self.host)
        except ValueError:
            return None

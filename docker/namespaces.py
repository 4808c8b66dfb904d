"""Network namespaces on a bridge, with names: what an internal network of containers is to those in it."""

import subprocess
from collections.abc import Sequence
from pathlib import Path

_BRIDGE, _PREFIX, _NET = "rlpdbr0", "rlpd-", "10.213.77"
_CONFIGS = Path("/etc/netns")


class Namespaces:
    """One for each name; nothing leads out of them.

    Args:
        names: of those on the bridge, which each of them can resolve.
        alone: of those that have a loopback and nothing else.
    """

    @staticmethod
    def permitted() -> bool:
        """Whether this machine lets us make them."""
        probe = f"{_PREFIX}probe"
        made = _run(["ip", "netns", "add", probe], check=False) == 0
        if made:
            _run(["ip", "netns", "delete", probe], check=False)
        return made

    def __init__(self, names: Sequence[str], alone: Sequence[str] = ()) -> None:
        self._names, self._alone = tuple(names), tuple(alone)
        self.close()  # what a killed check has left
        for name in alone:
            _run(["ip", "netns", "add", self.of(name)])
            _run(["ip", "-n", self.of(name), "link", "set", "lo", "up"])
        _run(["ip", "link", "add", _BRIDGE, "type", "bridge"])
        _run(["ip", "link", "set", _BRIDGE, "up"])
        hosts = "127.0.0.1 localhost\n" + "".join(f"{_NET}.{10 + i} {name}\n" for i, name in enumerate(names))
        for i, name in enumerate(names):
            space, link = self.of(name), f"rlpdv{i}"
            _run(["ip", "netns", "add", space])
            _run(["ip", "link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", space])
            _run(["ip", "link", "set", link, "master", _BRIDGE, "up"])
            for command in (
                ["link", "set", "lo", "up"],
                ["address", "add", f"{_NET}.{10 + i}/24", "dev", "eth0"],
                ["link", "set", "eth0", "up"],
            ):
                _run(["ip", "-n", space, *command])
            (_CONFIGS / space).mkdir(parents=True, exist_ok=True)
            (_CONFIGS / space / "hosts").write_text(hosts)  # `ip netns exec` lays it over /etc/hosts

    @staticmethod
    def of(name: str) -> str:
        """What the namespace of a service is called."""
        return _PREFIX + name

    def close(self) -> None:
        """Take them away."""
        for i, name in enumerate(self._names):
            _run(["ip", "link", "delete", f"rlpdv{i}"], check=False)  # its peer may outlive its namespace for a moment
            _run(["ip", "netns", "delete", self.of(name)], check=False)
            hosts = _CONFIGS / self.of(name) / "hosts"
            if hosts.exists():
                hosts.unlink()
                hosts.parent.rmdir()
        for name in self._alone:
            _run(["ip", "netns", "delete", self.of(name)], check=False)
        _run(["ip", "link", "delete", _BRIDGE], check=False)


def _run(command: Sequence[str], check: bool = True) -> int:
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    if check and done.returncode:
        raise AssertionError(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.returncode

"""What a service of compose.yaml sees, for a process that is in no container."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from shlex import quote

from compose_file import Service
from namespaces import Namespaces

REPOSITORY = Path(__file__).parents[1]
HOST = "host"

_MADE = ("/data", "/run/secrets", "/keys")
_LINKS = "links"

Command = tuple[list[str], dict[str, str]]
"""Words and environment."""


class Inside:
    """Turns words of a service into a command of this machine.

    Apart, such a command gets a process namespace, the network that compose.yaml names, its volumes and secrets, a user
    who is not root, no capability, and the limits that it is promised. Otherwise all share this machine's loopback.

    Args:
        services: all of the file, by name.
        folder: for data and keys.
        user: (uid, gid) of the processes.
        roots: file systems by image tag, as check_chroot.py leaves them; None: this machine's own.
        apart: whether namespaces are permitted.

    Attributes:
        data, keys: what /data and the secrets are made of.
        limits: whether processes can be given the limits that they are promised.
        how: for people.
    """

    def __init__(
        self, services: Mapping[str, Service], folder: Path, user: tuple[int, int], roots: Path | None, apart: bool
    ) -> None:
        if roots is not None and not apart:
            raise AssertionError("--roots takes root and network namespaces")
        self._folder, self._roots, self.apart = folder, roots, apart
        self._uid, self._gid = user
        if roots is None and apart and not self._can_run():  # a virtual environment in somebody's home
            self._uid, self._gid = os.getuid(), os.getgid()
        where = f"in the file systems below {roots}" if roots is not None else "in this machine's file system"
        self.how = f"ordinary processes {where}, no container engine; " + (
            f"network and process namespaces of their own, names as in compose, user {self._uid}, no capabilities"
            if apart
            else "they share this machine's loopback, user and processes (namespaces are not permitted here)"
        )
        self.limits = apart and can_raise_limits()
        self.data, self.keys = folder / "data", folder / "keys"
        for path in (self.data / "runs", self.data / "cache", self.keys):
            path.mkdir(parents=True)
        shutil.copytree(REPOSITORY / "demos", self.data / "demos")
        together = [name for name, service in services.items() if service.network == _LINKS]
        alone = [name for name, service in services.items() if service.network not in (_LINKS, HOST)]
        self._namespaces = Namespaces(together, [*alone, HOST]) if apart else None
        self._made = [Path(path) for path in _MADE if apart and not Path(path).exists()]
        for path in self._made:
            path.mkdir()
        if apart:
            folder.chmod(0o755)
            for path in (self.data, self.keys):
                _give(path, self._uid, self._gid)

    def command(self, service: Service, words: Sequence[str]) -> Command:
        """Run the words as the service's own: from its image, with its volumes, in its networks."""
        secrets = self._secrets(service)
        if not self.apart:
            return self._here(service, words, secrets)
        script = " && ".join([*self._set_up(service, secrets), self._enter(service)])
        inside = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c", script, "sh"]
        network = HOST if service.network == HOST else service.name
        return [*_in_network(network), *inside, *self._environment(service), *words], _own_path()

    def beside(self, service: Service, words: Sequence[str], first: int) -> Command:
        """Run them beside the service's first process, as `docker exec` does."""
        if not self.apart:
            return self._here(service, words, self._secrets(service))
        within = ["nsenter", f"--target={first}", "--mount", "--net", "--pid"]
        return [
            *within,
            *("sh", "-c", self._enter(service), "sh"),
            *self._environment(service),
            *words,
        ], _own_path()

    def on_host(self, words: Sequence[str]) -> Command:
        """Run them as a program of the machine itself: what is no container, such as a robot's own server."""
        environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
        return [*(_in_network(HOST) if self.apart else ()), *words], environment

    def close(self) -> None:
        """Take namespaces and mount points away."""
        if self._namespaces is not None:
            self._namespaces.close()
        for path in self._made:
            path.rmdir()

    def _set_up(self, service: Service, secrets: Path) -> list[str]:
        """Shell commands that lay out its file system."""
        root = self._root(service)
        at = str(root or "")
        lines = [f"mount --bind {quote(at)} {quote(at)}"] if root else []
        empty = self._folder / "empty" / service.name
        for _, target, _ in service.volumes:
            (root / target.lstrip("/") if root else empty / Path(target).name).mkdir(parents=True, exist_ok=True)
        if root is None:
            empty.mkdir(parents=True, exist_ok=True)
            lines.append(f"mount --bind {quote(str(empty))} /data")
        for source, target, writable in service.volumes:
            path = source if "/" in source else str(self.data / source)
            lines.append(f"mount --bind {quote(path)} {quote(at + target)}")
            if not writable:
                lines.append(f"mount -o remount,ro,bind {quote(at + target)}")
        lines.append(f"mount --bind {quote(str(secrets))} {quote(at + '/run/secrets')}")
        if root is not None:
            lines += [
                f"mount --bind /etc/hosts {quote(at + '/etc/hosts')}",
                f"mount -t proc proc {quote(at + '/proc')}",
                f"mount --rbind /dev {quote(at + '/dev')}",
                f"mount -t tmpfs tmpfs {quote(at + '/tmp')}",
                f"mount -o remount,ro,bind {quote(at)}",  # read_only: true
            ]
        limits = " ".join(f"--{name}={'unlimited' if most < 0 else most}" for name, most in service.limits.items())
        return [*lines, f"prlimit --pid $$ {limits}"] if limits and self.limits else lines

    def _enter(self, service: Service) -> str:
        """Shell command that runs "$@" as the service's user."""
        ids = f"--reuid={self._uid} --regid={self._gid} --clear-groups"
        who = f"setpriv {ids} --no-new-privs --inh-caps=-all --bounding-set=-all"
        root = self._root(service)
        if root is None:
            return f'cd /data && exec {who} -- "$@"'
        return f'exec chroot {quote(str(root))} {who} -- sh -c \'cd /data && exec "$@"\' sh "$@"'

    def _environment(self, service: Service) -> list[str]:
        """`env -i …`: nothing of this machine's environment but what its interpreter needs."""
        root = self._root(service)
        tty = {"TERM": "xterm"} if service.terminal else {}
        if root is not None:
            config = json.loads((root.parent / "config.json").read_text())
            values = {"HOME": "/home/robot", **config["env"], **tty, **service.environment}
        else:
            path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
            values = {"PATH": path, "PYTHONUNBUFFERED": "1", **tty, **service.environment}
            values["PYTHONPATH"] = ":".join(filter(None, [str(REPOSITORY), values.get("PYTHONPATH", "")]))
        return ["env", "-i", *(f"{key}={value}" for key, value in values.items())]

    def _here(self, service: Service, words: Sequence[str], secrets: Path) -> Command:
        """Without namespaces: everybody is on this machine's loopback, below the folder, with the keys all the same."""
        places = {target: source for source, target, _ in service.volumes if "/" in source}
        places |= {"/run/secrets": str(secrets), "/data": str(self.data), "tcp://*:": "tcp://127.0.0.1:"}
        places["host=0.0.0.0"] = "host=127.0.0.1"
        kept = [_replaced(word, places) for word in words if word != "link=compose"]
        if "link=compose" in words:
            kept.append(f"link.keys={secrets}")
        environment = {name: _replaced(value, places) for name, value in service.environment.items()}
        path = ":".join(filter(None, [str(REPOSITORY), environment.get("PYTHONPATH", "")]))
        program = [sys.executable, "-m", "rlpd_robot", *kept[1:]]
        return ["sh", "-c", 'cd "$DATA" && exec "$@"', "sh", *program], {
            **os.environ,
            **environment,
            **{"PYTHONPATH": path, "DATA": str(self.data)},
        }

    def _root(self, service: Service) -> Path | None:
        if self._roots is None:
            return None
        tag = service.image.rpartition(":")[2]
        root = self._roots / tag / "root"
        assert (root / "etc").is_dir(), f"there is no file system {root}: python docker/check_chroot.py {tag}"
        (root / "run" / "secrets").mkdir(parents=True, exist_ok=True)
        (root / "etc" / "hosts").touch()  # to mount upon
        return root

    def _secrets(self, service: Service) -> Path:
        """Those that it is given, and no others."""
        return self.secrets(service.name, service.secrets)

    def secrets(self, name: str, files: Sequence[str]) -> Path:
        """A folder of so many of the keys."""
        folder = self._folder / "secrets" / name
        if not folder.exists():
            folder.mkdir(parents=True)
            for file in files:
                shutil.copy2(self.keys / file, folder / file)
            if self.apart:
                _give(folder, self._uid, self._gid)
        return folder

    def _can_run(self) -> bool:
        """Whether that user may use this interpreter."""
        ids = [f"--reuid={self._uid}", f"--regid={self._gid}", "--clear-groups"]
        command = ["setpriv", *ids, "--", "env", sys.executable, "-c", "import zmq"]
        return subprocess.run(command, capture_output=True, timeout=60, check=False).returncode == 0


def can_raise_limits() -> bool:
    """Whether this machine lets root do so."""
    probe = ["prlimit", "--rtprio=20", "--memlock=unlimited", "true"]
    return subprocess.run(probe, capture_output=True, timeout=10, check=False).returncode == 0


def _in_network(name: str) -> list[str]:
    return ["ip", "netns", "exec", Namespaces.of(name)]


def _own_path() -> dict[str, str]:
    return {"PATH": os.environ["PATH"]}


def _replaced(text: str, places: Mapping[str, str]) -> str:
    for theirs, ours in places.items():
        text = text.replace(theirs, ours)
    return text


def _give(folder: Path, uid: int, gid: int) -> None:
    for path in (folder, *folder.rglob("*")):
        os.chown(path, uid, gid)

"""Services of compose.yaml as ordinary processes that see what they would see in a container."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from compose_file import ENTRYPOINT, Service, services
from namespaces import Namespaces

REPOSITORY = Path(__file__).parents[1]
_RESTART_S = 1.0
_MADE = ("/data", "/run/secrets")

_ENTER_HOST = 'cd /data && exec setpriv {who} -- "$@"'
_SET_UP_HOST = 'mount --bind "$DATA" /data && mount --bind "$SECRETS" /run/secrets && ' + _ENTER_HOST
_ENTER_ROOT = 'exec chroot "$ROOT" setpriv {who} -- sh -c \'cd /data && exec "$@"\' sh "$@"'
_SET_UP_ROOT = (
    'mount --bind "$ROOT" "$ROOT" && mount --bind "$DATA/runs" "$ROOT/data/runs" && '
    'mount --bind "$DATA/cache" "$ROOT/data/cache" && '
    'mount --bind "$SECRETS" "$ROOT/run/secrets" && mount --bind /etc/hosts "$ROOT/etc/hosts" && '
    'mount -t proc proc "$ROOT/proc" && mount --rbind /dev "$ROOT/dev" && mount -t tmpfs tmpfs "$ROOT/tmp" && '
    'mount -o remount,ro,bind "$ROOT" && ' + _ENTER_ROOT  # read_only: true
)
_PLAIN = 'cd "$DATA" && exec "$@"'


class Processes:
    """The sim profile.

    Args:
        environment: for compose.yaml.
        folder: for data and keys.
        roots: file systems by image tag, as check_chroot.py leaves them; None: this machine's own.
        apart: whether each gets namespaces of its own, and a user and capabilities as in a container.

    Attributes:
        how: for people.
    """

    def __init__(self, environment: Mapping[str, str], folder: Path, roots: Path | None, apart: bool) -> None:
        if roots is not None and not apart:
            raise AssertionError("--roots takes root and network namespaces")
        self._all, self._folder, self._roots, self._apart = services(environment), folder, roots, apart
        self._uid, self._gid = int(environment["RLPD_UID"]), int(environment["RLPD_GID"])
        if roots is None and apart and not self._can_run():  # a virtual environment in somebody's home
            self._uid, self._gid = os.getuid(), os.getgid()
        where = f"in the file systems below {roots}" if roots is not None else "in this machine's file system"
        self.how = f"ordinary processes {where}, no container engine; " + (
            f"network and process namespaces of their own, names as in compose, user {self._uid}, no capabilities"
            if apart
            else "they share this machine's loopback, user and processes (namespaces are not permitted here)"
        )
        self._names = [name for name, service in self._all.items() if "sim" in service.profiles]
        self._data, self._keys = folder / "data", folder / "keys"
        for below in ("runs", "cache"):
            (self._data / below).mkdir(parents=True)
        shutil.copytree(REPOSITORY / "demos", self._data / "demos")
        subprocess.run([*self._program(), "keys", str(self._keys)], check=True, capture_output=True, timeout=60)
        self._namespaces = Namespaces([*self._names, "operator"]) if apart else None
        self._made = [Path(path) for path in _MADE if apart and not Path(path).exists()]
        for path in self._made:
            path.mkdir()
        if apart:
            folder.chmod(0o755)
            _give(self._data, self._uid, self._gid)
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._stopping: set[str] = set()
        self._closing = threading.Event()
        self._keepers: list[threading.Thread] = []

    def up(self) -> None:
        """Start all, and start again what ends."""
        for name in self._names:
            self._start(name)
            self._keepers.append(threading.Thread(target=self._keep, args=(name,), daemon=True))
            self._keepers[-1].start()

    def healthy(self, name: str) -> bool:
        """Whether its health check passes."""
        service = self._all[name]
        with contextlib.suppress(subprocess.TimeoutExpired, AssertionError):
            return self._enter(service, service.health, 6.0)[0] == 0
        return False

    def read(self, path: str) -> str:
        """A file of /data; empty where there is none."""
        with contextlib.suppress(FileNotFoundError):
            return (self._data / path).read_text(errors="replace")
        return ""

    def tool(self, *words: str) -> tuple[int, str]:
        """One run of the operator service with these words: exit status, output."""
        command, environment = self._command(self._all["operator"], [*ENTRYPOINT, *words])
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
        return done.returncode, done.stdout or done.stderr

    def kill_process(self, name: str) -> None:
        """The process that the service's supervisor looks after, at once."""
        pid = json.loads(self.read(f"runs/door/alive/{name}.json"))["pid"]
        if not self._apart:
            os.kill(pid, signal.SIGKILL)
            return
        within = ["nsenter", f"--target={self._first(name)}", "--pid", "--mount", "kill", "-9", str(pid)]
        subprocess.run(within, check=True, timeout=10)

    def kill_container(self, name: str) -> None:
        """Everything in it, at once."""
        os.killpg(self._running[name].pid, signal.SIGKILL)
        if not self._apart:  # no process namespace that would take the child along; it sees that its supervisor is gone
            return
        self._running[name].wait(10)

    def stop(self, name: str) -> float:
        """As `docker stop` does; how long it took [s]."""
        self._stopping.add(name)
        began, process = time.monotonic(), self._running[name]
        os.kill(self._first(name), signal.SIGTERM)
        status = process.wait(self._all[name].grace_s)
        assert status == 0, f"{name} ended with status {status}: {self._log(name)}"
        return time.monotonic() - began

    def close(self) -> None:
        """End what still runs, and take everything away."""
        self._closing.set()
        for name, process in self._running.items():
            if process.poll() is None:
                print(f"--- {name}:\n{self._log(name)}", file=sys.stderr)
                os.killpg(process.pid, signal.SIGKILL)
                process.wait(10)
        for keeper in self._keepers:
            keeper.join(10)
        if self._namespaces is not None:
            self._namespaces.close()
        for path in self._made:
            path.rmdir()

    def _keep(self, name: str) -> None:
        """restart: unless-stopped."""
        while not self._closing.wait(0.2):
            if self._running[name].poll() is not None and name not in self._stopping:
                if not self._all[name].restarts or self._closing.wait(_RESTART_S):
                    return
                self._start(name)

    def _start(self, name: str) -> None:
        service = self._all[name]
        command, environment = self._command(service, [*ENTRYPOINT, *service.command])
        with (self._folder / f"{name}.log").open("ab") as log:
            self._running[name] = subprocess.Popen(
                command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )

    def _command(self, service: Service, words: Sequence[str]) -> tuple[list[str], dict[str, str]]:
        secrets = self._secrets(service)
        if not self._apart:
            return ["sh", "-c", _PLAIN, "sh", *self._program(), *self._on_loopback(words[1:], secrets)], {
                **os.environ,
                **service.environment,
                "DATA": str(self._data),
            }
        root = self._root(service)
        script = (_SET_UP_ROOT if root else _SET_UP_HOST).format(who=self._who())
        inside = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c", script, "sh"]
        command = [
            "ip",
            "netns",
            "exec",
            Namespaces.of(service.name),
            *inside,
            *self._environment(service, root),
            *words,
        ]
        return command, self._places(service, root, secrets)

    def _enter(self, service: Service, words: Sequence[str], timeout_s: float) -> tuple[int, str]:
        """Run something in the service's namespaces, as `docker exec` does."""
        if not self._apart:
            command, environment = self._command(service, words)
        else:
            root = self._root(service)
            script = (_ENTER_ROOT if root else _ENTER_HOST).format(who=self._who())
            within = ["nsenter", f"--target={self._first(service.name)}", "--mount", "--net", "--pid"]
            command = [*within, "sh", "-c", script, "sh", *self._environment(service, root), *words]
            environment = self._places(service, root, self._folder)
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=timeout_s, check=False)
        return done.returncode, done.stdout + done.stderr

    def _environment(self, service: Service, root: Path | None) -> list[str]:
        """`env -i …`: nothing of this machine's environment but what its interpreter needs."""
        if root is not None:
            config = json.loads((root.parent / "config.json").read_text())
            values = {"HOME": "/home/robot", **config["env"], **service.environment}
        else:
            path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
            values = {"PATH": path, "PYTHONPATH": str(REPOSITORY), "PYTHONUNBUFFERED": "1", **service.environment}
        return ["env", "-i", *(f"{key}={value}" for key, value in values.items())]

    def _places(self, service: Service, root: Path | None, secrets: Path) -> dict[str, str]:
        places = {"PATH": os.environ["PATH"], "DATA": str(self._data), "SECRETS": str(secrets)}
        return places | ({"ROOT": str(root)} if root is not None else {})

    def _root(self, service: Service) -> Path | None:
        if self._roots is None:
            return None
        root = self._roots / service.image.rpartition(":")[2] / "root"
        (root / "run" / "secrets").mkdir(parents=True, exist_ok=True)
        (root / "etc" / "hosts").touch()  # to mount upon
        return root

    def _secrets(self, service: Service) -> Path:
        """Those that it is given, and no others."""
        folder = self._folder / "secrets" / service.name
        if not folder.exists():
            folder.mkdir(parents=True)
            for name in service.secrets:
                shutil.copy2(self._keys / name, folder / name)
            if self._apart:
                _give(folder, self._uid, self._gid)
        return folder

    def _can_run(self) -> bool:
        """Whether that user may use this interpreter."""
        command = ["setpriv", *self._who().split(), "--", "env", sys.executable, "-c", "import zmq"]
        return subprocess.run(command, capture_output=True, timeout=60, check=False).returncode == 0

    def _who(self) -> str:
        ids = f"--reuid={self._uid} --regid={self._gid} --clear-groups"
        return f"{ids} --no-new-privs --inh-caps=-all --bounding-set=-all"

    def _first(self, name: str) -> int:
        """The first process of its process namespace."""
        pid = self._running[name].pid
        if not self._apart:
            return pid
        children = Path(f"/proc/{pid}/task/{pid}/children")
        found = children.read_text().split() if children.exists() else []
        assert found, f"{name} does not run: {self._log(name)}"
        return int(found[0])

    def _on_loopback(self, words: Sequence[str], secrets: Path) -> list[str]:
        """Without the network's names: everybody is on this machine's loopback, with the keys all the same."""
        kept = [word.replace("tcp://*:", "tcp://127.0.0.1:") for word in words if word != "link=compose"]
        kept = [word.replace("host=0.0.0.0", "host=127.0.0.1") for word in kept]
        return [*kept, f"link.keys={secrets}"] if "link=compose" in words else kept

    def _program(self) -> list[str]:
        return [sys.executable, "-m", "rlpd_robot"]

    def _log(self, name: str) -> str:
        path = self._folder / f"{name}.log"
        return path.read_text(errors="replace")[-3000:] if path.exists() else ""


def _give(folder: Path, uid: int, gid: int) -> None:
    for path in (folder, *folder.rglob("*")):
        os.chown(path, uid, gid)

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
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from compose_file import COMPOSE, ENTRYPOINT, services
from inside import Command, Inside
from terminal import Terminal

_RESTART_S = 1.0
_CHECK_S = 6.0


class Processes:
    """Services, one process each, and what stands beside them.

    Args:
        environment: for compose.yaml.
        folder: for data and keys.
        roots: file systems by image tag, as check_chroot.py leaves them; None: this machine's own.
        apart: whether each gets namespaces of its own, and a user and capabilities as in a container.
        configs: folder of what a user puts into configs/; none: nothing.

    Attributes:
        how: for people.
        limits: whether processes are given the limits that they are promised.
    """

    def __init__(
        self,
        environment: Mapping[str, str],
        folder: Path,
        roots: Path | None,
        apart: bool,
        configs: Path | None = None,
    ) -> None:
        self._all = services({**environment, "KEYS": str(folder / "keys"), "CONFIGS": str(folder / "configs")})
        for path in (COMPOSE.parent / "configs", configs):
            if path is not None:
                shutil.copytree(path, folder / "configs", dirs_exist_ok=True)
        self._folder = folder
        user = int(environment["RLPD_UID"]), int(environment["RLPD_GID"])
        self._inside = Inside(self._all, folder, user, roots, apart)
        self.how, self.limits = self._inside.how, self._inside.limits
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._beside: list[subprocess.Popen[bytes]] = []
        self._terminals: list[Terminal] = []
        self._stopping: set[str] = set()
        self._closing = threading.Event()
        self._keepers: list[threading.Thread] = []

    def prepare(self) -> None:
        """Make keys, as the service does."""
        status, text = self.run("keys")
        assert status == 0, text

    def up(self, *names: str) -> None:
        """Start them, and start again what ends."""
        for name in names:
            self._start(name)
            self._keepers.append(threading.Thread(target=self._keep, args=(name,), daemon=True))
            self._keepers[-1].start()

    def healthy(self, name: str) -> bool:
        """Whether its health check passes, within its container; False where that does not run."""
        service = self._all[name]
        with contextlib.suppress(subprocess.TimeoutExpired, AssertionError):
            return self._done(self._inside.beside(service, service.health, self._first(name)), _CHECK_S)[0] == 0
        return False

    def read(self, path: str) -> str:
        """A file of /data; empty where there is none."""
        with contextlib.suppress(FileNotFoundError):
            return (self._inside.data / path).read_text(errors="replace")
        return ""

    def run(self, name: str, *words: str, within_s: float = 120.0) -> tuple[int, str]:
        """One run of the service, with these words in the place of its own: exit status, output."""
        service = self._all[name]
        command = self._inside.command(service, [*ENTRYPOINT, *(words or service.command)])
        return self._done(command, within_s)

    def not_well(self, name: str) -> str:
        """What its health check says where nothing else runs.

        Raises:
            AssertionError: it passes.
        """
        status, text = self.run(name, *self._all[name].health[1:])
        assert status == 1, f"{name} does not run, and its health check has status {status}: {text}"
        return text.strip()

    def on_terminal(self, name: str) -> Terminal:
        """One run of the service as it stands, before a person."""
        service = self._all[name]
        self._terminals.append(Terminal(*self._inside.command(service, [*ENTRYPOINT, *service.command])))
        return self._terminals[-1]

    def stop_on_terminal(self, name: str, terminal: Terminal) -> int:
        """As `docker stop` does: its exit status, within its grace period."""
        os.kill(self._first_of(terminal.process, terminal.text), signal.SIGTERM)
        return terminal.ends(self._all[name].grace_s)

    def start_beside(self, name: str, words: list[str]) -> None:
        """Start what is none of compose.yaml, such as a robot's own server; it lives until `end_beside`."""
        command, environment = self._inside.on_host(words)
        with (self._folder / f"{name}.log").open("ab") as log:
            self._beside.append(
                subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
            )

    def end_beside(self) -> None:
        """End that."""
        while self._beside:
            process = self._beside.pop()
            process.terminate()
            process.wait(20)

    def ask_beside(self, words: list[str]) -> tuple[int, str]:
        """One run of what is none of compose.yaml: exit status, output."""
        return self._done(self._inside.on_host(words), 60.0)

    def keys_for(self, name: str, *files: str) -> Path:
        """A folder with these keys."""
        return self._inside.secrets(name, files)

    def kill_process(self, name: str) -> None:
        """The process that the service's supervisor looks after, at once."""
        pid = self.pid(name)
        if not self._inside.apart:
            os.kill(pid, signal.SIGKILL)
            return
        self.within(name, "kill", "-9", str(pid))

    def pid(self, name: str) -> int:
        """Of the process that the service's supervisor looks after, as it is known within."""
        service = self._all[name]
        return int(json.loads(self.read(f"{self.directory(name)}/alive/{service.verb}.json"))["pid"])

    def directory(self, name: str) -> str:
        """Of the run that a service belongs to, below /data."""
        return f"runs/{self._all[name].word('run.name')}"

    def verb(self, name: str) -> str:
        """Which part of a run it is."""
        return self._all[name].verb

    def within(self, name: str, *words: str) -> str:
        """What a command says that sees the service's processes under their own numbers."""
        beside = ["nsenter", f"--target={self._first(name)}", "--pid", "--mount"] if self._inside.apart else []
        done = subprocess.run([*beside, *words], check=True, timeout=10, capture_output=True, text=True)
        return done.stdout

    def kill_container(self, name: str) -> None:
        """Everything in it, at once."""
        os.killpg(self._running[name].pid, signal.SIGKILL)
        if not self._inside.apart:  # nothing would take the child along; it sees that its supervisor is gone
            return
        self._running[name].wait(10)

    def stop(self, name: str) -> float:
        """As `docker stop` does; how long it took [s]."""
        self._stopping.add(name)
        began, process = time.monotonic(), self._running[name]
        os.kill(self._first(name), signal.SIGTERM)
        status = process.wait(self._all[name].grace_s)
        assert status == 0, f"{name} ended with status {status}: {self.log(name)}"
        return time.monotonic() - began

    def log(self, name: str) -> str:
        """The end of what it has printed."""
        path = self._folder / f"{name}.log"
        return path.read_text(errors="replace")[-3000:] if path.exists() else ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End what still runs, and take everything away."""
        self._closing.set()
        for terminal in self._terminals:
            terminal.close()
        for name, process in self._running.items():
            if process.poll() is None:
                print(f"--- {name}:\n{self.log(name)}", file=sys.stderr)
                os.killpg(process.pid, signal.SIGKILL)
                process.wait(10)
        self.end_beside()
        for keeper in self._keepers:
            keeper.join(10)
        self._inside.close()

    def _keep(self, name: str) -> None:
        """restart: unless-stopped."""
        while not self._closing.wait(0.2):
            if self._running[name].poll() is not None and name not in self._stopping:
                if not self._all[name].restarts or self._closing.wait(_RESTART_S):
                    return
                self._start(name)

    def _start(self, name: str) -> None:
        service = self._all[name]
        command, environment = self._inside.command(service, [*ENTRYPOINT, *service.command])
        with (self._folder / f"{name}.log").open("ab") as log:
            self._running[name] = subprocess.Popen(
                command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )

    def _first(self, name: str) -> int:
        """The first process of its process namespace."""
        assert name in self._running, f"{name} was not started"
        return self._first_of(self._running[name], self.log(name))

    def _first_of(self, process: "subprocess.Popen[bytes]", said: str) -> int:
        if not self._inside.apart:
            return process.pid
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        found = children.read_text().split() if children.exists() else []
        assert found, f"it does not run: {said}"
        return int(found[0])

    def _done(self, command: Command, within_s: float) -> tuple[int, str]:
        words, environment = command
        done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=within_s, check=False)
        return done.returncode, done.stdout or done.stderr

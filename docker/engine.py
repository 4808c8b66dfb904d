"""The sim profile of compose.yaml in containers."""

import json
import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

from compose_file import COMPOSE, services

_PROJECT = "rlpd-robot-check"
_BUILD_S = 3600.0
_LOG_LINES = 60


def engine_at_hand() -> list[str] | None:
    """The words of Docker Compose where an engine answers; None where there is none.

    COMPOSE in the environment names another one, such as "podman-compose"; ENGINE its engine's command.
    """
    engine = os.environ.get("ENGINE", "docker")
    compose = shlex.split(os.environ.get("COMPOSE", "docker compose"))
    if not shutil.which(engine) or not shutil.which(compose[0]):
        return None
    for command in ([engine, "info"], [*compose, "version"]):
        if subprocess.run(command, capture_output=True, timeout=60, check=False).returncode:
            return None
    return compose


class Engine:
    """The sim profile, built and run by an engine. BASE in the environment is the base image."""

    def __init__(self, compose: Sequence[str], environment: Mapping[str, str], folder: Path) -> None:
        self._engine = os.environ.get("ENGINE", "docker")
        self.how = f"containers of {self._engine}, by {' '.join(compose)}"
        self._compose = [*compose, "-p", _PROJECT, "-f", str(COMPOSE)]
        self._tools = [*self._compose, "--profile", "tools"]
        keys = folder / "keys"
        keys.mkdir()
        ids = {"RLPD_UID": str(os.getuid() or 1000), "RLPD_GID": str(os.getgid() or 1000)}
        os.chown(keys, int(ids["RLPD_UID"]), int(ids["RLPD_GID"]))
        folder.chmod(0o755)
        self._environment = {**os.environ, **environment, **ids, "KEYS": str(keys)}
        self._services = services(self._environment)

    def prepare(self) -> None:
        """Build, unless BUILT in the environment says that the images are there, and make keys."""
        if not os.environ.get("BUILT"):
            self._run([*self._compose, "--profile", "sim", "build"], _BUILD_S)
        self._run([*self._tools, "run", "--rm", "keys"], 300.0)

    def up(self, *names: str) -> None:
        """Start them; what ends is started again."""
        self._run([*self._compose, "--profile", "sim", "up", "--detach", "--no-build", *names], 300.0)

    def healthy(self, name: str) -> bool:
        """What the engine says of its health; podman, which leaves the timing to systemd, is told to look."""
        container = self._container(name)
        if not container:
            return False
        if "podman" in self._engine:
            return self._ask([self._engine, "healthcheck", "run", container])[0] == 0
        return self._ask([self._engine, "inspect", "-f", "{{.State.Health.Status}}", container])[1].strip() == "healthy"

    def read(self, path: str) -> str:
        """A file of /data, as the learner or, once it has ended, the operator sees it; empty where there is none."""
        for name in ("sim", "learner", "actor"):
            if container := self._container(name):
                status, text = self._ask([self._engine, "exec", container, "cat", path])
                return text if status == 0 else ""
        return self._ask([*self._tools, "run", "-T", "--rm", "--entrypoint", "cat", "operator", path])[1]

    def run(self, name: str, *words: str, within_s: float = 180.0) -> tuple[int, str]:
        """One run of the service, with these words in the place of its own: exit status, output."""
        profiles = [word for profile in self._services[name].profiles for word in ("--profile", profile)]
        return self._ask([*self._compose, *profiles, "run", "-T", "--rm", "--no-deps", name, *words], within_s)

    def not_well(self, name: str) -> str:
        """What its health check says in a container where nothing else runs.

        Raises:
            AssertionError: it passes.
        """
        status, text = self.run(name, *self._services[name].health[1:])
        assert status == 1, f"{name} does not run, and its health check has status {status}: {text}"
        return text.strip()

    def directory(self, name: str) -> str:
        """Of the run that a service belongs to, below /data."""
        return f"runs/{self._services[name].word('run.name')}"

    def verb(self, name: str) -> str:
        """Which part of a run it is."""
        return self._services[name].verb

    def kill_process(self, name: str) -> None:
        """The process that the service's supervisor looks after, at once."""
        self._in(name, f"kill -9 {self._pid(name)}")

    def kill_container(self, name: str) -> None:
        """Its supervisor, and so all of it. `docker kill` would count as a person's stop, for good."""
        self._in(name, f"kill -9 $(cut -d' ' -f4 /proc/{self._pid(name)}/stat)")

    def stop(self, name: str) -> float:
        """As a person does; how long it took [s]."""
        container, grace = self._container(name), self._services[name].grace_s
        began = time.monotonic()
        self._run([self._engine, "stop", "-t", f"{grace:.0f}", container], grace + 30.0)
        seconds = time.monotonic() - began
        status = self._status(container)
        assert status == "0", f"{name} ended with status {status}: {self._log(container)}"
        return seconds

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Take containers, network and volumes away; what those printed that did not end in order is shown first."""
        words = [self._engine, "ps", "-a", "--format", "{{.ID}} {{.Names}}"]
        words.append(f"--filter=label=com.docker.compose.project={_PROJECT}")
        for line in self._ask(words)[1].splitlines():
            container, _, name = line.partition(" ")
            if self._status(container) != "0" or self._ask([self._engine, "ps", "-q", f"--filter=id={container}"])[1]:
                print(f"--- {name}:\n{self._log(container)}", file=sys.stderr, flush=True)
        self._ask([*self._compose, "--profile", "sim", "down", "--volumes"])

    def _pid(self, name: str) -> int:
        return int(json.loads(self.read(f"{self.directory(name)}/alive/{self.verb(name)}.json"))["pid"])

    def _in(self, name: str, script: str) -> None:
        self._run([self._engine, "exec", self._container(name), "sh", "-c", script], 30.0)

    def _container(self, name: str) -> str:
        filters = [
            f"--filter=label=com.docker.compose.{key}={value}"
            for key, value in (("project", _PROJECT), ("service", name))
        ]
        found = self._ask([self._engine, "ps", "-q", *filters])[1].split()
        return found[0] if found else ""

    def _status(self, container: str) -> str:
        return self._ask([self._engine, "inspect", "-f", "{{.State.ExitCode}}", container])[1].strip()

    def _log(self, container: str) -> str:
        """The end of what a container has printed."""
        words = [self._engine, "logs", "--timestamps", "--tail", str(_LOG_LINES), container]
        done = subprocess.run(words, env=self._environment, capture_output=True, text=True, timeout=60, check=False)
        return done.stdout + done.stderr

    def _ask(self, command: Sequence[str], within_s: float = 180.0) -> tuple[int, str]:
        done = subprocess.run(
            command,
            env=self._environment,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=within_s,
            check=False,
        )
        return done.returncode, done.stdout

    def _run(self, command: Sequence[str], timeout_s: float) -> None:
        print("$", *command, flush=True)
        done = subprocess.run(command, env=self._environment, timeout=timeout_s, check=False)
        assert done.returncode == 0, f"status {done.returncode}: {' '.join(command)}"

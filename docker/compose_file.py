"""compose.yaml for the checks beside it, with `${NAME:-default}` filled in as Docker Compose does."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

COMPOSE = Path(__file__).parent / "compose.yaml"
ENTRYPOINT = ("rlpd-robot",)
"""Of the robot and the learner image."""

_VARIABLE = re.compile(r"\$(?:\$|\{(\w+)(?::-([^}]*))?\})")


@dataclass(frozen=True)
class Service:
    """One service.

    Attributes:
        name: also its name on the network.
        image: that it runs.
        profiles: in which it is started.
        command: words after the image's entry point.
        environment: beside the image's.
        secrets: names of files in /run/secrets.
        health: words of its health check; none where it has none.
        network: "links" or "view" of the file, "host" (this machine's) or "none".
        volumes: (source, path in the container, whether it may write there).
        limits: of the process, by the kernel's name; -1: none.
        start_s: how long the check may fail at first [s].
        grace_s: how long it may take to end [s].
        terminal: whether it is given one.
        restarts: whether it is started again when it ends.
    """

    name: str
    image: str
    profiles: tuple[str, ...]
    command: tuple[str, ...]
    environment: Mapping[str, str]
    secrets: tuple[str, ...]
    health: tuple[str, ...]
    network: str
    volumes: tuple[tuple[str, str, bool], ...]
    limits: Mapping[str, int]
    start_s: float
    grace_s: float
    terminal: bool
    restarts: bool

    @property
    def verb(self) -> str:
        """Which part of a run it is: what stands behind `supervise`, or first."""
        return self.command[self.command[0] == "supervise"]

    def word(self, key: str) -> str:
        """The value of `key=value` among its words; empty where there is none."""
        return next((word.partition("=")[2] for word in self.command if word.startswith(f"{key}=")), "")


def read(environment: Mapping[str, str], path: Path = COMPOSE) -> dict[str, Any]:
    """The whole file."""
    data: dict[str, Any] = _fill(yaml.safe_load(path.read_text()), environment)
    return data


def services(environment: Mapping[str, str], path: Path = COMPOSE) -> dict[str, Service]:
    """Every service by name."""
    return {name: _service(name, data) for name, data in read(environment, path)["services"].items()}


def _service(name: str, data: Mapping[str, Any]) -> Service:
    check = data.get("healthcheck", {})
    test = list(check.get("test", ()))
    if test and test[0] != "CMD":
        raise ValueError(f"{name}: health check {test[0]!r}: expected CMD")
    return Service(
        name=name,
        image=data["image"],
        profiles=tuple(data.get("profiles", ())),
        command=tuple(data.get("command", ())),
        environment={key: str(value) for key, value in data.get("environment", {}).items()},
        secrets=tuple(data.get("secrets", ())),
        health=tuple(test[1:]),
        network=data.get("network_mode") or data["networks"][0],
        volumes=tuple(map(_volume, data.get("volumes", ()))),
        limits=data.get("ulimits", {}),
        start_s=_seconds(check.get("start_period", "0s")),
        grace_s=_seconds(data.get("stop_grace_period", "10s")),
        terminal=data.get("tty", False),
        restarts=data.get("restart", "no") != "no",
    )


def _volume(text: str) -> tuple[str, str, bool]:
    source, target, *options = text.split(":")
    return source, target, "ro" not in options


def _seconds(text: str) -> float:
    return float(text.removesuffix("s"))


def _fill(value: Any, environment: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        return _VARIABLE.sub(lambda found: _variable(found, environment), value)
    if isinstance(value, list):
        return [_fill(part, environment) for part in value]
    if isinstance(value, dict):
        return {key: _fill(part, environment) for key, part in value.items()}
    return value


def _variable(found: "re.Match[str]", environment: Mapping[str, str]) -> str:
    name, default = found.groups()
    if name is None:
        return "$"
    return environment.get(name) or default or ""  # ":-" stands for empty ones too

"""Asking and telling what runs: status, logs, the dashboard, and a person's word to the actor."""

import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from rlpd_robot.verbs.words import show, without_cfg

if TYPE_CHECKING:  # help answers at once
    from rlpd_robot.run.settings import Settings


def actor_word(word: str, **arguments: str) -> Callable[[list[str]], int]:
    """A verb that asks the running actor, and prints its sentence."""

    def verb(words: list[str]) -> int:
        from rlpd_robot.config import load

        settings, text = load("actor", without_cfg(words))
        if "--cfg" in words:
            return show(text)
        from rlpd_robot.wire.control import ask

        link = settings.link
        print(ask(link.control, word, arguments, link.timeout_s, settings.security))
        return 0

    return verb


def pin(words: list[str]) -> int:
    """Have the running actor go back to an earlier policy."""
    if not words or not (words[0].isascii() and words[0].isdigit()):
        print("usage: rlpd-robot pin VERSION [key=value …]", file=sys.stderr)
        return 2
    return actor_word("pin", version=words[0])(words[1:])


def status(words: list[str]) -> int:
    """What runs where and how well."""
    from rlpd_robot.run.status_cli import run_status

    def load_settings(overrides: Sequence[str]) -> "Settings":
        from rlpd_robot.config import load

        return load("actor", overrides)[0]

    if "--cfg" in words:
        from rlpd_robot.config import load

        return show(load("actor", [word for word in words if "=" in word and not word.startswith("-")])[1])
    return run_status(words, load_settings)


def logs(words: list[str]) -> int:
    """What the processes of a run have printed."""
    from rlpd_robot.run.status_cli import run_logs

    return run_logs(words)


def dashboard(words: list[str]) -> int:
    """The runs of this machine in a browser."""
    from rlpd_robot.run.saying import say

    if words == ["--check"]:  # as a health check asks, several times a minute: without Hydra
        from rlpd_robot.run.dashboard.check import check
        from rlpd_robot.run.dashboard.settings import DashboardSettings

        return check(DashboardSettings(), say)
    from rlpd_robot.config import load

    settings, text = load("dashboard", [word for word in words if word not in ("--cfg", "--check")])
    if "--cfg" in words:
        return show(text)
    from rlpd_robot.run.dashboard.check import check
    from rlpd_robot.run.dashboard.dashboard import run_dashboard
    from rlpd_robot.run.stopping import stop_on_signals

    if "--check" in words:
        return check(settings.dashboard, say)
    links_given = any(word.lstrip("+~").partition("=")[0].partition(".")[0] == "link" for word in words)
    return run_dashboard(settings, links_given, stop_on_signals(), say)

"""What comes before a robot learns: its files and keys, its health, its twin, the dry run, its demonstrations."""

import sys

from rlpd_robot.errors import ChildError, FaultError, PeerTimeoutError
from rlpd_robot.verbs.words import one_thread, show, to_stderr, without_cfg


def keys(words: list[str]) -> int:
    """The keys that let links leave the machine."""
    if len(words) != 1 or words[0].startswith("-") or "=" in words[0]:
        print("usage: rlpd-robot keys DIR", file=sys.stderr)
        return 2
    from pathlib import Path

    from rlpd_robot.run.keys import run_keys

    return run_keys(Path(words[0]))


def robot_init(words: list[str]) -> int:
    """First files for a robot that runs."""
    places = [word for word in words if "=" not in word and not word.startswith("-")]
    if len(places) != 2 or any(word.startswith("-") for word in words):
        print(
            "usage: rlpd-robot robot-init ADDRESS NAME [out=FOLDER] [topic=COMMANDS] [insecure=true]", file=sys.stderr
        )
        return 2
    from rlpd_robot.config import load_words
    from rlpd_robot.run.robot_init.robot_init import robot_init
    from rlpd_robot.run.robot_init.settings import InitSettings

    settings, _, _ = load_words(InitSettings, [word for word in words if "=" in word])
    address, name = places
    for path in robot_init(address, name, settings, print):
        print(f"wrote {path}")
    link = address.replace("ws://", "tcp://", 1) if address.startswith("ws://") else address
    link += " link.insecure=true" if settings.insecure else ""
    print("Read both files. Then look at the robot with:")
    print(f"  RLPD_ROBOT_CONFIGS={settings.out} rlpd-robot doctor robot={name} link.robot={link}")
    return 0


def doctor(words: list[str]) -> int:
    """Whether the robot is fit to learn on."""
    from rlpd_robot.config import build, load

    flags = ("--json", "--move")
    settings, text = load("doctor", [word for word in without_cfg(words) if word not in flags])
    if "--cfg" in words:
        return show(text)
    from rlpd_robot.run.doctor.doctor import passed, run_doctor
    from rlpd_robot.run.doctor.show import Printer, as_json
    from rlpd_robot.run.stopping import stop_on_signals

    printer = Printer(sys.stderr if "--json" in words else sys.stdout)
    stop = stop_on_signals()
    verdicts = run_doctor(settings, build, "--move" in words, printer.show, stop.is_set)
    printer.end(settings.robot.name, verdicts)
    if "--json" in words:
        print(as_json(settings.robot.name, verdicts, passed(verdicts)), flush=True)
    if stop.is_set():
        return 130
    return 0 if passed(verdicts) else 1


def dry_run(words: list[str]) -> int:
    """`policy=`, `learn=` and `sweep=` are those of the dry run, though the actor has a `policy` too."""
    from rlpd_robot.config import build, load

    given = [
        f"dry_run.{word}" if word.startswith(("policy=", "learn=", "sweep=")) else word for word in without_cfg(words)
    ]
    settings, text = load("dry_run", given)
    if "--cfg" in words:
        return show(text)
    from rlpd_robot.run.dry_run.dry_run import dry_run
    from rlpd_robot.run.processes import kill_all
    from rlpd_robot.run.stopping import stop_on_signals

    stop = stop_on_signals(kill_all)
    try:
        return dry_run(settings, text, given, build, lambda words: load("sim", words)[0], stop.is_set)
    except (ChildError, FaultError, PeerTimeoutError) as error:  # elsewhere they mean that a run failed
        print(f"rlpd-robot dry-run: {error}", file=sys.stderr)
        return 2


def identify(words: list[str]) -> int:
    """Delay, gains, damping and friction of a recorded robot."""
    places = [word for word in words if "=" not in word and not word.startswith("-")]
    flags = {word for word in words if word.startswith("-")}
    if len(places) != 1 or flags - {"--json", "--cfg"}:
        print(
            "usage: rlpd-robot identify STORE [robot=…] [task=…] [out=FILE] [episodes=…] [periods=…] [--json]",
            file=sys.stderr,
        )
        return 2
    one_thread()
    from pathlib import Path

    from rlpd_robot.config import build, load, load_words
    from rlpd_robot.data.demo_store import DemoStore
    from rlpd_robot.run.identify.identify import identify
    from rlpd_robot.run.identify.settings import GROUPS, IdentifySettings
    from rlpd_robot.run.replay.replay import words_for
    from rlpd_robot.run.saying import say

    wanted, others, _ = load_words(IdentifySettings, [word for word in words if "=" in word], GROUPS)
    settings, text = load("collect", words_for(DemoStore.open(places[0]), others))
    if "--cfg" in flags:
        return show(text)
    as_json = "--json" in flags
    return identify(Path(places[0]), wanted, settings, build, as_json=as_json, tell=to_stderr if as_json else say)


def demos(words: list[str]) -> int:
    """Demonstration stores."""
    from rlpd_robot.run.demos_cli import Configuration, run_demos

    def configure() -> Configuration:
        from rlpd_robot import config

        return config

    return run_demos(words, configure)

"""`rlpd-robot VERB …`: each verb imports its own module when it is called, so that help answers at once."""

import errno
import json
import os
import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from rlpd_robot.errors import ChildError, FaultError, PeerTimeoutError, RlpdRobotError

if TYPE_CHECKING:  # help answers at once
    from rlpd_robot.run.settings import Settings

HELP = """\
rlpd-robot: teach a robot a skill from demonstrations and live practice (RLPD, arXiv:2302.02948)

usage: rlpd-robot VERB [key=value …]

  train            learn a task: starts stand-in, actor and learner here, evaluates, writes runs/<name>/
  actor            the robot's side alone: act, journal, send
  learner          the learner's side alone: receive, commit, update, publish
  sim              the MuJoCo stand-in alone, speaking the robot's protocol
  serve            actions for foreign programs, in any language (docs/policy_server.md)
  experiment NAME  rows of the paper × seeds in lock-step simulation: table, figure, tidy results (docs/experiments.md)
  tune             the paper's ablations on your task and demonstrations, in simulation; writes the agent to use
  eval             deterministic episodes with a trained policy
  record           a person moves the robot, each episode is safe in a store as it ends (docs/recording.md)
  arm              a person's word, after a look at the robot: clear the actor's fault
  pin VERSION      have the running actor go back to an earlier policy, and stay with it
  unpin            have the running actor take the newest policy again
  status [RUN]     what runs where and how well, rates, last faults; --json; --check=actor: 0 when it is well
  logs [RUN]       what the processes of a run have printed; -f: go on
  dashboard        the runs of this machine, live, in a browser (docs/dashboard.md)
  supervise VERB   actor, learner, sim or serve, started again when it dies or hangs: for containers and services
  robot-init ADDRESS NAME   write a first robot file and first limits from a running robot; nothing moves
  dry-run          everything that can go wrong, tried on a stand-in before metal moves: go, or no go and why
  identify STORE   delay, gains, damping and friction of a recorded robot, as a twin for sim and dry-run
  doctor           is the robot fit to learn on: one verdict a line; --move moves each joint a little, after your yes
  keys DIR         make the keys that let links leave the machine
  demos VERB       look at, check, mend and convert demonstration stores; `rlpd-robot demos --help`
  bench NAME       measure or prove something about this program on this machine; --json for a machine to read

Settings are Hydra words: groups robot=, task=, agent=, safety=, link=, experiment=, and keys such as
run.seed=1. `rlpd-robot VERB --cfg` prints what a verb would run with. Your own folder of groups joins through
RLPD_ROBOT_CONFIGS=FOLDER.

examples:
  rlpd-robot train experiment=adroit_door_quick run.seed=1
  rlpd-robot demos info demos/adroit_door/demos.zarr
"""


_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO)
"""Of a disk that is full, over its quota, read-only or broken."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb; the exit status: 0 done, 1 it failed at what it tried, 2 it was asked wrongly."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if not words or words[0] in ("-h", "--help", "help"):
        print(HELP, end="")
        return 0 if words else 2
    if words[0] in ("-V", "--version", "version"):
        from importlib.metadata import version

        print(version("rlpd-robot"))
        return 0
    verb = VERBS.get(words[0])
    if verb is None:
        print(f"rlpd-robot: there is no verb {words[0]!r}. Verbs are {', '.join(sorted(VERBS))}.", file=sys.stderr)
        return 2
    if any(word in ("-m", "--multirun") for word in words):
        print("rlpd-robot: a robot process runs one setting at a time; --multirun is refused.", file=sys.stderr)
        return 2
    try:
        return verb(words[1:])
    except RlpdRobotError as error:
        print(f"rlpd-robot {words[0]}: {error}", file=sys.stderr)
        return 1 if isinstance(error, FaultError | PeerTimeoutError | ChildError) else 2
    except OSError as error:
        if error.errno not in _DISK:
            raise
        print(f"rlpd-robot {words[0]}: the disk refuses: {error}. Make room on it, then start again.", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _train(words: list[str]) -> int:
    from rlpd_robot.config import build, load

    settings, text = load("train", _without_cfg(words))
    if "--cfg" in words:
        return _show(text)
    from rlpd_robot.run.train import train

    return train(settings, text, words, build)


def _actor(words: list[str]) -> int:
    _one_thread()
    from rlpd_robot.config import build, load

    settings, text = load("actor", _without_cfg(words))
    if "--cfg" in words:
        return _show(text)
    from rlpd_robot.run.actor import run_actor
    from rlpd_robot.run.stopping import stop_on_signals

    return run_actor(settings, build(settings.robot.driver), build(settings.task), stop_on_signals())


def _learner(words: list[str]) -> int:
    from rlpd_robot.config import load

    settings, text = load("learner", _without_cfg(words))
    if "--cfg" in words:
        return _show(text)
    from rlpd_robot.run.learner import run_learner
    from rlpd_robot.run.stopping import stop_on_signals

    return run_learner(settings, text, stop_on_signals())


def _sim(words: list[str]) -> int:
    _one_thread()
    from rlpd_robot.config import build, load

    settings, text = load("sim", _without_cfg(words))
    if "--cfg" in words:
        return _show(text)
    from rlpd_robot.errors import ConfigError
    from rlpd_robot.run.stopping import stop_on_signals

    if settings.robot.stand_in is None:
        raise ConfigError("robot.stand_in", None, f"a recipe; robot '{settings.robot.name}' has none")
    print(f"stand-in of robot '{settings.robot.name}' at {settings.link.robot}; Ctrl-C ends it", flush=True)
    build(settings.robot.stand_in, stop=stop_on_signals())
    return 0


def _eval(words: list[str]) -> int:
    from rlpd_robot.config import build, load

    settings, text = load("eval", _without_cfg(words))
    if "--cfg" in words:
        return _show(text)
    from rlpd_robot.run.evaluate import run_eval

    return run_eval(settings, build)


def _experiment(words: list[str]) -> int:
    from rlpd_robot.config import build, load
    from rlpd_robot.run.experiment import experiment as studies

    flags = ("--cfg", "--job", "--list")
    names = [word for word in words if "=" not in word and word not in flags]
    overrides = [word for word in words if "=" in word]
    if "--cfg" in words:
        return _show(load("experiment", [*(f"experiment={name}" for name in names), *overrides])[1])
    name, compose, say = studies.refuse_no_name(names), partial(load, "experiment"), partial(print, flush=True)
    if "--list" in words:
        return studies.list_jobs(name, overrides, compose, say)
    from rlpd_robot.run.processes import kill_all
    from rlpd_robot.run.stopping import stop_on_signals

    stop = stop_on_signals(kill_all)
    if "--job" in words:
        return studies.one_job(name, overrides, compose, build, stop, say)
    return studies.run_experiment(name, overrides, compose, build, stop, say)


def _tune(words: list[str]) -> int:
    from rlpd_robot.config import build, load

    job = [word.removeprefix("--job=") for word in words if word.startswith("--job=")]
    overrides = [word for word in _without_cfg(words) if not word.startswith("--job=")]
    if "--cfg" in words:
        return _show(load("tune", overrides)[1])
    from rlpd_robot.run.experiment import tune
    from rlpd_robot.run.processes import kill_all
    from rlpd_robot.run.stopping import stop_on_signals

    compose, say, stop = partial(load, "tune"), partial(print, flush=True), stop_on_signals(kill_all)
    if job:
        return tune.one_job(job[0], overrides, compose, build, stop, say)
    return tune.run_tune(overrides, compose, build, stop, say)


def _record(words: list[str]) -> int:
    from rlpd_robot.config import build, load

    settings, text = load("record", _without_cfg(words))
    if "--cfg" in words:
        return _show(text)
    from rlpd_robot.robot.teleop.terminal import restore_terminal
    from rlpd_robot.run.record import run_record
    from rlpd_robot.run.stopping import stop_on_signals

    return run_record(settings, build, stop_on_signals(restore_terminal))


def _word(word: str, **arguments: str) -> Callable[[list[str]], int]:
    """A verb that asks the running actor, and prints its sentence."""

    def verb(words: list[str]) -> int:
        from rlpd_robot.config import load

        settings, text = load("actor", _without_cfg(words))
        if "--cfg" in words:
            return _show(text)
        from rlpd_robot.wire.control import ask

        link = settings.link
        print(ask(link.control, word, arguments, link.timeout_s, settings.security))
        return 0

    return verb


def _one_thread() -> None:
    """The networks are small: more threads make the matrix products slower, and keep others from their cores."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


def _serve(words: list[str]) -> int:
    _one_thread()
    from rlpd_robot.config import load

    settings, text = load("serve", _without_cfg(words))
    if "--cfg" in words:
        return _show(text)
    from rlpd_robot.run.serve import run_serve
    from rlpd_robot.run.stopping import stop_on_signals

    return run_serve(settings, stop_on_signals())


def _keys(words: list[str]) -> int:
    if len(words) != 1 or words[0].startswith("-") or "=" in words[0]:
        print("usage: rlpd-robot keys DIR", file=sys.stderr)
        return 2
    from pathlib import Path

    from rlpd_robot.run.keys import run_keys

    return run_keys(Path(words[0]))


def _pin(words: list[str]) -> int:
    if not words or not (words[0].isascii() and words[0].isdigit()):
        print("usage: rlpd-robot pin VERSION [key=value …]", file=sys.stderr)
        return 2
    return _word("pin", version=words[0])(words[1:])


def _status(words: list[str]) -> int:
    from rlpd_robot.run.status_cli import run_status

    def load_settings(overrides: Sequence[str]) -> "Settings":
        from rlpd_robot.config import load

        return load("actor", overrides)[0]

    if "--cfg" in words:
        from rlpd_robot.config import load

        return _show(load("actor", [word for word in words if "=" in word])[1])
    return run_status(words, load_settings)


def _logs(words: list[str]) -> int:
    from rlpd_robot.run.status_cli import run_logs

    return run_logs(words)


def _dashboard(words: list[str]) -> int:
    from rlpd_robot.run.saying import say

    if words == ["--check"]:  # as a health check asks, several times a minute: without Hydra
        from rlpd_robot.run.dashboard.check import check
        from rlpd_robot.run.dashboard.settings import DashboardSettings

        return check(DashboardSettings(), say)
    from rlpd_robot.config import load

    settings, text = load("dashboard", [word for word in words if word not in ("--cfg", "--check")])
    if "--cfg" in words:
        return _show(text)
    from rlpd_robot.run.dashboard.check import check
    from rlpd_robot.run.dashboard.dashboard import run_dashboard
    from rlpd_robot.run.stopping import stop_on_signals

    if "--check" in words:
        return check(settings.dashboard, say)
    links_given = any(word.lstrip("+~").partition("=")[0].partition(".")[0] == "link" for word in words)
    return run_dashboard(settings, links_given, stop_on_signals(), say)


def _supervise(words: list[str]) -> int:
    from rlpd_robot.run.supervise import VERBS, supervise

    if not words or words[0] not in VERBS:
        print(f"usage: rlpd-robot supervise {'|'.join(VERBS)} [key=value …]", file=sys.stderr)
        return 2
    from rlpd_robot.config import load

    verb, overrides = words[0], _without_cfg(words[1:])
    settings, text = load(verb, overrides)
    if "--cfg" in words:
        return _show(text)
    from rlpd_robot.run.processes import kill_all
    from rlpd_robot.run.saying import say
    from rlpd_robot.run.stopping import stop_on_signals

    return supervise(verb, overrides, settings, stop_on_signals(kill_all), say)


def _demos(words: list[str]) -> int:
    from rlpd_robot.run.demos_cli import Configuration, run_demos

    def configure() -> Configuration:
        from rlpd_robot import config

        return config

    return run_demos(words, configure)


def _bench(words: list[str]) -> int:
    """A bench is a module of `run/bench/`: `run_bench(settings, words, build) -> report` and `table(report) -> text`.

    The report's "passed" decides the exit status. With --json the report goes to stdout and the table to stderr.
    """
    if not words or words[0] not in BENCHES:
        names = " | ".join(sorted(BENCHES)) or "(none)"
        print(f"usage: rlpd-robot bench {names} [--json] [key=value …]", file=sys.stderr)
        return 2
    from importlib import import_module

    from rlpd_robot.config import build, load

    settings_words = [*BENCHES[words[0]], *(word for word in words[1:] if word not in ("--cfg", "--json"))]
    settings, text = load("bench", settings_words)
    if "--cfg" in words:
        return _show(text)
    module = _BENCH_MODULES.get(words[0], words[0].replace("-", "_"))
    bench = import_module(f"rlpd_robot.run.bench.{module}")
    report = bench.run_bench(settings, settings_words, build)
    if "--json" in words:
        print(json.dumps(report, indent=1), flush=True)
    print(bench.table(report), file=sys.stderr if "--json" in words else sys.stdout, flush=True)
    return 0 if report["passed"] else 1


def _doctor(words: list[str]) -> int:
    from rlpd_robot.config import build, load

    flags = ("--json", "--move")
    settings, text = load("doctor", [word for word in _without_cfg(words) if word not in flags])
    if "--cfg" in words:
        return _show(text)
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


def _dry_run(words: list[str]) -> int:
    """`policy=`, `learn=` and `sweep=` are those of the dry run, though the actor has a `policy` too."""
    from rlpd_robot.config import build, load

    given = [
        f"dry_run.{word}" if word.startswith(("policy=", "learn=", "sweep=")) else word for word in _without_cfg(words)
    ]
    settings, text = load("dry_run", given)
    if "--cfg" in words:
        return _show(text)
    from rlpd_robot.run.dry_run.dry_run import dry_run
    from rlpd_robot.run.processes import kill_all
    from rlpd_robot.run.stopping import stop_on_signals

    stop = stop_on_signals(kill_all)
    try:
        return dry_run(settings, text, given, build, lambda words: load("sim", words)[0], stop.is_set)
    except (ChildError, FaultError, PeerTimeoutError) as error:  # elsewhere they mean that a run failed
        print(f"rlpd-robot dry-run: {error}", file=sys.stderr)
        return 2


def _identify(words: list[str]) -> int:
    places = [word for word in words if "=" not in word and not word.startswith("-")]
    flags = {word for word in words if word.startswith("-")}
    if len(places) != 1 or flags - {"--json", "--cfg"}:
        print(
            "usage: rlpd-robot identify STORE [robot=…] [task=…] [out=FILE] [episodes=…] [periods=…] [--json]",
            file=sys.stderr,
        )
        return 2
    _one_thread()
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
        return _show(text)
    as_json = "--json" in flags
    return identify(Path(places[0]), wanted, settings, build, as_json=as_json, tell=_to_stderr if as_json else say)


def _to_stderr(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _robot_init(words: list[str]) -> int:
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


def _without_cfg(words: list[str]) -> list[str]:
    return [word for word in words if word != "--cfg"]


def _show(text: str) -> int:
    print(text, end="")
    return 0


VERBS: dict[str, Callable[[list[str]], int]] = {
    "train": _train,
    "actor": _actor,
    "learner": _learner,
    "sim": _sim,
    "eval": _eval,
    "experiment": _experiment,
    "tune": _tune,
    "record": _record,
    "serve": _serve,
    "keys": _keys,
    "demos": _demos,
    "arm": _word("arm"),
    "pin": _pin,
    "unpin": _word("unpin"),
    "status": _status,
    "logs": _logs,
    "dashboard": _dashboard,
    "supervise": _supervise,
    "doctor": _doctor,
    "dry-run": _dry_run,
    "identify": _identify,
    "robot-init": _robot_init,
    "bench": _bench,
}

BENCHES: dict[str, Sequence[str]] = {
    "chaos": (
        "experiment=adroit_door_quick",
        *("agent.ensemble=2", "agent.hidden_layers=1", "agent.hidden_width=32", "agent.batch_size=64"),
        *("agent.utd=2", "agent.clone_updates=100", "learner.publish_every=20", "learner.checkpoint_every=200"),
    ),
    "extrapolation": ("experiment=adroit_door_quick",),
    "fuzz": ("experiment=adroit_door_quick", "agent.clone_updates=10"),
    "import": ("experiment=adroit_door_quick",),
    "import-fuzz": ("experiment=adroit_door_quick",),
    "latency": ("experiment=adroit_door_quick",),
    "learner": ("agent=adroit",),
    "record-chaos": ("robot=adroit_door", "task=door"),
    "rosbridge": ("robot=adroit_pen_rosbridge", "task=pen"),
}
"""Names, each with the words that come before the user's; the modules in `run/bench/` have _ where they have -."""

_BENCH_MODULES = {"import": "import_speed"}
"""Those of another name, `import` being a word of Python."""

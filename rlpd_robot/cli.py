"""`rlpd-robot VERB …`: each verb, in `verbs/`, imports what it runs when it is called, so that help answers at once."""

import errno
import gc
import sys
from collections.abc import Callable, Sequence

from rlpd_robot.errors import ChildError, FaultError, PeerTimeoutError, RlpdRobotError
from rlpd_robot.verbs import before_running, processes, running, studies

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


_YOUNG = 50_000
"""Objects after whose making the garbage collector looks at the youngest, instead of 700."""

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
    # Nearly all that imports and settings allocate stays; looking through it again and again is a fifth of a start.
    gc.set_threshold(_YOUNG)
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


VERBS: dict[str, Callable[[list[str]], int]] = {
    "train": processes.train,
    "actor": processes.actor,
    "learner": processes.learner,
    "sim": processes.sim,
    "eval": processes.eval,
    "experiment": studies.experiment,
    "tune": studies.tune,
    "record": processes.record,
    "serve": processes.serve,
    "keys": before_running.keys,
    "demos": before_running.demos,
    "arm": running.actor_word("arm"),
    "pin": running.pin,
    "unpin": running.actor_word("unpin"),
    "status": running.status,
    "logs": running.logs,
    "dashboard": running.dashboard,
    "supervise": processes.supervise,
    "doctor": before_running.doctor,
    "dry-run": before_running.dry_run,
    "identify": before_running.identify,
    "robot-init": before_running.robot_init,
    "bench": studies.bench,
}

"""Start the profiles of compose.yaml, kill parts of them, and see them recover with every transition delivered once.

    python docker/check_running.py                    all; sim and dry-run by an engine where there is one
    python docker/check_running.py robot record       these only: sim, dry-run, robot, rosbridge, record
    python docker/check_running.py --processes        ordinary processes, whatever there is
    python docker/check_running.py --roots DIRECTORY  processes in the file systems that check_chroot.py has made

It says which of the two it runs. The processes get what a container would: a network namespace with the services'
names, a process namespace, volumes, secrets and limits of their own, a user who is not root, no capability. That takes
root; without, they share this machine's loopback, and it says so. The robot profile needs a robot beside it, and the
recorder a person: those are always run as processes. Every wait has a deadline; the whole takes some minutes.
"""

import argparse
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import course_record
import course_robot
import course_sim
from engine import Engine, engine_at_hand
from looking import say
from namespaces import Namespaces
from processes import Processes

PROFILES = ("sim", "dry-run", "robot", "rosbridge", "record")
USER = {"RLPD_UID": "1000", "RLPD_GID": "1000"}
RANDOM_ACTIONS = {"POLICY": "null"}


def main() -> int:
    """Run the checks; 0 when everything held."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("profiles", nargs="*", metavar="PROFILE", help=f"of {', '.join(PROFILES)}; none: all")
    words.add_argument("--processes", action="store_true")
    words.add_argument("--roots", type=Path)
    asked = words.parse_args()
    if unknown := set(asked.profiles) - set(PROFILES):
        words.error(f"no profile {', '.join(sorted(unknown))}: {', '.join(PROFILES)}")
    profiles = set(asked.profiles or PROFILES)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that all is taken away
    if profiles & {"sim", "dry-run"}:
        of_the_run(profiles, asked.roots, asked.processes)
    for profile, robot in (("robot", course_robot.ZMQ), ("rosbridge", course_robot.ROSBRIDGE)):
        if profile in profiles:
            of_a_robot(profile, robot, asked.roots)
    if "record" in profiles:
        by_hand(asked.roots)
    say(f"passed: {', '.join(name for name in PROFILES if name in profiles)}")
    return 0


def of_the_run(profiles: set[str], roots: Path | None, by_processes: bool) -> None:
    """The profiles of one simulated run: it learns, and its policy is tried in a dry run."""
    environment = course_sim.ENVIRONMENT | ({} if "sim" in profiles else RANDOM_ACTIONS)
    with tempfile.TemporaryDirectory(prefix="rlpd-robot-check-") as folder:
        compose = None if by_processes or roots else engine_at_hand()
        place = Engine(compose, USER | environment, Path(folder)) if compose else processes(environment, folder, roots)
        with place:
            begin(", ".join(sorted(profiles & {"sim", "dry-run"}, reverse=True)), place.how)
            place.prepare()
            if "sim" in profiles:
                course_sim.check(place)
            if "dry-run" in profiles:
                course_sim.check_dry_run(place)


def of_a_robot(profile: str, robot: course_robot.FarEnd, roots: Path | None) -> None:
    """The robot profile, before this robot."""
    with (
        tempfile.TemporaryDirectory(prefix="rlpd-robot-check-") as folder,
        processes(robot.environment, folder, roots, robot.configs) as place,
    ):
        begin(profile, place.how)
        place.prepare()
        course_robot.check(place, robot, Path(folder))


def by_hand(roots: Path | None) -> None:
    """The record profile, on its stand-in."""
    with tempfile.TemporaryDirectory(prefix="rlpd-robot-check-") as folder, processes({}, folder, roots) as place:
        begin("record", place.how)
        place.prepare()
        course_record.check(place)


def processes(
    environment: Mapping[str, str], folder: str, roots: Path | None, configs: Path | None = None
) -> Processes:
    """Services as processes."""
    return Processes(USER | environment, Path(folder), roots, Namespaces.permitted(), configs)


def begin(what: str, how: str) -> None:
    """Which check this is."""
    say(f"=== {what}\nran as: {how}")


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (AssertionError, subprocess.TimeoutExpired) as error:
        print(f"FAILED: {error}", file=sys.stderr)
        sys.exit(1)

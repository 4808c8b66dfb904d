"""Boot the systemd units in a Debian under systemd-nspawn, kill what they run, and see it come back. Takes root.

    python docker/check_chroot.py --folder DIRECTORY robot      first: what the units run
    python docker/check_units.py --folder DIRECTORY

The units, actor.conf and the settings lie where docs/workstation.md has them; the robot is check_robot/arm.py.
Not in the test run: it adds systemd to a copy of that file system, and takes a minute or two.
"""

import argparse
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from check_chroot import IMAGES, Image, inside
from inside import can_raise_limits
from looking import say, wait

HERE = Path(__file__).parent
ACTOR, DASHBOARD = "rlpd-robot@actor", "rlpd-robot-dashboard"
HOME, RUN = "/var/lib/rlpd-robot", "/var/lib/rlpd-robot/runs/robot"
PROGRAM, PYTHON = "/opt/rlpd-robot/venv/bin/rlpd-robot", "/opt/rlpd-robot/venv/bin/python"
WAIT_S = 120.0


def main() -> int:
    """Lay out, boot, look; 0 when all held."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--folder", type=Path, default=Path("chroots"))
    folder = words.parse_args().folder.resolve()
    if os.getuid() != 0 or not shutil.which("systemd-nspawn") or not (folder / "robot" / "root").is_dir():
        need = f"root, systemd-nspawn (Debian: systemd-container), and {folder / 'robot' / 'root'} of check_chroot.py"
        print(f"check_units: takes {need}; nothing was checked", file=sys.stderr)
        return 2
    root = folder / "units" / "root"
    lay_out(folder / "robot" / "root", root)
    with Machine(root) as machine:
        check(machine)
    say("passed")
    return 0


def lay_out(image: Path, root: Path) -> None:
    """What docs/workstation.md has a person do, in a copy of the robot image's file system."""
    if not root.exists():
        root.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(["cp", "--archive", str(image), str(root)], check=True, timeout=600)
        install = "apt-get update && apt-get install --yes --no-install-recommends systemd systemd-sysv dbus"
        inside(Image(root, dict(IMAGES["robot"][1])), ["sh", "-c", install], as_root=True, show=True)
    home = root / HOME.lstrip("/")
    shutil.rmtree(home, ignore_errors=True)
    shutil.copytree(HERE / "check_robot" / "zmq", home / "configs")
    for unit in (HERE / "systemd").glob("*.service"):
        shutil.copy(unit, root / "etc" / "systemd" / "system")
    (root / "etc" / "rlpd-robot").mkdir(exist_ok=True)
    shutil.copy(HERE / "systemd" / "actor.conf", root / "etc" / "rlpd-robot")
    shutil.copy(HERE / "check_robot" / "arm.py", root / "opt" / "arm.py")
    subprocess.run(["chroot", str(root), "chown", "--recursive", "robot:robot", HOME], check=True, timeout=60)
    enable = ["systemctl", f"--root={root}", "enable", ACTOR, DASHBOARD]
    subprocess.run(enable, check=True, timeout=60, capture_output=True)


class Machine:
    """One that has been booted, with a robot beside it, until it is powered off."""

    def __init__(self, root: Path) -> None:
        boot = ["systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "--private-network"]
        self._log = root.parent / "boot.log"
        with self._log.open("wb") as log:
            self._nspawn = subprocess.Popen(
                [*boot, f"--directory={root}", "--boot"], stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        self._robot: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "Machine":
        wait(
            "it has booted", lambda: self._leader() and self.says("systemctl", "is-active", "dbus") == "active", WAIT_S
        )
        robot = [PYTHON, "/opt/arm.py", "tcp://127.0.0.1:5560", "/tmp/robot.book"]
        self._robot = subprocess.Popen(self._within(robot), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return self

    def __exit__(self, *_: object) -> None:
        if self._robot is not None:
            self._robot.kill()
            self._robot.wait(10)
        if self._leader():
            self.says("systemctl", "poweroff")
        try:
            self._nspawn.wait(WAIT_S)
        except subprocess.TimeoutExpired:
            self._nspawn.kill()
            self._nspawn.wait(10)

    def says(self, *words: str) -> str:
        """What a command prints in it."""
        done = subprocess.run(self._within(words), capture_output=True, text=True, timeout=60, check=False)
        return (done.stdout + done.stderr).strip()

    def status(self, *words: str) -> int:
        """Exit status of a command in it."""
        return subprocess.run(self._within(words), capture_output=True, timeout=60, check=False).returncode

    def _within(self, words: Sequence[str]) -> list[str]:
        enter = ["nsenter", f"--target={self._leader()}", "--all", "--root", "--wd"]
        return [*enter, "env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", *words]

    def _leader(self) -> int:
        """Its first process; 0: there is none yet."""
        assert self._nspawn.poll() is None, f"it ended: {self._log.read_text(errors='replace')[-2000:]}"
        seen = [self._nspawn.pid]
        for pid in seen:
            children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
            seen += [int(child) for child in children]
            if pid != self._nspawn.pid and Path(f"/proc/{pid}/comm").read_text().strip() == "systemd":
                return pid
        return 0


def check(machine: Machine) -> None:
    """The life of the units.

    Raises:
        AssertionError: something did not hold, or not in time.
    """
    for unit in (ACTOR, DASHBOARD):
        wait(f"{unit} is active, nobody has started it", lambda unit=unit: active(machine, unit), WAIT_S)
    wait("the actor is well", lambda: well(machine), WAIT_S)
    wait("the dashboard answers", lambda: machine.status(PROGRAM, "dashboard", "--check") == 0, WAIT_S)
    confined(machine)
    comes_back(machine, "its process", lambda: child(machine), lambda: child(machine))
    comes_back(machine, "its supervisor", lambda: main_pid(machine), lambda: main_pid(machine))
    wait("the actor is well", lambda: well(machine), WAIT_S)
    began = time.monotonic()
    machine.says("systemctl", "stop", ACTOR, DASHBOARD)
    for unit in (ACTOR, DASHBOARD):
        told = machine.says("systemctl", "show", "--property=Result,ExecMainStatus", unit).split()
        assert sorted(told) == ["ExecMainStatus=0", "Result=success"], (unit, told)
    say(f"both ended in order within {time.monotonic() - began:.1f} s")


def well(machine: Machine) -> bool:
    """Whether the health check passes, as seen from the unit: nspawn lays another boot id over /proc."""
    within = ["nsenter", f"--target={main_pid(machine)}", "--mount", PROGRAM, "status", RUN, "--check=actor"]
    return machine.status(*within) == 0


def confined(machine: Machine) -> None:
    """No root, no capability, real-time priority, and nothing to write to but its own folder."""
    pid = main_pid(machine)
    status = machine.says("cat", f"/proc/{pid}/status")
    kept = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert set(kept["Uid"].split()) == {"1000"}, kept["Uid"]
    assert int(kept["CapEff"], 16) == int(kept["CapBnd"], 16) == 0, kept
    assert kept["NoNewPrivs"] == "1", kept
    within = ["nsenter", f"--target={pid}", "--mount", "setpriv", "--reuid=1000", "--regid=1000", "--clear-groups"]
    assert machine.status(*within, "touch", f"{HOME}/a-file") == 0
    for folder in ("/etc", "/opt", "/home/robot"):
        assert machine.status(*within, "touch", f"{folder}/a-file") != 0, f"it can write to {folder}"
    scheduled = machine.says("chrt", "--pid", child(machine))
    if can_raise_limits():
        assert "SCHED_FIFO" in scheduled, scheduled
    by = "by SCHED_FIFO" if "SCHED_FIFO" in scheduled else "as an ordinary one: this machine lets nobody raise limits"
    say(f"user 1000, no capability, nothing to write to but its folder; scheduled {by}")


def comes_back(machine: Machine, what: str, victim: Callable[[], str], successor: Callable[[], str]) -> None:
    """Kill it at once, and wait for another in its place."""
    killed = victim()
    assert machine.status("sh", "-c", f"kill -9 {killed}") == 0, f"there is no process {killed}"
    wait(f"{what} (pid {killed}) killed: another runs", lambda: successor() not in ("", "0", killed), WAIT_S)


def active(machine: Machine, unit: str) -> bool:
    """Whether systemd says so."""
    return machine.says("systemctl", "is-active", unit) == "active"


def main_pid(machine: Machine) -> str:
    """Of the supervisor; "0": none."""
    return machine.says("systemctl", "show", "--property=MainPID", "--value", ACTOR)


def child(machine: Machine) -> str:
    """Of the process that it looks after; empty: none."""
    pid = main_pid(machine)
    return machine.says("cat", f"/proc/{pid}/task/{pid}/children").split(" ")[0] if pid != "0" else ""


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (AssertionError, subprocess.SubprocessError) as error:
        print(f"FAILED: {error}", file=sys.stderr)
        sys.exit(1)

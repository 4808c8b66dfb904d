"""Jobs of a study through one of Hydra's launchers: processes of this machine (joblib), or a cluster's (submitit).

One Hydra multirun whose only parameter is the name of a job; what the job is, a file says: the command that
`rlpd-robot experiment NAME --list` prints for it. So nothing is pickled but that name, a job is a process of its own
whoever starts it, and one that is cut goes on where it was when the same command launches it again.
"""

import json
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import hydra

from rlpd_robot.errors import ChildError, ConfigError, MissingPackageError
from rlpd_robot.files import make_directories, replace_file

LAUNCHERS = {
    "joblib": "hydra-joblib-launcher",
    "submitit_local": "hydra-submitit-launcher",
    "submitit_slurm": "hydra-submitit-launcher",
}
"""By name, the package that brings it."""

BOOK = "launched.json"
"""In the study's directory: the words of each job."""

_LOOK_S = 0.5
_END_S = 30.0
_LAST_WORDS = 600


def launch(
    launcher: str, words: Sequence[str], jobs: Mapping[str, Sequence[str]], directory: Path, stop: threading.Event
) -> None:
    """Run every job and return when all have ended, however each did; what came of them, their folders tell.

    Args:
        launcher: one of `LAUNCHERS`.
        words: the launcher's own settings, such as hydra.launcher.partition=gpu.
        jobs: name → words of the command line.
        directory: of the study, on a disk that all machines share.
        stop: ends the launching process; what a cluster has begun, its own tools end.

    Raises:
        ConfigError: there is no such launcher.
        MissingPackageError: its package is not installed.
    """
    check_launcher(launcher)
    make_directories(directory / "logs")
    replace_file(directory / BOOK, json.dumps(jobs, indent=1).encode())
    command = [
        *(sys.executable, "-m", "rlpd_robot.verbs.launched", "--multirun", f"hydra/launcher={launcher}"),
        *(f"hydra.sweep.dir={directory / 'hydra'}", f"+book='{directory / BOOK}'", f"+job={','.join(jobs)}", *words),
    ]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL) as process:
        while process.poll() is None and not stop.wait(_LOOK_S):
            pass
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(_END_S)
            except subprocess.TimeoutExpired:
                process.kill()


def check_launcher(launcher: str) -> None:
    """See that the launcher is one, and is installed.

    Raises:
        ConfigError, MissingPackageError: as `launch`.
    """
    if launcher not in LAUNCHERS:
        raise ConfigError("--launcher", launcher, f"one of {', '.join(LAUNCHERS)}")
    package = LAUNCHERS[launcher]
    try:
        version(package)
    except PackageNotFoundError as error:
        raise MissingPackageError(package, f"the launcher '{launcher}'", "cluster") from error


@hydra.main(version_base="1.3", config_path=None)
def one(config: Any) -> None:
    """One job, wherever Hydra runs it. Its output goes into the study's logs.

    Raises:
        ChildError: it did not end well.
    """
    book = Path(config.book)
    words = json.loads(book.read_text())[config.job]
    log = book.parent / "logs" / f"{config.job}.log"
    with log.open("ab") as file:
        status = subprocess.run(
            [sys.executable, "-m", "rlpd_robot", *words],
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            check=False,
        ).returncode
    if status:
        raise ChildError(config.job, f"ended with status {status}", log.read_text(errors="replace")[-_LAST_WORDS:])


if __name__ == "__main__":
    one()

"""Films of the simulated hand: a driver that remembers what it did, drawn afterwards in a process of its own."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from rlpd_robot.errors import ChildError, ConfigError, DataError, NoRenderingError
from rlpd_robot.types import RobotState
from sim.film import Film, Reel
from sim.sim_driver import SimDriver
from sim.tasks.registry import make_task

SUFFIXES = (".mp4", ".gif", ".png")
PROBE = "import mujoco; mujoco.Renderer(mujoco.MjModel.from_xml_string('<mujoco/>'), 8, 8).render()"
MAX_FRAMES = 20_000  # 200 s of simulated time; drawing in software makes about 20 a second


class FilmDriver(SimDriver):
    """A `SimDriver` that films every state it returns. Costs a few microseconds a step; drawing waits for `save`.

    Args:
        task: see `AdroitHand`.
    """

    def __init__(self, task: str) -> None:
        super().__init__(task)
        self._task = make_task(task)
        self._reel = Reel(task, self.hand.spec.period_s)

    def reset(self, seed: int | None, timeout_s: float) -> RobotState:
        """As `SimDriver`; a new episode in the film."""
        state = super().reset(seed, timeout_s)
        self._reel.begin_episode()
        self._shoot(state)
        return state

    def read(self, timeout_s: float) -> RobotState:
        """As `SimDriver`; one more frame, up to `MAX_FRAMES`."""
        state = super().read(timeout_s)
        self._shoot(state)
        return state

    def save(self, *paths: Path | str) -> None:
        """Draw the film so far, in half speed, and write it once for each path.

        Args:
            paths: .mp4, .gif or (the last frame alone) .png, in directories that exist.

        Raises:
            DataError: nothing was filmed yet.
            ConfigError, NoRenderingError, ChildError: as `draw`.
        """
        if not len(self._reel):
            raise DataError(f"Film of {self.hand.spec.name}", "it holds no frame", "at least one reset before save")
        draw(self._reel.film(), [Path(path) for path in paths])

    def save_strips(self, paths: Sequence[Path]) -> None:
        """Draw a few frames of each episode beside each other, and write one .jpg for each.

        Args:
            paths: one an episode, in directories that exist.

        Raises:
            DataError: nothing was filmed yet.
            ConfigError, NoRenderingError, ChildError: as `draw`.
        """
        if not len(self._reel):
            raise DataError(f"Film of {self.hand.spec.name}", "it holds no frame", "at least one reset before save")
        _draw_apart("strips", self._reel.film(), paths, (".jpg",))

    def _shoot(self, state: RobotState) -> None:
        if len(self._reel) < MAX_FRAMES:
            self._reel.shoot(self.hand.snapshot(), self._task.success(state))


def draw(film: Film, paths: Sequence[Path]) -> None:
    """Draw a film in a process of its own, with the first OpenGL backend that works; MUJOCO_GL decides where set.

    Args:
        film: what to draw.
        paths: where to, by suffix: .mp4, .gif, .png. Existing files are replaced, each whole.

    Raises:
        ConfigError: another suffix, or a directory that does not exist.
        NoRenderingError: no backend works on this machine.
        ChildError: drawing failed for another reason.
    """
    _draw_apart("film", film, paths, SUFFIXES)


def _draw_apart(what: str, film: Film, paths: Sequence[Path], suffixes: tuple[str, ...]) -> None:
    for path in paths:
        if path.suffix not in suffixes or not path.absolute().parent.is_dir():
            raise ConfigError("film path", str(path), f"in a directory that exists, and end in one of {suffixes}")
    environment = environment_that_draws()
    with tempfile.TemporaryDirectory(prefix="rlpd-robot-") as directory:
        source = Path(directory, "film.npz")
        film.save(source)
        command = ["-m", "sim.draw", what, str(source), *(str(path.absolute()) for path in paths)]
        child = _python(command, environment, timeout_s=60.0 + 0.5 * len(film))
    if child.returncode:
        raise ChildError("drawing", f"ended with status {child.returncode}", _last_line(child))


def environment_that_draws() -> dict[str, str]:
    """The environment of a process that can draw; each candidate is tried, in a process that may crash."""
    chosen = os.environ.get("MUJOCO_GL")
    screen = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    failed: dict[str, str] = {}
    for backend in (chosen,) if chosen else ("egl", "osmesa", "glfw") if screen else ("egl", "osmesa"):
        environment = {**os.environ, "MUJOCO_GL": backend}
        environment.pop("PYOPENGL_PLATFORM", None)  # it must agree with MUJOCO_GL, which sets it
        child = _python(["-c", PROBE], environment, timeout_s=60.0)
        if child.returncode == 0:
            return environment
        failed[backend] = f"killed by signal {-child.returncode}" if child.returncode < 0 else _last_line(child)
    raise NoRenderingError(failed)


def _python(words: list[str], environment: dict[str, str], timeout_s: float) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *words]
    try:
        return subprocess.run(
            command, env=environment, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=timeout_s
        )
    except subprocess.TimeoutExpired as error:
        raise ChildError("drawing", f"did not end within {timeout_s:g} s", "") from error


def _last_line(child: subprocess.CompletedProcess[str]) -> str:
    """Of a traceback: the error itself, even where destructors complain after it."""
    lines = [line for line in child.stderr.splitlines() if line.strip()]
    errors = [line for line in lines if line.partition(":")[0].endswith(("Error", "Exception"))]
    return (errors or lines or [f"status {child.returncode}"])[0 if errors else -1]

import os
import subprocess
import sys
from pathlib import Path

import imageio.v3
import numpy as np
import pytest

from rlpd_robot.errors import ChildError, ConfigError, DataError, NoRenderingError
from rlpd_robot.robot.driver import SafeCommand
from rlpd_robot.types import Command
from sim.film import Film
from sim.render import FilmDriver


@pytest.fixture(scope="module")
def driver() -> FilmDriver:
    """Two short episodes, the second with the door opened by hand."""
    driver = FilmDriver("door")
    for seed in range(2):
        driver.reset(seed, 1.0)
        driver.hand.data.qpos[28] = 1.5 * seed
        for _ in range(4):
            driver.send(SafeCommand(Command(driver.hand.spec.command_low)))
            driver.read(1.0)
    return driver


@pytest.fixture
def opengl(monkeypatch: pytest.MonkeyPatch) -> None:
    """Skip where nothing can draw; by the backends' own word, not by ours."""
    monkeypatch.delenv("MUJOCO_GL", raising=False)
    code = "import mujoco; mujoco.GLContext(8, 8).make_current()"
    for name in ("egl", "osmesa"):
        environment = {**os.environ, "MUJOCO_GL": name}
        if not subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True).returncode:
            return
    pytest.skip("no OpenGL on this machine")


def test_film_is_numbers_that_survive_a_file(driver: FilmDriver, tmp_path: Path) -> None:
    film = driver._reel.film()
    film.save(tmp_path / "film.npz")
    again = Film.load(tmp_path / "film.npz")
    assert (again.task, again.period_s) == ("door", pytest.approx(0.01))
    assert again.qpos.shape == (10, 30)
    assert again.episode.tolist() == [0] * 5 + [1] * 5
    assert again.solved.tolist() == [False] * 6 + [True] * 4
    for name in ("qpos", "placement", "solved", "episode"):
        np.testing.assert_array_equal(getattr(again, name), getattr(film, name))


def test_a_film_can_be_drawn(driver: FilmDriver, tmp_path: Path, opengl: None) -> None:
    video, still = tmp_path / "door.mp4", tmp_path / "door.png"
    driver.save(video, still)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["door.mp4", "door.png"]
    assert video.read_bytes()[4:8] == b"ftyp"
    picture = imageio.v3.imread(still)
    assert picture.shape == (480, 640, 3)
    assert picture[:-8].std() > 20, "the picture shows nothing"
    bar = picture[-4, :630].mean(axis=0)
    assert bar[1] > bar[0] + 50, "the bar is not green although the door is open"


def test_no_opengl_is_one_sentence_and_no_file(
    driver: FilmDriver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MUJOCO_GL", "disable")
    with pytest.raises(NoRenderingError) as caught:
        driver.save(tmp_path / "door.mp4")
    sentence = str(caught.value)
    assert sentence.startswith("No video was made, because nothing here could draw it (disable: ")
    assert sentence.endswith("or for a GPU libegl1 with libopengl0, or set MUJOCO_GL to a backend that works.")
    assert "\n" not in sentence
    assert not list(tmp_path.iterdir())


def _fake_run(monkeypatch: pytest.MonkeyPatch, statuses: list[int]) -> list[str]:
    """Children that end with these statuses; returns the backends they were given."""
    tried: list[str] = []

    def run(command: list[str], env: dict[str, str], **_: object) -> subprocess.CompletedProcess[str]:
        assert "PYOPENGL_PLATFORM" not in env, "it would contradict MUJOCO_GL"
        tried.append(env["MUJOCO_GL"])
        words = "Traceback\nImportError: no such library\nException ignored in: something\n"
        return subprocess.CompletedProcess(command, statuses[len(tried) - 1], "", words)

    for name in ("MUJOCO_GL", "DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PYOPENGL_PLATFORM", "glx")
    monkeypatch.setattr(subprocess, "run", run)
    return tried


def test_every_backend_is_tried(driver: FilmDriver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tried = _fake_run(monkeypatch, [1, -11])
    with pytest.raises(NoRenderingError, match="egl: ImportError: no such library; osmesa: killed by signal 11"):
        driver.save(tmp_path / "door.mp4")
    assert tried == ["egl", "osmesa"]


def test_a_screen_is_tried_last(driver: FilmDriver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tried = _fake_run(monkeypatch, [1, 1, 0, 0])
    monkeypatch.setenv("DISPLAY", ":0")
    driver.save(tmp_path / "door.mp4")
    assert tried == ["egl", "osmesa", "glfw", "glfw"]


def test_another_failure_is_not_taken_for_missing_opengl(
    driver: FilmDriver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _fake_run(monkeypatch, [0, 1])
    with pytest.raises(ChildError) as caught:
        driver.save(tmp_path / "door.mp4")
    assert str(caught.value) == ("Process 'drawing' ended with status 1. Last words: ImportError: no such library")


@pytest.mark.parametrize("name", ["door.avi", "nowhere/door.mp4"])
def test_a_path_that_cannot_be_written(driver: FilmDriver, tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="must be in a directory that exists, and end in one of"):
        driver.save(tmp_path / name)


def test_nothing_filmed(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        FilmDriver("pen").save(tmp_path / "pen.mp4")
    assert str(caught.value) == "Film of adroit_pen: it holds no frame. Expected at least one reset before save."


def test_filming_brings_no_opengl_into_the_process() -> None:
    """A broken OpenGL must not be able to end what controls or learns."""
    code = "import sys, sim.render; print(sorted({'imageio', 'OpenGL', 'sim.draw'} & set(sys.modules)))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert out.stdout.strip() == "[]"


def test_strips_show_each_episode_over_its_time(driver: FilmDriver, tmp_path: Path, opengl: None) -> None:
    paths = [tmp_path / "0.jpg", tmp_path / "1.jpg"]
    driver.save_strips(paths)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["0.jpg", "1.jpg"]
    shut, opened = (imageio.v3.imread(path).astype(int) for path in paths)
    assert shut.shape == opened.shape == (480, 1280, 3)
    green = [picture[476, 1270] for picture in (shut, opened)]  # the last frame's bar is full
    assert [bool(g[1] > g[0] + 50) for g in green] == [False, True]
    frames = opened[:240].reshape(240, 4, 320, 3).transpose(1, 0, 2, 3)
    assert all(frame[:-8].std() > 20 for frame in frames), "a frame shows nothing"
    assert np.abs(frames[1] - frames[0]).max() > 50, "time stands still"

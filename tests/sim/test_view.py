"""The view of the simulated hand, through its real process: what its page and its folder show."""

import io
import json
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

import imageio.v3
import numpy as np
import pytest
from numpy.typing import NDArray

from rlpd_robot.errors import ChildError, ConfigError, NoRenderingError
from sim import spare_view
from sim import view as module
from sim.view import ViewedHand
from sim.view_process import Newest
from tests.integration.running import free_ports


@pytest.fixture(scope="module")
def environment() -> dict[str, str]:
    """Skip where nothing can draw."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MUJOCO_GL", raising=False)
        try:
            return module.environment_that_draws()
        except NoRenderingError:
            pytest.skip("no OpenGL on this machine")


@pytest.fixture
def drawing(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """What was found once, for the hand and the processes that it starts."""
    monkeypatch.setenv("MUJOCO_GL", environment["MUJOCO_GL"])
    monkeypatch.setattr(module, "environment_that_draws", lambda: environment)


def fetch(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=30) as answer:
        data: bytes = answer.read()
    return data


def picture(url: str) -> NDArray[np.int64]:
    """The newest one; the first takes a while."""
    deadline = time.monotonic() + 60
    while not (data := fetch(f"{url}/view.jpg")):
        assert time.monotonic() < deadline
    return imageio.v3.imread(io.BytesIO(data), extension=".jpg").astype(np.int64)


def test_a_page_shows_what_the_hand_does(drawing: None) -> None:
    (port,) = free_ports(1)
    hand = ViewedHand("door", f"page:{port}")
    url = f"http://127.0.0.1:{port}"
    try:
        assert hand.where == f"view: {url}/"
        assert b'<img src="/stream"' in fetch(f"{url}/")
        before = picture(url)
        assert before.shape == (360, 960, 3)
        hand.data.qpos[28] = 1.4  # the door's hinge
        hand.reset = lambda seed: hand._show()  # type: ignore[method-assign]
        deadline = time.monotonic() + 60
        while json.loads(fetch(f"{url}/figures"))["door_angle"] != [1.4]:
            hand.reset(None)
            assert time.monotonic() < deadline
        while np.abs(picture(url) - before).mean() < 5:
            assert time.monotonic() < deadline
        with urllib.request.urlopen(f"{url}/stream", timeout=30) as stream:
            assert stream.readline() == b"--frame\r\n"
            assert stream.readline() == b"Content-Type: image/jpeg\r\n"
        with pytest.raises(urllib.error.HTTPError):
            fetch(f"{url}/../etc/passwd")
        with pytest.raises(ChildError, match="did not start.*in use"):
            ViewedHand("door", f"page:{port}")
    finally:
        hand.close()
        hand.close()
    assert hand._process.returncode == 0
    hand.advance()  # nobody looks any more: the hand goes on
    hand._next_s = 0.0
    hand.advance()


def test_the_dashboard_gets_a_picture_and_the_hand_waits_for_nobody(drawing: None, tmp_path: Path) -> None:
    run = tmp_path / "run"
    hand = ViewedHand("pen", f"dashboard:{run}")
    try:
        assert hand.where == f"view: {run}/view/view.jpg, for the dashboard"
        sent = hand._next_s
        hand.reset(0)
        hand.advance()
        assert hand._next_s == sent  # one every two seconds, whatever happens in between
        assert not run.exists()  # which would keep `train` from beginning it
        run.mkdir()
        deadline = time.monotonic() + 60
        while not (run / "view" / "view.jpg").exists():
            assert time.monotonic() < deadline
            hand._next_s = 0.0
            hand.advance()
            time.sleep(0.02)  # between two looks
        assert imageio.v3.imread(run / "view" / "view.jpg").shape == (360, 960, 3)
    finally:
        hand.close()


def test_a_machine_that_cannot_draw_has_a_dashboard_without_a_picture(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse() -> dict[str, str]:
        raise NoRenderingError({"egl": "no libEGL"})

    priority: list[int] = []
    monkeypatch.setattr(spare_view, "environment_that_draws", refuse)
    monkeypatch.setattr("os.nice", priority.append)
    spare_view.main("pen", str(tmp_path))
    assert capsys.readouterr().err.startswith(
        "The dashboard shows no picture, because nothing here could draw it (egl: "
    )
    assert priority == [19]


@pytest.mark.parametrize(
    "how",
    [
        "",
        "television",
        "page:x",
        "page:0",
        "page:70000",
        "files:",
        "files:/nowhere/at/all",
        "dashboard:",
    ],
)
def test_another_view_is_refused(how: str) -> None:
    with pytest.raises(ConfigError, match=r"^Setting 'sim\.view' must be"):
        ViewedHand("pen", how)


def test_a_machine_that_cannot_draw_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MUJOCO_GL", "nothing")
    with pytest.raises(NoRenderingError):
        ViewedHand("pen", "page")


def test_the_newest_wakes_who_waits() -> None:
    newest = Newest()
    assert newest.after(0) == (0, None)
    threading.Timer(0.01, newest.put, ["first"]).start()
    while (found := newest.after(0)) == (0, None):
        pass
    assert found == (1, "first")
    newest.end()
    assert newest.after(1) == (1, "first")

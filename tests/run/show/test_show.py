"""Page and pictures of a small store, and the robot in pictures by a camera that draws nothing."""

import re
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rlpd_robot import cli
from rlpd_robot.config import build
from rlpd_robot.data.demo_store import DemoStore, StoreWriter
from rlpd_robot.data.edits import hide_episode
from rlpd_robot.errors import ConfigError, NoRenderingError, StoreError
from rlpd_robot.robot.fake import FakeDriver
from rlpd_robot.run.settings import RobotSettings
from rlpd_robot.run.show.pictures import strips_of
from rlpd_robot.run.show.settings import ShowSettings
from rlpd_robot.run.show.show import run_show
from rlpd_robot.run.show.survey import chosen_by_return, survey
from tests.data.episodes import make_episode, make_problem
from tests.integration.running import make_demos
from tests.run.point import settings

EVIL = "<script>alert('x')</script>"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four episodes with returns -8, 0, -22 and -29; the last is hidden."""
    path = tmp_path_factory.mktemp("store") / "demos.zarr"
    with StoreWriter(path, make_problem(), attributes={"source": EVIL}) as writer:
        for i in (1, 2, 3, 4):
            e = make_episode(i)
            n = len(e)
            rewards = np.zeros(n, np.float32) if i == 2 else np.full(n, -1, np.float32)
            stamps = np.arange(n)[:, None] * 0.02 + np.array([0, 0, 0, 0.003])
            writer.append(replace(e, rewards=rewards, success=np.arange(n) == (12 if i == 3 else -1), stamps_s=stamps))
    hide_episode(path, 3, EVIL)
    return path


def show(store: Path, out: Path, stop: threading.Event | None = None, **words: Any) -> int:
    wanted = ShowSettings(out=str(out), **words)
    return run_show(str(store), wanted, None, "nothing describes it", build, stop or threading.Event())


class Reader(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.text, self.tags = "", []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture(scope="module")
def shown(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("shown") / "out"
    assert show(store, out, episodes="2") == 0
    return out


def test_a_page_and_its_pictures(shown: Path) -> None:
    assert sorted(p.name for p in shown.iterdir()) == ["episode-0002.png", "index.html", "overview.png"]
    for name in ("episode-0002.png", "overview.png"):
        assert (shown / name).read_bytes().startswith(b"\x89PNG")


def test_the_page_needs_nothing_but_itself(shown: Path) -> None:
    page = Reader((shown / "index.html").read_text(encoding="utf-8"))
    addresses = [v for _, attributes in page.tags for k, v in attributes.items() if k in ("src", "srcset", "href")]
    assert len(addresses) == 2 * (4 + 4) + 1
    assert all(a.startswith(("data:image/png;base64,", "#episode-2")) for a in addresses if a)
    assert "script" not in {tag for tag, _ in page.tags}
    assert page.text.count(EVIL) == 2


def test_the_page_says_how_the_store_stands(shown: Path, store: Path) -> None:
    text = " ".join(Reader((shown / "index.html").read_text(encoding="utf-8")).text.split("</style>")[-1].split())
    assert str(store) in text
    assert "Episodes3" in text.replace(" ", "")
    assert "1 more are hidden" in text
    assert "1 of 3 episodes" in text
    assert "Episode 2: 22 steps, terminated (cause 3 – naïve), return -22, solved at step 12" in text


def test_figures_are_those_of_the_episodes(store: Path) -> None:
    found = survey(DemoStore.open(store), lambda done, total: None)
    assert [f.total for f in found.facts] == [-8, 0, -22, -29]
    assert found.periods_ms[2] == pytest.approx([20, 20, 20])
    assert found.solved_share.tolist() == [0, 0, 2.5, 0]  # one step of 40
    seen = np.concatenate([make_episode(i).observations for i in (1, 2, 3, 4)])
    assert found.high.tolist() == seen.max(axis=0).tolist()
    assert chosen_by_return(found.facts) == [0, 1, 2]  # the hidden one has the lowest return
    assert chosen_by_return(found.facts[3:]) == [3]


def test_a_store_that_is_being_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "live.zarr"
    with StoreWriter(path, make_problem()) as writer:
        with pytest.raises(StoreError, match="it holds no episode yet"):
            show(path, tmp_path / "out")
        assert not (tmp_path / "out").exists()
        writer.append(make_episode(1))
        stop = threading.Event()
        stop.set()
        assert show(path, tmp_path / "out", stop) == 130
        assert not (tmp_path / "out").exists()


def test_wrong_words(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ConfigError, match="'episodes' must be numbers below 4"):
        show(store, store.parent / "out", episodes="9")
    with pytest.raises(ConfigError, match="'out' must be a folder that is there or can be made"):
        show(store, store / "zarr.json" / "x")
    assert cli.main(["demos", "show", str(store), "epsiodes=1"]) == 2
    assert "Setting 'epsiodes' must be one of the keys episodes, out, film, robot" in capsys.readouterr().err


class Camera(FakeDriver):
    """Films the fake robot: a picture is the number of its episode."""

    resets_of_all: "list[int | None]" = []

    def save_strips(self, paths: Sequence[Path]) -> None:
        assert len(self.resets) == len(paths)
        type(self).resets_of_all += self.resets
        for path, seed in zip(paths, self.resets, strict=True):
            path.write_bytes(f"seed {seed}".encode())


class Blind(Camera):
    def save_strips(self, paths: Sequence[Path]) -> None:
        raise NoRenderingError({"egl": "no such library"})


def strips(store: Path, film: str | None, numbers: Sequence[int] = (2, 0)) -> tuple[dict[int, Any], list[str]]:
    told: list[str] = []
    recipe = {"_target_": f"{__name__}.{film}"} if film else None
    made = settings(store.parent, robot=RobotSettings("fake", {"_target_": "unused"}, film=recipe))
    found = strips_of(DemoStore.open(store), numbers, made, build, threading.Event(), told.append)
    return found, told


@pytest.fixture(scope="module")
def demos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_demos(tmp_path_factory.mktemp("demos") / "demos.zarr", episodes=3)


def test_the_robot_in_pictures(demos: Path) -> None:
    found, told = strips(demos, "Camera")
    assert {number: strip.picture for number, strip in found.items()} == {2: b"seed 2", 0: b"seed 0"}
    assert found[0].caption.endswith("what it measures is the same as the recording.")
    assert found[0].names == ["position[0]", "position[1]", "velocity[0]", "velocity[1]"]
    assert told == []


def test_pictures_that_differ_say_so(demos: Path, tmp_path: Path) -> None:
    source = DemoStore.open(demos)
    episode = source.episode(1)
    actions = episode.actions.copy()
    actions[5, 0] += 0.1
    with StoreWriter(tmp_path / "other.zarr", source.problem) as writer:
        writer.append(replace(episode, actions=actions))
    found, _ = strips(tmp_path / "other.zarr", "Camera", [0])
    assert re.search(
        r"differs from the recording by at most: position 5\.0e-03 m; velocity 5\.0e-01 m/s\.", found[0].caption
    )


@pytest.mark.parametrize(
    ("film", "change", "line"),
    [
        (None, {}, "no pictures: robot 'fake' has no stand-in that could be filmed (robot.film)"),
        ("Blind", {}, "No pictures were made, because nothing here could draw it (egl: no such library)."),
        ("Camera", {"import": {}}, "no pictures: the episodes were imported, so that no seed of the stand-in gives"),
        ("elsewhere", {}, "no pictures of episode 0: no seed that was tried gives its start"),
        ("other", {}, "no pictures: Store "),
        ("Missing", {}, "no pictures: Setting '_target_' must be"),
    ],
)
def test_one_line_says_why_there_are_none(
    film: str | None, change: dict[str, Any], line: str, demos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rlpd_robot.run.show.pictures.ReplaySettings", lambda: type("Few", (), {"search": 5})())
    attributes = {**DemoStore.open(demos).attributes, **change}
    monkeypatch.setattr(DemoStore, "attributes", property(lambda self: attributes))
    found, told = strips(demos, film, [0])
    assert found == {}
    assert len(told) == 1
    assert told[0].startswith(line)


def elsewhere() -> FakeDriver:
    """Its resets never lead to where the recording began."""
    driver = Camera()
    reset: Callable[..., Any] = driver.reset
    driver.reset = lambda seed, timeout_s: reset(seed + 100, timeout_s)  # type: ignore[method-assign]
    return driver


def other() -> FakeDriver:
    """Another robot."""
    return Camera(period_s=0.5)

"""The robot in pictures, where its stand-in can play an episode once more from the recorded start."""

import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rlpd_robot.data.demo_store import DemoStore
from rlpd_robot.errors import NoRenderingError, RlpdRobotError
from rlpd_robot.robot.driver import Driver
from rlpd_robot.robot.safety import SafetyLimits
from rlpd_robot.robot.task import Task, problem_of
from rlpd_robot.run.evaluate import Build
from rlpd_robot.run.replay.divergence import DERIVED, divergence
from rlpd_robot.run.replay.play import EXACT, Replayed, play
from rlpd_robot.run.replay.replay import seed_of
from rlpd_robot.run.replay.settings import ReplaySettings
from rlpd_robot.run.reset_seed import SEED
from rlpd_robot.run.settings import Settings
from rlpd_robot.types import Segment

_IMPORTED = "import"  # attribute of stores that were
_BEFORE = 500  # seeds before the last one that was found, from which the next is looked for


@dataclass(frozen=True)
class Strip:
    """Frames of one episode beside each other.

    Attributes:
        picture: a JPEG.
        caption: how it came about, and how far it is from the recording.
        names: (O,) what each number of an observation is.
    """

    picture: bytes
    caption: str
    names: Sequence[str]


def strips_of(
    store: DemoStore,
    numbers: Sequence[int],
    settings: Settings,
    build: Build,
    stop: threading.Event,
    tell: Callable[[str], None],
) -> dict[int, Strip]:
    """By episode, its pictures; those that cannot be had are left out, and one line tells why.

    Args:
        numbers: of the episodes.
        settings: of the robot that the store is of.
        tell: takes that line.
    """
    if settings.robot.film is None:
        tell(f"no pictures: robot '{settings.robot.name}' has no stand-in that could be filmed (robot.film)")
        return {}
    if _IMPORTED in store.attributes:
        tell("no pictures: the episodes were imported, so that no seed of the stand-in gives their start")
        return {}
    try:
        with ExitStack() as stack:
            camera, scout = (_open(settings, build, stack) for _ in range(2))
            return _film(store, numbers, settings, build(settings.task), camera, scout, stop, tell)
    except NoRenderingError as error:
        tell(str(error).replace("No video was made", "No pictures were made"))
    except RlpdRobotError as error:  # pictures are a convenience; the figures stand without them
        tell(f"no pictures: {error}")
    return {}


def _open(settings: Settings, build: Build, stack: ExitStack) -> Any:
    driver = build(settings.robot.film)
    stack.callback(driver.close)
    return driver


def _film(
    store: DemoStore,
    numbers: Sequence[int],
    settings: Settings,
    task: Task,
    camera: Any,
    scout: Driver,
    stop: threading.Event,
    tell: Callable[[str], None],
) -> dict[int, Strip]:
    """Play each episode in front of the camera, then draw all of them at once."""
    spec = camera.connect(settings.actor.connect_s)
    problem = problem_of(task, spec)
    store.check(problem)
    limits = SafetyLimits.of_robot(settings.safety, spec, True)
    played: dict[int, Replayed] = {}
    recorded: dict[int, Segment] = {}
    hint: Mapping[str, Any] = store.attributes
    for number in numbers:
        if stop.is_set():
            break
        episode = store.episode(number)
        seed, apart = seed_of(hint, episode, scout, task, ReplaySettings().search, stop)
        if seed is None or apart > EXACT:
            tell(f"no pictures of episode {number}: no seed that was tried gives its start")
            if not played:
                break  # nor will the others' be found
            continue
        hint = {SEED: max(0, seed - _BEFORE)}
        played[number] = play(camera, task, problem, limits, settings, episode, episode.actions, seed, EXACT)
        recorded[number] = episode
    if not played:
        return {}
    with tempfile.TemporaryDirectory(prefix="rlpd-show-") as folder:
        paths = [Path(folder, f"{number}.jpg") for number in played]
        camera.save_strips(paths)
        return {
            number: Strip(path.read_bytes(), _caption(recorded[number], p), [str(what) for what in p.observed])
            for (number, p), path in zip(played.items(), paths, strict=True)
        }


def _caption(episode: Segment, played: Replayed) -> str:
    fields = divergence(episode.observations, played.observations, played.steps, played.observed)
    named = [f for f in fields if f.field != DERIVED] or fields
    most = "; ".join(f"{f.field} {f.largest:.1e} {f.unit}".rstrip() for f in named if f.largest > EXACT)
    apart = f"differs from the recording by at most: {most}" if most else "is the same as the recording"
    return f"The stand-in plays the recorded actions from the recorded start; what it measures {apart}."

"""`rlpd-robot demos show STORE`: page and pictures of a store, the episodes of interest one by one."""

import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from rlpd_robot.data.demo_store import DemoStore
from rlpd_robot.data.dimensions import action_names, observation_names
from rlpd_robot.errors import ConfigError, StoreError
from rlpd_robot.files import make_directories, replace_file
from rlpd_robot.run.episode_numbers import episode_numbers
from rlpd_robot.run.evaluate import Build
from rlpd_robot.run.plotting import DARK, LIGHT, Palette, small_png
from rlpd_robot.run.progress import progress_bar
from rlpd_robot.run.settings import Settings
from rlpd_robot.run.show import episode as one
from rlpd_robot.run.show import overview as all_of_them
from rlpd_robot.run.show.page import EpisodeFigures, Picture, page_of
from rlpd_robot.run.show.pictures import Strip, strips_of
from rlpd_robot.run.show.settings import ShowSettings
from rlpd_robot.run.show.survey import Survey, chosen_by_return, survey

PAGE, OVERVIEW = "index.html", "overview.png"

P = TypeVar("P", one.Panel, all_of_them.Panel)


def run_show(
    path: str, wanted: ShowSettings, settings: Settings | None, why_not: str, build: Build, stop: threading.Event
) -> int:
    """Write page and pictures, and say where they are.

    Args:
        path: of the store; what was committed when it is opened is shown.
        wanted: what and where to.
        settings: of the robot that it is of; None: no file describes it.
        why_not: that, in a sentence.
        build: makes what recipes name.
        stop: set by Ctrl-C; then nothing is written.

    Raises:
        StoreError, DataError: the store is damaged, or holds no episode.
        ConfigError: `episodes` names one that is not there, or `out` is no folder.
        MissingPackageError: matplotlib is not installed.
    """
    store = DemoStore.open(path)
    if not len(store):
        raise StoreError(path, "it holds no episode yet", "Record one, or wait for the first that the run commits.")
    chosen = episode_numbers(wanted.episodes, len(store)) if wanted.episodes else None
    out = _folder(wanted.out or f"{store.problem.task}-{store.path.stem}")
    with progress_bar("read") as progress:
        found = survey(store, progress)
    numbers = chosen_by_return(found.facts) if chosen is None else chosen
    strips: dict[int, Strip] = {}
    if wanted.film and settings is not None:
        strips = strips_of(store, numbers, settings, build, stop, print)
    elif wanted.film:
        print(f"no pictures: {why_not}")
    files = {} if stop.is_set() else _draw(store, found, numbers, strips, stop)
    if stop.is_set():
        with suppress(OSError):  # there was something in it before
            out.rmdir()
        return 130
    for name, data in files.items():
        replace_file(out / name, data)
    print(f"{out / PAGE} shows {len(store)} episodes; {len(files) - 1} pictures lie beside it")
    return 0


def _draw_episode(shown: one.Shown, panel: one.Panel, palette: Palette) -> NDArray[np.uint8]:
    return one.draw_panel(panel, shown, palette)


def _panels(panels: Sequence[P], draw: Callable[[P, Palette], NDArray[np.uint8]]) -> tuple[list[Picture], bytes]:
    """The panels for the page, and all of them on one sheet, two beside each other."""
    light = [draw(panel, LIGHT) for panel in panels]
    pictures = [
        Picture(panel.name, panel.caption, small_png(drawn), small_png(draw(panel, DARK)))
        for panel, drawn in zip(panels, light, strict=True)
    ]
    rows = [np.hstack(_padded(light[i : i + 2])) for i in range(0, len(light), 2)]
    return pictures, small_png(np.vstack(rows))


def _padded(row: Sequence[NDArray[np.uint8]]) -> list[NDArray[np.uint8]]:
    height = max(map(len, row))
    return [np.pad(p, ((0, height - len(p)), (0, 0), (0, 0)), constant_values=255) for p in row]


def _folder(name: str) -> Path:
    path = Path(name)
    try:
        make_directories(path)
    except OSError as error:
        raise ConfigError("out", name, f"a folder that is there or can be made ({error.strerror})") from error
    return path


def _draw(
    store: DemoStore, found: Survey, numbers: Sequence[int], strips: Mapping[int, Strip], stop: threading.Event
) -> dict[str, bytes]:
    """All files by name."""
    problem = store.problem
    overview, sheet = _panels(all_of_them.PANELS, lambda panel, palette: all_of_them.draw_panel(panel, found, palette))
    files = {OVERVIEW: sheet}
    names = next((strip.names for strip in strips.values()), observation_names(problem))
    figures: list[EpisodeFigures] = []
    with progress_bar("draw") as progress:
        for done, (number, episode) in enumerate(store.some(numbers), 1):
            if stop.is_set():
                break
            shown = one.Shown(number, episode, action_names(problem), names, found.low, found.high, found.period_ms)
            pictures, sheet = _panels(one.PANELS, partial(_draw_episode, shown))
            files[f"episode-{number:04}.png"] = sheet
            strip = None
            if number in strips:
                files[f"episode-{number:04}.jpg"] = strips[number].picture
                strip = Picture(f"Episode {number}", strips[number].caption, strips[number].picture, None)
            figures.append(EpisodeFigures(found.facts[number], strip, pictures))
            progress(done, len(numbers))
    files[PAGE] = page_of(store, found, overview, figures).encode("utf-8", "replace")
    return files

"""Draw a film with OpenGL: `python -m sim.draw film|strips FILM.npz OUT…`, a process of its own.

MuJoCo chooses its OpenGL backend (MUJOCO_GL) once, at import, and a broken driver may end the process: so drawing is
kept apart from whatever controls or learns. `sim/render.py` finds a backend that works and starts this.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import imageio.v3
import imageio_ffmpeg
import mujoco
import numpy as np
from numpy.typing import NDArray

from sim.film import Film
from sim.hand import AdroitHand, Snapshot, model_path

WIDTH, HEIGHT = 640, 480
FPS = 25
SLOWDOWN = 2.0  # an episode takes two seconds or less, too quick to follow
HOLD_S = 0.8  # [s of video] for which each episode's last frame stays
GIF_WIDTH, GIF_FPS = 400, 12.5
STRIP_WIDTH, STRIP_HEIGHT, STRIP_FRAMES, STRIP_COLUMNS = 320, 240, 8, 4

SKY_HIGH, SKY_LOW = (0.75, 0.83, 0.92), (0.97, 0.98, 1.0)

Frame = NDArray[np.uint8]

CAMERAS: dict[str, dict[str, Any]] = {
    # lookat [m], distance [m], azimuth and elevation [degrees]
    "door": {"lookat": (0.04, -0.12, 0.23), "distance": 1.15, "azimuth": 115, "elevation": -22},
    "pen": {"lookat": (0.0, -0.2, 0.24), "distance": 0.6, "azimuth": -115, "elevation": -35},
    "relocate": {"lookat": (0.0, 0.0, 0.15), "distance": 1.15, "azimuth": 110, "elevation": -25},
    "hammer": {"lookat": (0.0, -0.07, 0.16), "distance": 0.85, "azimuth": -45, "elevation": -25},
}


def frames(film: Film) -> Iterator[Frame]:
    """(HEIGHT, WIDTH, 3) uint8, in slow motion, each episode's last frame held."""
    hand = AdroitHand(film.task, film_model(film.task))
    renderer = mujoco.Renderer(hand.model, HEIGHT, WIDTH)
    camera = _camera(film.task)
    splits = np.cumsum([len(part) for part in hand.snapshot().placement])[:-1]
    stride = max(1, round(1 / (FPS * SLOWDOWN * film.period_s)))
    try:
        for episode in np.unique(film.episode):
            rows = np.flatnonzero(film.episode == episode)
            for row in (*rows[:-1:stride], rows[-1]):
                hand.restore(Snapshot(film.qpos[row], tuple(np.split(film.placement[row], splits))))
                renderer.update_scene(hand.data, camera)
                picture = _with_bar(renderer.render(), (row - rows[0]) / max(1, len(rows) - 1), bool(film.solved[row]))
                yield picture
            for _ in range(int(HOLD_S * FPS)):
                yield picture
    finally:
        renderer.close()


def write(film: Film, outputs: list[Path]) -> None:
    """Draw once and write every output by its suffix; each appears whole or not at all."""
    video = next((path for path in outputs if path.suffix == ".mp4"), None)
    movie = video or outputs[0].with_suffix(".mp4")
    drawn = _partial(movie)
    try:
        last = _write_mp4(drawn, frames(film))
        for path in outputs:
            partial = _partial(path)
            if path.suffix == ".gif":
                _convert_to_gif(drawn, partial)
            elif path.suffix == ".png":
                imageio.v3.imwrite(partial, last)
            else:
                continue
            os.replace(partial, path)
        if video:
            os.replace(drawn, video)
    finally:
        for path in (movie, *outputs):
            _partial(path).unlink(missing_ok=True)


def write_strips(film: Film, outputs: list[Path]) -> None:
    """For each episode in turn one picture, of frames evenly over its time; each appears whole or not at all."""
    hand = AdroitHand(film.task, film_model(film.task))
    splits = np.cumsum([len(part) for part in hand.snapshot().placement])[:-1]
    camera = _camera(film.task)
    with mujoco.Renderer(hand.model, STRIP_HEIGHT, STRIP_WIDTH) as renderer:
        for episode, path in zip(np.unique(film.episode), outputs, strict=True):
            rows = np.flatnonzero(film.episode == episode)
            pictures = []
            for row in rows[np.linspace(0, len(rows) - 1, STRIP_FRAMES).round().astype(int)]:
                hand.restore(Snapshot(film.qpos[row], tuple(np.split(film.placement[row], splits))))
                renderer.update_scene(hand.data, camera)
                part = (row - rows[0]) / max(1, len(rows) - 1)
                pictures.append(_with_bar(renderer.render(), part, bool(film.solved[row])))
            lines = [pictures[i : i + STRIP_COLUMNS] for i in range(0, STRIP_FRAMES, STRIP_COLUMNS)]
            partial = _partial(path)
            imageio.v3.imwrite(partial, np.vstack([np.hstack(line) for line in lines]), quality=85)
            os.replace(partial, path)


def film_model(task: str) -> Any:
    """The task's model with a light sky in place of the void, and shadows that software draws in time."""
    spec = mujoco.MjSpec.from_file(str(model_path(task)))
    spec.add_texture(
        name="sky",
        type=mujoco.mjtTexture.mjTEXTURE_SKYBOX,
        builtin=mujoco.mjtBuiltin.mjBUILTIN_GRADIENT,
        rgb1=SKY_HIGH,
        rgb2=SKY_LOW,
        width=256,
        height=256,
    )
    model = spec.compile()
    model.vis.global_.offwidth, model.vis.global_.offheight = WIDTH, HEIGHT
    model.vis.quality.offsamples, model.vis.quality.shadowsize = 0, 2048
    return model


def _camera(task: str) -> Any:
    camera = mujoco.MjvCamera()
    for key, value in CAMERAS[task].items():
        setattr(camera, key, value)
    return camera


def _with_bar(picture: Frame, progress: float, solved: bool) -> Frame:
    """A bar along the bottom: time in the episode, green while the task is solved."""
    picture = picture.copy()
    bar = picture[-8:]
    bar[:] = bar // 3
    bar[:, : int(progress * picture.shape[1])] = (70, 200, 110) if solved else (235, 235, 235)
    return picture


def _write_mp4(path: Path, pictures: Iterator[Frame]) -> Frame:
    last = next(pictures)
    writer = imageio_ffmpeg.write_frames(str(path), (WIDTH, HEIGHT), fps=FPS, quality=7, macro_block_size=16)
    writer.send(None)
    try:
        writer.send(last)
        for last in pictures:
            writer.send(last)
    finally:
        writer.close()
    return last


def _convert_to_gif(movie: Path, path: Path) -> None:
    filters = (
        f"fps={GIF_FPS},scale={GIF_WIDTH}:-1:flags=lanczos,split[a][b];"
        "[a]palettegen=max_colors=96[p];[b][p]paletteuse=dither=bayer:bayer_scale=4:diff_mode=rectangle"
    )
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y", "-i", str(movie), "-vf", filters, str(path)]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, timeout=120)


def _partial(path: Path) -> Path:
    return path.with_name(f".partial-{path.name}")


if __name__ == "__main__":
    {"film": write, "strips": write_strips}[sys.argv[1]](Film.load(Path(sys.argv[2])), [*map(Path, sys.argv[3:])])

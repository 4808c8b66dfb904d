"""Draws what a hand sends on standard input: `python -m sim.view_process TASK page|window|files WHERE`.

Says where to look, in one line, as soon as it can be looked at; ends when its input does. The page listens on the
loopback address alone.
"""

import http.server
import io
import json
import os
import sys
import threading
from pathlib import Path
from typing import Any

import imageio.v3
import mujoco
import numpy as np

from sim.draw import CAMERAS, film_model
from sim.hand import AdroitHand, Snapshot
from sim.view import FILES, WINDOW

HEIGHT, WIDTH = 360, 480
SIDES: dict[str, dict[str, Any]] = {
    # a second camera, for the depth that one picture does not tell
    "door": {"lookat": (0.0, -0.1, 0.2), "distance": 0.9, "azimuth": 175, "elevation": -5},
    "pen": {"lookat": (0.0, -0.2, 0.24), "distance": 0.6, "azimuth": 180, "elevation": -10},
    "relocate": {"lookat": (0.0, 0.0, 0.15), "distance": 1.0, "azimuth": 180, "elevation": -5},
    "hammer": {"lookat": (0.0, -0.07, 0.16), "distance": 0.85, "azimuth": 180, "elevation": -10},
}
PAGE = """<!doctype html><meta charset="utf-8"><title>%s</title>
<style>body{margin:0;background:#20242a;color:#dde;font:15px system-ui;text-align:center}
img{max-width:100%%;image-rendering:auto}td{padding:.1em 1em;text-align:right}table{margin:auto}</style>
<img src="/stream" alt="the simulated hand"><table id="figures"></table>
<script>setInterval(async () => {
  const figures = await (await fetch("/figures")).json();
  document.getElementById("figures").innerHTML = Object.entries(figures).map(([name, values]) =>
    `<tr><td>${name}</td>${values.map(v => `<td>${v.toFixed(2)}</td>`).join("")}</tr>`).join("");
}, 200)</script>
"""
_WAIT_S = 0.5


class Newest:
    """The newest of what one thread makes and others wait for."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._number, self._value = 0, None
        self.ended = False

    def put(self, value: Any) -> None:
        """Replace it."""
        with self._changed:
            self._number, self._value = self._number + 1, value
            self._changed.notify_all()

    def end(self) -> None:
        """Nothing follows."""
        with self._changed:
            self.ended = True
            self._changed.notify_all()

    def after(self, number: int) -> tuple[int, Any]:
        """Number and value of a newer one than `number`, or the same again after a while."""
        with self._changed:
            self._changed.wait_for(lambda: self._number > number or self.ended, _WAIT_S)
            return self._number, self._value


def read_lines(shots: Newest) -> None:
    """Keep the newest snapshot that comes."""
    for line in sys.stdin:
        shots.put(json.loads(line))
    shots.end()


class Painter:
    """Pictures of one task's hand: two cameras side by side."""

    def __init__(self, task: str) -> None:
        self._hand = AdroitHand(task, film_model(task))
        self._renderer = mujoco.Renderer(self._hand.model, HEIGHT, WIDTH)
        self._cameras = [_camera(CAMERAS[task]), _camera(SIDES[task])]

    def paint(self, shot: dict[str, Any]) -> bytes:
        """A JPEG."""
        self._hand.restore(snapshot_of(shot))
        pictures = []
        for camera in self._cameras:
            self._renderer.update_scene(self._hand.data, camera)
            pictures.append(self._renderer.render().copy())
        out = io.BytesIO()
        imageio.v3.imwrite(out, np.concatenate(pictures, axis=1), extension=".jpg", quality=80)
        return out.getvalue()


def snapshot_of(shot: dict[str, Any]) -> Snapshot:
    """Of one line."""
    return Snapshot(np.array(shot["qpos"]), tuple(np.array(view) for view in shot["placement"]))


class Page(http.server.ThreadingHTTPServer):
    """The page, on the loopback address alone."""

    daemon_threads = True

    def __init__(self, task: str, port: int, shots: Newest, pictures: Newest) -> None:
        super().__init__(("127.0.0.1", port), PageHandler)
        self.task, self.shots, self.pictures = task, shots, pictures


class PageHandler(http.server.BaseHTTPRequestHandler):
    """Page, stream of pictures, newest picture, and figures."""

    server: Page

    def do_GET(self) -> None:
        """Answer."""
        match self.path:
            case "/":
                self._answer("text/html", (PAGE % self.server.task).encode())
            case "/stream":
                self._stream()
            case "/view.jpg":
                self._answer("image/jpeg", self.server.pictures.after(0)[1] or b"")
            case "/figures":
                shot = self.server.shots.after(-1)[1] or {}
                self._answer("application/json", json.dumps(shot.get("figures", {})).encode())
            case _:
                self.send_error(404)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""

    def _answer(self, kind: str, data: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(data)

    def _stream(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        number, pictures = 0, self.server.pictures
        while not pictures.ended:
            number, picture = pictures.after(number)
            if picture is None:
                continue
            head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(picture)}\r\n\r\n"
            try:
                self.wfile.write(head.encode() + picture + b"\r\n")
            except OSError:  # nobody looks any more
                return


def show_window(task: str, shots: Newest) -> None:
    """MuJoCo's own viewer, until it is closed or nothing follows."""
    import mujoco.viewer  # wants a window system

    hand = AdroitHand(task)
    with mujoco.viewer.launch_passive(hand.model, hand.data, show_left_ui=False, show_right_ui=False) as viewer:
        for key, value in CAMERAS[task].items():
            setattr(viewer.cam, key, value)
        print("view: in a window", flush=True)
        number = 0
        while viewer.is_running() and not shots.ended:
            number, shot = shots.after(number)
            if shot is not None:
                with viewer.lock():
                    hand.restore(snapshot_of(shot))
                viewer.sync()


def _camera(place: dict[str, Any]) -> Any:
    camera = mujoco.MjvCamera()
    for key, value in place.items():
        setattr(camera, key, value)
    return camera


def main(task: str, kind: str, where: str) -> None:
    """Show until the input ends."""
    shots, pictures = Newest(), Newest()
    threading.Thread(target=read_lines, args=(shots,), daemon=True).start()
    if kind == WINDOW:
        return show_window(task, shots)
    painter = Painter(task)
    if kind == FILES:
        path = Path(where, "view.jpg")
        print(f"view: {path}", flush=True)
    else:
        page = Page(task, int(where), shots, pictures)
        threading.Thread(target=page.serve_forever, daemon=True).start()
        print(f"view: http://127.0.0.1:{where}/", flush=True)
    number = 0
    while not shots.ended:
        before, (number, shot) = number, shots.after(number)
        if shot is None or number == before:
            continue
        picture = painter.paint(shot)
        pictures.put(picture)
        if kind == FILES and path.parent.parent.is_dir():  # a run that is there; making it is not for its stand-in
            path.parent.mkdir(exist_ok=True)
            partial = path.with_name(".view.jpg.partial")
            partial.write_bytes(picture)
            os.replace(partial, path)
    pictures.end()


if __name__ == "__main__":
    main(*sys.argv[1:])

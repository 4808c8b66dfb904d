"""The dashboard's HTTP side: its own page, figures as JSON, a few files of a run, and words to the actor.

Nothing is read from a path that a request names: pages come from a fixed table, runs from the listing of their folder.
"""

import json
import shutil
import socket
import socketserver
import threading
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from rlpd_robot.errors import AddressError, RlpdRobotError
from rlpd_robot.run.dashboard.guard import host_allowed, same_origin, token_fits
from rlpd_robot.run.dashboard.runs import FILM, VIEW, Runs, file_of
from rlpd_robot.run.report import REPORT

WORDS = ("arm", "pin", "unpin")
"""That a browser with the token may say to the actor."""

PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; media-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_REPORT_POLICY = "default-src 'none'; img-src data:; media-src 'none'; style-src 'unsafe-inline'; sandbox"

_STATIC: Mapping[str, str] = {
    "index.html": "text/html; charset=utf-8",
    "dashboard.js": "text/javascript; charset=utf-8",
    "charts.js": "text/javascript; charset=utf-8",
    "dashboard.css": "text/css; charset=utf-8",
    "uPlot.iife.min.js": "text/javascript; charset=utf-8",
    "uPlot.min.css": "text/css; charset=utf-8",
}
_KINDS: Mapping[str, str] = {VIEW: "image/jpeg", FILM: "video/mp4", REPORT: "text/html; charset=utf-8"}
_MOST_AT_ONCE = 64  # connections
_MOST_BODY = 1000  # bytes
_PATIENCE_S = 20.0

Say = Callable[[Path, str, Mapping[str, str]], str]
"""(directory of the run, word, arguments) → the actor's sentence; an `RlpdRobotError` is a refusal."""


@dataclass(frozen=True)
class Actions:
    """What a browser may do beside looking.

    Attributes:
        token: that it must show.
        say: passes a word on to the actor.
    """

    token: str
    say: Say


class DashboardServer(ThreadingHTTPServer):
    """Serves until `shutdown`.

    Args:
        address: host and port.
        runs: what is shown.
        names: of this machine, beside `localhost` and numbers.
        actions: none: read-only.

    Raises:
        AddressError: the address cannot be listened on.
    """

    daemon_threads = True

    def __init__(
        self, address: tuple[str, int], runs: Runs, names: Collection[str] = (), actions: Actions | None = None
    ) -> None:
        self.runs, self.names, self.actions = runs, names, actions
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self.static = {name: _read(name) for name in _STATIC}
        self._room = threading.BoundedSemaphore(_MOST_AT_ONCE)
        try:
            super().__init__(address, _Handler)
        except OSError as error:
            remedy = "Choose another with dashboard.port=PORT, or end what listens there."
            shown = f"{address[0]}:{address[1]}"
            raise AddressError("dashboard.port", shown, str(error.strerror or error), remedy) from error

    def server_bind(self) -> None:
        """As it is, without asking a name server who we are, which may take long."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), self.server_address[1]

    def process_request(self, request: Any, client_address: Any) -> None:
        """In a thread of its own; beyond so many at once a connection is closed."""
        if self._room.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """One connection."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._room.release()


class _RefusedError(Exception):
    """An answer that is none of success."""

    def __init__(self, status: HTTPStatus, problem: str) -> None:
        super().__init__(problem)
        self.status = status


class _Handler(BaseHTTPRequestHandler):
    server: DashboardServer
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "rlpd-robot", ""
    timeout = _PATIENCE_S

    def do_GET(self) -> None:
        """Page, figures or a file."""
        self._answer(self._get)

    def do_HEAD(self) -> None:
        """The same without a body."""
        self._answer(self._get)

    def do_POST(self) -> None:
        """A word to the actor."""
        self._answer(self._post)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: a browser asks every two seconds."""

    def handle(self) -> None:
        """One connection; a browser that goes away is no error."""
        try:
            super().handle()
        except (ConnectionError, TimeoutError):
            self.close_connection = True

    def _answer(self, do: Callable[[list[str]], None]) -> None:
        try:
            if not host_allowed(self.headers.get("Host"), self.server.names):
                raise _RefusedError(HTTPStatus.MISDIRECTED_REQUEST, "This is not the host that was asked for.")
            do([unquote(part) for part in urlsplit(self.path).path.split("/") if part])
        except _RefusedError as refused:
            self._json({"problem": str(refused)}, refused.status)
        except RlpdRobotError as error:
            self._json({"problem": str(error)}, HTTPStatus.CONFLICT)

    def _get(self, parts: list[str]) -> None:
        match parts:
            case []:
                self._static("index.html")
            case ["static", name] if name in _STATIC:
                self._static(name)
            case ["api", "health"]:
                self._json({"well": True})
            case ["api", "runs"]:
                self._json({"runs": self.server.runs.listed(), "actions": self.server.actions is not None})
            case ["api", "runs", name, "curves"]:
                self._json(self._view(name).curves())
            case ["api", "runs", name]:
                self._json(self._view(name).snapshot())
            case ["runs", name, file] if file in _KINDS:
                self._file(name, file)
            case _:
                raise _RefusedError(HTTPStatus.NOT_FOUND, "There is nothing here.")

    def _post(self, parts: list[str]) -> None:
        actions = self.server.actions
        match parts:
            case ["api", "runs", name, "words"]:
                pass
            case _:
                raise _RefusedError(HTTPStatus.NOT_FOUND, "There is nothing here.")
        self.close_connection = True  # its body may not have been read
        if actions is None:
            told = "This dashboard only shows. Start it with dashboard.token=FILE to arm or pin from it."
            raise _RefusedError(HTTPStatus.FORBIDDEN, told)
        if not same_origin(self.headers.get("Origin"), self.headers.get("Host")):
            raise _RefusedError(HTTPStatus.FORBIDDEN, "Words are taken from this dashboard's own page alone.")
        if not token_fits(actions.token, self.headers.get("Authorization")):
            raise _RefusedError(
                HTTPStatus.UNAUTHORIZED, "The token is another one: see the file that dashboard.token names."
            )
        word, arguments = self._word()
        directory = self.server.runs.directory(name)
        if directory is None:
            raise _RefusedError(HTTPStatus.NOT_FOUND, "There is no such run.")
        self._json({"text": actions.say(directory, word, arguments)})

    def _word(self) -> tuple[str, dict[str, str]]:
        expected = _RefusedError(
            HTTPStatus.BAD_REQUEST, f'Expected {{"word": one of {", ".join(WORDS)}, "version": …}}.'
        )
        size = self.headers.get("Content-Length", "")
        if not (size.isascii() and size.isdigit() and int(size) <= _MOST_BODY):
            raise expected
        try:
            asked = json.loads(self.rfile.read(int(size)))
        except (ValueError, RecursionError) as error:
            raise expected from error
        if not isinstance(asked, dict) or asked.get("word") not in WORDS:
            raise expected
        version = asked.get("version", "")
        if not isinstance(version, str):
            raise expected
        return asked["word"], {"version": version} if asked["word"] == "pin" else {}

    def _view(self, name: str) -> Any:
        view = self.server.runs.view(name)
        if view is None:
            raise _RefusedError(HTTPStatus.NOT_FOUND, "There is no such run.")
        return view

    def _static(self, name: str) -> None:
        self._head(HTTPStatus.OK, _STATIC[name], len(self.server.static[name]))
        self._body(self.server.static[name])

    def _json(self, value: Any, status: HTTPStatus = HTTPStatus.OK) -> None:
        data = json.dumps(value, allow_nan=False, ensure_ascii=False).encode("utf-8", "replace")
        self._head(status, "application/json", len(data))
        self._body(data)

    def _file(self, name: str, file: str) -> None:
        directory = self.server.runs.directory(name)
        path = file_of(directory, file) if directory is not None else None
        if path is None:
            raise _RefusedError(HTTPStatus.NOT_FOUND, "There is no such file.")
        try:
            source = path.open("rb")
        except OSError as error:
            raise _RefusedError(HTTPStatus.NOT_FOUND, f"It cannot be read ({error.strerror}).") from error
        with source:
            size = source.seek(0, 2)
            source.seek(0)
            self._head(HTTPStatus.OK, _KINDS[file], size, _REPORT_POLICY if file == REPORT else PAGE_POLICY)
            if self.command != "HEAD":
                shutil.copyfileobj(source, self.wfile)

    def _body(self, data: bytes) -> None:
        if self.command != "HEAD":
            self.wfile.write(data)

    def _head(self, status: HTTPStatus, kind: str, size: int, policy: str = PAGE_POLICY) -> None:
        self.send_response(status)
        for name, value in (
            ("Content-Type", kind),
            ("Content-Length", str(size)),
            ("Content-Security-Policy", policy),
            ("Cache-Control", "no-store"),
            ("Cross-Origin-Resource-Policy", "same-origin"),
            ("Cross-Origin-Opener-Policy", "same-origin"),
            ("Referrer-Policy", "no-referrer"),
            ("X-Content-Type-Options", "nosniff"),
        ):
            self.send_header(name, value)
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()


def _read(name: str) -> bytes:
    return (files("rlpd_robot.run.dashboard") / "static" / name).read_bytes()

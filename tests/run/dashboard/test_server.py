"""The dashboard over HTTP: what it serves, and what it does not."""

import http.client
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from rlpd_robot import cli
from rlpd_robot.errors import AddressError, PeerRefusedError
from rlpd_robot.run.dashboard.check import check
from rlpd_robot.run.dashboard.dashboard import run_dashboard
from rlpd_robot.run.dashboard.runs import Runs
from rlpd_robot.run.dashboard.server import Actions, DashboardServer
from rlpd_robot.run.dashboard.settings import DashboardSettings
from tests.run.dashboard.a_run import make_run

TOKEN = "a-token-of-a-test-0123456789"


@contextmanager
def serving(root: Path, actions: Actions | None = None) -> Iterator[DashboardServer]:
    with DashboardServer(("127.0.0.1", 0), Runs(root), ["ws.lab"], actions) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join(5)


def ask(server: DashboardServer, path: str, method: str = "GET", body: bytes | None = None, **headers: str) -> Any:
    """(status, headers, body) of one request."""
    connection = http.client.HTTPConnection("127.0.0.1", server.server_address[1], timeout=10)
    try:
        connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        for name, value in ({"Host": "localhost"} | {k.replace("_", "-"): v for k, v in headers.items()}).items():
            connection.putheader(name, value)
        connection.putheader("Content-Length", str(len(body or b"")))
        connection.endheaders(body)
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read()
    finally:
        connection.close()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    make_run(tmp_path / "runs" / "door")
    return tmp_path / "runs"


def test_pages_figures_and_nothing_else(root: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    (root / "door" / "report.html").write_text("<p>report</p>")
    with serving(root) as server:
        for path in (
            "/",
            "/static/dashboard.js",
            "/static/uPlot.min.css",
            "/api/runs",
            "/api/runs/door",
            "/api/health",
        ):
            status, headers, body = ask(server, path)
            assert (status, len(body) > 10) == (200, True)
            assert "default-src 'none'" in headers["Content-Security-Policy"]
            assert "script-src 'self'; style-src 'self'" in headers["Content-Security-Policy"]
            assert headers["X-Content-Type-Options"] == "nosniff"
        assert json.loads(ask(server, "/api/runs/door")[2])["run"] == "door"
        assert set(json.loads(ask(server, "/api/runs/door/curves")[2])) == {"success", "return_mean"}
        status, headers, body = ask(server, "/runs/door/report.html")
        assert (status, body) == (200, b"<p>report</p>")
        assert headers["Content-Security-Policy"].endswith("sandbox")
        assert ask(server, "/", "HEAD")[2] == b""
        for path in (
            *("/static/../server.py", "/static/%2e%2e/server.py", "/static/", "/api/runs/..", "/api/runs/%2e%2e"),
            *("/api/runs/..%2fsecret", "/runs/door/config.yaml", "/runs/door/..%2f..%2fsecret", "/runs/../secret"),
            *("/runs/door/film", "/runs/door/view", "/api/runs/none", "/etc/passwd", "//etc/passwd", "/%00"),
        ):
            status, _, body = ask(server, path)
            assert (status, b"secret" in body) == (404, False), path


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8420", ""])
def test_another_host_gets_nothing(root: Path, host: str) -> None:
    with serving(root) as server:
        status, _, body = ask(server, "/api/runs", Host=host)
        assert status == 421
        assert b"door" not in body
        assert ask(server, "/api/runs", Host="ws.lab:80")[0] == 200


class Actor:
    """Who is told the words."""

    def __init__(self) -> None:
        self.words: list[tuple[str, str, Mapping[str, str]]] = []

    def say(self, directory: Path, word: str, arguments: Mapping[str, str]) -> str:
        self.words.append((directory.name, word, arguments))
        if word == "unpin":
            raise PeerRefusedError("The actor", "it is not pinned")
        return "armed"


def test_words_take_the_token(root: Path) -> None:
    actor = Actor()
    right = {"Authorization": f"Bearer {TOKEN}"}
    arm, words = b'{"word": "arm"}', "/api/runs/door/words"
    with serving(root, Actions(TOKEN, actor.say)) as server:
        assert json.loads(ask(server, "/api/runs")[2])["actions"] is True
        for status, path, body, headers in (
            (401, words, arm, {}),
            (401, words, arm, {"Authorization": "Bearer another"}),
            (403, words, arm, right | {"Origin": "http://evil.example"}),
            (421, words, arm, right | {"Host": "evil.example"}),
            (404, "/api/runs/none/words", arm, right),
            (404, "/api/runs/door", arm, right),
            (400, words, b"", right),
            (400, words, b"[]", right),
            (400, words, b'{"word": "stop"}', right),
            (400, words, b'{"word": "pin", "version": 3}', right),
            (400, words, b'{"word": "arm", "x": "' + b"x" * 2000 + b'"}', right),
        ):
            assert ask(server, path, "POST", body, **headers)[0] == status, (path, body, headers)
        assert actor.words == []
        status, _, body = ask(server, words, "POST", arm, Origin="http://localhost", **right)
        assert (status, json.loads(body)) == (200, {"text": "armed"})
        assert ask(server, words, "POST", b'{"word": "pin", "version": "12"}', **right)[0] == 200
        status, _, body = ask(server, words, "POST", b'{"word": "unpin"}', **right)
        assert (status, json.loads(body)) == (409, {"problem": "The actor refused: it is not pinned"})
    assert actor.words == [("door", "arm", {}), ("door", "pin", {"version": "12"}), ("door", "unpin", {})]


def test_without_a_token_it_only_shows(root: Path) -> None:
    with serving(root) as server:
        status, _, body = ask(server, "/api/runs/door/words", "POST", b'{"word": "arm"}', Authorization="Bearer ")
        assert status == 403
        assert b"dashboard.token=FILE" in body
        assert json.loads(ask(server, "/api/runs")[2])["actions"] is False


def test_a_port_that_is_taken_is_told(root: Path) -> None:
    with serving(root) as server, pytest.raises(AddressError, match=r"dashboard\.port"):
        DashboardServer(("127.0.0.1", server.server_address[1]), Runs(root))


def test_the_verb_serves_until_told_to_stop(root: Path, tmp_path: Path) -> None:
    from rlpd_robot.config import load

    words = [f"run.root={root}", "dashboard.port=0", f"dashboard.token={tmp_path / 'token'}"]
    settings, stop, told = load("dashboard", words)[0], threading.Event(), []

    def show(line: str) -> None:
        told.append(line)
        port = int(told[0].split("127.0.0.1:")[1].partition("/")[0])
        if len(told) == 2:
            assert check(DashboardSettings(port=port), lambda _: None) == 0
            stop.set()

    assert run_dashboard(settings, False, stop, show) == 0
    assert told[0].startswith(f"dashboard of the runs in {root}: http://127.0.0.1:")
    assert told[1] == f"words to the actor: with the token in {tmp_path / 'token'}"


def test_a_check_of_what_is_not_there_fails(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["dashboard", "--check", "dashboard.port=1"]) == 1
    assert capsys.readouterr().out.startswith("dashboard: NOT WELL: http://127.0.0.1:1/api/runs: ")

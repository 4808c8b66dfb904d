import io
import json
import os
import subprocess
import sys

import pytest

from rlpd_robot.run import record_view
from rlpd_robot.run.record_view import PanelView, PlainView, make_view

STATUS = {
    **{
        "title": "fake, reach → demos.zarr",
        "phase": "recording",
        "prompt": "",
        "fault": "",
        "step": 20,
        "max_steps": 40,
    },
    **{"enabled": True, "source": "keyboard", "rates": {"states": 99.6, "wrist": 29.7}, "late_ms": 0.25, "missed": 3.0},
    **{"episodes": 4, "successes": 3, "hidden": 1, "session": 2, "help": {"move": "w +forward"}},
}


def drawn(*statuses: dict[str, object], columns: int = 120) -> str:
    """What the process that draws leaves on a terminal of this width."""
    lines = "".join(json.dumps(status) + "\n" for status in statuses)
    done = subprocess.run(
        [sys.executable, "-m", "rlpd_robot.run.record_view"],
        input=lines,
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "COLUMNS": str(columns), "LINES": "40", "TERM": "dumb", "NO_COLOR": "1"},
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_the_panel_tells_all_that_there_is() -> None:
    text = drawn(STATUS | {"messages": ["episode 3: success"]})
    for words in (
        "record fake, reach → demos.zarr",
        "step 20 of 40",
        "held (keyboard)",
        "joints 100 Hz, cameras wrist 30 Hz; late p99 0.25 ms, 3 missed",
        "4 in the store (2 now), 1 hidden; success 75 %",
        "w +forward",
        "episode 3: success",
    ):
        assert words in text
    text = drawn(
        STATUS
        | {
            "phase": "waiting",
            "prompt": "arm it when it is safe",
            "fault": "e-stop pressed: so it says",
            "late_ms": -1.0,
        }
        | {"enabled": False, "episodes": 0}
    )
    for words in (
        "waiting",
        "arm it when",
        "e-stop pressed: so it says",
        "released: the robot holds",
        "lock-step",
        "none",
    ):
        assert words in text


def test_something_may_happen_before_the_first_figures() -> None:
    assert record_view._rows({"messages": ["'zmq' has been silent"]}) == []


def test_no_key_is_parted_from_its_meaning() -> None:
    keys = [f"{key} +axis{i}" for i, key in enumerate("abcdefghijklmnopqrst")]
    lines = record_view._in_lines("   ".join(keys)).splitlines()
    assert [key for line in lines for key in line.split("   ")] == keys
    assert max(map(len, lines)) <= record_view._HELP_WIDTH
    assert len(lines) == 3


def test_lines_where_no_panel_can_be() -> None:
    out = io.StringIO()
    view = PlainView(out)
    view.say("episode 0 begins")
    view.show(STATUS)  # not yet: a line every few seconds
    view._shown_s -= 60
    view.show(STATUS)
    view.show(STATUS)
    view.close()
    first, second = out.getvalue().splitlines()
    assert first.endswith("] episode 0 begins")
    assert second.endswith("] recording: step 20 of 40, joints 100 Hz, cameras wrist 30 Hz, dead-man held")


@pytest.mark.parametrize(("plain", "term"), [(True, "xterm"), (False, "dumb")])
def test_the_panel_is_for_terminals_that_can_show_one(plain: bool, term: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", term)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    assert isinstance(make_view(plain), PlainView)


def test_a_view_that_has_died_holds_nothing_up(capfd: pytest.CaptureFixture[str]) -> None:
    view = PanelView()
    view._process.kill()
    view._process.wait(10)
    view.show(STATUS)
    view.say("episode 0: success")
    view.close()
    view.close()
    assert "episode 0: success" in capfd.readouterr().out

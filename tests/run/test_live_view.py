import io
import json
import os
import subprocess
import sys

import pytest
from rich.console import Console

from rlpd_robot.run.live_state import LiveState, bins, count, duration, one_line, spark
from rlpd_robot.run.live_view import LiveView
from rlpd_robot.run.metrics import EPISODES, EVENTS, METRICS, append_event
from rlpd_robot.timing import ManualClock


class Terminal(io.StringIO):
    """A file that says it is a terminal."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


def tty(width: int = 100, height: int = 30) -> Console:
    return Console(
        file=Terminal(),
        force_terminal=True,
        width=width,
        height=height,
        color_system=None,
        legacy_windows=False,
        _environ={},
    )


def pipe(**kwargs) -> Console:
    return Console(file=io.StringIO(), width=80, _environ={}, **kwargs)


def add(path, **values):
    with open(path, "a", encoding="utf-8") as file:
        file.write(json.dumps(values) + "\n")


ROW = {
    "wall_s": 100.0,
    "phase": "learning",
    "env_steps": 12400,
    "env_steps_target": 16000,
    "critic_updates": 247960,
    "utd_target": 20,
    "utd_realised": 19.9968,
    "updates_owed": 40,
    "ring_rows": 12400,
    "demo_rows": 5000,
    "policy_version": 248,
    "success_recent": 0.95,
    "return_recent": 61.25,
    "demo_return": 52.3,
    "actor/lateness_ms_p50": 0.08,
    "actor/lateness_ms_p99": 1.31,
    "actor/deadline_misses": 2.0,
    "actor/lockstep": 0.0,
    "actor/policy_age_s_p50": 0.35,
    "actor/policy_age_s_p99": 0.81,
    "actor/policy_version": 247.0,
    "actor/steps": 12430.0,
    "actor/uncommitted": 30.0,
    "actor/connected": 1.0,
    "delivery/committed": 12400.0,
    "delivery/duplicates": 3.0,
}


@pytest.fixture
def run(tmp_path):
    add(tmp_path / METRICS, **ROW | {"wall_s": 90.0, "env_steps": 12000})
    add(tmp_path / METRICS, **ROW)
    for i in range(62):
        add(tmp_path / EPISODES, env_steps=200 * i, success=i % 2 == 0, normalized_return=float(i))
    append_event(tmp_path, "warning", "actor", "no acknowledgement for 2.1 s")
    return tmp_path


def screen(console: Console) -> list[str]:
    """What a terminal would show at the end: the last frame."""
    text = console.file.getvalue()
    frame = text[text.rfind("╭") :] if "╭" in text else text[text.find("+-") :]
    return [line.split("\x1b")[0].rstrip("\r") for line in frame.splitlines()]


@pytest.mark.parametrize("width", [60, 80, 100, 200])
def test_the_panel_shows_every_figure_within_the_terminal(run, width):
    console = tty(width)
    with LiveView(run, "door, seed 0", console, ManualClock()) as view:
        view.processes({"sim": "running", "actor": "running", "learner": "exited 2"})
        view.update()
    lines = screen(console)
    assert max(map(len, lines)) <= width
    assert len(lines) <= 24
    text = "\n".join(lines)
    for words in (
        "door, seed 0",
        "learning",
        "12 400 / 16 000 steps",
        "1:30 left",
        "95 % of the last 20 episodes",
        "31 of 62 in all",
        "61.2",
        "demonstrations 52.3",
        "UTD 20.00 of 20",
        "247 960 done",
        "40 owed",
        "version 247 acts",
        "248 published",
        "age p50 0.35 s",
        "p99 0.81 s",
        "late p50 0.08 ms",
        "p99 1.31 ms",
        "2 missed",
        "12 400 live",
        "5 000 demonstration",
        "12 430 executed",
        "12 400 committed",
        "30 unacked",
        "3 duplicates dropped",
        "sim running",
        "learner exited 2",
        "actor: no acknowledgement for 2.1 s",
    ):
        assert words in text
    assert "▁" in text
    assert "▅" in text


@pytest.mark.parametrize(
    ("figures", "words"),
    [
        ({"utd_share": 1.0, "q_outside_range": 0.01}, "2 of 2 well"),
        ({"utd_share": 0.5, "q_outside_range": 0.3}, "30 % of the critics' values lie outside"),
    ],
)
def test_the_panel_says_whether_it_learns_as_it_should(run, figures, words):
    add(run / METRICS, **ROW | {f"diagnostics/{key}": value for key, value in figures.items()})
    add(run / METRICS, **ROW)  # measured long ago is still known
    console = tty(60)
    with LiveView(run, "door", console, ManualClock()) as view:
        view.update()
    text = " ".join(" ".join(line.strip("│ ") for line in screen(console)).split())
    assert words in text
    assert ("(1 more in the report)" in text) == (len(figures) > 1 and figures["utd_share"] < 1)
    assert max(map(len, screen(console))) <= 60


def test_the_panel_copes_with_an_empty_and_a_missing_directory(tmp_path):
    console = tty()
    with LiveView(tmp_path / "not yet", "door", console, ManualClock()) as view:
        view.update()
    text = "\n".join(screen(console))
    assert "starting" in text
    assert "waiting for the learner's first figures" in text
    assert "?" not in text
    assert "nan" not in text


def test_the_panel_is_drawn_anew_only_when_it_would_read_differently(run):
    console, clock = tty(), ManualClock()
    with LiveView(run, "door", console, clock) as view:
        view.update()
        frames = console.file.getvalue().count("╭")
        view.update()
        assert console.file.getvalue().count("╭") == frames
        clock.advance(1.0)
        view.update()
        assert console.file.getvalue().count("╭") == frames + 1
        add(run / EVENTS, wall_s=3.0, severity="info", source="actor", text="hello")
        view.update()
        assert console.file.getvalue().count("╭") == frames + 2


def test_a_silent_learner_and_a_lost_actor_are_said(run):
    add(run / METRICS, **{"actor/connected": 0.0})
    console, clock = tty(), ManualClock()
    with LiveView(run, "door", console, clock) as view:
        view.update()
        clock.advance(12.0)
    text = "\n".join(screen(console))
    assert "actor not connected" in text
    assert "learner silent for 12 s" in text


def test_lock_step_has_no_deadlines_to_miss(run):
    add(run / METRICS, **{"actor/lockstep": 1.0, "actor/policy_version": -1.0})
    console, plain = tty(), pipe()
    with LiveView(run, "door", console, ManualClock()), LiveView(run, "door", plain, ManualClock()):
        pass
    text = "\n".join(screen(console))
    assert "lock-step: paced by the learner, no deadlines" in text
    assert "none acts yet" in text
    assert "missed" not in text + plain.file.getvalue()


def test_an_error_is_never_cut_short(run):
    append_event(run, "error", "learner", "Store 'live.zarr': " + "disk full, " * 9 + "free some.")
    append_event(run, "info", "learner", "later news")
    console = tty(60)
    with LiveView(run, "door", console, ManualClock()):
        pass
    text = " ".join(line.strip("│ ") for line in screen(console))
    assert "free some." in text
    assert "…" not in text


def test_a_terminal_without_unicode_gets_ascii(run):
    append_event(run, "error", "actor", "späte Nachricht – x")
    console = tty(60)
    console.file.encoding = "ascii"
    with LiveView(run, "Tür", console, ManualClock()):
        pass
    assert console.file.getvalue().isascii()
    assert "T?r" in console.file.getvalue()


def test_a_pipe_gets_plain_lines_even_when_colour_is_forced(run):
    clock = ManualClock()
    console = pipe(force_terminal=True)
    with LiveView(run, "door, seed 0", console, clock) as view:
        view.processes({"actor": "running"})
        view.processes({"actor": "running"})
        view.update()
        clock.advance(4.0)
        view.update()
        clock.advance(1.0)
        view.update()
        append_event(run, "error", "actor", "fault\nlatched \x1b[31m")
        view.update()
        view.processes({"actor": "exited 3"})
    status = (
        "learning: 12 400/16 000 steps, success 95 %, return 61.2 (demonstrations 52.3), UTD 20.00 of 20, policy 247, "
        "age 0.35 s, late p99 1.31 ms, 2 missed, 30 unacked, 1:30 left"
    )
    assert console.file.getvalue().splitlines() == [
        "[    0 s] door, seed 0",
        "[    0 s] actor running",
        "[    0 s] WARNING actor: no acknowledgement for 2.1 s",
        f"[    0 s] {status}",
        f"[    5 s] {status}",
        "[    5 s] ERROR actor: fault latched  [31m",
        "[    5 s] actor exited 3",
        f"[    5 s] {status}",
    ]


def test_a_plain_line_before_the_first_row(tmp_path):
    console = pipe()
    with LiveView(tmp_path, "door", console, ManualClock()):
        pass
    assert console.file.getvalue().splitlines()[-1] == "[    0 s] starting: waiting for the learner's first figures"


def test_eta_follows_the_last_two_minutes_and_forgets_a_clock_that_began_anew(tmp_path):
    state = LiveState(tmp_path, ManualClock())
    for wall_s, steps in ((0, 0), (200, 1000), (300, 3000)):
        add(tmp_path / METRICS, wall_s=wall_s, phase="learning", env_steps=steps, env_steps_target=5000)
    state.look()
    assert state.eta_s == pytest.approx(100.0)  # 2 000 steps in the last 100 s, 2 000 to go
    add(tmp_path / METRICS, wall_s=1, phase="learning", env_steps=3000, env_steps_target=5000)
    state.look()
    assert state.eta_s != state.eta_s, "one row of a resumed run is no pace"


def test_words():
    assert [duration(s) for s in (0.4, 59.9, 187, 3729, float("nan"))] == ["0 s", "59 s", "3:07", "1:02:09", "?"]
    assert [count(v) for v in (999, 12400, float("inf"))] == ["999", "12 400", "?"]
    assert one_line("a\x1b[2J\r\nb\u202ec") == "a [2J  b c"
    assert spark([-5, 0, 50, 100, 200], 100, "abc") == "aabcc"
    assert bins([1, 2, 3, 4, 5, 6], 3) == [1.5, 3.5, 5.5]
    assert bins([1, 2], 3) == [1, 2]


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="no pseudo-terminals here")
def test_on_a_real_pseudo_terminal_the_cursor_comes_back(run):
    code = (
        "import sys; from pathlib import Path; from rlpd_robot.run.live_view import LiveView\n"
        "with LiveView(Path(sys.argv[1]), 'door') as view: view.update()\n"
        "assert 'jax' not in sys.modules and 'matplotlib' not in sys.modules\n"
    )
    ours, theirs = os.openpty()
    environment = os.environ | {"TERM": "xterm", "COLUMNS": "80", "LINES": "24", "PYTHONIOENCODING": "utf-8"}
    child = subprocess.Popen([sys.executable, "-c", code, str(run)], stdout=theirs, env=environment)
    os.close(theirs)
    output = b""
    while chunk := _read(ours):
        output += chunk
    os.close(ours)
    assert child.wait(30) == 0
    assert "31 of 62 in all" in output.decode()
    assert output.rfind(b"\x1b[?25h") > output.rfind(b"\x1b[?25l") > -1


def _read(fd: int) -> bytes:
    try:
        return os.read(fd, 65536)
    except OSError:  # Linux says so when the other end has closed
        return b""

"""The pages that this program makes, in a browser: no error, nothing wider than the screen, and alive."""

import base64
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from rlpd_robot.run import report
from rlpd_robot.run.dashboard import runs
from rlpd_robot.run.dashboard.server import Actions
from rlpd_robot.run.dry_run import sheet
from rlpd_robot.run.dry_run.check import Check
from rlpd_robot.run.metrics import EPISODES, METRICS, append_event
from rlpd_robot.run.report import report_html
from rlpd_robot.run.run_record import load_run
from tests.run.dashboard.a_run import append, episode, make_run, rows
from tests.run.dashboard.test_server import TOKEN, Actor, serving
from tests.run.dry_run.test_dry_run import findings
from tests.run.test_health import Process
from tests.run.test_report import fill

if TYPE_CHECKING:
    from tests.browser import Browser, Page

TABLET, PHONE = (820, 1180), (390, 844)
DOT = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
)


def soon(page: "Page", condition: str) -> None:
    """It asks every two seconds by itself; this need not be waited for."""
    page.value("look()")
    page.wait(condition)


def test_the_dashboard_is_live_through_a_restart_of_the_learner(
    browser: "Browser", tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "_FRESH_S", 0.0)
    run = make_run(tmp_path / "runs" / "door")
    make_run(tmp_path / "runs" / "pen", seconds=60)
    learner = Process(run, "learner")
    append_event(run, "info", "learner", "here")  # the run last at work is the one that is shown
    actor = Actor()
    with serving(tmp_path / "runs", Actions(TOKEN, actor.say)) as server, browser.page() as page:
        page.open(f"http://127.0.0.1:{server.server_address[1]}/")
        page.wait("document.querySelectorAll('.chart canvas').length >= 8")
        for words in (
            "990",
            "4.98",
            "0.13 ms",
            "LEARNER",
            "<b>learner</b> silent for 2 s",
            "Lateness of the loop [ms]",
        ):
            assert words.lower() in page.text.lower()
        assert page.value("document.getElementById('run').value") == "door"
        assert page.overflow == 0
        small = "[...document.querySelectorAll('button, select, input')].filter(e => e.offsetParent !== null)"
        assert page.value(f"Math.min(...{small}.map(e => e.getBoundingClientRect().height))") >= 24
        assert (
            page.value(
                "Math.min(...[...document.querySelectorAll('main, section *')].filter(e => e.offsetParent "
                "&& e.innerText).map(e => parseFloat(getComputedStyle(e).fontSize)))"
            )
            >= 12
        )

        learner.record.write_end(run, "killed by SIGKILL")
        soon(page, "document.getElementById('processes').innerText.includes('killed by SIGKILL')")
        Process(run, "learner")
        append(run / METRICS, [{"phase": "resuming", "wall_s": 101.0}, *rows(90, 140, utd_realised=5.0)])
        append(run / EPISODES, [episode(50 * i, True, 80.0) for i in range(20, 40)])
        soon(page, "document.getElementById('tiles').innerText.includes('1 390')")
        soon(page, "document.getElementById('tiles').innerText.includes('20 of 20 training episodes')")

        page.value("document.querySelector('#runs input:not(:disabled)').click()")
        soon(page, "[...document.querySelectorAll('.chart')][0].innerText.includes('pen')")

        append_event(run, "error", "actor", "Robot stopped: stale state. Look, then arm.")
        append(run / METRICS, rows(140, 141, **{"actor/armed": 0, "actor/faults": 1}))
        soon(page, "document.getElementById('fault').innerText.includes('stale state')")
        page.value(f"document.getElementById('token').value = '{TOKEN}'")
        page.value("document.getElementById('looked').click(), document.getElementById('arm').click()")
        page.wait("document.getElementById('answer').innerText === 'armed'")
        assert actor.words == [("door", "arm", {})]

        run.rename(tmp_path / "old")  # its place is taken by another run of the same name
        make_run(run, seconds=30)
        soon(page, "document.getElementById('tiles').innerText.includes('290')")
        page.resize(PHONE)
        page.wait("document.querySelector('.chart canvas').getBoundingClientRect().width < 390")
        assert page.overflow == 0
        assert page.problems == []


def test_reports_are_read_on_a_tablet_and_a_telephone(
    browser: "Browser", tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report, "panel_png", lambda *_, **__: DOT)
    for name in ("intervals_png", "ages_png", "envelope_png", "stops_png"):
        monkeypatch.setattr(sheet, name, lambda *_: DOT)
    run = fill(tmp_path / "door")
    (run / "report.html").write_text(report_html(load_run(run)))
    checks = (
        Check("rate", "10 ms", "10 ms", True, ""),
        Check("fault: link cut", "stops", "it did not", False, "Look."),
    )
    (run / "verdict.html").write_text(sheet.html(findings(*checks)))
    words = {"report.html": "19 of 20; 95 % interval 76 to 99 %", "verdict.html": "No go: fault: link cut."}
    with browser.page() as page:
        for name, told in words.items():
            page.open((run / name).as_uri())
            assert told in page.text.replace("\u00a0", " ")
            for size in (TABLET, PHONE):
                page.resize(size)
                assert page.overflow == 0, (name, size)
        assert [problem for problem in page.problems if "door.mp4" not in problem] == []

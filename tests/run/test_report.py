import base64
import json
import re
import struct
import subprocess
import sys
from html.parser import HTMLParser

import numpy as np
import pytest

from rlpd_robot.errors import ConfigError, DataError, MissingPackageError
from rlpd_robot.run import report
from rlpd_robot.run.figures import PANELS, curves_png, panel_png
from rlpd_robot.run.metrics import EPISODES, METRICS, append_event
from rlpd_robot.run.plotting import LIGHT
from rlpd_robot.run.report import report_html, verdict, write_report
from rlpd_robot.run.run_record import load_run

HOSTILE = '<script>alert(\'x\')</script>" onload="x" & $x_{$ \x1b[31m'

SUMMARY = {
    "task": "door",
    "seed": 3,
    "learned": True,
    "verdict": "Learned: 19 of 20 evaluation episodes open the door.",
    "env_steps": 4000,
    "wall_s": 571.2,
    "utd_target": 20,
    "utd_realised": 19.9975,
    "demos": {"path": "demos/door", "success_rate": 1.0, "normalized_return": 52.3},
    "eval": {"episodes": 20, "success_rate": 0.95, "success_ci95": [0.764, 0.991], "normalized_return": 66.5},
    "actor": {"period_ms": 40.0, "lateness_ms": {"p50": 0.08, "p99": 1.31}, "deadline_misses": 2, "lockstep": False},
    "delivery": {"sent": 4000, "committed": 4000, "lost": 0, "duplicated": 0},
    "learner": {"compile_s": 11.4, "compiles": 1},
    "unheard_of": {"some_thing": 7},
    "diagnostics": {"checks": 1, "findings": {"utd_share": "not shown twice"}},
    "video": "door.mp4",
}


def fill(run, summary=None):
    run.mkdir(exist_ok=True)
    with open(run / METRICS, "w") as rows, open(run / EPISODES, "w") as episodes:
        for i in range(1, 21):
            row = {"env_steps": 200 * i, "utd_realised": 19.9, "utd_target": 20, "learner/critic_loss": 1 / i}
            row |= {
                "learner/q": -20.0 + i,
                "learner/target_q": -20.5 + i,
                "learner/entropy": -i,
                "learner/temperature": 1,
                "diagnostics/utd_share": 0.5 if i < 4 else 1.0,
            }
            rows.write(json.dumps(row) + "\n")
            episode = {"env_steps": 200 * i, "success": i > 5, "normalized_return": 4.0 * i, "explore": i % 5 > 0}
            episodes.write(json.dumps(episode) + "\n")
        rows.write('{"env_steps": 90')
    evaluation = [
        {"seed": 1000 + i, "success": i > 0, "normalized_return": 70.0 if i else 0.0, "steps": 200} for i in range(20)
    ]
    (run / "eval.json").write_text(json.dumps({"episodes": evaluation}))
    (run / "summary.json").write_text(json.dumps(SUMMARY if summary is None else summary))
    (run / "config.yaml").write_text("agent:\n  utd: 20  # <b>\n")
    (run / "door.mp4").write_bytes(b"video")
    append_event(run, "warning", "actor", HOSTILE)
    return run


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    run = fill(tmp_path_factory.mktemp("whole"))
    write_report(run)
    return run


@pytest.fixture
def quick(monkeypatch):
    """Figures that cost nothing."""
    monkeypatch.setattr(report, "panel_png", lambda *_: b"png")
    monkeypatch.setattr(report, "curves_png", lambda *_: b"png")


class Reader(HTMLParser):
    """Collects tags, attributes and what a person reads."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.open, self.words = [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "img", "source"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, "tags must nest"

    def handle_data(self, data):
        if "style" not in self.open:
            self.words.append(data)

    @property
    def text(self):
        return "".join(self.words).replace("\u00a0", " ")


def size_of(png):
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    return struct.unpack(">II", png[16:24])


def test_the_report_is_one_page_with_the_verdict_first(whole):
    page = Reader((whole / "report.html").read_text(encoding="utf-8"))
    assert page.open == []
    text = page.text.split("</style>")[-1]
    assert text.index("Learned") < text.index("19 of 20; 95 % interval 76 to 99 %") < text.index("Learning")
    for words in (
        "door · seed 3 · 4 000 live steps · 9 min 31 s",
        "66.5 %",
        "demonstrations 52.3",
        "0 lost, 0 twice",
        "2 deadlines missed",
        "lateness p99" + "1.31 ms",
        "success, 95 % interval" + "76 % to 99 %",
        "compilation" + "11.4 s",
        "some thing" + "7",
        "1000" + "not solved" + "0.0 %",
        "utd: 20  # <b>",
    ):
        assert words in text


def test_the_report_says_whether_it_learned_as_it_should(whole):
    text = (whole / "report.html").read_text()
    assert "At the end all 1 checks were well." in text
    assert "All checks (1 judged at the end, 20 measurements)" in text
    assert "<td>updates done of those owed</td><td>100 %</td><td>at least 90 %</td><td>none</td>" in text
    assert "not shown twice" not in text


def test_the_report_asks_nothing_of_anywhere_but_the_video_beside_it(whole):
    page = Reader((whole / "report.html").read_text(encoding="utf-8"))
    addresses = [v for _, attributes in page.tags for k, v in attributes.items() if k in ("src", "srcset", "href")]
    inside = [a for a in addresses if a.startswith("data:image/png;base64,")]
    assert len(inside) == 2 * len(PANELS), "each in a light and a dark version"
    assert {a for a in addresses if a not in inside} == {"door.mp4"}
    for address in inside:
        width, height = size_of(base64.b64decode(address.split(",")[1]))
        assert 600 < width < 900
        assert 400 < height < 600
    assert "script" not in {tag for tag, _ in page.tags}


def test_every_text_is_escaped(tmp_path, quick):
    summary = {"task": HOSTILE, "seed": HOSTILE, "verdict": HOSTILE, "learned": False, HOSTILE: {HOSTILE: HOSTILE}}
    run = fill(tmp_path / "run", summary)
    (run / "config.yaml").write_text(HOSTILE)
    write_report(run)
    page = Reader((run / "report.html").read_text(encoding="utf-8"))
    assert "script" not in {tag for tag, _ in page.tags}
    assert not any("onload" in attributes for _, attributes in page.tags)
    assert page.text.count("<script>alert('x')</script>") >= 7
    assert "\x1b" not in page.text


def test_curves_are_a_png_of_all_panels(whole):
    assert size_of((whole / "curves.png").read_bytes()) == (1560, 1032)
    assert sorted(path.name for path in whole.glob(".*")) == [], "no partial file is left"


def test_a_hostile_task_name_is_no_mathematics(tmp_path):
    run = load_run(fill(tmp_path / "run", {"task": r"$\frac{", "seed": "_^$"}))
    size_of(curves_png(run))


@pytest.mark.parametrize(
    ("summary", "badge", "sentence"),
    [
        ({"learned": True, "verdict": "Well."}, "Learned", "Well."),
        ({"learned": False}, "Did not learn", "The task was not learned."),
        ({"learned": True}, "Learned", "The task was learned."),
        ({}, "No verdict", "This run has no summary: it is still going on, or it was cut short."),
    ],
)
def test_the_verdict(tmp_path, quick, summary, badge, sentence):
    run = load_run(fill(tmp_path / "run", summary))
    assert verdict(run) == sentence
    page = report_html(run)
    assert re.search(r'<span class="badge \w+">([^<]*)</span>', page)[1] == badge
    assert f"<h1>{sentence}</h1>" in page


def test_a_loss_on_the_way_is_shown_as_an_alarm(tmp_path, quick):
    delivery = {"sent": 9, "committed": 8, "lost": 1, "duplicated": 0}
    page = report_html(load_run(fill(tmp_path / "run", SUMMARY | {"delivery": delivery})))
    assert '<div class="tile alarm"><span>Delivered</span><b>8</b><small>1 lost, 0 twice</small>' in page


def test_lock_step_has_no_lateness(tmp_path, quick):
    actor = {"lateness_ms": {"p99": 0.0}, "deadline_misses": 0, "lockstep": True}
    page = report_html(load_run(fill(tmp_path / "run", SUMMARY | {"actor": actor})))
    assert "<b>lock-step</b>" in page
    assert "Lateness p99" not in page


@pytest.mark.parametrize("video", ["missing.mp4", "../door.mp4", "/etc/passwd", 7, None])
def test_a_video_that_is_not_beside_the_page_is_left_out(tmp_path, quick, video):
    (tmp_path / "door.mp4").write_bytes(b"video")
    page = report_html(load_run(fill(tmp_path / "run", SUMMARY | {"video": video})))
    assert "<video" not in page


def test_an_empty_directory_gives_a_report_that_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(report, "panel_png", lambda *_, **__: b"png")  # curves.png draws every panel, empty
    write_report(tmp_path)
    page = Reader((tmp_path / "report.html").read_text(encoding="utf-8"))
    assert "This run has no summary" in page.text
    assert "nan" not in page.text


def test_values_that_are_no_numbers_do_not_stop_a_figure(tmp_path):
    run = tmp_path / "run"
    fill(run)
    with open(run / METRICS, "a") as file:
        file.write('{"env_steps": 4100, "learner/q": null, "learner/critic_loss": "x", "learner/temperature": 0}\n')
    record = load_run(run)
    steps, values = record.column("learner/q")
    assert len(steps) == len(values) == 20
    size_of(panel_png(PANELS[-1], record, LIGHT))


def test_a_resumed_run_goes_forward_only(tmp_path):
    lines = [(1, 100), (2, 200), (3, 300), (4, 200), (5, 300), (6, 400)]
    (tmp_path / METRICS).write_text("".join(json.dumps({"v": v, "env_steps": s}) + "\n" for v, s in lines))
    steps, values = load_run(tmp_path).column("v")
    np.testing.assert_array_equal(steps, [100, 200, 200, 300, 400])
    np.testing.assert_array_equal(values, [1, 2, 4, 5, 6])


def test_damaged_or_missing_input_is_one_sentence_and_nothing_is_written(tmp_path):
    with pytest.raises(
        ConfigError, match=r"^Setting 'run_dir' must be the directory of a run\. Received '.*nowhere'\.$"
    ):
        write_report(tmp_path / "nowhere")
    (tmp_path / "summary.json").write_text("{")
    with pytest.raises(DataError, match=r"^File '.*summary\.json': it is no JSON \(.*\)\. Expected a file written"):
        write_report(tmp_path)
    (tmp_path / "summary.json").write_text("[]")
    with pytest.raises(DataError, match=r"summary\.json': it holds a list\. Expected a JSON object\."):
        write_report(tmp_path)
    (tmp_path / "summary.json").write_text("{}")
    (tmp_path / "eval.json").write_text('{"episodes": [1]}')
    with pytest.raises(DataError, match=r"eval\.json': 'episodes' is no list of objects\. Expected one per episode\."):
        write_report(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["eval.json", "summary.json"]


def test_without_matplotlib_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingPackageError, match=r"pip install 'rlpd-robot\[learner\]'"):
        write_report(fill(tmp_path / "run"))
    assert not (tmp_path / "run" / "report.html").exists()


def test_importing_the_report_brings_neither_jax_nor_matplotlib():
    code = (
        "import sys, rlpd_robot.run.report, rlpd_robot.run.live_view, rlpd_robot.run.metrics\n"
        "print([m for m in ('jax', 'matplotlib', 'tensorboardX') if m in sys.modules])"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True, timeout=60).strip() == "[]"

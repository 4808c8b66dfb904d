import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from rlpd_robot.errors import DataError
from rlpd_robot.run.metrics import (
    EPISODES,
    EVENTS,
    METRICS,
    LineFile,
    MetricsWriter,
    Tail,
    append_event,
    elapsed_s,
    read_jsonl,
    wall_before_s,
)


@pytest.fixture
def no_tensorboard(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)


def test_rows_episodes_and_events_come_back_as_written(tmp_path):
    with MetricsWriter(tmp_path / "run") as writer:
        writer.row({"wall_s": 1.5, "env_steps": 200, "phase": "learning", "learner/q": np.float32(-3.5)})
        writer.episode({"env_steps": 200, "success": np.bool_(True), "ending": "truncated"})
        writer.event("warning", "actor", "learner silent for 2 s")
    run = tmp_path / "run"
    assert read_jsonl(run / METRICS) == [{"wall_s": 1.5, "env_steps": 200, "phase": "learning", "learner/q": -3.5}]
    assert read_jsonl(run / EPISODES) == [{"env_steps": 200, "success": True, "ending": "truncated"}]
    (event,) = read_jsonl(run / EVENTS)
    assert (event["severity"], event["source"], event["text"]) == ("warning", "actor", "learner silent for 2 s")
    assert event["wall_s"] >= 0
    assert event["unix_s"] > 1e9


def test_tensorboard_gets_the_numbers_against_env_steps(tmp_path):
    with MetricsWriter(tmp_path) as writer:
        writer.row({"env_steps": 200, "phase": "learning", "learner/critic_loss": float("nan"), "learner/q": -3.5})
        writer.episode({"env_steps": 200, "success": True})
    (file,) = (tmp_path / "tensorboard").iterdir()
    content = file.read_bytes()
    assert b"learner/q" in content
    assert b"episode/success" in content
    assert b"phase" not in content
    assert b"critic_loss" not in content


@pytest.mark.usefixtures("no_tensorboard")
def test_without_tensorboard_one_event_says_so_and_the_rest_goes_on(tmp_path):
    with MetricsWriter(tmp_path) as writer:
        writer.row({"env_steps": 1})
        writer.row({"env_steps": 2})
    (event,) = read_jsonl(tmp_path / EVENTS)
    assert event["severity"] == "info"
    assert event["text"].startswith("TensorBoard curves are left out (")
    assert len(read_jsonl(tmp_path / METRICS)) == 2


def test_a_number_that_is_not_finite_becomes_null_so_that_any_json_reader_copes(tmp_path):
    file = LineFile(tmp_path / "a.jsonl")
    file.append({"nan": float("nan"), "inf": np.float32("inf"), "ok": 1})
    file.close()
    assert (tmp_path / "a.jsonl").read_text() == '{"nan": null, "inf": null, "ok": 1}\n'


def test_a_value_that_is_no_metric_is_refused_and_nothing_is_written(tmp_path):
    file = LineFile(tmp_path / "a.jsonl")
    with pytest.raises(DataError, match=r"^Metric 'q': it is ndarray\. Expected a number, a text or a truth value\.$"):
        file.append({"q": np.zeros(3)})
    file.close()
    assert read_jsonl(tmp_path / "a.jsonl") == []


@pytest.mark.usefixtures("no_tensorboard")
def test_opening_again_appends_after_a_torn_line(tmp_path):
    (tmp_path / METRICS).write_bytes(b'{"env_steps": 1}\n{"env_st')
    with MetricsWriter(tmp_path) as writer:
        writer.row({"env_steps": 3})
    assert read_jsonl(tmp_path / METRICS) == [{"env_steps": 1}, {"env_steps": 3}]


@pytest.mark.parametrize("junk", [b"\x00" * 40, b"[1, 2]", b"\xff\xfe{", b"17", b""])
def test_readers_pass_over_lines_that_are_no_object(tmp_path, junk):
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"a": 1}\n' + junk + b'\n{"a": 2}\n')
    assert read_jsonl(path) == [{"a": 1}, {"a": 2}]


def test_a_line_separator_inside_a_text_does_not_cut_the_line(tmp_path):
    text = "one\u2028two\x85three\nfour\x1bfive \udcff"
    append_event(tmp_path, "info", "actor", text)
    (event,) = read_jsonl(tmp_path / EVENTS)
    assert event["text"] == text.replace("\udcff", "?")


def test_tail_gives_each_complete_line_once(tmp_path):
    path = tmp_path / "a.jsonl"
    tail = Tail(path)
    assert tail.new() == []
    with open(path, "ab", buffering=0) as file:
        file.write(b'{"a": 1}\n{"a"')
        assert tail.new() == [{"a": 1}]
        assert tail.new() == []
        file.write(b": 2}\n")
        assert tail.new() == [{"a": 2}]
    path.write_bytes(b'{"b": 1}\n')
    assert tail.new() == [{"b": 1}], "a shorter file is another file"


def test_an_unknown_severity_is_refused(tmp_path):
    with pytest.raises(DataError, match="Event of actor: severity is 'fatal'"):
        append_event(tmp_path, "fatal", "actor", "text")
    assert not (tmp_path / EVENTS).exists()


def test_every_process_counts_from_the_same_beginning(tmp_path):
    assert elapsed_s(tmp_path / "run") == 0.0
    started = tmp_path / "run" / "started"
    started.write_text(f"{float(started.read_text()) - 100:.3f}\n")
    assert 99.9 <= elapsed_s(tmp_path / "run") < 200
    started.write_text("not yet")
    assert elapsed_s(tmp_path / "run") == 0.0


_SHOUT = """
import sys
from pathlib import Path
from rlpd_robot.run.metrics import append_event
assert "jax" not in sys.modules
for i in range(200):
    append_event(Path(sys.argv[1]), "info", sys.argv[2], f"{i} " + "x" * 300)
"""


def test_processes_that_log_at_once_never_mix_their_lines(tmp_path: Path):
    children = [subprocess.Popen([sys.executable, "-c", _SHOUT, str(tmp_path), name]) for name in ("a", "b", "c")]
    assert [child.wait(60) for child in children] == [0, 0, 0]
    events = [json.loads(line) for line in (tmp_path / EVENTS).read_text().splitlines() if line]
    for name in ("a", "b", "c"):
        assert [int(e["text"].split()[0]) for e in events if e["source"] == name] == list(range(200))


def test_learners_count_on_from_the_newest_whole_row(tmp_path: Path) -> None:
    assert wall_before_s(tmp_path) == 0
    with MetricsWriter(tmp_path) as writer:
        writer.row({"wall_s": 1.0})
        writer.row({"wall_s": 7.5})
    with open(tmp_path / "metrics.jsonl", "ab") as file:
        file.write(b'{"wall_s": 9')  # a kill in the middle of a line
    assert wall_before_s(tmp_path) == 7.5

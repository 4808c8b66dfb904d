"""What the page is told of runs, from their files."""

import json
import os
from pathlib import Path

import pytest

from rlpd_robot.data.demo_store import DemoStore, StoreWriter
from rlpd_robot.robot.safety import cause_name
from rlpd_robot.run.dashboard.charts import CHARTS
from rlpd_robot.run.dashboard.disk import Disk, DiskWatch, size_of
from rlpd_robot.run.dashboard.run_watch import KINDS, RunWatch
from rlpd_robot.run.dashboard.runs import FILM, REPORT, VIEW, Runs, RunView, file_of
from rlpd_robot.run.dashboard.store_shares import shares_of
from rlpd_robot.run.dashboard.tiles import tiles_of
from rlpd_robot.run.metrics import EPISODES, METRICS, append_event
from rlpd_robot.timing import ManualClock
from tests.data.episodes import make_episode, make_problem
from tests.run.dashboard.a_run import append, episode, make_run, rows


def snapshot(run: Path) -> dict:
    """Of a run that nobody has looked at before, as the page gets it."""
    view = Runs(run.parent).view(run.name)
    return json.loads(json.dumps(view.snapshot(), allow_nan=False))


def tile(run: Path, name: str) -> dict:
    return next(tile for tile in snapshot(run)["tiles"] if tile["name"] == name)


def chart(told: dict, name: str) -> dict:
    return next(chart for chart in told["charts"] if chart["name"] == name)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return make_run(tmp_path / "runs" / "door")


def test_figures_are_those_of_the_newest_row(run: Path) -> None:
    told = snapshot(run)
    shown = {tile["name"]: (tile["value"], tile["note"]) for tile in told["tiles"]}
    assert shown["Live steps"][0] == "990"
    assert shown["Updates a step"] == ("4.98", "target 5, 50/s")
    assert shown["Lateness p99"] == ("0.13 ms", "p50 0.05 ms, 2 deadlines missed")
    assert shown["Policy"] == ("19", "19 published, age p99 4.00 s")
    assert shown["Live transitions"] == ("990", "2 500 demonstrations, 12 not acknowledged")
    assert told["phase"] == "learning"
    assert told["fault"] is None
    assert told["share_done"] == pytest.approx(990 / 4000)
    assert [event["severity"] for event in told["events"]] == ["warning", "info"]  # the newest first


def test_what_comes_again_and_again_is_told_once_and_hides_nothing(run: Path) -> None:
    view = RunView(run)
    for i in range(100):
        append_event(run, "error", "actor", f"Robot stopped: no fresh command for {i} ms.")
        append_event(run, "info", "actor", "Armed again.")
    told = [(event["text"], event["times"]) for event in view.snapshot()["events"]]
    assert told[:2] == [("Armed again.", 100), ("Robot stopped: no fresh command for 99 ms.", 100)]
    assert [text for text, _ in told[2:]] == ["<b>learner</b> silent for 2 s", "compiled in 3.0 s"]
    for kind in "abcdefghijklmnopqrstuvwxyz":
        append_event(run, "info", "actor", kind)
    assert len(RunView(run).snapshot()["events"]) == KINDS


def test_success_lately_has_its_interval(tmp_path: Path) -> None:
    run = make_run(tmp_path / "door", seconds=5)
    append(run / EPISODES, [episode(50 * i, i > 5, 10.0) for i in range(1, 26)])
    assert tile(run, "Success lately")["value"] == "100 %"
    append(run / EPISODES, [episode(50 * i, False, 10.0) for i in range(26, 36)])
    shown = tile(run, "Success lately")
    assert (shown["value"], shown["note"]) == ("50 %", "10 of 20 training episodes, 95 % interval 30 to 70 %")


def test_a_run_that_has_barely_begun(tmp_path: Path) -> None:
    (tmp_path / "runs" / "new" / "alive").mkdir(parents=True)
    told = snapshot(tmp_path / "runs" / "new")
    assert told["phase"] == "starting"
    assert [tile["name"] for tile in told["tiles"]] == ["Live steps", "Disk free"]
    assert len(told["charts"]) == len(CHARTS)


def test_curves_go_on_through_a_restart_of_the_learner(run: Path) -> None:
    view = Runs(run.parent).view("door")
    assert view is not None
    before = chart(view.snapshot(), "Updates a live step")["x"]
    append(run / METRICS, [{"phase": "resuming", "wall_s": 101.0}, *rows(60, 80, utd_realised=5.0)])
    view._made_s = -1.0
    after = chart(view.snapshot(), "Updates a live step")
    assert before[-1] == 990
    assert after["x"] == list(range(10, 800, 10))
    assert after["lines"][0]["y"][58:60] == [4.98, 5.0]


def test_another_run_of_the_same_name_is_another_run(run: Path) -> None:
    runs = Runs(run.parent)
    assert runs.view("door") is runs.view("door")
    first = runs.view("door")
    run.rename(run.with_name("old"))
    make_run(run, seconds=50)
    assert runs.view("door") is not first
    assert chart(runs.view("door").snapshot(), "Value")["x"][-1] == 490


def test_a_fault_is_told_with_its_cause(run: Path) -> None:
    append_event(run, "error", "actor", "Robot stopped: stale state. Look, then arm.")
    append(run / METRICS, rows(100, 101, **{"actor/armed": 0, "actor/faults": 1}))
    told = snapshot(run)
    assert told["fault"] == "Robot stopped: stale state. Look, then arm."
    safety = next(tile for tile in told["tiles"] if tile["name"] == "Safety changed")
    assert safety["alarm"]
    assert safety["note"] == "of commands, 1 fault"


def test_checks_of_the_learner_are_told_and_drawn(run: Path) -> None:
    measured = {"diagnostics/q": 3.0, "diagnostics/monte_carlo_return": 1.5, "diagnostics/q_above_return": 0.9}
    append(run / METRICS, rows(400, 401, **measured) + rows(401, 420))
    told = snapshot(run)
    shown = next(tile for tile in told["tiles"] if tile["name"] == "Checks")
    assert (shown["value"], shown["alarm"]) == ("0 of 1 well", True)
    assert "90 %" in shown["note"]
    values, returns = chart(told, "Value against returns")["lines"]
    assert (values["y"][-1], returns["y"][-1], values["y"][0]) == (3.0, 1.5, None)


def test_a_disk_that_is_full_soon_is_an_alarm_while_the_run_goes_on() -> None:
    clock = ManualClock()
    watch, disk = RunWatch(Path("nowhere"), clock), Disk(10_000_000_000, 5_000_000_000, 500_000.0)
    tiles = {tile["name"]: tile for tile in tiles_of(watch, {}, None, disk)}
    assert tiles["Disk free"]["alarm"]
    assert tiles["Disk free"]["value"] == "10.0 GB"
    assert tiles["Disk free"]["note"].startswith("full in 6 h, ")
    assert tiles["Disk free"]["note"].endswith("the run has 5.0 GB and grows by 1.8 GB an hour")
    watch.row["phase"] = "finished"
    tiles = {tile["name"]: tile for tile in tiles_of(watch, {}, None, disk)}
    assert (tiles["Disk free"]["alarm"], tiles["Disk free"]["note"]) == (False, "the run has 5.0 GB")


def test_lockstep_has_no_lateness(run: Path) -> None:
    append(run / METRICS, rows(100, 101, **{"actor/lockstep": 1}))
    assert tile(run, "Control loop")["value"] == "lock-step"


def test_what_a_person_and_the_filter_did_comes_from_the_store(run: Path) -> None:
    assert shares_of(run / "nothing.zarr") is None
    DemoStore.create(run / "live.zarr", make_problem())
    assert shares_of(run / "live.zarr") is None
    episodes = [make_episode(i) for i in range(3, 6)]
    with StoreWriter(run / "live.zarr", make_problem()) as writer:
        for one in episodes:
            writer.append(one)
    n, intervened = sum(map(len, episodes)), sum(int(one.intervened.sum()) for one in episodes)
    shown = tile(run, "A person acted")
    assert (shown["value"], shown["note"]) == (f"{100 * intervened / n:.1f} %", f"of the last {n} steps")
    shares = shares_of(run / "live.zarr")
    assert shares is not None
    assert shares.filtered == pytest.approx(sum(int((one.safety != 0).sum()) for one in episodes) / n)
    assert shares.reasons == {
        name: pytest.approx(sum(int((one.safety & bit != 0).sum()) for one in episodes) / n)
        for bit, name in ((1, cause_name(1)), (2, cause_name(2)))
    }
    (run / "damaged.zarr").mkdir()
    assert shares_of(run / "damaged.zarr") is None


def test_the_disk_is_forecast_from_what_the_run_grows_by(tmp_path: Path) -> None:
    now = [0.0]
    watch = DiskWatch(tmp_path, lambda: now[0])
    (tmp_path / "a").write_bytes(bytes(1000))
    assert watch.look(worked_s=5.0).bytes_per_s is None
    now[0] = 10.0
    assert watch.look(worked_s=500.0).bytes_per_s == 2.0  # of the whole run, at first
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "c").write_bytes(bytes(6000))
    now[0] = 200.0
    disk = watch.look(worked_s=500.0)
    assert (disk.run_bytes, disk.bytes_per_s) == (7000, 30.0)
    assert disk.left_s == disk.free_bytes / 30.0
    os.symlink(tmp_path, tmp_path / "b" / "circle")
    assert size_of(tmp_path) < 7100


def test_runs_are_listed_newest_first_with_their_outcome(run: Path) -> None:
    make_run(run.with_name("pen"), seconds=20)
    os.utime(run / METRICS, (1e9, 1e9))
    os.utime(run / "events.jsonl", (1e9, 1e9))
    (run / "eval.json").write_text(json.dumps({"episodes": [{"success": i > 4} for i in range(20)]}))
    (run / "summary.json").write_text('{"eval": {"normalized_return": Infinity}}')
    (run.parent / "no_run").mkdir()
    (run.parent / ".hidden").mkdir()
    listed = Runs(run.parent).listed()
    assert [line["run"] for line in listed] == ["pen", "door"]
    assert listed[1]["evaluation"] == [15, 20]
    assert listed[1]["interval"] == pytest.approx([0.531, 0.888], abs=1e-3)
    assert listed[1]["eval_return"] is None
    assert (listed[0]["env_steps"], listed[0]["utd_realised"]) == (190, 4.98)
    assert json.dumps(listed, allow_nan=False)
    assert Runs(run.parent / "nowhere").listed() == []


def test_files_of_a_run_are_its_own(run: Path, tmp_path: Path) -> None:
    (tmp_path / "secret.mp4").write_bytes(b"secret")
    for told in ("/etc/passwd", "../../secret.mp4", str(tmp_path / "secret.mp4"), "film.txt", "nowhere.mp4", 7):
        (run / "summary.json").write_text(json.dumps({"video": told}))
        assert file_of(run, FILM) is None
    (run / "door.mp4").write_bytes(b"film")
    (run / "summary.json").write_text(json.dumps({"video": "door.mp4"}))
    assert file_of(run, FILM) == run / "door.mp4"
    os.symlink(tmp_path / "secret.mp4", run / REPORT)
    assert file_of(run, REPORT) is None
    (run / "view").mkdir()
    (run / "view" / "view.jpg").write_bytes(b"picture")
    assert file_of(run, VIEW) is not None
    os.utime(run / "view" / "view.jpg", (1e9, 1e9))  # of an hour ago: not what happens now
    assert file_of(run, VIEW) is None
    assert file_of(run, "config.yaml") is None

import csv
import json
from dataclasses import replace
from pathlib import Path

import pytest

from rlpd_robot.errors import ConfigError
from rlpd_robot.run.experiment.figure import study_png
from rlpd_robot.run.experiment.plan import CURVE, RESULT, Job, job_of
from rlpd_robot.run.experiment.pool import shares_of_cores
from rlpd_robot.run.experiment.results import COLUMNS, below_start, curve_of, reached, summarise, table, write_results
from rlpd_robot.run.experiment.settings import StudySettings
from tests.run.point import settings


def job(root: Path, row: str, seed: int, curve: list[tuple[int, float]], done: bool = True) -> Job:
    """A job whose evaluations are (transitions, percent)."""
    study = StudySettings(rows=["one", "two"], seeds=2, published={"two": 80.0}, source="a paper")
    made = job_of("some/study", row, seed, settings(root, study=study))
    made.directory.mkdir(parents=True)
    lines = [
        {"at": at, "env_steps": at + 3, "critic_updates": 9, "wall_s": 1.0, "success": float(value >= 50),
         "solved": value / 100, "return": 0.0, "measure": value, "diagnostics/q": 1.0}
        for at, value in curve
    ]  # fmt: skip
    (made.directory / CURVE).write_text("".join(json.dumps(line) + "\n" for line in lines))
    if done:
        result = {"row": row, "seed": seed, "fingerprint": made.fingerprint, "measure": curve[-1][1]}
        result["findings"] = {"q_outside_range": "words"} if seed else {}
        (made.directory / RESULT).write_text(json.dumps(result))
    return made


@pytest.fixture
def jobs(tmp_path: Path) -> list[Job]:
    return [
        job(tmp_path, "one", 0, [(0, 0.0), (100, 40.0)]),
        job(tmp_path, "one", 1, [(0, 10.0), (100, 60.0)]),
        job(tmp_path, "two", 0, [(0, 20.0)], done=False),
    ]


def test_mean_and_spread_over_seeds(jobs: list[Job]) -> None:
    summary = summarise(jobs)
    one, two = summary["rows"]["one"], summary["rows"]["two"]
    assert (one["values"], one["mean"], one["seeds"], one["wanted"]) == ([40.0, 60.0], 50.0, [0, 1], 2)
    assert one["interval"] is None  # of two
    assert one["curve"] == [
        {"at": 0, "mean": 5.0, "std": 5.0, "seeds": 2},
        {"at": 100, "mean": 50.0, "std": 10.0, "seeds": 2},
    ]
    assert one["findings"] == {"q_outside_range": 1}
    assert (one["reached"], one["below"], two["reached"]) == ([None, 100], [0.0, 0.0], [])
    assert (two["mean"], two["interval"], two["published"], len(two["curve"])) == (None, None, 80.0, 1)


def test_when_success_is_good_and_how_long_it_is_worse_than_at_the_start() -> None:
    curve = [{"at": at, "success": success} for at, success in ((0, 0.8), (5, 0.7), (9, 0.9), (12, 0.8), (15, 0.1))]
    assert (reached(curve), below_start(curve)) == (9, 0.5)
    assert (reached(curve[:1]), below_start(curve[:1])) == (None, 0.0)


def test_five_seeds_are_enough_for_an_interval(tmp_path: Path) -> None:
    jobs = [job(tmp_path, "one", seed, [(0, 0.0), (9, 10.0 * seed)]) for seed in range(5)]
    low, high = summarise(jobs)["rows"]["one"]["interval"]
    assert 0.0 < low < 20.0 < high < 40.0


def test_a_job_that_was_begun_anew_counts_once() -> None:
    assert curve_of([[{"at": 0, "measure": 1.0}, {"at": 0, "measure": 3.0}]]) == [
        {"at": 0, "mean": 3.0, "std": 0.0, "seeds": 1}
    ]


def test_every_evaluation_is_a_line_of_the_tidy_table(jobs: list[Job], tmp_path: Path) -> None:
    write_results(tmp_path, jobs)
    rows = list(csv.DictReader((tmp_path / "results.csv").read_text().splitlines()))
    assert tuple(rows[0]) == COLUMNS
    assert [(row["row"], row["seed"], row["at"], row["measure"]) for row in rows] == [
        ("one", "0", "0", "0.0"),
        ("one", "0", "100", "40.0"),
        ("one", "1", "0", "10.0"),
        ("one", "1", "100", "60.0"),
        ("two", "0", "0", "20.0"),
    ]
    assert json.loads((tmp_path / "results.json").read_text()) == summarise(jobs)


def test_the_table_names_what_was_published_and_what_is_missing(jobs: list[Job]) -> None:
    lines = table(summarise(jobs)).splitlines()
    findings = ["q_outside_range", "(1)"]
    assert lines[2].split() == [
        "one",
        "50.0",
        "40.0",
        "to",
        "60.0",
        "-",
        "2",
        "of",
        "2",
        "-",
        "100",
        "(1",
        "of",
        "2)",
        *findings,
    ]
    assert lines[3].split() == ["two", "-", "-", "-", "0", "of", "1", "80.0", "-", "-"]


def test_the_figure_is_one_and_says_so_for_nothing(jobs: list[Job]) -> None:
    assert study_png("some/study $x$", summarise(jobs)).startswith(b"\x89PNG")


def test_a_result_of_other_settings_is_not_taken_for_this_ones(jobs: list[Job]) -> None:
    first = jobs[0]
    assert first.result() is not None
    changed = replace(first, settings=replace(first.settings, agent=replace(first.settings.agent, utd=7)))
    with pytest.raises(ConfigError) as info:
        changed.result()
    assert "holds the result of other settings, which stays" in str(info.value)
    assert jobs[2].result() is None


def test_a_measure_in_percent() -> None:
    figures = {"success": 0.5, "solved": 0.25, "return": 30.0}
    assert StudySettings().percent(figures) == 25.0
    assert StudySettings(measure="success").percent(figures) == 50.0
    assert StudySettings(measure="return", low=-10.0, high=90.0).percent(figures) == 40.0


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"rows": []}, "study.rows"),
        ({"rows": ["a", "a"]}, "study.rows"),
        ({"seeds": 0}, "study.seeds"),
        ({"parallel": 0}, "study.parallel"),
        ({"measure": "luck"}, "study.measure"),
        ({"low": 3.0, "high": 3.0}, "study.high"),
    ],
)
def test_settings_that_mean_nothing_are_refused(changes: dict, key: str) -> None:
    with pytest.raises(ConfigError, match=key.replace(".", r"\.")):
        StudySettings(**changes)


def test_cores_are_shared_out() -> None:
    assert shares_of_cores([0, 1, 4, 5], None, 9) == [{0}, {1}, {4}, {5}]
    assert shares_of_cores([0, 1, 4, 5], 2, 9) == [{0, 1}, {4, 5}]
    assert shares_of_cores([0, 1, 4, 5], 3, 9) == [{0}, {1}, {4, 5}]
    assert shares_of_cores([0, 1], None, 1) == [{0, 1}]
    assert shares_of_cores([0, 1], 3, 9) == [{0}, {1}, {0}]

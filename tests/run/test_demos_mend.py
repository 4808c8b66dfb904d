"""`demos lint` and `demos edit …`, typed as a user types them."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import zarr

from rlpd_robot import cli
from rlpd_robot.data.demo_store import DemoStore

PEN = Path(__file__).parents[2] / "demos/adroit_pen/demos.zarr"
Capture = pytest.CaptureFixture[str]


@pytest.fixture
def pen(tmp_path: Path) -> str:
    return str(shutil.copytree(PEN, tmp_path / "pen.zarr"))


def demos(*words: str) -> int:
    return cli.main(["demos", *words])


def test_lint_tells_what_where_why_and_what_helps(pen: str, capsys: Capture) -> None:
    assert demos("lint", pen) == 0
    out = capsys.readouterr().out
    assert out.startswith(
        f"{pen}: 1 warning, 1 hint\n\nwarning  duplicated-sensor\n    observation[24], observation[39] are"
    )
    assert "\n  why   A sensor read twice is one that is not read" in out
    assert "\n  help  Look at the task's `observe`" in out
    assert "      episode 0, episode 1, episode 2, episode 3 and 21 more episodes\n" in out


def test_lint_for_a_machine_and_its_status(pen: str, tmp_path: Path, capsys: Capture) -> None:
    assert demos("lint", pen, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["errors"], found["warnings"], found["hints"]) == (0, 1, 1)
    assert found["findings"][1]["places"][0] == {"episode": 0, "first": 0, "last": 99, "count": 100, "whole": True}
    zarr.open_group(pen, mode="r+")["data/actions"][3, 5] = np.nan
    assert demos("lint", pen, "--json") == 1
    found = json.loads(capsys.readouterr().out)["findings"][0]
    assert (found["check"], found["severity"], found["fixable"], found["places"][0]["episode"]) == (
        "not-finite", "error", True, 0,
    )  # fmt: skip
    assert demos("lint", pen, "--fix", str(tmp_path / "fixed.zarr")) == 0
    out = capsys.readouterr().out
    assert f"episode 0: left out (not-finite)\n{tmp_path}/fixed.zarr holds 24 episodes; {pen} stays as it is.\n" in out
    assert demos("validate", str(tmp_path / "fixed.zarr")) == 0


@pytest.mark.parametrize("words", [["--fix"], ["OUT"], []])
def test_lint_takes_an_output_with_fix_alone(words: list[str], capsys: Capture) -> None:
    assert demos("lint", *([] if not words else ["STORE", *words])) == 2
    assert "usage: rlpd-robot demos lint STORE [--json] [--fix OUT]" in capsys.readouterr().err


def test_nothing_to_mend(pen: str, tmp_path: Path, capsys: Capture) -> None:
    assert demos("lint", pen, "--fix", str(tmp_path / "fixed.zarr")) == 2
    assert not (tmp_path / "fixed.zarr").exists()
    assert "a finding says that it can be mended; none does" in capsys.readouterr().err


def made(path: str) -> DemoStore:
    return DemoStore.open(path)


def test_edits_make_new_stores(pen: str, tmp_path: Path, capsys: Capture) -> None:
    before = {p: p.read_bytes() for p in Path(pen).rglob("*") if p.is_file()}
    out = {name: str(tmp_path / f"{name}.zarr") for name in "abcdefgh"}
    assert demos("edit", "drop", pen, out["a"], "episodes=0-21,24") == 0
    assert capsys.readouterr().out == f"{out['a']} holds 2 episodes; {pen} stays as it is.\n"
    assert [e.first_sequence for e in made(out["a"]).episodes()] == [
        made(pen).episode(i).first_sequence for i in (22, 23)
    ]
    assert demos("edit", "trim", out["a"], out["b"], "episodes=1", "first=10", "last=-6") == 0
    assert [len(e) for e in made(out["b"]).episodes()] == [100, 85]
    assert demos("edit", "split", out["a"], out["c"], "episodes=0", "at=30") == 0
    assert [len(e) for e in made(out["c"]).episodes()] == [30, 70, 100]
    assert demos("edit", "success", out["a"], out["d"], "episodes=1", "value=false") == 0
    assert [bool(e.success.any()) for e in made(out["d"]).episodes()] == [True, False]
    assert demos("edit", "reward", out["d"], out["e"], "rewards=success") == 0
    assert [float(e.rewards.sum()) == -100.0 for e in made(out["e"]).episodes()] == [False, True]
    assert demos("edit", "reward", out["d"], out["f"], "rewards=task", "task=pen", "robot=adroit_pen") == 0
    for relabelled, original in zip(made(out["f"]).episodes(), made(out["a"]).episodes(), strict=True):
        np.testing.assert_array_equal(relabelled.rewards, original.rewards)
        np.testing.assert_array_equal(relabelled.success, original.success)
    assert demos("edit", "ending", out["a"], out["g"], "episodes=all", "ending=terminated") == 0
    assert [e.ending for e in made(out["g"]).episodes()] == ["terminated"] * 2
    assert demos("edit", "drop", pen, out["h"], "episodes=3-24") == 0
    merged = str(tmp_path / "merged.zarr")
    assert demos("edit", "merge", out["a"], out["h"], merged) == 0
    assert len(made(merged)) == 5
    assert {p: p.read_bytes() for p in Path(pen).rglob("*") if p.is_file()} == before


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["drop", "episodes=all"], "Setting 'episodes' must be fewer than all episodes"),
        (["drop", "episodes=0-24"], "Setting 'episodes' must be fewer than all episodes"),
        (["drop", "episodes=99"], "Setting 'episodes' must be numbers below 25"),
        (["drop", "at=3"], "Setting 'at' must be left out: `edit drop` takes episodes"),
        (["split", "episodes=1"], "Setting 'at' must be the step with which the second part begins"),
        (["split", "episodes=1", "at=100"], "steps 100 to 99 are to be kept"),
        (["trim", "episodes=1", "first=150"], "steps 150 to 99 are to be kept"),
        (["success", "episodes=1"], "Setting 'value' must be true or false"),
        (["reward", "rewards=good"], "Setting 'rewards' must be task, success, or a number that multiplies them"),
        (["reward", "rewards=nan"], "Setting 'rewards' must be task, success"),
        (["reward", "rewards=task", "task=door"], "Setting 'task' must be the task of the store, 'pen'"),
        (["ending", "episodes=1", "ending=won"], "Setting 'ending' must be terminated or truncated"),
        (["trim", "episods=1"], "Setting 'episods' must be one of the keys"),
    ],
)
def test_what_cannot_be_done_leaves_nothing(
    pen: str, tmp_path: Path, words: list[str], sentence: str, capsys: Capture
) -> None:
    before = sorted(tmp_path.iterdir())
    assert demos("edit", words[0], pen, str(tmp_path / "out.zarr"), *words[1:]) == 2
    assert sentence in capsys.readouterr().err
    assert [p for p in sorted(tmp_path.iterdir()) if p.suffix != ".lock"] == before


def test_a_hidden_episode_is_not_edited_by_name(pen: str, tmp_path: Path, capsys: Capture) -> None:
    assert demos("edit", "hide", pen, "episodes=3") == 0
    assert demos("edit", "trim", pen, str(tmp_path / "out.zarr"), "episodes=2-4", "first=5") == 2
    assert "of episodes that are not hidden; 3 is" in capsys.readouterr().err
    assert demos("edit", "trim", pen, str(tmp_path / "out.zarr"), "first=5") == 0
    assert capsys.readouterr().out.endswith("stays as it is. 1 hidden episodes were left behind.\n")
    assert [len(e) for e in made(str(tmp_path / "out.zarr")).episodes()] == [95] * 24

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rlpd_robot.run.learner_status import STATUS, is_finished, read_status, write_status
from rlpd_robot.run.settings import RunSettings, Settings
from tests.run.point import settings


def run(root: Path, **changes: Any) -> Settings:
    return settings(root, run=replace(RunSettings(name="point", root=str(root), env_steps=100), **changes))


def said(root: Path, **changes: Any) -> None:
    (root / "point").mkdir(exist_ok=True)
    status = {"finished": True, "env_steps": 100, "env_steps_target": 100, "max_minutes": 0.0}
    write_status(root / "point", {**status, **changes})


def test_nothing_is_finished_before_a_learner_says_so(tmp_path: Path) -> None:
    assert not is_finished(run(tmp_path))
    said(tmp_path, finished=False)
    assert not is_finished(run(tmp_path))
    said(tmp_path)
    assert is_finished(run(tmp_path))


@pytest.mark.parametrize(
    ("said_before", "asked", "finished"),
    [
        ({}, {"env_steps": 101}, False),
        ({}, {"env_steps": 50}, True),
        ({"env_steps": 60, "max_minutes": 1.0}, {"max_minutes": 1.0}, True),  # its time was up
        ({"env_steps": 60, "max_minutes": 1.0}, {"max_minutes": 2.0}, False),
        ({"env_steps": 60, "max_minutes": 1.0}, {"env_steps": 120, "max_minutes": 1.0}, False),
    ],
)
def test_another_end_is_not_reached_yet(
    tmp_path: Path, said_before: dict[str, Any], asked: dict[str, Any], finished: bool
) -> None:
    said(tmp_path, **said_before)
    assert is_finished(run(tmp_path, **asked)) == finished


@pytest.mark.parametrize("text", ["", "{", "[]"])
def test_a_torn_file_says_nothing(tmp_path: Path, text: str) -> None:
    said(tmp_path)
    (tmp_path / "point" / STATUS).write_text(text)
    assert read_status(tmp_path / "point") == {}
    assert not is_finished(run(tmp_path))

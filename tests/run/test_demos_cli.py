import shutil
from pathlib import Path

import pytest

from rlpd_robot import cli
from rlpd_robot.errors import ConfigError
from rlpd_robot.run.demos_cli import VERBS, Words
from rlpd_robot.run.episode_numbers import episode_numbers

PEN = Path(__file__).parents[2] / "demos/adroit_pen/demos.zarr"


@pytest.fixture
def pen(tmp_path: Path) -> str:
    return str(shutil.copytree(PEN, tmp_path / "pen.zarr"))


def test_help_names_every_verb_and_fits_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["demos", "--help"]) == 0
    text = capsys.readouterr().out
    assert text.startswith("usage: rlpd-robot demos VERB …\n")
    assert all(f"\n  {name} {verb.arguments}" in text and verb.summary in text for name, verb in VERBS.items())
    assert max(map(len, text.splitlines())) <= 110


@pytest.mark.parametrize("words", [[], ["no-such-verb"], ["edit"], ["edit", "erase", "x"]])
def test_words_that_name_no_verb(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["demos", *words]) == 2
    out, err = capsys.readouterr()
    assert (out, "usage: rlpd-robot demos VERB …\n" in err) == ("", True)


@pytest.mark.parametrize(
    ("words", "usage"),
    [
        (["info"], "info STORE [--json]"),
        (["info", "a", "b"], "info STORE [--json]"),
        (["info", "a", "--jsno"], "info STORE [--json]"),
        (["info", "a", "episodes=3"], "info STORE [--json]"),
        (["edit", "hide"], "edit hide STORE episodes=… reason=…"),
        (["import", "a", "like=b"], "import SOURCE OUT like=STORE key=value …"),
    ],
)
def test_each_verb_tells_how_it_is_used(words: list[str], usage: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["demos", *words]) == 2
    assert capsys.readouterr().err.startswith(f"usage: rlpd-robot demos {usage}\n")


def test_words_are_told_apart() -> None:
    words = Words.of(["runs/a=b/live.zarr", "collect.out=x", "+group.key=1", "--json", "demos.zarr"])
    assert words.paths == ("runs/a=b/live.zarr", "demos.zarr")
    assert words.settings == ("collect.out=x", "+group.key=1")
    assert words.json


@pytest.mark.parametrize(("text", "numbers"), [("3", [3]), ("7,0-2,1", [0, 1, 2, 7]), ("all", [*range(8)])])
def test_numbers_of_episodes(text: str, numbers: list[int]) -> None:
    assert episode_numbers(text, 8) == numbers


@pytest.mark.parametrize("text", ["", "8", "3-2", "-1", "1,,2", "a", "0-8", "²", "1.5"])
def test_what_names_no_episode(text: str) -> None:
    with pytest.raises(ConfigError, match="Setting 'episodes' must be numbers below 8"):
        episode_numbers(text, 8)


def test_hide_undo_and_log(pen: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["demos", "edit", "hide", pen, "episodes=1,3-4", "reason=slipped"]) == 0
    assert cli.main(["demos", "edit", "show", pen, "episodes=3"]) == 0
    assert cli.main(["demos", "edit", "undo", pen]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "hidden: episodes 1, 3, 4",
        "3 of 25 episodes are hidden now.",
        "taken back in: episodes 3",
        "2 of 25 episodes are hidden now.",
        "undone: show episodes 3 (no reason given)",
        "3 of 25 episodes are hidden now.",
    ]
    assert cli.main(["demos", "info", pen]) == 0
    assert "3 more episodes, not counted here and not learned from" in capsys.readouterr().out
    assert cli.main(["demos", "edit", "log", pen]) == 0
    lines = [line.split(maxsplit=1)[1] for line in capsys.readouterr().out.splitlines()]
    assert lines == ["hide  1, 3, 4  slipped", "show  3", "undo"]
    assert cli.main(["demos", "edit", "hide", pen, "episodes=77"]) == 2
    assert "Setting 'episodes' must be numbers below 25" in capsys.readouterr().err

"""What the README and the demonstrations' cards tell a user to type must work as typed."""

import hashlib
import importlib.util
import os
import re
import shutil
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import fields, replace
from importlib.metadata import version
from pathlib import Path

import pytest

from rlpd_robot import cli, config
from rlpd_robot.data.demo_store import DemoStore, StoreWriter
from rlpd_robot.data.edits import HIDE, edit_store
from rlpd_robot.data.validate import validate
from rlpd_robot.run.logs import LogWords
from rlpd_robot.wire import messages
from tests.documents import PAGES, ROOT, Line, commands

STORES = sorted((ROOT / "demos").glob("*/demos.zarr"))
COMMANDS = {(line.words, *line.environment.items()): line for line in commands()}  # one on several pages: once
CASES = [pytest.param(line, id=" ".join(line.words)) for line in COMMANDS.values()]


def test_there_are_commands_to_try() -> None:
    assert ("make", "run") in [case.values[0].words for case in CASES]
    assert len(CASES) > 8


NEEDS_MORE = ("collect", "import", "replay", "show")
"""Verbs of `demos` that need a robot, another program's file, or a while; all others are run as documented."""


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The repository's demonstrations, and two stores of one's own, of which the first has hidden episodes."""
    for name in ("demos", "docs"):
        (tmp_path / name).symlink_to(ROOT / name)
    for name in ("mine.zarr", "other.zarr", "motion.zarr"):
        shutil.copytree(ROOT / "demos/adroit_pen/demos.zarr", tmp_path / name)
    edit_store(tmp_path / "mine.zarr", HIDE, [7, 9], "slipped")
    monkeypatch.chdir(tmp_path)


def record_another(path: Path, like: Path) -> None:
    """An episode of the same robot and task from another recorder."""
    store = DemoStore.open(like)
    with StoreWriter(path, store.problem) as writer:
        writer.append(replace(store.episode(0), boot="another"))


@pytest.fixture(scope="module")
def composed() -> Iterator[None]:
    """Many commands compose the same settings: once is enough."""
    known: dict[object, object] = {}
    load = config.load

    def load_once(root: str, words: Sequence[str] = ()) -> object:
        key = (root, *words, os.environ.get("RLPD_ROBOT_CONFIGS"))
        if key not in known:
            known[key] = load(root, words)
        return known[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(config, "load", load_once)
        yield


@pytest.mark.usefixtures("workplace", "composed")
@pytest.mark.parametrize("line", CASES)
def test_a_documented_command_is_one(
    line: Line, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    program, verb, *rest = *line.words, ""
    words = list(line.words[1:])
    for name, value in line.environment.items():
        monkeypatch.setenv(name, value)
    if program == "make":
        assert re.search(rf"^{verb}:", (ROOT / "Makefile").read_text(), re.MULTILINE)
    elif verb == "logs":
        assert LogWords.of(words[1:]) is not None
    elif verb == "demos" and rest[0] not in NEEDS_MORE:
        if "corrections.zarr" in words:
            record_another(Path("corrections.zarr"), like=Path("mine.zarr"))
        assert cli.main(words) == 0
    else:
        assert cli.main([*words, "--cfg"]) == 0
        assert "agent:" in capsys.readouterr().out


def test_a_verb_within_a_sentence_is_one() -> None:
    named = {verb for page in PAGES for verb in re.findall(r"`rlpd-robot ([a-z-]+)", page.read_text())}
    assert named
    assert not named - set(cli.VERBS)


@pytest.mark.parametrize("link", [pytest.param(p, id=p.parent.name + "/" + p.name) for p in PAGES])
def test_links_and_pictures_of_a_page_exist(link: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", link.read_text()):
        if not target.startswith("http"):
            assert (link.parent / target).exists(), f"{link.name} points to {target}"


def test_the_robot_that_the_readme_shows_is_the_one_that_is_tested() -> None:
    (shown,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert shown == (ROOT / "docs" / "examples" / "own_robot" / "serial_arm.py").read_text()


@pytest.mark.parametrize("path", [pytest.param(p, id=p.parent.name) for p in STORES])
def test_a_shipped_store_is_what_its_card_says(path: Path) -> None:
    card, store = (path.parent / "README.md").read_text(), DemoStore.open(path)
    summary = store.summary()
    assert validate(path) == []
    assert (summary.episodes, summary.success_rate) == (25, 1.0)
    assert f"| {summary.mean_normalized_return:.1f} " in card
    assert f"{summary.transitions:,} transitions" in card


@pytest.mark.parametrize("path", [pytest.param(p, id=p.parent.name) for p in STORES])
def test_a_shipped_store_has_the_checksums_beside_it(path: Path) -> None:
    listed = dict(reversed(line.split("  ")) for line in (path.parent / "SHA256SUMS").read_text().splitlines())
    files = {
        f.relative_to(path.parent).as_posix(): hashlib.sha256(f.read_bytes()).hexdigest()
        for f in path.rglob("*")
        if f.is_file()
    }
    assert files == listed


def test_both_stores_are_shipped() -> None:
    assert [path.parent.name for path in STORES] == ["adroit_door", "adroit_pen"]


def test_the_index_leads_to_every_page() -> None:
    linked = re.findall(r"\]\(([\w]+\.md)\)", (ROOT / "docs" / "index.md").read_text())
    assert sorted({"index.md", *linked}) == sorted(path.name for path in (ROOT / "docs").glob("*.md"))


def test_the_page_of_settings_is_what_the_program_says() -> None:
    spec = importlib.util.spec_from_file_location("settings_reference", ROOT / "docs" / "settings_reference.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    current = module.page() == (ROOT / "docs" / "settings.md").read_text()
    assert current, "docs/settings.md is not that of these settings: python docs/settings_reference.py"
    without = [line for line in module.page().splitlines() if line.startswith("| `") and line.endswith("|  |")]
    assert without == [], "a setting whose docstring does not say what it means"


def test_the_robot_link_is_what_its_page_says() -> None:
    text = (ROOT / "docs" / "robot_link.md").read_text()
    for cls in (messages.Hello, messages.Reset, messages.CommandMessage, messages.Ping, messages.Stop, messages.Bye) + (
        messages.Welcome,
        messages.State,
        messages.Refused,
    ):
        (row,) = re.findall(rf"^\| `{cls.kind}` \| (.*)$", text, re.MULTILINE)
        named = {name for cell in row.split(" | ")[:2] for name in re.findall(r"`(\w+)`", cell)}
        arrays = {"values"} if cls is messages.State else set()  # those are named by the spec
        assert {field.name for field in fields(cls)} - arrays <= named


def test_versions_agree() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    (cited,) = re.findall(r"^version: (\S+)$", (ROOT / "CITATION.cff").read_text(), re.MULTILINE)
    (newest, *_) = re.findall(r"^## (\d\S*)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert (cited, newest, version("rlpd-robot")) == (project, project, project)

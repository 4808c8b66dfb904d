"""Writes docs/settings.md from the dataclasses that hold the settings: python docs/settings_reference.py"""

import inspect
import re
from collections.abc import Iterator
from dataclasses import MISSING, Field, fields
from pathlib import Path
from typing import Any

from rlpd_robot import config
from rlpd_robot.robot.safety import SafetySettings
from rlpd_robot.run.conversion_settings import ExportSettings, ImportSettings
from rlpd_robot.run.demos_edit import HideSettings
from rlpd_robot.run.demos_rewrite import RewriteSettings
from rlpd_robot.run.experiment.settings import StudySettings
from rlpd_robot.run.learner_settings import MeshSettings
from rlpd_robot.run.replay.settings import ReplaySettings
from rlpd_robot.run.robot_init.settings import InitSettings
from rlpd_robot.run.settings import RobotSettings, Settings
from rlpd_robot.run.show.settings import ShowSettings

PAGE = Path(__file__).parent / "settings.md"
CONFIGS = Path(__file__).parents[1] / "robot_configs"
CHOICES = ("robot", "task", "agent", "safety", "teleop", "link", "experiment", "row")
PLAIN = {
    "`rlpd-robot demos import`": ImportSettings,
    "`rlpd-robot demos export`": ExportSettings,
    "`rlpd-robot demos show`": ShowSettings,
    "`rlpd-robot demos replay`": ReplaySettings,
    "`rlpd-robot demos edit hide | show | undo`": HideSettings,
    "`rlpd-robot demos edit`, a new store": RewriteSettings,
    "`rlpd-robot robot-init`": InitSettings,
}
HEAD = """\
# Every setting

Made from the program by `python docs/settings_reference.py`; a test holds it to that. What a verb would run with, your
own words included, says `rlpd-robot VERB --cfg`. A default here is that of the program; the files of `robot_configs/`
give others, such as `agent=quick`.

A word sets one key: `run.seed=1`. A group's name chooses one of its files: `robot=ur5e`. `null` is none; a list is
written `'dashboard.names=[a,b]'`. A misspelt key or a wrong value is refused before anything moves or is written.
"""


def page() -> str:
    """The whole page."""
    parts = [HEAD, "## Files to choose from\n", _choices(), "## Keys\n", _section("", Settings, only=_PLAIN_KEYS)]
    groups = {"robot": RobotSettings, "safety": SafetySettings, **config._GROUPS, "study": StudySettings}
    parts += [_section(name, cls) for name, cls in groups.items()]
    parts.append(_section("learner.mesh", MeshSettings))
    parts += [_section("sim", config._SimSchema), _section("sim.faults", config._FaultsSchema)]
    parts.append("## Keys without a group in front\n")
    parts += [_section("", cls, title) for title, cls in PLAIN.items()]
    return "\n".join(parts)


_PLAIN_KEYS = ("resume", "policy", "teleop")


def _choices() -> str:
    lines = ["| group | file | |", "|---|---|---|"]
    for group in CHOICES:
        for path in sorted((CONFIGS / group).rglob("*.yaml")):
            name = path.relative_to(CONFIGS / group).with_suffix("").as_posix()
            lines.append(f"| `{group}` | `{name}` | {_cell(_comment(path))} |")
    return "\n".join(lines) + "\n"


def _comment(path: Path) -> str:
    """The first sentence of the comment that a file begins with."""
    lines = []
    for line in path.read_text().splitlines():
        if not line.startswith("#"):
            break
        if not line.startswith("# @package"):
            lines.append(line.removeprefix("#").strip())
    text = " ".join(lines)
    return re.split(r"(?<=[.;]) (?=[A-Z])", text, maxsplit=1)[0].rstrip(";")


def _section(group: str, cls: type[Any], title: str = "", only: tuple[str, ...] = ()) -> str:
    about, meanings = _documented(cls)
    shown = [field for field in fields(cls) if not only or field.name in only]
    lines = [f"### {title or (f'`{group}`' if group else 'Of the whole')}\n"]
    if about and not only:
        lines.append(about + "\n")
    lines += ["| key | default | meaning |", "|---|---|---|"]
    for field in shown:
        key = f"{group}.{field.name}" if group else field.name
        lines.append(f"| `{key}` | {_default(field)} | {_cell(meanings.get(field.name, ''))} |")
    return "\n".join(lines) + "\n"


def _default(field: Field[Any]) -> str:
    if field.default is not MISSING:
        value = field.default
    elif field.default_factory is not MISSING:
        value = field.default_factory()
    else:
        return "(to be given)"
    if value is None or (isinstance(value, str) and value == "???"):
        return "null" if value is None else "(to be given)"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f"`{value}`" if value else "(empty)"
    if isinstance(value, int | float):
        return f"{value:g}" if abs(value) < 1e6 else f"{value}"
    return "(empty)" if not value else "see its group"


def _documented(cls: type[Any]) -> tuple[str, dict[str, str]]:
    """What a docstring says of the class, and of each attribute; attributes that share an entry share its words."""
    text = inspect.getdoc(cls) or ""
    about, _, rest = text.partition("\nAttributes:\n")
    meanings: dict[str, str] = {}
    for names, meaning in _entries(re.split(r"\n(?=[A-Z][a-z]+:\n)", rest, maxsplit=1)[0]):
        meanings |= dict.fromkeys(names, meaning)
    return " ".join(about.split("\n\n")[0].split()), meanings


def _entries(text: str) -> Iterator[tuple[list[str], str]]:
    lines: list[str] = []
    for line in [*text.splitlines(), "    end:"]:
        if re.match(r"    \S", line) and lines:
            names, _, meaning = " ".join(part.strip() for part in lines).partition(": ")
            yield [name.strip() for name in names.split(",")], meaning
            lines = []
        lines.append(line)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")


if __name__ == "__main__":
    PAGE.write_text(page())

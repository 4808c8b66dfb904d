"""`rlpd-robot demos VERB …`: THE table of its verbs, and how their words are taken apart.

A word is a flag (`--json`), a setting (`key=value`), or else a path. Each verb imports its own module when it is
called.
"""

import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:  # it brings NumPy, and help answers at once
    from rlpd_robot.run.settings import Settings


class Configuration(Protocol):
    """What `config` offers: Hydra is known there and not here."""

    def load(self, verb: str, overrides: Sequence[str]) -> "tuple[Settings, str]":
        """The settings of a root file, and their YAML."""

    def load_words(
        self, cls: type[Any], words: Sequence[str], groups: Sequence[str] = ()
    ) -> tuple[Any, list[str], str]:
        """Settings whose keys have no group in front, the words left over, and the settings' YAML."""

    def build(self, recipe: Mapping[str, Any], **arguments: Any) -> Any:
        """What a recipe names."""


Configure = Callable[[], Configuration]
"""Imports Hydra, which most verbs do without."""


@dataclass(frozen=True)
class Words:
    """What followed the verb, by kind."""

    paths: tuple[str, ...]
    settings: tuple[str, ...]
    flags: frozenset[str]

    @staticmethod
    def of(words: Sequence[str]) -> "Words":
        """Sort them."""
        flags = frozenset(word for word in words if word.startswith("-"))
        settings = tuple(word for word in words if re.match(r"[+~]*[a-z_][\w.@]*=", word))
        paths = tuple(word for word in words if word not in flags and word not in settings)
        return Words(paths, settings, flags)

    @property
    def json(self) -> bool:
        """Whether a machine reads the answer."""
        return "--json" in self.flags


@dataclass(frozen=True)
class Verb:
    """One line of the table.

    Attributes:
        arguments: as help shows them, paths in capitals.
        summary: as help shows it.
        run: does it; returns the exit status.
        paths: how few and how many it takes.
        flags: that it knows.
        settings: whether it takes `key=value`.
    """

    arguments: str
    summary: str
    run: Callable[[Words, Configure], int]
    paths: tuple[int, int] = (1, 1)
    flags: frozenset[str] = frozenset()
    settings: bool = False

    def fits(self, words: Words) -> bool:
        """Whether this verb can be asked so."""
        fewest, most = self.paths
        return (
            fewest <= len(words.paths) <= most and words.flags <= self.flags and (self.settings or not words.settings)
        )


def run_demos(words: Sequence[str], configure: Configure) -> int:
    """Run one verb; 2 and its usage where it was asked wrongly."""
    if not words or words[0] in ("-h", "--help", "help"):
        print(usage(), file=sys.stdout if words else sys.stderr)
        return 0 if words else 2
    name = next((n for n in (" ".join(words[:2]), words[0]) if n in VERBS), None)
    if name is None:
        print(f"rlpd-robot demos: there is no verb {' '.join(words[:2])!r}.\n{usage()}", file=sys.stderr)
        return 2
    verb, rest = VERBS[name], Words.of(words[len(name.split()) :])
    if not verb.fits(rest):
        print(f"usage: rlpd-robot demos {name} {verb.arguments}\n       {verb.summary}", file=sys.stderr)
        return 2
    try:
        status = verb.run(rest, configure)
        sys.stdout.flush()
    except BrokenPipeError:  # whoever read, as `head` does, has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    return status


def usage() -> str:
    """Every verb with its words."""
    lines = ["usage: rlpd-robot demos VERB …", ""]
    for name, verb in VERBS.items():
        call = f"{name} {verb.arguments}"
        lines += [f"  {call:<38}  {verb.summary}"] if len(call) <= 38 else [f"  {call}", f"  {'':<38}  {verb.summary}"]
    lines += ["", "Episodes are counted from 0: episodes=3, episodes=0,4-7 or episodes=all. --json answers a machine."]
    return "\n".join(lines)


def _info(words: Words, configure: Configure) -> int:
    from rlpd_robot.run.demos import info

    return info(words.paths[0], as_json=words.json)


def _validate(words: Words, configure: Configure) -> int:
    from rlpd_robot.run.demos import validate

    return validate(words.paths[0], as_json=words.json)


def _seal(words: Words, configure: Configure) -> int:
    from rlpd_robot.run.demos import seal

    return seal(words.paths[0], as_json=words.json)


def _list(words: Words, configure: Configure) -> int:
    from rlpd_robot.run.demos_list import list_episodes

    return list_episodes(words.paths[0], as_json=words.json)


def _stats(words: Words, configure: Configure) -> int:
    from rlpd_robot.run.demos_list import stats

    return stats(words.paths[0], as_json=words.json)


def _diff(words: Words, configure: Configure) -> int:
    from rlpd_robot.run.demos_list import diff

    return diff(words.paths[0], words.paths[1], as_json=words.json)


def _lint(words: Words, configure: Configure) -> int:
    from rlpd_robot.run.demos_lint import lint

    path, out = (*words.paths, None)[:2]
    if (out is not None) != ("--fix" in words.flags):
        print("usage: rlpd-robot demos lint STORE [--json] [--fix OUT]", file=sys.stderr)
        return 2
    return lint(words.paths[0], out, as_json=words.json)


def _show_store(words: Words, configure: Configure) -> int:
    from rlpd_robot.data.demo_store import DemoStore
    from rlpd_robot.errors import ConfigError
    from rlpd_robot.run.replay.replay import words_for
    from rlpd_robot.run.show.settings import GROUPS, ShowSettings
    from rlpd_robot.run.show.show import run_show
    from rlpd_robot.run.stopping import stop_on_signals

    config = configure()
    wanted, others, _ = config.load_words(ShowSettings, words.settings, GROUPS)
    settings, why_not, text = None, "", ""
    try:
        settings, text = config.load("collect", words_for(DemoStore.open(words.paths[0]), others))
    except ConfigError as error:  # no file describes the store's robot or task; the figures need none
        if others:
            raise
        why_not = str(error)
    if "--cfg" in words.flags:
        return _show(text)
    return run_show(words.paths[0], wanted, settings, why_not, config.build, stop_on_signals())


def _replay(words: Words, configure: Configure) -> int:
    from rlpd_robot.data.demo_store import DemoStore
    from rlpd_robot.run.ports import free_addresses
    from rlpd_robot.run.replay.replay import run_replay, words_for
    from rlpd_robot.run.replay.settings import GROUPS, ReplaySettings
    from rlpd_robot.run.stopping import stop_on_signals

    config = configure()
    wanted, others, _ = config.load_words(ReplaySettings, words.settings, GROUPS)
    own = f"link.robot={free_addresses(1)[0]}" if "--start" in words.flags else "actor.connect_s=3"
    chosen = words_for(DemoStore.open(words.paths[0]), [own, *others])
    settings, text = config.load("collect", chosen)
    if "--cfg" in words.flags:
        return _show(text)
    start = chosen if "--start" in words.flags else None
    return run_replay(words.paths[0], wanted, settings, config.build, start, stop_on_signals(), as_json=words.json)


def _collect(words: Words, configure: Configure) -> int:
    config = configure()
    settings, text = config.load("collect", words.settings)
    if "--cfg" in words.flags:
        return _show(text)
    from rlpd_robot.run.collect import run_collect

    return run_collect(settings, config.build)


def _import(words: Words, configure: Configure) -> int:
    from rlpd_robot.run.conversion_settings import ImportSettings

    config = configure()
    wanted, others, text = config.load_words(ImportSettings, words.settings, ["task"])
    settings, composed = config.load("collect", others)
    if "--cfg" in words.flags:
        return _show(text + composed)
    from rlpd_robot.run.demos_import import run_import

    source, out = words.paths
    return run_import(source, out, wanted, lambda: config.build(settings.task))


def _export(words: Words, configure: Configure) -> int:
    from rlpd_robot.run.conversion_settings import ExportSettings
    from rlpd_robot.run.demos_export import run_export

    wanted, _, _ = configure().load_words(ExportSettings, words.settings)
    store, out = words.paths
    return run_export(store, out, wanted)


def _rewrite(what: str) -> Callable[[Words, Configure], int]:
    def run(words: Words, configure: Configure) -> int:
        from rlpd_robot.run.demos_rewrite import RewriteSettings, run_rewrite

        config = configure()
        wanted, others, _ = config.load_words(RewriteSettings, words.settings, ["task", "robot", "experiment"])
        given = [word.partition("=")[0] for word in words.settings if word not in others]
        return run_rewrite(
            what, words.paths, wanted, given, lambda: config.build(config.load("collect", others)[0].task)
        )

    return run


def _edit(what: str) -> Callable[[Words, Configure], int]:
    def run(words: Words, configure: Configure) -> int:
        from rlpd_robot.run import demos_edit

        wanted, _, _ = configure().load_words(demos_edit.HideSettings, words.settings)
        return demos_edit.edit(words.paths[0], what, wanted)

    return run


def _log(words: Words, configure: Configure) -> int:
    from rlpd_robot.run.demos_edit import log

    return log(words.paths[0], as_json=words.json)


def _show(text: str) -> int:
    print(text, end="")
    return 0


_JSON, _CFG = frozenset({"--json"}), frozenset({"--cfg"})

VERBS: dict[str, Verb] = {
    "info": Verb("STORE [--json]", "what a store holds", _info, flags=_JSON),
    "list": Verb("STORE [--json]", "its episodes, one a line", _list, flags=_JSON),
    "stats": Verb("STORE [--json]", "ranges by dimension; lengths, returns, rates", _stats, flags=_JSON),
    "validate": Verb("STORE [--json]", "look for damage, NaN and contradictions", _validate, flags=_JSON),
    "lint": Verb(
        "STORE [--json] [--fix OUT]",
        "what will teach badly, why, and what helps",
        _lint,
        paths=(1, 2),
        flags=_JSON | {"--fix"},
    ),
    "diff": Verb("STORE STORE [--json]", "what sets two stores apart", _diff, paths=(2, 2), flags=_JSON),
    "seal": Verb("STORE [--json]", "write a digest of the content down, and write no more", _seal, flags=_JSON),
    "show": Verb(
        "STORE [episodes=…] [out=FOLDER]",
        "a page and pictures: overview, and episodes one by one",
        _show_store,
        flags=_CFG,
        settings=True,
    ),
    "replay": Verb(
        "STORE episode=N [robot=…] [--start] [--json]",
        "play an episode once more, and how far it goes from this one",
        _replay,
        flags=_JSON | _CFG | {"--start"},
        settings=True,
    ),
    "collect": Verb(
        "key=value …", "a policy acts, its episodes become a store", _collect, paths=(0, 0), flags=_CFG, settings=True
    ),
    "import": Verb(
        "SOURCE OUT like=STORE key=value …",
        "demonstrations of another program become a store",
        _import,
        paths=(2, 2),
        flags=_CFG,
        settings=True,
    ),
    "export": Verb("STORE OUT format=…", "a store in a format of other programs", _export, paths=(2, 2), settings=True),
    **{
        f"edit {what}": Verb(f"{stores} OUT {keys}".rstrip(), summary, _rewrite(what), paths=paths, settings=True)
        for what, stores, keys, summary, paths in (
            ("drop", "STORE", "episodes=…", "a new store without them", (2, 2)),
            ("trim", "STORE", "episodes=… first=… last=…", "… with these steps of them only", (2, 2)),
            ("split", "STORE", "episodes=… at=…", "… with each of them in two", (2, 2)),
            ("success", "STORE", "episodes=… value=true|false", "… with their steps labelled so", (2, 2)),
            ("reward", "STORE", "rewards=task|success|NUMBER", "… with other rewards", (2, 2)),
            ("ending", "STORE", "episodes=… ending=…", "… with them terminated or truncated", (2, 2)),
            ("merge", "STORE …", "", "… of all episodes of several", (2, 100)),
        )
    },
    "edit hide": Verb(
        "STORE episodes=… reason=…", "no reader learns from them; nothing is lost", _edit("hide"), settings=True
    ),
    "edit show": Verb("STORE episodes=… reason=…", "take hidden episodes back in", _edit("show"), settings=True),
    "edit undo": Verb("STORE", "take back the last hide or show that still stands", _edit("undo"), settings=True),
    "edit log": Verb("STORE [--json]", "every hide, show and undo of a store", _log, flags=_JSON),
}

"""rosbag2 folders (SQLite or MCAP) and MCAP files, read with rosbags; `topics=FILE.yaml` says what is what.

A recording without events is one episode. Stamps are those of reception, since senders' clocks differ.
"""

import re
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]

from rlpd_robot.data.importers.mcap_chunks import check_chunks
from rlpd_robot.data.importers.message_windows import MessageWindows
from rlpd_robot.data.importers.resample import Resampler, Window
from rlpd_robot.data.importers.source import Notes, SourceEpisode, SourceOptions
from rlpd_robot.data.importers.topic_map import TopicMap
from rlpd_robot.errors import ConfigError, ImportSourceError, MissingPackageError, RlpdRobotError

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(/[A-Za-z_][A-Za-z0-9_]*)*", re.ASCII)
_MAX_YAML = 1 << 21


class RosbagImporter:
    """Implements `source.Importer`, holding one episode in memory."""

    format = "rosbag"

    def __init__(self, path: Path, options: SourceOptions) -> None:
        if not options.topics:
            raise ConfigError("topics", None, "a YAML file that says which topics hold what (docs/demonstrations.md)")
        if not options.period_s > 0:
            raise ConfigError("period_s", options.period_s, "the control period, for a recording")
        self.notes = Notes()
        self._path = path
        self._period_s = options.period_s
        self._topics = TopicMap.from_yaml(options.topics)

    def episodes(self) -> Iterator[SourceEpisode]:
        """As `source.Importer` says."""
        bags = recordings(self._path)
        for bag in bags:
            prefix = f"{bag.name}, " if len(bags) > 1 else ""
            resampler = Resampler(bag, self._topics, self._period_s, self.notes)
            with _reader(bag) as reader:
                yield from resampler.episodes(self._windows(bag, reader), prefix)

    def _windows(self, bag: Path, reader: Any) -> Iterator[Window]:
        """Messages of the mapped topics, some thousands at once."""
        wanted = [c for c in reader.connections if c.topic in self._topics.topics]
        absent = sorted(self._topics.topics - {c.topic for c in wanted})
        if absent:
            known = ", ".join(sorted({c.topic for c in reader.connections})) or "(none)"
            raise ImportSourceError(bag, f"it has no topic {absent[0]!r}", f"topics out of {known}")
        windows = MessageWindows(bag, self._topics, _typestore(bag, wanted))
        yield from windows.windows(reader.messages(connections=wanted))


def recordings(path: Path) -> list[Path]:
    """The recordings at `path`: itself, or all that a folder holds, by name.

    Raises:
        ImportSourceError: there is none.
    """
    if path.is_file() or (path / "metadata.yaml").is_file():
        return [path]
    found = sorted({*(p.parent for p in path.glob("*/metadata.yaml")), *path.glob("*.mcap")})
    if not found:
        raise ImportSourceError(path, "it has no metadata.yaml and no .mcap file", "a rosbag2 recording")
    return found


@contextmanager
def _reader(bag: Path) -> Iterator[Any]:
    """rosbags' reader, after a look at whatever it would unpack."""
    try:
        from rosbags.rosbag2 import Reader
    except ModuleNotFoundError as error:
        raise MissingPackageError("rosbags", "ROS 2 recordings", "import") from error
    with ExitStack() as stack:
        try:
            _check_files(bag)
            reader = stack.enter_context(Reader(bag))
        except RlpdRobotError:
            raise
        except Exception as error:  # rosbags raises whatever its parsers do
            raise _damaged(bag, error) from error
        try:
            yield reader
        except RlpdRobotError:
            raise
        except Exception as error:  # as above
            raise _damaged(bag, error) from error


def _damaged(bag: Path, error: Exception) -> ImportSourceError:
    words = " ".join(f"{type(error).__name__}: {error}".split())[:200]
    return ImportSourceError(bag, f"it cannot be read ({words})", "a whole recording")


def _check_files(bag: Path) -> None:
    files = [bag]
    if bag.is_dir():
        meta = bag / "metadata.yaml"
        if meta.stat().st_size > _MAX_YAML:
            raise ImportSourceError(meta, "it is too large", f"at most {_MAX_YAML} bytes")
        text = meta.read_text(errors="replace")
        information = (yaml.safe_load(text) or {}).get("rosbag2_bagfile_information") or {}
        if (information.get("compression_mode") or "none").lower() not in ("none", "storage"):
            raise ImportSourceError(bag, "its files or messages are compressed one by one", "`ros2 bag convert` first")
        listed = information.get("relative_file_paths") or ()
        if not all(isinstance(name, str) for name in listed):  # to print another may take any memory: YAML repeats
            raise ImportSourceError(meta, "its relative_file_paths are no names", "a list of names")
        files = [bag / Path(name).name for name in listed]
    for file in files:
        if file.suffix == ".mcap":
            check_chunks(file)
        elif file.suffix == ".db3":
            _check_sqlite(file)


def _check_sqlite(file: Path) -> None:
    """What is called messages must be a plain table: a view could make up rows without end."""
    connection = sqlite3.connect(f"{file.resolve().as_uri()}?mode=ro&immutable=1", uri=True)
    try:
        found = connection.execute("SELECT type, name, sql FROM sqlite_master").fetchall()
    finally:
        connection.close()
    for kind, name, sql in found:
        plain = re.match(r"CREATE\s+TABLE\b", str(sql), re.I) and not re.search(r"\bAS\b|\bGENERATED\b", str(sql), re.I)
        if (kind == "table" and not plain and not str(name).startswith("sqlite_")) or kind in ("view", "trigger"):
            raise ImportSourceError(file, f"it holds a {kind} {str(name)[:40]!r} that computes", "plain tables")


def _typestore(bag: Path, connections: list[Any]) -> Any:
    """The types of these messages: the recording's own, else those of ROS 2."""
    from rosbags.interfaces import MessageDefinitionFormat
    from rosbags.typesys import Stores, get_types_from_idl, get_types_from_msg, get_typestore

    own: dict[str, Any] = {}
    for connection in connections:
        definition = connection.msgdef
        if definition.format == MessageDefinitionFormat.MSG:
            own |= get_types_from_msg(definition.data, connection.msgtype)
        elif definition.format == MessageDefinitionFormat.IDL:
            for part in re.split(r"^={80}\n(?:IDL: [^\n]*\n)?", definition.data, flags=re.M):
                own |= get_types_from_idl(part) if part.strip() else {}
    _check_types(bag, own)
    if not own:
        return get_typestore(Stores.LATEST)
    store = get_typestore(Stores.EMPTY)
    store.register(own)
    return store


def _check_types(bag: Path, types: Any) -> None:
    """rosbags makes Python source of these names: nothing but names may be in them."""
    for name, (constants, fields) in types.items():
        for text in (name, *_texts([(c[0], c[1]) for c in constants]), *_texts(fields)):
            if not _NAME.fullmatch(text):
                raise ImportSourceError(bag, f"its message type {name[:40]!r} has the name {text[:40]!r}", "a name")
        if not all(type(c[2]) in (int, float, str, bool) for c in constants):
            raise ImportSourceError(bag, f"its message type {name[:40]!r} has unusual constants", "numbers or texts")


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | tuple):
        for entry in value:
            yield from _texts(entry)

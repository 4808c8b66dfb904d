"""A disk that remembers what was forced onto it, and what it may hold when the power goes.

Strict, as POSIX has it: a file's bytes are safe after fsync of the file, a name after fsync of its directory. Whatever
came later may be there, or not, or in part.
"""

import random
import shutil
from pathlib import Path
from typing import Literal

from tests.durability.recording import Call

Fate = Literal["kill", "least", "names", "any"]
"""After a kill everything is there. After a power cut: only what was forced; every name, but only the bytes that were
forced; or anything between."""

FATES: tuple[Fate, ...] = ("kill", "least", "names", "any")


class File:
    """Contents since the last fsync, oldest first; the first is safe."""

    def __init__(self) -> None:
        self.history = [b""]

    def after(self, fate: Fate, rng: random.Random) -> bytes:
        safe = self.history[0]
        if fate == "kill":
            return self.history[-1]
        if fate != "any":
            return safe
        content = rng.choice(self.history)
        same = next(
            (i for i, (a, b) in enumerate(zip(safe, content, strict=False)) if a != b), min(len(safe), len(content))
        )
        cut = rng.randint(same, max(same, len(content)))
        return rng.choice([content, content[:cut], content[:cut] + bytes(len(content) - cut)])


class Directory:
    """Entries since the last fsync, oldest first; the first are safe."""

    def __init__(self) -> None:
        self.entries: dict[str, File | Directory] = {}
        self.history: list[dict[str, File | Directory]] = [{}]

    def changed(self) -> None:
        self.history.append(dict(self.entries))

    def after(self, fate: Fate, rng: random.Random) -> "dict[str, File | Directory]":
        if fate == "least":
            return self.history[0]
        return rng.choice(self.history) if fate == "any" else self.entries


class Disk:
    """Empty at first."""

    def __init__(self) -> None:
        self.root = Directory()

    def apply(self, call: Call) -> None:
        """One recorded call."""
        name, path, *more = call
        if name == "mark":
            return
        parent, last = self._parent(path)
        node = self.root if path == "." else parent.entries.get(last)
        if name in ("create", "mkdir"):
            parent.entries[last] = File() if name == "create" else Directory()
            parent.changed()
        elif name in ("unlink", "rmdir"):
            del parent.entries[last]
            parent.changed()
        elif name == "rename":
            target, new = self._parent(more[0])
            target.entries[new] = parent.entries.pop(last)
            parent.changed()
            if target is not parent:
                target.changed()
        elif isinstance(node, Directory):
            assert name == "fsync"
            node.history = [dict(node.entries)]
        elif isinstance(node, File):
            self._change(node, name, more)
        else:
            assert path.endswith(" (deleted)"), call  # an open file without a name: nobody will find it

    def _change(self, file: File, name: str, more: list) -> None:
        content = file.history[-1]
        if name == "fsync":
            file.history = [content]
        elif name == "truncate":
            file.history.append(content[: more[0]].ljust(more[0], b"\0"))
        else:
            offset, data = more
            file.history.append(content[:offset].ljust(offset, b"\0") + data + content[offset + len(data) :])

    def _parent(self, path: str) -> tuple[Directory, str]:
        *folders, last = Path(path).parts or (".",)
        node: File | Directory = self.root
        for folder in folders:
            assert isinstance(node, Directory)
            node = node.entries[folder]
        assert isinstance(node, Directory)
        return node, last

    def survivors(self, fate: Fate, rng: random.Random) -> dict[str, bytes | None]:
        """What is found: path to content, None for a directory."""
        found: dict[str, bytes | None] = {}

        def visit(directory: Directory, prefix: str) -> None:
            for name, node in sorted(directory.after(fate, rng).items()):
                if isinstance(node, Directory):
                    found[prefix + name] = None
                    visit(node, f"{prefix}{name}/")
                else:
                    found[prefix + name] = node.after(fate, rng)

        visit(self.root, "")
        return found


class Left:
    """A directory that holds survivors, for the product to open; files that stay the same are left alone."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._held: dict[str, bytes | None] = {}
        path.mkdir()

    def put(self, found: dict[str, bytes | None]) -> None:
        """Hold exactly these."""
        for name in sorted(self._held.keys() - found.keys(), reverse=True):
            (self.path / name).rmdir() if self._held[name] is None else (self.path / name).unlink()
        for name, content in found.items():
            if name not in self._held or self._held[name] != content:
                (self.path / name).mkdir() if content is None else (self.path / name).write_bytes(content)
        self._held = found

    def clear(self) -> None:
        """Forget everything, also what the product made."""
        shutil.rmtree(self.path)
        self.path.mkdir()
        self._held = {}

"""What may have become of a file on its way to us, and what someone may have made of it: by a seed."""

import random
import re
from collections.abc import Callable, Sequence
from pathlib import Path

Change = Callable[[random.Random, bytes], bytes]

_EXTREMES = (0, 1, 0x7F, 0xFF, 1 << 15, (1 << 16) - 1, (1 << 31) - 1, 1 << 31, (1 << 32) - 1, 1 << 40, (1 << 64) - 1)
_WORDS = (b"-1", b"0", b"1e999", b"NaN", b"99999999999999999999", b'"x"', b"null", b"[]", b"{}", b"true", b"../../x")


def spoil(rng: random.Random, source: Path, outside: Path, mark: Path) -> str:
    """Change a source in place.

    Args:
        rng: decides how.
        source: a sound file or folder.
        outside: a file that is none of the source's business.
        mark: would be made by a program hidden in the source, if it ran.

    Returns:
        What was done, for reports.
    """
    files = sorted(p for p in source.rglob("*") if p.is_file()) if source.is_dir() else [source]
    target = rng.choice(files)
    if source.is_dir() and rng.random() < 0.15:
        change = rng.choice(_FILE_CHANGES)
        change(rng, target, files, outside)
        return f"{change.__name__.strip('_')} {target.name}"
    changes: list[Change] = list(CHANGES)
    if target.read_bytes()[:1] == b"\x80":
        changes += 3 * [_attack(mark)]
    names = []
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        one = rng.choice(changes)
        target.write_bytes(one(rng, target.read_bytes()))
        names.append(one.__name__.strip("_"))
    return f"{' and '.join(names)} {target.name}"


def _at(rng: random.Random, data: bytes) -> int:
    return rng.randrange(len(data) + 1)


def _flip(rng: random.Random, data: bytes) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.choice((1, 2, 8, 64)) if data else 0):
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def _cut(rng: random.Random, data: bytes) -> bytes:
    return data[: _at(rng, data)]


def _lengthen(rng: random.Random, data: bytes) -> bytes:
    return data + rng.randbytes(rng.choice((1, 8, 1000)))


def _leave_out(rng: random.Random, data: bytes) -> bytes:
    at = _at(rng, data)
    return data[:at] + data[at + rng.choice((1, 4, 100)) :]


def _repeat(rng: random.Random, data: bytes) -> bytes:
    start, stop = sorted((_at(rng, data), _at(rng, data)))
    at = _at(rng, data)
    return data[:at] + data[start : min(stop, start + 5000)] + data[at:]


def _blank(rng: random.Random, data: bytes) -> bytes:
    at, size = _at(rng, data), rng.choice((1, 8, 64, 512))
    filler = rng.choice((b"\0", b"\xff")) * len(data[at : at + size])
    return data[:at] + filler + data[at + size :]


def _extreme(rng: random.Random, data: bytes) -> bytes:
    """A size, an offset or a count that no file can have, in either byte order."""
    width = rng.choice((1, 2, 4, 8))
    value = (rng.choice(_EXTREMES) & ((1 << 8 * width) - 1)).to_bytes(width, rng.choice(("little", "big")))
    at = _at(rng, data)
    return data[:at] + value + data[at + width :]


def _number(rng: random.Random, data: bytes) -> bytes:
    """One of the numbers or words of a text."""
    found = list(re.finditer(rb"-?\d+(\.\d+)?|\"[\w.]+\"", data[: 1 << 16]))
    if not found:
        return _flip(rng, data)
    place = rng.choice(found)
    return data[: place.start()] + rng.choice(_WORDS) + data[place.end() :]


def _nothing(rng: random.Random, data: bytes) -> bytes:
    return rng.choice((b"", data[:8], rng.randbytes(200), bytes(len(data))))


CHANGES: Sequence[Change] = (
    _flip, _flip, _cut, _lengthen, _leave_out, _repeat, _blank, _extreme, _extreme, _number, _nothing,
)  # fmt: skip


def _attack(mark: Path) -> Change:
    """A program that makes the file `mark`, in one of a pickle's ways to say so."""
    command = f"touch {mark}".encode()
    programs = (
        b"cos\nsystem\n(S'" + command + b"'\ntR",
        b"(S'" + command + b"'\nios\nsystem\n",
        b"(cos\nsystem\nS'" + command + b"'\no",
        b"cbuiltins\nexec\n(S'import os; os.system(\"" + command + b"\")'\ntR",
        b"cnumpy.core.multiarray\nscalar\n(cos\nsystem\nS'" + command + b"'\ntR",
        b"\x8c\x05posix\x8c\x06system\x93\x8c" + bytes([len(command) & 0xFF]) + command + b"\x85R",
        b"cos\nmkdir\n(S'" + str(mark).encode() + b"'\ntR",
    )

    def attack(rng: random.Random, data: bytes) -> bytes:
        at = rng.choice((2, 3, 4, len(data) - 1, _at(rng, data)))
        return data[:at] + rng.choice(programs) + rng.choice((b"", b"0")) + data[at:]

    return attack


def _remove(rng: random.Random, target: Path, files: Sequence[Path], outside: Path) -> None:
    target.unlink()


def _link_out(rng: random.Random, target: Path, files: Sequence[Path], outside: Path) -> None:
    outside.write_bytes(target.read_bytes())
    target.unlink()
    target.symlink_to(outside)


def _link_folder_out(rng: random.Random, target: Path, files: Sequence[Path], outside: Path) -> None:
    inside = [f for f in files if f.parent.name != "source"] or [target / "none"]
    folder, elsewhere = rng.choice(inside).parent, outside.with_name("elsewhere")
    if folder == target:
        _link_out(rng, target, files, outside)
    else:
        folder.rename(elsewhere)
        folder.symlink_to(elsewhere)


def _exchange(rng: random.Random, target: Path, files: Sequence[Path], outside: Path) -> None:
    target.write_bytes(rng.choice(files).read_bytes())


def _rename(rng: random.Random, target: Path, files: Sequence[Path], outside: Path) -> None:
    target.rename(target.with_name(rng.choice(("x", "-1", "0" * 200, target.name + ".old", "1"))))


def _folder(rng: random.Random, target: Path, files: Sequence[Path], outside: Path) -> None:
    """A folder where a file should be."""
    target.unlink()
    target.mkdir()


_FILE_CHANGES = (_remove, _link_out, _link_folder_out, _exchange, _rename, _folder)

"""zarr of version 2, as diffusion_policy and UMI write it."""

import json
import os
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numcodecs
import numpy as np
import pytest

from rlpd_robot.data.importers import blocks
from rlpd_robot.data.importers.source import SourceOptions
from rlpd_robot.errors import DataError, ImportSourceError
from tests.data.importers import sources
from tests.data.importers.importing import import_from
from tests.data.importers.test_importers import assert_same, without_last

OPTIONS = SourceOptions(observations=("joints", "effector"))
COMPRESSORS: dict[str, Any] = {
    "none": None,
    "blosc lz4": numcodecs.Blosc("lz4"),
    "zstd": numcodecs.Zstd(3),
    "lz4": numcodecs.LZ4(),
    "gzip": numcodecs.GZip(5),
    "zlib": numcodecs.Zlib(5),
    "bz2": numcodecs.BZ2(5),
    "lzma": numcodecs.LZMA(),
}


@pytest.mark.parametrize("archive", [False, True])
def test_folder_and_archive(archive: bool, tmp_path: Path) -> None:
    written = sources.episodes()
    sources.write_diffusion_policy(tmp_path / "d.zarr", written, archive)
    read, report = import_from(tmp_path / "d.zarr", tmp_path / "s.zarr", options=OPTIONS, rewards="last")
    assert_same(read, without_last(written), "observations", "actions")
    assert (report.format, report.endings) == ("diffusion_policy", {"unknown": 3})
    assert report.notes["pictures not read: camera"] == 1
    assert report.notes["final observations absent: the episode's last transition dropped"] == 3


@pytest.mark.parametrize("name", COMPRESSORS)
def test_every_compressor_and_blocks_smaller_than_an_episode(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocks, "BLOCK_ROWS", 7)
    written = sources.episodes()
    sources.write_diffusion_policy(tmp_path / "d.zarr", written, compressors=COMPRESSORS[name])
    read, _ = import_from(tmp_path / "d.zarr", tmp_path / "s.zarr", options=OPTIONS, rewards="last", final="repeat")
    assert_same(read, written, "actions")


def test_no_commands_as_in_umi(tmp_path: Path) -> None:
    """The action is where the effector was one step later; the last row is the final observation."""
    written = [replace(e, observations=np.clip(e.observations, -1, 1)) for e in sources.episodes()]
    sources.write_diffusion_policy(tmp_path / "d.zarr", written)
    options = SourceOptions(("joints", "effector"), actions_from=("hand",))
    with pytest.raises(DataError, match=r"it has no array 'data/hand'. Expected actions_from=.*effector \(2\)"):
        import_from(tmp_path / "d.zarr", tmp_path / "s.zarr", options=options, rewards="last")
    options = SourceOptions(("joints", "effector"), actions_from=("joints",))
    read, report = import_from(tmp_path / "d.zarr", tmp_path / "s.zarr", options=options, rewards="last")
    for a, b in zip(read, written, strict=True):
        assert np.array_equal(a.observations, b.observations[:-1])
        assert np.array_equal(a.actions, b.observations[1:-1, :3])
    assert report.notes["episodes whose actions are the next row of what was measured (invented)"] == 3


def edit_json(file: Path, **changes: Any) -> None:
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


def bomb(folder: Path) -> None:
    """Zeros without end behind the description of a small gzip chunk."""
    edit_json(folder / "data/joints/.zarray", compressor={"id": "zlib", "level": 9})
    (folder / "data/joints/0.0").write_bytes(zlib.compress(bytes(1 << 24), 9)[:5000])
    packer = zlib.compressobj(9)
    (folder / "data/joints/0.0").write_bytes(packer.compress(bytes(1 << 22)) + packer.flush())


def blosc_bomb(folder: Path) -> None:
    chunk = bytearray((folder / "data/joints/0.0").read_bytes())
    chunk[4:8] = (0x7FFFFFFF).to_bytes(4, "little")
    (folder / "data/joints/0.0").write_bytes(chunk)


def link_out(folder: Path) -> None:
    folder.parent.joinpath("secret").write_bytes((folder / "data/joints/0.0").read_bytes())
    (folder / "data/joints/0.0").unlink()
    (folder / "data/joints/0.0").symlink_to(folder.parent / "secret")


def link_folder_out(folder: Path) -> None:
    (folder / "data/joints").rename(folder.parent / "elsewhere")
    (folder / "data/joints").symlink_to(folder.parent / "elsewhere")


DAMAGES: dict[str, tuple[Callable[[Path], Any], str]] = {
    "bomb": (bomb, r"'data/joints/0.0' is damaged or unpacks to another size. Expected 240 bytes"),
    "blosc bomb": (blosc_bomb, r"'data/joints/0.0' is damaged or unpacks to another size"),
    "link out": (link_out, r"'data/joints/0.0' leads out of it"),
    "folder out": (link_folder_out, r"'data/joints' leads out of it"),
    "missing chunk": (lambda f: (f / "data/joints/1.0").unlink(), "chunk 'data/joints/1.0' is missing"),
    "huge file": (lambda f: os.truncate(f / "data/joints/0.0", 1 << 24), "has 16777216 bytes"),
    "no ends": (lambda f: (f / "meta/episode_ends/.zarray").unlink(), "no array 'meta/episode_ends'"),
    "pickle": (
        lambda f: edit_json(f / "data/joints/.zarray", filters=[{"id": "pickle"}]),
        r"is stored with \['blosc', 'pickle'\]",
    ),
    "objects": (lambda f: edit_json(f / "data/joints/.zarray", dtype="|O"), "has dtype object"),
    "future": (lambda f: edit_json(f / "data/joints/.zarray", zarr_format=7), "has zarr_format 7. Expected 2"),
    "claim": (lambda f: edit_json(f / "data/joints/.zarray", chunks=[1 << 40, 3]), "would take .* MB"),
    "short": (lambda f: edit_json(f / "data/joints/.zarray", shape=[30, 3]), "joints 30 rows, its episodes end at 59"),
    "no JSON": (lambda f: (f / "data/joints/.zarray").write_text("[" * 100_000), "is no JSON"),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_what_a_folder_must_not_be(name: str, tmp_path: Path) -> None:
    damage, words = DAMAGES[name]
    sources.write_diffusion_policy(tmp_path / "d.zarr", sources.episodes())
    damage(tmp_path / "d.zarr")
    with pytest.raises(ImportSourceError, match=words):
        import_from(tmp_path / "d.zarr", tmp_path / "s.zarr", options=OPTIONS, rewards="last")
    assert not list(tmp_path.glob("*s.zarr*partial")) + list(tmp_path.glob("s.zarr"))


def test_episodes_that_are_empty_or_go_back(tmp_path: Path) -> None:
    sources.write_diffusion_policy(tmp_path / "d.zarr", sources.episodes(), compressors=None)
    (tmp_path / "d.zarr/meta/episode_ends/0").write_bytes(np.array([8, 8, 59], np.int64).tobytes())
    with pytest.raises(ImportSourceError, match=r"'meta/episode_ends'\[1\] is 8, which leaves that episode no step"):
        import_from(tmp_path / "d.zarr", tmp_path / "s.zarr", options=OPTIONS, rewards="last")


def test_a_truncated_archive(tmp_path: Path) -> None:
    sources.write_diffusion_policy(tmp_path / "d.zip", sources.episodes(), archive=True)
    data = (tmp_path / "d.zip").read_bytes()
    (tmp_path / "d.zip").write_bytes(data[: len(data) // 2])
    with pytest.raises(ImportSourceError, match="a whole zip archive"):
        import_from(tmp_path / "d.zip", tmp_path / "s.zarr", options=OPTIONS, rewards="last")


def test_an_archive_whose_member_unpacks_without_end(tmp_path: Path) -> None:
    sources.write_diffusion_policy(tmp_path / "d.zarr", sources.episodes(), compressors=None)
    with zipfile.ZipFile(tmp_path / "d.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for file in (tmp_path / "d.zarr").rglob("*"):
            if file.is_file():
                key = file.relative_to(tmp_path / "d.zarr").as_posix()
                archive.writestr(key, bytes(1 << 24) if key == "data/joints/0.0" else file.read_bytes())
    with pytest.raises(ImportSourceError, match="chunk 'data/joints/0.0' has 16777216 bytes"):
        import_from(tmp_path / "d.zip", tmp_path / "s.zarr", options=OPTIONS, rewards="last")


def test_an_archive_that_unpacks_to_more_than_it_tells(tmp_path: Path) -> None:
    """Asked for a whole member, zipfile would unpack all of it, and only then look at its size."""
    sources.write_diffusion_policy(tmp_path / "d.zarr", sources.episodes(), compressors=None)
    size = (tmp_path / "d.zarr/data/joints/0.0").stat().st_size
    with zipfile.ZipFile(tmp_path / "d.zip", "w") as archive:
        for file in sorted(p for p in (tmp_path / "d.zarr").rglob("*") if p.is_file()):
            key = file.relative_to(tmp_path / "d.zarr").as_posix()
            if key == "data/joints/0.0":
                archive.writestr(key, bytes(1 << 25), zipfile.ZIP_DEFLATED, 1)
            else:
                archive.write(file, key)
    data = (tmp_path / "d.zip").read_bytes()
    assert data.count((1 << 25).to_bytes(4, "little")) >= 2
    (tmp_path / "d.zip").write_bytes(data.replace((1 << 25).to_bytes(4, "little"), size.to_bytes(4, "little")))
    tracemalloc.start()
    try:
        with pytest.raises(ImportSourceError, match="Bad CRC-32 for file 'data/joints/0.0'"):
            import_from(tmp_path / "d.zip", tmp_path / "s.zarr", options=OPTIONS, rewards="last")
        assert tracemalloc.get_traced_memory()[1] < 1 << 24
    finally:
        tracemalloc.stop()


def test_an_archive_packed_in_a_way_that_is_not_bounded(tmp_path: Path) -> None:
    sources.write_diffusion_policy(tmp_path / "d.zarr", sources.episodes(), compressors=None)
    with zipfile.ZipFile(tmp_path / "d.zip", "w", zipfile.ZIP_LZMA) as archive:
        for file in sorted(p for p in (tmp_path / "d.zarr").rglob("*") if p.is_file()):
            archive.write(file, file.relative_to(tmp_path / "d.zarr").as_posix())
    with pytest.raises(ImportSourceError, match="is packed by method 14 of zip. Expected stored or deflated files"):
        import_from(tmp_path / "d.zip", tmp_path / "s.zarr", options=OPTIONS, rewards="last")

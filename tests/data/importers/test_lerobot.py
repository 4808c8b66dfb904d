"""LeRobotDataset v2.1 and v3, after its published layout."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rlpd_robot.data.importers import parquet
from rlpd_robot.data.importers.source import SourceOptions
from rlpd_robot.errors import DataError, ImportSourceError
from tests.data.importers import sources
from tests.data.importers.importing import import_from
from tests.data.importers.test_importers import assert_same, without_last

OPTIONS = SourceOptions(observations=("observation.state", "observation.environment_state"), period_s=0.02)


@pytest.mark.parametrize("version", ["v2.1", "v3.0"])
def test_both_layouts(version: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet, "BATCH_ROWS", 7)
    written = sources.episodes(range(1, 13))
    sources.write_lerobot(tmp_path / "d", written, version)
    read, report = import_from(tmp_path / "d", tmp_path / "s.zarr", options=OPTIONS)
    assert_same(read, without_last(written), "observations", "actions", "rewards", "success")
    assert (report.format, report.endings) == ("lerobot", {"unknown": 12})
    assert report.notes["pictures not read: observation.images.wrist"] == 1
    assert report.notes["episodes with next.done, which does not say why they ended"] == 12
    assert read[0].stamps_s[:, 0] == pytest.approx(np.arange(len(read[0])) * 0.02)


def test_the_order_of_observations_must_be_said(tmp_path: Path) -> None:
    sources.write_lerobot(tmp_path / "d", sources.episodes())
    with pytest.raises(DataError, match=r"out of observation.environment_state \(2\), observation.state \(3\)"):
        import_from(tmp_path / "d", tmp_path / "s.zarr")


def test_another_rate_is_told(tmp_path: Path) -> None:
    sources.write_lerobot(tmp_path / "d", sources.episodes())
    options = SourceOptions(OPTIONS.observations, period_s=0.1)
    _, report = import_from(tmp_path / "d", tmp_path / "s.zarr", options=options)
    assert report.notes["rate of the source 50 Hz, of the robot 10 Hz: nothing was resampled"] == 1


FIRST = Path("data/chunk-000/episode_000000.parquet")


def edit(folder: Path, **changes: Any) -> None:
    file = folder / "meta/info.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


def replace_column(folder: Path, name: str, values: Any) -> None:
    table = pq.read_table(folder / FIRST)
    pq.write_table(table.set_column(table.column_names.index(name), name, values), folder / FIRST)


def one_row_bomb(folder: Path) -> None:
    lists = [[0.0] * 3] * 7 + [[0.0] * 10_000_000]
    replace_column(folder, "action", pa.array(lists, pa.list_(pa.float32())))


def link_out(folder: Path) -> None:
    (folder / FIRST).rename(folder.parent / "secret.parquet")
    (folder / FIRST).symlink_to(folder.parent / "secret.parquet")


DAMAGES: dict[str, tuple[Callable[[Path], Any], str]] = {
    "future": (
        lambda f: edit(f, codebase_version="v4.0"),
        r"its codebase_version is 'v4.0'. Expected v2.0, v2.1",
    ),
    "no info": (lambda f: (f / "meta/info.json").write_text("{"), r"info.json': it cannot be read"),
    "no features": (lambda f: edit(f, features=3), "it tells of no features"),
    "damaged feature": (lambda f: edit(f, features={"action": {"dtype": "float32"}}), "feature 'action' is damaged"),
    "counts": (lambda f: edit(f, total_frames=60), "info.json tells of 60 as total_frames. Expected the 59 read"),
    "truncated": (lambda f: (f / FIRST).write_bytes((f / FIRST).read_bytes()[:900]), "episode_000000.parquet': it can"),
    "ragged": (
        lambda f: replace_column(f, "action", pa.array([[0.0, 0, 0]] * 6 + [[0.0] * 2, [0.0] * 4])),
        "column 'action' is ragged",
    ),
    "gaps": (lambda f: replace_column(f, "next.reward", pa.array([None] + [0.0] * 7)), "column 'next.reward' has gaps"),
    "no index": (
        lambda f: replace_column(f, "episode_index", pa.array([float("nan")] + [0.0] * 7)),
        "an 'episode_index' in it is no whole number",
    ),
    "texts": (lambda f: replace_column(f, "next.reward", pa.array(["x"] * 8)), "dtype"),
    "one row": (one_row_bomb, "column 'action' of row group 0 has 10000021 numbers in 8 rows. Expected 3 a row"),
    "link out": (link_out, "leads out of it"),
    "no files": (lambda f: [p.unlink() for p in f.glob("data/*/*")], "it has no data/chunk"),
    "twice": (
        lambda f: (f / "data/chunk-000/episode_000009.parquet").write_bytes((f / FIRST).read_bytes()),
        "episode 0 has rows in several places",
    ),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_what_a_folder_must_not_be(name: str, tmp_path: Path) -> None:
    damage, words = DAMAGES[name]
    sources.write_lerobot(tmp_path / "d", sources.episodes())
    damage(tmp_path / "d")
    with pytest.raises((ImportSourceError, DataError), match=words):
        import_from(tmp_path / "d", tmp_path / "s.zarr", options=OPTIONS)
    assert not list(tmp_path.glob("*s.zarr*partial")) + list(tmp_path.glob("s.zarr"))


def test_a_column_of_one_number_that_never_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each row is sound and small; there are too many of them for the size of the file."""
    from rlpd_robot.data.importers import import_store

    monkeypatch.setattr(import_store, "FREE_BYTES", 1 << 16)
    rows = 1 << 18
    sources.write_lerobot(tmp_path / "d", sources.episodes())
    columns: dict[str, Any] = {n: np.zeros(rows, np.float32) for n in ("next.reward", "timestamp")}
    columns |= {n: np.zeros(rows, bool) for n in ("next.done", "next.success")}
    columns["episode_index"] = np.arange(rows) // 1000
    three = pa.FixedSizeListArray.from_arrays(pa.array(np.zeros(3 * rows, np.float32)), 3)
    two = pa.FixedSizeListArray.from_arrays(pa.array(np.zeros(2 * rows)), 2)
    table = pa.table({"observation.state": three, "observation.environment_state": two, "action": three, **columns})
    for file in (tmp_path / "d/data/chunk-000").iterdir():
        file.unlink()
    pq.write_table(table, tmp_path / "d" / FIRST, compression="zstd")
    with pytest.raises(ImportSourceError, match=r"have unpacked to more than .* Expected at most 200 times its size"):
        import_from(tmp_path / "d", tmp_path / "s.zarr", options=OPTIONS)
    assert not (tmp_path / "s.zarr").exists()

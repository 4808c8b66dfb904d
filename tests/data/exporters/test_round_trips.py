"""Exporting and importing again gives the same transitions, or loses what the format's table says."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml  # type: ignore[import-untyped]

from rlpd_robot.data.demo_store import DemoStore, StoreWriter
from rlpd_robot.data.edits import hide_episode
from rlpd_robot.data.exporters.export_store import ExportReport, export_store
from rlpd_robot.data.exporters.formats import FORMATS, exporter_class
from rlpd_robot.data.importers.source import SourceOptions
from rlpd_robot.errors import ConfigError, DataError, ExportError
from rlpd_robot.types import Segment
from tests.data.episodes import make_episode, make_problem
from tests.data.importers.importing import import_from

EXACT = ("observations", "actions", "rewards", "success", "intervened", "ending")


def write_store(path: Path, episodes: Sequence[Segment]) -> DemoStore:
    with StoreWriter(path, make_problem()) as writer:
        for episode in episodes:
            writer.append(episode)
    return DemoStore.open(path)


def export(store: DemoStore, out: Path, name: str) -> ExportReport:
    return export_store(store, out, exporter_class(name))


def round_trip(
    folder: Path, episodes: Sequence[Segment], name: str, options: Callable[[Path], SourceOptions]
) -> list[Segment]:
    export(write_store(folder / "a.zarr", episodes), folder / "out", name)
    read, report = import_from(folder / "out", folder / "b.zarr", options=options(folder / "out"))
    assert report.format == READ_AS.get(name, name)
    return read


READ_AS = {"mcap": "rosbag"}
OPTIONS: dict[str, Callable[[Path], SourceOptions]] = {
    **{name: lambda out: SourceOptions() for name in FORMATS},
    "mcap": lambda out: SourceOptions(period_s=0.02, topics=yaml.safe_load((out / "topics.yaml").read_text())),
}


@pytest.mark.parametrize("name", FORMATS)
def test_transitions_come_back(name: str, tmp_path: Path) -> None:
    """Twelve episodes of 1 to 36 transitions, each ending in each way."""
    written = [make_episode(i) for i in range(12)]
    read = round_trip(tmp_path, written, name, OPTIONS[name])
    assert len(read) == 12
    for a, b in zip(read, written, strict=True):
        expected = replace(b, ending="truncated" if b.ending == "unknown" else b.ending)
        stamps = [e.stamps_s[:, 0] for e in (a, b)]
        for field in EXACT:
            assert np.array_equal(getattr(a, field), getattr(expected, field)), field
        if name == "mcap":  # whole nanoseconds, and each episode begins after the one before
            assert np.diff(stamps[0]) == pytest.approx(np.diff(stamps[1]), abs=1e-8)
        else:
            assert np.array_equal(*stamps)


@pytest.mark.parametrize("name", FORMATS)
def test_what_is_lost_is_counted(name: str, tmp_path: Path) -> None:
    report = export(write_store(tmp_path / "s.zarr", [make_episode(1), make_episode(3)]), tmp_path / "out", name)
    assert (report.format, report.episodes, report.transitions) == (name, 2, 30)
    safety = np.concatenate([make_episode(i).safety for i in (1, 3)])
    assert report.notes["transitions that the safety filter changed, of which nothing is written"] == (safety > 0).sum()
    assert report.notes["episodes whose cause of ending is not written"] == 2


@pytest.mark.parametrize("name", FORMATS)
def test_hidden_episodes_are_left_out(name: str, tmp_path: Path) -> None:
    write_store(tmp_path / "s.zarr", [make_episode(i) for i in (1, 2, 3)])
    hide_episode(tmp_path / "s.zarr", 1, "slipped")
    report = export(DemoStore.open(tmp_path / "s.zarr"), tmp_path / "out", name)
    assert (report.episodes, report.notes["hidden episodes left out"]) == (2, 1)


@pytest.mark.parametrize("name", FORMATS)
def test_nothing_is_left_of_an_export_that_fails(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = write_store(tmp_path / "s.zarr", [make_episode(1)])

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(exporter_class(name), "finish", full)
    with pytest.raises(ExportError, match="it cannot be written .No space left on device"):
        export(store, tmp_path / "out", name)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["s.zarr", "s.zarr.lock"]


def test_refusals(tmp_path: Path) -> None:
    store = write_store(tmp_path / "s.zarr", [make_episode(1)])
    (tmp_path / "out").write_text("mine")
    with pytest.raises(ExportError, match=r"there is something at this path already\. Choose a path that is free"):
        export(store, tmp_path / "out", "d4rl")
    assert (tmp_path / "out").read_text() == "mine"
    with pytest.raises(DataError, match="it holds no episode that is not hidden"):
        export(write_store(tmp_path / "e.zarr", []), tmp_path / "o", "d4rl")
    with pytest.raises(ConfigError, match="Setting 'format' must be one of d4rl, lerobot, mcap, minari"):
        exporter_class("csv")


def test_what_a_killed_export_left_is_removed_by_the_next(tmp_path: Path) -> None:
    store = write_store(tmp_path / "s.zarr", [make_episode(1)])
    (tmp_path / ".out.999999999-ab.partial").mkdir()
    at_work = tmp_path / ".out.1-ab.partial"
    at_work.mkdir()
    export(store, tmp_path / "out", "d4rl")
    assert sorted(p.name for p in tmp_path.glob(".out*")) == [at_work.name]


def test_the_library_minari_reads_what_was_written(tmp_path: Path) -> None:
    import minari

    written = [make_episode(i) for i in range(3)]
    export(write_store(tmp_path / "s.zarr", written), tmp_path / "out", "minari")
    dataset = minari.MinariDataset(tmp_path / "out" / "data")
    assert (dataset.total_episodes, dataset.total_steps) == (3, sum(map(len, written)))
    assert dataset.observation_space.shape == (5,)
    for read, episode in zip(dataset.iterate_episodes(), written, strict=True):
        assert np.array_equal(read.observations, episode.observations)
        assert np.array_equal(read.actions, episode.actions)
        assert np.array_equal(read.rewards, episode.rewards)
        assert read.terminations[-1] == (episode.ending == "terminated")
        assert read.truncations[-1] == (episode.ending == "truncated")
        assert np.array_equal(read.infos["success"][1:], episode.success)

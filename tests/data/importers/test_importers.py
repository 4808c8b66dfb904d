"""Each importer reads what the format's own library wrote, and says what it had to change."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from rlpd_robot.data.importers.source import SourceOptions
from rlpd_robot.errors import DataError, ImportSourceError
from rlpd_robot.types import Segment
from tests.data.importers import sources
from tests.data.importers.importing import import_from

EXACT = ("observations", "actions", "rewards")
ROBOMIMIC = SourceOptions(observations=("eef", "joints"))
SERL = SourceOptions(observations=("state",))


def assert_same(read: list[Segment], written: list[Segment], *names: str) -> None:
    assert len(read) == len(written)
    for a, b in zip(read, written, strict=True):
        assert all(sources.same_transitions(a, b, names or EXACT).values())


def without_last(episodes: list[Segment]) -> list[Segment]:
    """What is left where the final observation was never recorded."""
    return [Segment.join([_head(e)]) for e in episodes]


def _head(e: Segment) -> Segment:
    cut: dict[str, Any] = {n: getattr(e, n)[:-1] for n in ("actions", "proposed_actions", "rewards", "success")}
    cut |= {n: getattr(e, n)[:-1] for n in ("intervened", "safety", "policy_versions", "stamps_s", "observations")}
    return Segment(e.boot, e.first_sequence, e.episode, 0, ending=e.ending, **cut)


def test_dapg(tmp_path: Path) -> None:
    written = sources.episodes()
    sources.write_dapg(tmp_path / "d.pickle", written)
    read, report = import_from(tmp_path / "d.pickle", tmp_path / "s.zarr")
    assert_same(read, without_last(written))
    assert [e.ending for e in read] == ["truncated"] * 3
    assert (report.format, report.episodes, report.transitions) == ("dapg", 3, 56)
    assert report.endings == {"unknown": 3}
    assert report.notes["final observations absent: the episode's last transition dropped"] == 3
    assert report.notes["unknown endings taken as truncated"] == 3
    assert [e.first_sequence for e in read] == [0, 7, 28]
    assert [e.cause for e in read] == ["dapg: episode 0", "dapg: episode 1", "dapg: episode 2"]


def test_serl(tmp_path: Path) -> None:
    written = sources.episodes()
    sources.write_serl(tmp_path / "d.pkl", written)
    read, report = import_from(tmp_path / "d.pkl", tmp_path / "s.zarr")
    assert_same(read, written, *EXACT, "intervened")
    assert [e.ending for e in read] == ["truncated", "terminated", "truncated"]
    assert report.format == "serl"
    assert report.endings == {"truncated": 2, "terminated": 1}
    by_person = sum(int(e.intervened.sum()) for e in written)
    assert report.notes["actions taken from infos/intervene_action, where a person acted"] == by_person
    assert report.notes["pictures not read: wrist"] == 1


def test_serl_where_the_last_transition_is_no_end(tmp_path: Path) -> None:
    import pickle

    transitions = sources.serl_transitions(sources.episodes([1]))
    transitions[-1] |= {"dones": False}
    (tmp_path / "d.pkl").write_bytes(pickle.dumps(transitions))
    read, report = import_from(tmp_path / "d.pkl", tmp_path / "s.zarr", unknown="terminated")
    assert [e.ending for e in read] == ["terminated"]
    assert report.notes["unknown endings taken as terminated"] == 1


def test_d4rl_with_next_observations(tmp_path: Path) -> None:
    written = sources.episodes()
    sources.write_d4rl(tmp_path / "d.hdf5", written)
    read, report = import_from(tmp_path / "d.hdf5", tmp_path / "s.zarr")
    assert_same(read, written, *EXACT, "success")
    assert [e.ending for e in read] == ["truncated", "terminated", "truncated"]
    assert report.endings == {"truncated": 2, "terminated": 1}


def test_an_array_whose_filters_are_damaged_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sources.write_d4rl(tmp_path / "d.hdf5", sources.episodes())

    def damaged(_: object) -> None:
        raise IndexError("tuple index out of range")  # as h5py does where a filter has lost its settings

    monkeypatch.setattr("h5py._hl.filters.get_filters", damaged)
    with pytest.raises(
        ImportSourceError, match=r"d\.hdf5'.* the filters of .* are damaged. Expected a whole HDF5 file"
    ):
        import_from(tmp_path / "d.hdf5", tmp_path / "s.zarr")
    assert not (tmp_path / "s.zarr").exists()


def test_d4rl_without_next_observations_keeps_what_terminates(tmp_path: Path) -> None:
    written = sources.episodes()
    sources.write_d4rl(tmp_path / "d.hdf5", written, following=False)
    read, report = import_from(tmp_path / "d.hdf5", tmp_path / "s.zarr")
    assert [len(e) for e in read] == [7, 22, 28]
    assert_same(read[::2], without_last(written[::2]))
    assert np.array_equal(read[1].observations[-1], written[1].observations[-2])
    assert read[1].ending == "terminated"
    assert read[1].bootstrap[-1] == 0
    assert report.notes["final observations absent: the last one repeated (invented)"] == 1


def test_a_repeated_final_observation_where_it_is_wanted(tmp_path: Path) -> None:
    written = sources.episodes()
    sources.write_d4rl(tmp_path / "d.hdf5", written, following=False)
    read, report = import_from(tmp_path / "d.hdf5", tmp_path / "s.zarr", final="repeat")
    assert [len(e) for e in read] == [8, 22, 29]
    assert_same(read, written, "actions", "rewards")
    assert report.notes["final observations absent: the last one repeated (invented)"] == 3


def test_robomimic(tmp_path: Path) -> None:
    written = sources.episodes(range(1, 13))
    sources.write_robomimic(tmp_path / "d.hdf5", written)
    read, report = import_from(tmp_path / "d.hdf5", tmp_path / "s.zarr", options=ROBOMIMIC)
    assert_same(read, written)  # demo_10 comes after demo_9
    assert report.endings == {"unknown": 12}
    assert report.notes["pictures not read: wrist_image"] == 1


def test_robomimic_with_observations_in_another_order(tmp_path: Path) -> None:
    written = sources.episodes()
    sources.write_robomimic(tmp_path / "d.hdf5", written, following=False)
    options = SourceOptions(observations=("joints", "eef"))
    read, _ = import_from(tmp_path / "d.hdf5", tmp_path / "s.zarr", options=options)
    assert np.array_equal(read[0].observations, written[0].observations[:-1][:, [2, 3, 4, 0, 1]])


def test_robomimic_whose_last_next_obs_is_a_copy(tmp_path: Path) -> None:
    written = sources.episodes([1])
    sources.write_robomimic(tmp_path / "d.hdf5", written)
    with h5py.File(tmp_path / "d.hdf5", "r+") as file:
        for name in ("eef", "joints"):
            file[f"data/demo_0/next_obs/{name}"][-1] = file[f"data/demo_0/obs/{name}"][-1]
    read, report = import_from(tmp_path / "d.hdf5", tmp_path / "s.zarr", options=ROBOMIMIC)
    assert_same(read, without_last(written))
    assert report.notes["episodes whose last next_obs is a copy of the last obs, so not used"] == 1


def test_robomimic_must_be_told_the_order_of_its_observations(tmp_path: Path) -> None:
    sources.write_robomimic(tmp_path / "d.hdf5", sources.episodes([1]))
    with pytest.raises(DataError, match=r"observations=\[…\] with the names, in order, out of eef \(2\), joints \(3\)"):
        import_from(tmp_path / "d.hdf5", tmp_path / "s.zarr")
    with pytest.raises(DataError, match="it has no 'hand'"):
        import_from(tmp_path / "d.hdf5", tmp_path / "s.zarr", options=SourceOptions(("hand",)))


def test_minari(tmp_path: Path) -> None:
    written = sources.episodes()
    folder = sources.write_minari(tmp_path, written)
    read, report = import_from(folder, tmp_path / "s.zarr")
    assert_same(read, written, *EXACT, "success")
    assert [e.ending for e in read] == ["truncated", "terminated", "truncated"]
    assert report.format == "minari"


WRITERS: dict[str, tuple[Callable[[Path, list[Segment]], None], SourceOptions]] = {
    "dapg": (sources.write_dapg, SourceOptions()),
    "serl": (sources.write_serl, SERL),
    "d4rl": (sources.write_d4rl, SourceOptions()),
    "robomimic": (sources.write_robomimic, ROBOMIMIC),
}


@pytest.mark.parametrize("name", WRITERS)
def test_a_source_of_another_robot_is_refused_in_one_sentence(name: str, tmp_path: Path) -> None:
    from tests.data.episodes import make_problem

    write, options = WRITERS[name]
    write(tmp_path / "source", sources.episodes())
    with pytest.raises(DataError, match=r"its actions have 3 numbers. Expected 4, as task 'reach' on robot 'gripper'"):
        import_from(tmp_path / "source", tmp_path / "s.zarr", options=options, problem=make_problem(action_size=4))
    assert [p.name for p in tmp_path.iterdir()] in ([["source", "s.zarr.lock"][i] for i in o] for o in ((0, 1), (1, 0)))


@pytest.mark.parametrize("name", ["d4rl", "robomimic", "dapg", "serl"])
@pytest.mark.parametrize("share", [0.2, 0.6, 0.95])
def test_a_truncated_file(name: str, share: float, tmp_path: Path) -> None:
    write, options = WRITERS[name]
    write(tmp_path / "source", sources.episodes())
    data = (tmp_path / "source").read_bytes()
    (tmp_path / "source").write_bytes(data[: int(share * len(data))])
    with pytest.raises(ImportSourceError, match=str(tmp_path / "source")):
        import_from(tmp_path / "source", tmp_path / "s.zarr", name, options)
    assert not (tmp_path / "s.zarr").exists()
    assert not list(tmp_path.glob(".s.zarr*"))


def test_links_and_foreign_storage_of_an_hdf5_file_are_not_followed(tmp_path: Path) -> None:
    sources.write_d4rl(tmp_path / "other.hdf5", sources.episodes())
    (tmp_path / "secret.bin").write_bytes(bytes(4 * 59 * 5))
    for kind in ("external link", "soft link", "external storage", "virtual"):
        source = tmp_path / "d.hdf5"
        sources.write_d4rl(source, sources.episodes())
        with h5py.File(source, "r+") as file:
            del file["observations"]
            if kind == "external link":
                file["observations"] = h5py.ExternalLink("other.hdf5", "/observations")
            elif kind == "soft link":
                file["elsewhere"] = np.zeros((59, 5), np.float32)
                file["observations"] = h5py.SoftLink("/elsewhere")
            elif kind == "external storage":
                where = [(str(tmp_path / "secret.bin"), 0, 4 * 59 * 5)]
                file.create_dataset("observations", (59, 5), "<f4", external=where)
            else:
                layout = h5py.VirtualLayout((59, 5), "<f4")
                layout[:] = h5py.VirtualSource(str(tmp_path / "other.hdf5"), "observations", (59, 5))
                file.create_virtual_dataset("observations", layout)
        with pytest.raises(ImportSourceError, match=r"is a link elsewhere|lie in another file"):
            import_from(source, tmp_path / f"{kind}.zarr")


def test_an_hdf5_file_that_claims_more_than_memory(tmp_path: Path) -> None:
    """A chunked dataset of petabytes takes a few kilobytes on disk."""
    with h5py.File(tmp_path / "d.hdf5", "w") as file:
        for name, shape in (("observations", (1 << 40, 5)), ("actions", (1 << 40, 3)), ("terminals", (1 << 40,))):
            file.create_dataset(name, shape, "<f4", chunks=True)
    with pytest.raises(ImportSourceError, match="a part of which was never written"):
        import_from(tmp_path / "d.hdf5", tmp_path / "s.zarr")


def test_wrong_shapes_ragged_and_empty_files(tmp_path: Path) -> None:
    import pickle

    def d4rl(**columns: Any) -> None:
        with h5py.File(tmp_path / "d.hdf5", "w") as file:
            for name, values in columns.items():
                file[name] = values

    o, a, t = np.zeros((4, 5)), np.zeros((4, 3)), np.zeros(4)
    for columns, words in (
        ({"observations": o, "actions": a[:3], "terminals": t}, "its arrays differ in length"),
        ({"observations": o, "actions": a, "terminals": np.zeros((4, 2))}, "has 2 numbers a step"),
        ({"observations": o[:0], "actions": a[:0], "terminals": t[:0]}, "it holds no episode"),
        ({"observations": 3.0, "actions": a, "terminals": t}, "its arrays differ in length"),
        (
            {"observations": o, "actions": a, "terminals": t, "next_observations": o[:, :4]},
            "next_observations of shape",
        ),
        ({"observations": o, "terminals": t}, "'/' has no 'actions'"),
    ):
        d4rl(**columns)
        with pytest.raises(ImportSourceError, match=words):
            import_from(tmp_path / "d.hdf5", tmp_path / "s.zarr")
    for data, words in (
        ([{"observations": [[0.0] * 5, [0.0] * 4], "actions": a}], "episode 0, observations is ragged"),
        ([{"observations": o, "actions": a[:1], "rewards": t[:1]}], "4 observations for 1 actions"),
        (
            [{"observations": np.full((4, 5), np.nan), "actions": a, "rewards": t}],
            "episode 0 holds a non-finite number",
        ),
        ([{"observations": o, "actions": a, "rewards": t[:2]}], "2 rewards for 4 actions"),
        ([{"observations": o, "actions": np.zeros(3)}], "actions has shape"),
        ([{"observations": o * 0 + 1e300, "actions": a, "rewards": t}], "observations exceed single precision"),
        ([{"observations": o, "actions": a, "rewards": t}, 3], "episode 1 has no observations"),
        ([], "its format is not known|no list of episodes"),
    ):
        (tmp_path / "d.pickle").write_bytes(pickle.dumps(data))
        with pytest.raises(ImportSourceError, match=words):
            import_from(tmp_path / "d.pickle", tmp_path / "s.zarr", "dapg", rewards="source")


def _laughs(levels: int, width: int, inner: object) -> object:
    """One list, there `width` to the power of `levels` times."""
    for _ in range(levels):
        inner = [inner] * width
    return inner


@pytest.mark.parametrize(
    ("observations", "words"),
    [
        (_laughs(9, 10, 0.0), r"observations would take \d+ MB"),
        (_laughs(9, 10, []), r"observations would take \d+ MB"),
        ([np.zeros(1 << 20)] * 1000, r"observations would take \d+ MB"),
        (["x" * 1000, *[""] * 1000], "observations holds a str"),
        (_laughs(40, 1, 0.0), "observations holds itself or is nested too deeply"),
    ],
)
def test_a_small_pickle_that_stands_for_much(observations: Any, words: str, tmp_path: Path) -> None:
    import pickle

    data = [{"observations": observations, "actions": np.zeros((4, 3)), "rewards": np.zeros(4)}]
    (tmp_path / "d.pickle").write_bytes(pickle.dumps(data))
    with pytest.raises(ImportSourceError, match=f"episode 0, {words}"):
        import_from(tmp_path / "d.pickle", tmp_path / "s.zarr", "dapg")

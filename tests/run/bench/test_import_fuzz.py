"""Spoiled files against every importer: a short attack, and proofs that the attack would notice."""

import pickle
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rlpd_robot.data.importers import d4rl, formats, report, restricted_pickle
from rlpd_robot.run.bench import import_fuzz
from rlpd_robot.run.bench.import_fuzz import attack
from rlpd_robot.run.bench.import_mutations import _attack
from rlpd_robot.run.bench.import_samples import PROBLEM, SAMPLES, Sample, few_episodes


@pytest.mark.parametrize("name", SAMPLES)
def test_only_our_own_errors_come_out(name: str, tmp_path: Path) -> None:
    """`rlpd-robot bench import-fuzz` takes 2,000 files for each importer."""
    found = attack(name, range(8), 0, tmp_path)
    assert found["failures"] == []
    assert found["stored"] + found["refused"] == found["files"] == 8
    assert found["refused"] >= 2, "files that are spoiled"


def test_every_importer_is_attacked() -> None:
    assert {sample.importer for sample in SAMPLES.values()} == set(formats.FORMATS)


def _unrestricted(path: Path) -> list[object]:
    try:
        return list(pickle.loads(path.read_bytes()))  # noqa: S301
    except Exception:
        return []


def _outside_allowed(root: Path, path: Path) -> Path:
    return path


BROKEN: dict[str, tuple[str, range, Callable[[pytest.MonkeyPatch], None], str]] = {
    "a pickle is run": (
        "dapg",
        range(4),
        lambda patch: patch.setattr("rlpd_robot.data.importers.dapg.load_items", _unrestricted),
        "ran a program",
    ),
    "a link is followed": (
        "diffusion_policy",
        range(9, 10),
        lambda patch: patch.setattr(report, "check_inside", _outside_allowed),
        "read from outside the source",
    ),
    "an error is not ours": (
        "d4rl",
        range(4),
        lambda patch: patch.setattr(d4rl.D4rlImporter, "_length", lambda self, columns: 1 // 0),
        "ZeroDivisionError",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_an_importer_that_is_broken_is_found_out(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    which, cases, damage, words = BROKEN[name]
    damage(monkeypatch)
    found = attack(which, cases, 0, tmp_path)
    assert any(words in failure for failure in found["failures"])


def test_what_an_import_leaves_is_found_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def leave(source: Path, out: Path, *_: object) -> None:
        out.mkdir()
        raise restricted_pickle.ImportSourceError(source, "no", "yes")

    monkeypatch.setattr(import_fuzz, "import_store", leave)
    assert any("left ['out.zarr']" in failure for failure in attack("d4rl", range(9), 0, tmp_path)["failures"])


def test_a_case_is_the_same_each_time(tmp_path: Path) -> None:
    def spoiled(folder: Path) -> Iterator[bytes]:
        for case in range(20):
            data = (folder / "a").read_bytes()
            import_fuzz.spoil(random.Random(f"0 x {case}"), folder / "a", folder / "b", folder / "c")
            yield (folder / "a").read_bytes()
            (folder / "a").write_bytes(data)

    (tmp_path / "a").write_bytes(bytes(range(256)) * 4)
    assert list(spoiled(tmp_path)) == list(spoiled(tmp_path))


def test_the_hidden_programs_do_run_elsewhere(tmp_path: Path) -> None:
    """At the start of a pickle, each in its own way, in Python's own interpreter."""
    ran = 0
    for seed in range(60):
        mark = tmp_path / f"mark{seed}"
        SAMPLES["dapg"].write(tmp_path / f"{seed}.pickle", PROBLEM, few_episodes())
        data = (tmp_path / f"{seed}.pickle").read_bytes()
        (tmp_path / "attacked").write_bytes(_attack(mark)(random.Random(seed), data))
        _unrestricted(tmp_path / "attacked")
        ran += mark.exists()
    assert ran >= 20


def test_a_process_that_ends_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    none = Sample("d4rl", lambda path, problem, episodes: None)
    monkeypatch.setitem(SAMPLES, "none", none)  # type: ignore[index]
    found = import_fuzz._attack_apart("none", 1, 0)  # which knows no such sample
    assert found["files"] == 1
    assert len(found["failures"]) == 1
    assert "case 0: the process ended with 1: " in found["failures"][0]

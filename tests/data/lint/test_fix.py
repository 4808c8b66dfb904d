from pathlib import Path

import numpy as np
import pytest
import zarr

from rlpd_robot.data.demo_store import DemoStore, StoreWriter
from rlpd_robot.data.lint.fix import fix_store, repairs
from rlpd_robot.data.lint.run import lint_store
from rlpd_robot.data.validate import validate
from rlpd_robot.types import Ending, Segment
from tests.data.lint.healthy import make_problem, make_view


def segment(index: int, sequence: int, ending: Ending = "truncated", cause: str = "") -> Segment:
    v = make_view(index)
    lost = ending == "terminated"
    return Segment(
        boot="boot-a",
        first_sequence=sequence,
        episode=sequence // 1000,
        first_step=0,
        observations=v.observations,
        actions=v.actions,
        proposed_actions=v.proposed_actions,
        rewards=v.rewards,
        success=v.success & (not lost),
        intervened=v.intervened,
        safety=v.safety,
        policy_versions=np.full(len(v), -1),
        stamps_s=v.stamps_s,
        ending=ending,
        cause=cause,
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Six episodes: 1 holds NaN, 3 calls a time limit a true end, 4 is 0 once more."""
    path = tmp_path / "demos.zarr"
    with StoreWriter(path, make_problem()) as writer:
        for i, number in enumerate((0, 1, 2, 3, 0, 5)):
            limit = ("terminated", "time limit") if i == 3 else ("truncated", "")
            writer.append(segment(number, 1000 * i, *limit))  # type: ignore[arg-type]  # both are endings
    zarr.open_group(path, mode="r+")["data/rewards"][len(make_view(0)) + 5] = np.nan
    return path


def test_what_can_be_mended_is_and_the_rest_is_copied(path: Path, tmp_path: Path) -> None:
    findings = lint_store(path)
    assert repairs(findings) == ({1: "not-finite", 4: "repeated-episode"}, {3: "limit-as-terminal"})
    before = {p: p.read_bytes() for p in path.rglob("*") if p.is_file()}
    out = tmp_path / "fixed.zarr"
    assert fix_store(DemoStore.open(path), out, findings) == 4
    assert {p: p.read_bytes() for p in path.rglob("*") if p.is_file()} == before
    store = DemoStore.open(out)
    assert [(e.episode, e.ending) for e in store.episodes()] == [
        (0, "truncated"), (2, "truncated"), (3, "truncated"), (5, "truncated"),
    ]  # fmt: skip
    assert store.episode(0).same_as(segment(0, 0))
    assert validate(out) == []
    assert not [f for f in lint_store(out) if f.fixable]
    (made,) = store.attributes["made_from"]
    assert made["left_out"] == {"1": "not-finite", "4": "repeated-episode"}
    assert made["truncated"] == {"3": "limit-as-terminal"}
    assert made["sources"][0]["store"] == str(path)


def test_all_places_of_what_is_mended_are_kept(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("run", "whole"):
        monkeypatch.setattr(f"rlpd_robot.data.lint.{module}.MAX_PLACES", 0)
    left_out, truncated = repairs(lint_store(path))
    assert (set(left_out), set(truncated)) == ({1, 4}, {3})

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from rlpd_robot.data.bulk_writer import BulkWriter
from rlpd_robot.data.demo_store import DemoStore
from rlpd_robot.data.difference import Changed, Difference, compare
from rlpd_robot.types import Segment
from tests.data.episodes import make_episode, make_problem


def store(path: Path, episodes: Sequence[Segment], **attributes: object) -> DemoStore:
    with BulkWriter(path, make_problem()) as writer:
        for episode in episodes:
            writer.append(episode)
        writer.finish(attributes)
    return DemoStore.open(path)


@pytest.fixture
def ours(tmp_path: Path) -> DemoStore:
    return store(tmp_path / "ours.zarr", [make_episode(i) for i in range(6)])


def test_a_copy_differs_in_nothing(ours: DemoStore, tmp_path: Path) -> None:
    found = compare(ours, store(tmp_path / "theirs.zarr", [make_episode(i) for i in range(6)]))
    assert found == Difference((), (), (), (), (), 6, reordered=False)
    assert found.is_none


def test_episodes_of_one_store_alone_and_in_another_order(ours: DemoStore, tmp_path: Path) -> None:
    found = compare(ours, store(tmp_path / "theirs.zarr", [make_episode(i) for i in (7, 0, 1, 4, 3)]))
    assert (found.only_ours, found.only_theirs, found.changed, found.same) == ((2, 5), (0,), (), 4)
    assert found.reordered
    assert not found.is_none


def test_each_changed_field_is_named_with_where(ours: DemoStore, tmp_path: Path) -> None:
    first, second = make_episode(3), make_episode(5)
    observations = first.observations.copy()
    observations[[4, 9], 2] += 1
    first = replace(first, observations=observations, rewards=first.rewards * 0, cause="mended")
    second = replace(
        second,
        observations=second.observations[:11],
        **{name: getattr(second, name)[:10] for name in ("actions", "proposed_actions", "rewards", "success")},
        **{name: getattr(second, name)[:10] for name in ("intervened", "safety", "policy_versions", "stamps_s")},
    )
    found = compare(ours, store(tmp_path / "theirs.zarr", [make_episode(0), first, second]))
    n = len(make_episode(3))
    assert found.changed == (
        Changed(
            3,
            1,
            (
                "observations in 2 of 23 rows, first in row 4",
                f"rewards in {n} of {n} rows, first in row 0",
                "cause 'cause 3 – naïve' here, 'mended' there",
            ),
        ),
        Changed(5, 2, (f"{len(make_episode(5))} steps here, 10 there",)),
    )
    assert (found.only_ours, found.same) == ((1, 2, 4), 1)


def test_attributes(ours: DemoStore, tmp_path: Path) -> None:
    found = compare(ours, store(tmp_path / "theirs.zarr", [make_episode(i) for i in range(6)], licence="CC0-1.0"))
    assert found.attributes == ("licence: absent here, 'CC0-1.0' there",)
    assert not found.is_none


def test_it_tells_how_far_it_is(ours: DemoStore) -> None:
    told: list[tuple[int, int]] = []
    compare(ours, ours, lambda done, total: told.append((done, total)))
    assert told == [(i, 6) for i in range(1, 7)]

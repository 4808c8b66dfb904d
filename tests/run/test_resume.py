"""Going on from a checkpoint equals not having stopped."""

import shutil
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlpd_robot.data.demo_store import DemoStore
from rlpd_robot.run.learner_status import is_finished
from rlpd_robot.run.metrics import read_jsonl
from rlpd_robot.run.settings import Settings
from tests.integration.running import make_demos
from tests.run.learning import (
    STEPS,
    acting,
    differences,
    digest_on_disk,
    learn,
    learn_killed,
    outcome,
    point_run,
    status,
)

SEEDED: dict[str, Any] = {
    "prior": "seeded",
    "random_steps": 25,
    "ring_capacity": 128,
    "pretrain_updates": 6,
    "clone_updates": 0,
}


@pytest.fixture(scope="module")
def demos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two episodes on the fake point."""
    return make_demos(tmp_path_factory.mktemp("demos") / "demos.zarr", episodes=2)


@pytest.fixture(scope="module")
def uninterrupted(demos: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What one learner reaches that nobody kills."""
    return finished(point_run(tmp_path_factory.mktemp("a"), demos))


def finished(wanted: Settings, *kills: tuple[str, int]) -> dict[str, Any]:
    """The outcome of a run whose learners die one after the other, each of the named death."""
    with acting(wanted):
        for place, after in kills:
            assert learn_killed(wanted, place, after), f"it had finished before {place} {after}"
        learn(wanted)
    return outcome(wanted)


@pytest.mark.parametrize(
    "kills",
    [
        pytest.param([("clone", 1)], id="before anything was published"),
        pytest.param([("update", 7)], id="while the first checkpoint is written"),
        pytest.param([("admission", 5)], id="between two turns"),  # of nine at least
        pytest.param([("publication", 4)], id="as a policy is published"),
        pytest.param([("commit", 2)], id="after a commit, before its acknowledgement"),
        pytest.param([("checkpoint", 2)], id="within the first checkpoint"),
        pytest.param([("checkpoint", 15)], id="within a later checkpoint"),
        pytest.param([("rename", 7)], id="as a checkpoint takes its name"),
        pytest.param([("update", 40), ("commit", 1), ("commit", 1)], id="in several ways"),
    ],
)
def test_a_killed_learner_has_never_stopped(
    uninterrupted: dict[str, Any], demos: Path, tmp_path: Path, kills: list[tuple[str, int]]
) -> None:
    assert differences(uninterrupted, finished(point_run(tmp_path, demos), *kills)) == []


@given(first=st.integers(1, 120), second=st.integers(1, 20))
@hypothesis.settings(max_examples=2, deadline=None)
def test_wherever_it_is_cut(uninterrupted: dict[str, Any], demos: Path, first: int, second: int) -> None:
    with tempfile.TemporaryDirectory() as root:
        wanted = point_run(Path(root), demos)
        assert differences(uninterrupted, finished(wanted, ("update", first), ("update", second))) == []


def test_random_steps_and_a_ring_that_holds_the_demonstrations_too(demos: Path, tmp_path: Path) -> None:
    once = finished(point_run(tmp_path / "a", demos, **SEEDED))
    wanted = point_run(tmp_path / "b", demos, **SEEDED)
    assert differences(once, finished(wanted, ("admission", 1), ("publication", 2), ("update", 60))) == []


def test_a_torn_checkpoint_costs_time_and_nothing_else(
    uninterrupted: dict[str, Any], demos: Path, tmp_path: Path
) -> None:
    wanted = point_run(tmp_path, demos)
    with acting(wanted):
        assert learn_killed(wanted, "update", 100)
        for path in sorted((wanted.run.directory / "checkpoints").iterdir())[1:]:
            (path / "state.npz").write_bytes(b"")
        learn(wanted)
    assert differences(uninterrupted, outcome(wanted)) == []
    assert any("is damaged (state.npz is not what was written)" in text for text in told(wanted))


def test_actors_come_and_go_and_every_row_is_learned_from_once(demos: Path, tmp_path: Path) -> None:
    wanted = point_run(tmp_path, demos)
    for after in (15, 40):
        with acting(wanted):
            assert learn_killed(wanted, "update", after)
    with acting(wanted):
        learn(wanted)
    said = status(wanted)
    assert said["consumed_rows"] == said["env_steps"] == STEPS == sum(said["consumed"].values())
    assert len(said["consumed"]) > 1
    assert said["ring_digest"] == digest_on_disk(wanted)


def test_rows_that_no_journal_has_any_more_are_not_waited_for_for_ever(
    demos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = point_run(tmp_path, demos, timeout_s=0.5, checkpoint_every=10)
    monkeypatch.setattr("rlpd_robot.run.learner._STEPS_BETWEEN_POLLS", 1)
    with acting(wanted):  # until the last rows, of an open episode, are in a checkpoint
        assert learn_killed(wanted, "update", STEPS - 2)
    shutil.rmtree(wanted.run.directory / "actor" / "journal")
    with acting(wanted):
        learn(wanted)
    said = status(wanted)
    assert said["env_steps"] == said["consumed_rows"] == STEPS
    assert said["critic_updates"] == 3 * STEPS
    (text,) = [text for text in told(wanted) if text.startswith("goes on without ")]
    lost = int(text.split()[3])
    on_disk = len(DemoStore.open(wanted.run.directory / "live.zarr").transitions().reward)
    assert lost == STEPS - on_disk == 10


def test_a_finished_run_is_left_alone_and_goes_on_when_more_is_asked_for(
    uninterrupted: dict[str, Any], demos: Path, tmp_path: Path
) -> None:
    wanted = point_run(tmp_path, demos)
    with acting(wanted):
        learn(wanted)
        assert is_finished(wanted)
        learn(wanted)  # nothing is left to do: no new policy, no new checkpoint
        assert differences(uninterrupted, outcome(wanted)) == []
        assert status(wanted)["wall_s"] > 0
        more = replace(wanted, run=replace(wanted.run, env_steps=STEPS + 30))
        assert not is_finished(more)
        learn(more)
    said = status(more)
    assert said["consumed_rows"] == STEPS + 30
    assert said["critic_updates"] == 3 * (STEPS + 30)
    assert said["published"] > uninterrupted["published"]


def test_other_agent_settings_begin_anew_with_numbers_that_no_policy_had(demos: Path, tmp_path: Path) -> None:
    wanted = point_run(tmp_path, demos)
    with acting(wanted):
        assert learn_killed(wanted, "update", 60)
    other = replace(wanted, agent=replace(wanted.agent, **SEEDED))
    store = DemoStore.open(wanted.run.directory / "live.zarr")
    before = max(episode.policy_versions.max() for episode in store.episodes())
    with acting(other):
        learn(other)
    assert any("is of other agent settings or another task" in text for text in told(other))
    said = status(other)
    assert said["published"] > before + said["env_steps"] // 20
    assert said["critic_updates"] == 3 * (said["env_steps"] - SEEDED["random_steps"])


def told(wanted: Settings) -> list[str]:
    """The text of every event."""
    return [event["text"] for event in read_jsonl(wanted.run.directory / "events.jsonl")]

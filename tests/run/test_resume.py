"""Going on from a checkpoint equals not having stopped."""

from pathlib import Path
from typing import Any

import pytest

from rlpd_robot.run.settings import Settings
from tests.integration.running import make_demos
from tests.run.learning import acting, differences, learn, learn_killed, outcome, point_run

SEEDED: dict[str, Any] = {"prior": "seeded", "random_steps": 25, "ring_capacity": 128, "pretrain_updates": 6}


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
        pytest.param([("update", 37)], id="within a block"),
        pytest.param([("admission", 20)], id="between two turns"),
        pytest.param([("publication", 4)], id="as a policy is published"),
        pytest.param([("commit", 2)], id="after a commit, before its acknowledgement"),
        pytest.param([("checkpoint", 2)], id="within the first checkpoint"),
        pytest.param([("checkpoint", 15)], id="within a later checkpoint"),
        pytest.param([("rename", 7)], id="as a checkpoint takes its name"),
        pytest.param([("update", 50)] * 3, id="again and again"),
        pytest.param([("update", 40), ("clone", 1), ("commit", 1)][:1] + [("commit", 1)] * 2, id="in several ways"),
    ],
)
def test_a_killed_learner_has_never_stopped(
    uninterrupted: dict[str, Any], demos: Path, tmp_path: Path, kills: list[tuple[str, int]]
) -> None:
    assert differences(uninterrupted, finished(point_run(tmp_path, demos), *kills)) == []

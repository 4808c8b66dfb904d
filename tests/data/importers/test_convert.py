"""What becomes of what a source does not say."""

from pathlib import Path

import numpy as np
import pytest

from rlpd_robot.data.importers.convert import Conversion, Converter
from rlpd_robot.data.importers.report import ImportReport
from rlpd_robot.data.importers.source import SourceEpisode
from rlpd_robot.errors import ConfigError, DataError, ImportSourceError
from rlpd_robot.spec import Field, ProblemSpec, RobotSpec
from rlpd_robot.types import Segment

ROBOT = RobotSpec(
    "arm",
    0.1,
    (Field("position", (2,), "float64", "m"),),
    (Field("target", (2,), "float64", "m", (0.0, -4.0), (2.0, 4.0)),),
)
PROBLEM = ProblemSpec(ROBOT, "reach", observation_size=1, action_size=2, horizon=3)


def convert(conversion: Conversion, **fields: object) -> tuple[list[Segment], ImportReport]:
    report = ImportReport("file", "test", "ab" * 32, 0)
    values: dict[str, object] = {
        "observations": np.arange(5.0)[:, None],
        "actions": np.zeros((4, 2)),
        "rewards": np.arange(4.0),
    }
    episode = SourceEpisode("episode 7", **{**values, **fields})  # type: ignore[arg-type]
    return list(Converter(Path("file"), conversion, report).convert(episode)), report


def test_actions_are_clipped_and_counted() -> None:
    actions = np.array([[0.5, 0], [1.5, -2], [1, -1], [0, 1.0001]])
    ((episode,), report) = convert(Conversion(PROBLEM), actions=actions)
    assert np.array_equal(episode.actions, np.array([[0.5, 0], [1, -1], [1, -1], [0, 1]], np.float32))
    assert report.notes["transitions with actions clipped to [-1, 1]"] == 2
    assert report.notes["single numbers of actions clipped"] == 3
    assert actions[1, 0] == 1.5, "the source's own array is not touched"


def test_single_precision_actions_of_the_source_are_not_touched() -> None:
    actions = np.full((4, 2), 1.5, np.float32)
    ((episode,), _) = convert(Conversion(PROBLEM), actions=actions)
    assert episode.actions.max() == 1
    assert actions.max() == 1.5


def test_commands_become_actions_by_the_robots_range() -> None:
    commands = np.array([[0.0, -4], [1, 0], [2, 4], [1.5, 2]])
    ((episode,), report) = convert(Conversion(PROBLEM, actions="command"), actions=commands)
    assert np.array_equal(episode.actions, np.array([[-1, -1], [0, 0], [1, 1], [0.5, 0.5]], np.float32))
    assert "single numbers of actions clipped" not in report.notes


def test_transitions_that_do_not_join_begin_a_new_episode() -> None:
    """Row 1 leads to 9, row 2 begins at 2: nothing may be learned across that seam."""
    episodes, report = convert(
        Conversion(PROBLEM),
        observations=np.array([[0.0], [1], [2], [3]]),
        next_observations=np.array([[1.0], [9], [3], [4]]),
        ending="terminated",
    )
    assert [e.observations[:, 0].tolist() for e in episodes] == [[0, 1, 9], [2, 3, 4]]
    assert [e.rewards.tolist() for e in episodes] == [[0, 1], [2, 3]]
    assert [e.ending for e in episodes] == ["truncated", "terminated"]
    assert [(e.first_sequence, e.episode) for e in episodes] == [(0, 0), (2, 1)]
    assert report.notes["episodes begun where transitions of the source do not join"] == 1


def test_one_transition_and_nothing_after_it() -> None:
    fields = {"observations": np.zeros((1, 1)), "actions": np.zeros((1, 2)), "rewards": np.zeros(1)}
    episodes, report = convert(Conversion(PROBLEM), **fields)
    assert episodes == []
    assert report.notes["episodes dropped: one transition and no observation after it"] == 1


def test_rewards_of_the_last_step() -> None:
    ((episode,), _) = convert(Conversion(PROBLEM, rewards="last"), rewards=None)
    assert episode.rewards.tolist() == [-1, -1, -1, 0]
    assert episode.success.tolist() == [False, False, False, True]


def test_rewards_of_a_task_see_each_transition() -> None:
    def relabel(observations: np.ndarray, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return observations[1:, 0] * 10, observations[1:, 0] > 2

    ((episode,), report) = convert(Conversion(PROBLEM, rewards="task", relabel=relabel), rewards=None)
    assert episode.rewards.tolist() == [10, 20, 30, 40]
    assert episode.success.tolist() == [False, False, True, True]
    assert report.notes["episodes whose rewards and successes are the task's, not the source's"] == 1


def test_no_rewards_and_no_word_on_where_to_take_them() -> None:
    with pytest.raises(DataError, match=r"episode 7: it has no rewards. Expected rewards=task .* or rewards=last"):
        convert(Conversion(PROBLEM), rewards=None)


def test_stamps_are_kept_or_invented() -> None:
    ((episode,), report) = convert(Conversion(PROBLEM))
    assert np.allclose(episode.stamps_s[:, 2], [0, 0.1, 0.2, 0.3])
    assert report.notes["episodes without time stamps: control period times step (invented)"] == 1
    ((episode,), report) = convert(Conversion(PROBLEM), stamps_s=np.array([5.0, 6, 7, 9]))
    assert episode.stamps_s[:, 0].tolist() == [5, 6, 7, 9]
    assert not [n for n in report.notes if "stamps" in n]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"observations": np.full((5, 1), np.inf)}, r"non-finite number in its observations at \[0, 0\]"),
        ({"actions": np.full((4, 2), np.nan)}, r"non-finite number in its actions"),
        ({"rewards": np.array([0, 0, np.nan, 0])}, r"non-finite number in its rewards at \[2\]"),
        ({"observations": np.zeros((9, 1))}, "9 observations for 4 actions"),
        ({"success": np.zeros(3, bool)}, "3 success for 4 actions"),
        ({"rewards": np.full(4, 1e39)}, "rewards exceed single precision"),
    ],
)
def test_what_must_not_enter_names_its_episode(fields: dict[str, object], words: str) -> None:
    with pytest.raises(ImportSourceError, match=rf"(?s)'file'.*episode 7.*{words}|episode 7: its {words}"):
        convert(Conversion(PROBLEM), **fields)


@pytest.mark.parametrize("key", ["unknown", "final", "actions", "rewards"])
def test_a_wrong_word(key: str) -> None:
    with pytest.raises(ConfigError, match=f"Setting '{key}' must be one of .*Received 'maybe'"):
        Conversion(PROBLEM, **{key: "maybe"})  # type: ignore[arg-type]

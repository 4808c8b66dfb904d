from typing import Any

import numpy as np
import pytest

from rlpd_robot.agent.config import AgentConfig
from rlpd_robot.errors import ConfigError
from rlpd_robot.run.value_range import with_value_range
from rlpd_robot.types import Batch


def demos(*rewards: float) -> Batch:
    nothing = np.zeros((len(rewards), 1), np.float32)
    flag = np.ones(len(rewards), np.float32)
    return Batch(nothing, nothing, np.float32(rewards), nothing, flag, flag)


@pytest.mark.parametrize(
    ("settings", "bounds"),
    [
        ({}, (-100.0, 0.0)),
        ({"reward_offset": 1.0, "reward_scale": 2.0}, (0.0, 200.0)),
        ({"discount": 0.5, "reward_offset": 4.0}, (3.0, 8.0)),  # 3 alone where an episode ends, 4 for ever
        ({"value_high": 50.0}, (-100.0, 50.0)),
        ({"value_low": -1.0, "value_high": 1.0, "entropy_backup": True}, (-1.0, 1.0)),
    ],
    ids=str,
)
def test_the_range_is_that_of_the_rewards_for_ever(settings: dict[str, Any], bounds: tuple[float, float]) -> None:
    config = with_value_range(AgentConfig(value_bins=51, **settings), demos(-1.0, 0.0, -1.0))
    assert (config.value_low, config.value_high) == pytest.approx(bounds)


def test_plain_critics_have_none() -> None:
    assert with_value_range(AgentConfig(), None) == AgentConfig()


@pytest.mark.parametrize(
    ("settings", "rewards", "sentence"),
    [
        ({}, None, "'agent.value_low' must be a number where there is no prior data whose rewards would tell it."),
        (
            {"value_low": -1.0},
            (0.0, 0.0),
            "'agent.value_high' must be a number: rewards from 0 to 0 and a discount of 0.99 give no range of values.",
        ),
        (
            {"discount": 1.0},
            (-1.0, 0.0),
            "'agent.value_low' must be a number: rewards from -1 to 0 and a discount of 1 give no range of values.",
        ),
        (
            {"entropy_backup": True},
            (-1.0, 0.0),
            "'agent.value_low' must be a number with agent.entropy_backup, whose bonus is no reward of the task.",
        ),
    ],
    ids=str,
)
def test_a_range_that_nothing_tells_is_asked_for(settings: dict[str, Any], rewards: Any, sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        with_value_range(AgentConfig(value_bins=51, **settings), None if rewards is None else demos(*rewards))
    assert str(caught.value) == f"Setting {sentence} Received None."

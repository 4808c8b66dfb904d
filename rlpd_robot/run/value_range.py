"""The range over which categorical critics divide their values, from the rewards of the prior data."""

import math
from dataclasses import replace

import numpy as np

from rlpd_robot.agent.config import AgentConfig
from rlpd_robot.errors import ConfigError
from rlpd_robot.run.diagnostics.returns import ValueRange
from rlpd_robot.types import Batch


def with_value_range(config: AgentConfig, demos: Batch | None) -> AgentConfig:
    """The settings with `value_low` and `value_high` where critics are categorical and the settings leave them open.

    Both bounds hold for any policy whose rewards lie in the range of those in `demos` [N]: [r_min, r_max] / (1 − γ),
    widened to [r_min, r_max] itself, since an episode may end.

    Raises:
        ConfigError: there is no prior data, its rewards are all equal, γ is 1, or targets carry an entropy bonus, whose
            size is known to nobody.
    """
    if not config.value_bins or None not in (config.value_low, config.value_high):
        return config
    key = "agent.value_low" if config.value_low is None else "agent.value_high"
    if config.entropy_backup:
        raise ConfigError(key, None, "a number with agent.entropy_backup, whose bonus is no reward of the task")
    if demos is None or not len(demos.reward):
        raise ConfigError(key, None, "a number where there is no prior data whose rewards would tell it")
    rewards = config.reward_scale * (demos.reward + config.reward_offset)
    possible = ValueRange.of_rewards(float(np.min(rewards)), float(np.max(rewards)), config.discount, ends=True)
    if not 0.0 < possible.width < math.inf:
        said = f"rewards from {np.min(rewards):g} to {np.max(rewards):g} and a discount of {config.discount:g}"
        raise ConfigError(key, None, f"a number: {said} give no range of values")
    low = possible.low if config.value_low is None else config.value_low
    high = possible.high if config.value_high is None else config.value_high
    return replace(config, value_low=low, value_high=high)

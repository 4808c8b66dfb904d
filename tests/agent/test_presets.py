"""The shipped presets are the paper's numbers, each written out here once more."""

import dataclasses
from importlib.resources import files
from typing import Any

import pytest
import yaml

from rlpd_robot.agent.config import AgentConfig

EVERYWHERE = {
    "ensemble": 10,
    "utd": 20,
    "batch_size": 256,
    "demo_ratio": 0.5,
    "prior": "symmetric",
    "hidden_width": 256,
    "layer_norm": True,
    "regulariser": "none",
    "discount": 0.99,
    "target_rate": 0.005,
    "actor_rate": 3e-4,
    "critic_rate": 3e-4,
    "temperature_rate": 3e-4,
    "target_entropy": None,
    "initial_temperature": 1.0,
    "random_steps": 5000,
    "pretrain_updates": 0,
    "reward_scale": 1.0,
}
OFF = {"clone_updates": 0, "clone_weight": 0.0, "clone_half_life": 0, "critic_warm_up": 0, "initial_log_std": 0.0}
OFF |= {
    "warm_up_steps": 0,
    "algorithm": "rlpd",
    "clone_proposals": False,
    "clone_acts": False,
    "critic": "mlp",
    "value_bins": 0,
}
OFF |= {"chunk": 1, "n_step": 1, "conservative_weight": 0.0, "precision": "float32"}
PAPER = {
    "adroit": {"target_subset": 2, "entropy_backup": False, "hidden_layers": 3, "reward_offset": 0.0},
    "antmaze": {"target_subset": 1, "entropy_backup": False, "hidden_layers": 3, "reward_offset": -1.0},
    "locomotion": {"target_subset": 2, "entropy_backup": True, "hidden_layers": 2, "reward_offset": 0.0},
}
LONGEST_RUN = {"adroit": 1_000_000, "antmaze": 300_000, "locomotion": 250_000}


def load(name: str) -> dict[str, Any]:
    text = files("robot_configs").joinpath("agent", f"{name}.yaml").read_text(encoding="utf-8")
    data: dict[str, Any] = yaml.safe_load(text)
    return data


@pytest.mark.parametrize("name", PAPER)
def test_a_preset_is_the_papers(name: str) -> None:
    config = AgentConfig(**load(name))
    for key, value in {**EVERYWHERE, **OFF, **PAPER[name]}.items():
        assert getattr(config, key) == value, key
    assert config.demo_rows == 128
    assert config.ring_capacity >= LONGEST_RUN[name], "the paper never forgets a live transition"


@pytest.mark.parametrize("name", PAPER)
def test_a_preset_names_every_setting_and_no_other(name: str) -> None:
    assert load(name).keys() == {field.name for field in dataclasses.fields(AgentConfig)}


@pytest.mark.parametrize("name", PAPER)
def test_every_setting_of_a_preset_says_what_it_is(name: str) -> None:
    text = files("robot_configs").joinpath("agent", f"{name}.yaml").read_text(encoding="utf-8")
    for line in text.splitlines():
        if ":" in line and not line.startswith(("#", "reward_")):  # those two share the comment above them
            assert "  # " in line, line


def test_the_defaults_are_the_adroit_preset() -> None:
    assert AgentConfig(**load("adroit")) == AgentConfig()

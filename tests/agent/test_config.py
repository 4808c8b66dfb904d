import dataclasses
import math

import pytest

from rlpd_robot.agent.config import AgentConfig
from rlpd_robot.agent.value_support import ValueSupport
from rlpd_robot.errors import ConfigError

NUMBERS = [f.name for f in dataclasses.fields(AgentConfig) if f.type in ("int", "float", int, float)]
NUMBERS += ["target_entropy", "value_low", "value_high"]


def test_defaults_are_the_papers_for_adroit() -> None:
    assert AgentConfig() == AgentConfig(
        ensemble=10,
        target_subset=2,
        utd=20,
        entropy_backup=False,
        batch_size=256,
        demo_ratio=0.5,
        prior="symmetric",
        hidden_layers=3,
        hidden_width=256,
        layer_norm=True,
        regulariser="none",
        discount=0.99,
        target_rate=0.005,
        actor_rate=3e-4,
        critic_rate=3e-4,
        temperature_rate=3e-4,
        target_entropy=None,
        initial_temperature=1.0,
        random_steps=5000,
        pretrain_updates=0,
        clone_updates=0,
        clone_weight=0.0,
        initial_log_std=0.0,
        warm_up_steps=0,
        algorithm="rlpd",
        clone_proposals=False,
        critic="mlp",
        value_bins=0,
        reward_scale=1.0,
        reward_offset=0.0,
    )


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"ensemble": 0}, "Setting 'agent.ensemble' must be a whole number of at least 1. Received 0."),
        ({"hidden_layers": 2.5}, "Setting 'agent.hidden_layers' must be a whole number of at least 1. Received 2.5."),
        ({"batch_size": "256"}, "Setting 'agent.batch_size' must be a whole number of at least 2. Received '256'."),
        ({"utd": True}, "Setting 'agent.utd' must be a whole number of at least 1. Received True."),
        (
            {"ensemble": 5, "target_subset": 6},
            "Setting 'agent.target_subset' must be a whole number between 1 and ensemble (5). Received 6.",
        ),
        (
            {"target_subset": 0},
            "Setting 'agent.target_subset' must be a whole number between 1 and ensemble (10). Received 0.",
        ),
        ({"discount": 1.01}, "Setting 'agent.discount' must be a number between 0 and 1. Received 1.01."),
        ({"discount": math.nan}, "Setting 'agent.discount' must be a number between 0 and 1. Received nan."),
        ({"demo_ratio": "1/2"}, "Setting 'agent.demo_ratio' must be a number between 0 and 1. Received '1/2'."),
        ({"target_rate": 0.0}, "Setting 'agent.target_rate' must be a number above 0 and at most 1. Received 0.0."),
        (
            {"dropout_rate": 1.0},
            "Setting 'agent.dropout_rate' must be a number of at least 0 and below 1. Received 1.0.",
        ),
        # YAML 1.1 reads 3e-4, without a point, as text.
        ({"critic_rate": "3e-4"}, "Setting 'agent.critic_rate' must be a finite number above 0. Received '3e-4'."),
        ({"actor_rate": math.inf}, "Setting 'agent.actor_rate' must be a finite number above 0. Received inf."),
        ({"clone_weight": -1.0}, "Setting 'agent.clone_weight' must be a finite number of at least 0. Received -1.0."),
        (
            {"target_entropy": math.nan},
            "Setting 'agent.target_entropy' must be a finite number, or null for -A/2. Received nan.",
        ),
        ({"reward_scale": 0.0}, "Setting 'agent.reward_scale' must be a finite number above 0. Received 0.0."),
        ({"initial_log_std": 3.0}, "Setting 'agent.initial_log_std' must be a number between -20 and 2. Received 3.0."),
        ({"layer_norm": "no"}, "Setting 'agent.layer_norm' must be true or false. Received 'no'."),
        (
            {"regulariser": "l2"},
            "Setting 'agent.regulariser' must be one of 'none', 'dropout', 'weight_decay'. Received 'l2'.",
        ),
        (
            {"clone_proposals": True},
            "Setting 'agent.clone_updates' must be above 0 with agent.clone_proposals. Received 0.",
        ),
        (
            {"clone_proposals": True, "clone_updates": 1, "entropy_backup": True},
            "Setting 'agent.entropy_backup' must be false with agent.clone_proposals, which have no entropy. Received"
            " True.",
        ),
        ({"algorithm": "cql"}, "Setting 'agent.algorithm' must be one of 'rlpd', 'iql'. Received 'cql'."),
        (
            {"algorithm": "iql", "clone_weight": 2.0},
            "Setting 'agent.clone_weight' must be 0 where agent.algorithm is 'iql'. Received 2.0.",
        ),
        (
            {"algorithm": "iql", "entropy_backup": True},
            "Setting 'agent.entropy_backup' must be false where agent.algorithm is 'iql'. Received True.",
        ),
        ({"expectile": 1.5}, "Setting 'agent.expectile' must be a number between 0 and 1. Received 1.5."),
        ({"critic": "resnet"}, "Setting 'agent.critic' must be one of 'mlp', 'simba'. Received 'resnet'."),
        (
            {"critic": "simba", "layer_norm": False},
            "Setting 'agent.layer_norm' must be true where agent.critic is 'simba'. Received False.",
        ),
        (
            {"critic": "simba", "regulariser": "dropout"},
            "Setting 'agent.regulariser' must be 'none' or 'weight_decay' where agent.critic is 'simba'. Received"
            " 'dropout'.",
        ),
        (
            {"precision": "float16"},
            "Setting 'agent.precision' must be one of 'float32', 'bfloat16'. Received 'float16'.",
        ),
        ({"value_bins": 10}, "Setting 'agent.value_bins' must be 0, or a whole number of at least 11. Received 10."),
        (
            {"value_low": 2.0, "value_high": 2.0},
            "Setting 'agent.value_high' must be above value_low (2.0). Received 2.0.",
        ),
        ({"prior": "both"}, "Setting 'agent.prior' must be one of 'symmetric', 'seeded', 'balanced'. Received 'both'."),
        (
            {"clone_acts": True},
            "Setting 'agent.clone_acts' must be false without agent.clone_proposals. Received True.",
        ),
        ({"chunk": 0}, "Setting 'agent.chunk' must be a whole number of at least 1. Received 0."),
        (
            {"algorithm": "iql", "conservative_weight": 1.0},
            "Setting 'agent.conservative_weight' must be 0 where agent.algorithm is 'iql'. Received 1.0.",
        ),
        (
            {"demo_ratio": 0.001},
            "Setting 'agent.demo_ratio' must be 0, 1, or a share that leaves each part at least one of batch_size (256)"
            " rows. Received 0.001.",
        ),
    ],
    ids=str,
)
def test_a_bad_setting_is_one_sentence(settings: dict[str, object], sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        AgentConfig(**settings)  # type: ignore[arg-type]
    assert str(caught.value) == sentence


@pytest.mark.parametrize("key", NUMBERS)
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, "1", True, [1]], ids=repr)
def test_no_number_slips_through_that_is_none(key: str, value: object) -> None:
    with pytest.raises(ConfigError, match=rf"^Setting 'agent\.{key}' must be "):
        AgentConfig(**{key: value})  # type: ignore[arg-type]


def test_the_numbers_above_are_all_of_them() -> None:
    assert {f.name for f in dataclasses.fields(AgentConfig)} - set(NUMBERS) == {
        "entropy_backup",
        "prior",
        "layer_norm",
        "regulariser",
        "critic",
        "clone_proposals",
        "clone_acts",
        "algorithm",
        "precision",
    }


@pytest.mark.parametrize(
    ("settings", "rows"),
    [
        ({}, 128),
        ({"demo_ratio": 0.0}, 0),
        ({"demo_ratio": 1.0}, 256),
        ({"demo_ratio": 0.25, "batch_size": 10}, 2),
        ({"prior": "seeded"}, 0),
        ({"prior": "balanced"}, 0),
        ({"batch_size": 2}, 1),
    ],
    ids=str,
)
def test_rows_of_the_demonstrations(settings: dict[str, object], rows: int) -> None:
    assert AgentConfig(**settings).demo_rows == rows  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("settings", "needed"),
    [
        ({}, True),
        ({"demo_ratio": 0.0}, False),
        ({"demo_ratio": 0.0, "prior": "seeded"}, True),
        ({"demo_ratio": 0.0, "prior": "balanced"}, True),
        ({"demo_ratio": 0.0, "pretrain_updates": 1}, True),
        ({"demo_ratio": 0.0, "clone_updates": 1}, True),
        ({"demo_ratio": 0.0, "clone_weight": 0.1}, True),
    ],
    ids=str,
)
def test_whether_demonstrations_are_needed(settings: dict[str, object], needed: bool) -> None:
    assert AgentConfig(**settings).needs_demos is needed  # type: ignore[arg-type]


def test_the_cloning_weight_halves() -> None:
    config = AgentConfig(clone_weight=8.0, clone_half_life=100)
    assert [config.clone_weight_at(n) for n in (0, 100, 200, 300)] == [8.0, 4.0, 2.0, 1.0]
    assert AgentConfig(clone_weight=8.0).clone_weight_at(10**9) == 8.0
    assert AgentConfig(clone_half_life=100).clone_weight_at(5) == 0.0


def test_the_critics_weight_rises_after_their_warm_up() -> None:
    config = AgentConfig(critic_warm_up=100)
    assert [config.value_weight(n) for n in (0, 100, 150, 200, 900)] == [0.0, 0.0, 0.5, 1.0, 1.0]
    assert AgentConfig().value_weight(0) == 1.0, "the paper has no warm-up"


def test_categories_have_a_range_by_the_time_that_critics_are_made() -> None:
    assert AgentConfig(value_low=0.0, value_high=1.0).support is None
    config = AgentConfig(value_bins=11, value_low=0.0)
    with pytest.raises(ConfigError, match=r"^Setting 'agent\.value_high' must be a number by the time"):
        _ = config.support
    assert dataclasses.replace(config, value_high=1.0).support == ValueSupport(0.0, 1.0, 11)


def test_settings_are_hashable_so_that_jit_can_hold_them_static() -> None:
    assert hash(AgentConfig(utd=3)) == hash(AgentConfig(utd=3))
    assert AgentConfig(utd=3) != AgentConfig(utd=4)


@pytest.mark.parametrize("change", [{"chunk": 2}, {"n_step": 3}, {"clone_acts": True}], ids=str)
def test_what_only_a_study_can_do_is_refused_of_a_robot(change: dict[str, object]) -> None:
    AgentConfig().check_robot()
    config = AgentConfig(clone_updates=1, clone_proposals=True, **change)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=rf"^Setting 'agent\.{next(iter(change))}' must be (1|false) outside"):
        config.check_robot()

import math
import re
from pathlib import Path
from typing import Any

import pytest

from rlpd_robot.agent.config import AgentConfig
from rlpd_robot.errors import ConfigError
from rlpd_robot.run.directory import make_directory, remove_unused_journal
from rlpd_robot.run.learner_settings import LearnerSettings, MeshSettings
from rlpd_robot.run.settings import (
    ActorSettings,
    CollectSettings,
    EvalSettings,
    RunSettings,
)
from rlpd_robot.wire.security import BEYOND
from rlpd_robot.wire.settings import ADDRESSES, LinkSettings
from tests.run.point import settings


@pytest.mark.parametrize(
    ("cls", "group", "key", "values"),
    [
        (RunSettings, "run", "name", ["", "a/b", ".hidden", "..", "a\0b", "a\nb"]),
        (RunSettings, "run", "seed", [-1, 1 << 31]),
        (RunSettings, "run", "env_steps", [0, -5]),
        (RunSettings, "run", "max_minutes", [-1.0, math.nan]),
        (ActorSettings, "actor", "greedy_every", [-1]),
        (ActorSettings, "actor", "connect_s", [0.0, -1.0, math.nan]),
        (ActorSettings, "actor", "policy_s", [0.0, math.nan]),
        (ActorSettings, "actor", "journal_mb", [0.0, math.nan]),
        (LearnerSettings, "learner", "publish_every", [0]),
        (LearnerSettings, "learner", "checkpoint_every", [-1]),
        (LearnerSettings, "learner", "checkpoints_kept", [0]),
        (LearnerSettings, "learner", "metrics_s", [0.0, math.nan]),
        (LearnerSettings, "learner", "ring", ["disk"]),
        (MeshSettings, "learner.mesh", "data", [0]),
        (EvalSettings, "eval", "episodes", [0]),
        (EvalSettings, "eval", "seed", [-1, 1 << 31]),
        (EvalSettings, "eval", "min_success", [-0.1, 1.1, math.nan]),
        (CollectSettings, "collect", "episodes", [0]),
        (CollectSettings, "collect", "seed", [-1]),
        (CollectSettings, "collect", "max_attempts", [-1]),
    ],
)
def test_a_wrong_value_is_refused_by_its_key(cls: type[Any], group: str, key: str, values: list[Any]) -> None:
    for value in values:
        with pytest.raises(
            ConfigError, match=rf"^Setting '{group}\.{key}' must be .*Received {re.escape(repr(value))}"
        ):
            cls(**{key: value})


@pytest.mark.parametrize(
    ("key", "whole"), [("ensemble", "ensemble, which is 10"), ("data", "batch_size, which is 256")]
)
def test_a_mesh_that_does_not_divide_the_agent_is_refused(tmp_path: Path, key: str, whole: str) -> None:
    learner = LearnerSettings(mesh=MeshSettings(**{key: 3}))
    with pytest.raises(
        ConfigError, match=rf"^Setting 'learner.mesh.{key}' must be a divisor of agent.{whole}. Received 3"
    ):
        settings(tmp_path, agent=AgentConfig(), learner=learner)


def test_processes_of_one_learner_meet_beyond_this_machine_on_a_persons_word_alone(tmp_path: Path) -> None:
    learner = LearnerSettings(mesh=MeshSettings(2, 1, processes=2, coordinator="10.0.0.5:5570"))
    demos = RunSettings(name="point", root=str(tmp_path), demos="demos.zarr")
    settings(tmp_path, learner=learner, run=demos, link=LinkSettings(insecure=True))
    with pytest.raises(ConfigError, match=r"'learner\.mesh\.coordinator' must be a loopback address, or one with link"):
        settings(tmp_path, learner=learner, run=demos)
    with pytest.raises(ConfigError, match=r"'run\.demos'"):
        settings(tmp_path, learner=learner, link=LinkSettings(insecure=True))


def test_updates_that_cannot_be_unrolled_so_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"'learner.unroll' must be a divisor of agent.utd, which is 20. Received 3"):
        settings(tmp_path, agent=AgentConfig(), learner=LearnerSettings(unroll=3))


def test_the_sentence_is_whole() -> None:
    with pytest.raises(ConfigError) as info:
        EvalSettings(episodes=0)
    assert str(info.value) == "Setting 'eval.episodes' must be at least 1. Received 0."


@pytest.mark.parametrize("key", ADDRESSES)
def test_a_link_that_leaves_the_machine_needs_a_word(tmp_path: Path, key: str) -> None:
    address = "tcp://192.168.0.7:5560"
    settings(tmp_path, link=LinkSettings(**{key: address}, insecure=True))
    settings(tmp_path, link=LinkSettings(**{key: address}, keys="keys"))
    with pytest.raises(ConfigError) as info:
        settings(tmp_path, link=LinkSettings(**{key: address}))
    assert str(info.value) == (
        f"Setting 'link.{key}' must be {BEYOND}: nothing on this link is encrypted. Received '{address}'."
    )


@pytest.mark.parametrize("port", ["*", "0"])
def test_a_link_has_a_port_that_both_sides_know(tmp_path: Path, port: str) -> None:
    with pytest.raises(ConfigError, match=r"^Setting 'link\.data' must be an address with a port that the other side"):
        settings(tmp_path, link=LinkSettings(data=f"tcp://127.0.0.1:{port}"))


def test_a_runs_directory_is_made_with_its_parents(tmp_path: Path) -> None:
    run = RunSettings(name="door", root=str(tmp_path / "a" / "b"))
    assert make_directory(run, new=True) == tmp_path / "a" / "b" / "door"
    assert make_directory(run, "actor") == tmp_path / "a" / "b" / "door" / "actor"
    assert make_directory(run, "actor").is_dir()


def test_a_new_run_never_enters_an_old_ones_directory(tmp_path: Path) -> None:
    run = RunSettings(name="door", root=str(tmp_path))
    make_directory(run)
    with pytest.raises(ConfigError) as info:
        make_directory(run, new=True)
    assert str(info.value) == (
        f"Setting 'run.name' must be a new name: '{tmp_path / 'door'}' exists already, and "
        "resume=auto would go on with it. Received 'door'."
    )


def test_a_root_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("")
    with pytest.raises(
        ConfigError, match=r"^Setting 'run\.root' must be a directory in which .* can be made \(Not a d"
    ):
        make_directory(RunSettings(name="door", root=str(tmp_path / "runs")), new=True)


@pytest.mark.parametrize(
    ("more", "gone"),
    [
        ([], ["runs/door"]),
        (["runs/door/actor/journal/a.journal"], []),
        (["runs/door/live.zarr"], ["runs/door/actor"]),
    ],
)
def test_a_journal_that_keeps_nothing_leaves_no_trace(tmp_path: Path, more: list[str], gone: list[str]) -> None:
    journal = tmp_path / "runs" / "door" / "actor" / "journal"
    journal.mkdir(parents=True)
    for name in ("runs/door/actor/journal/lock", *more):
        (tmp_path / name).write_text("")
    remove_unused_journal(journal, tmp_path / "runs" / "door")
    assert all((tmp_path / name).exists() for name in (*more, "runs"))
    assert not any((tmp_path / name).exists() for name in gone)

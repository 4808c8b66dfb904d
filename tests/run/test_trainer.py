import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rlpd_robot.agent.config import AgentConfig
from rlpd_robot.errors import ConfigError
from rlpd_robot.policy.numpy_actor import NumpyActor
from rlpd_robot.policy.snapshot_file import check_snapshot
from rlpd_robot.run.diagnostics.monitor import Monitor
from rlpd_robot.run.live_ring import holds_on_device
from rlpd_robot.run.trainer import Trainer
from rlpd_robot.types import Batch, PolicySnapshot
from tests.integration.running import free_ports
from tests.run.point import PROBLEM
from tests.wire.examples import segment

CONFIG = AgentConfig(
    ensemble=2,
    hidden_layers=1,
    hidden_width=8,
    batch_size=8,
    utd=3,
    random_steps=5,
    ring_capacity=64,
    clone_updates=1,
    clone_weight=1.0,
)


def batch(n: int, seed: int, is_demo: bool) -> Batch:
    rng = np.random.default_rng(seed)
    o, a = PROBLEM.observation_size, PROBLEM.action_size
    return Batch(
        observation=rng.normal(size=(n, o)).astype(np.float32),
        action=rng.uniform(-1, 1, (n, a)).astype(np.float32),
        reward=rng.normal(size=n).astype(np.float32),
        next_observation=rng.normal(size=(n, o)).astype(np.float32),
        bootstrap=np.ones(n, np.float32),
        is_demo=np.full(n, float(is_demo), np.float32),
    )


DEMOS = batch(30, 0, is_demo=True)


def trained(
    trainer: Trainer, arrivals: tuple[int, ...], look: Callable[[Trainer], object] = lambda _: None
) -> PolicySnapshot:
    """After batches of these sizes and every update they earn, with a look after each."""
    for i, n in enumerate(arrivals):
        trainer.receive(batch(n, 100 + i, is_demo=False))
        while trainer.budget.owed:
            trainer.step()
            look(trainer)
    return trainer.snapshot(9)


@pytest.fixture(scope="module")
def used() -> Trainer:
    """Warmed up, then driven through everything that a learner does."""
    trainer = Trainer(CONFIG, PROBLEM, DEMOS, seed=1)
    before = trainer.snapshot(0), trainer.metrics()
    trainer.warm_up()
    trainer.compiles_before = trainer.compiles.count  # type: ignore[attr-defined]
    assert (trainer.snapshot(0).arrays, trainer.metrics()) == (before[0].arrays, before[1])
    trainer.start_from_demos(lambda share: True)
    trained(trainer, (3, 4, 80, 1))
    trainer.begin_snapshot(8)()
    return trainer


def test_nothing_is_compiled_once_it_is_warm(used: Trainer) -> None:
    assert used.compiles_before > 0  # type: ignore[attr-defined]
    assert used.compiles.count == used.compiles_before  # type: ignore[attr-defined]


def test_every_transition_but_the_random_ones_earns_its_updates(used: Trainer) -> None:
    assert used.budget.received == 88
    assert used.budget.updates == 3 * (88 - CONFIG.random_steps)
    assert int(used.state.critic_updates) == used.budget.updates
    assert int(used.state.actor_updates) == 88 - CONFIG.random_steps
    assert used.ring_rows == CONFIG.ring_capacity
    assert used.demo_rows == 30


def test_a_snapshot_is_the_actor_that_numpy_runs(used: Trainer) -> None:
    snapshot = used.snapshot(9)
    check_snapshot(snapshot, PROBLEM)
    assert (snapshot.version, snapshot.env_steps, snapshot.critic_updates) == (9, 88, used.budget.updates)
    action = NumpyActor(snapshot, np.random.default_rng(0)).act(np.zeros(4, np.float32), explore=False)
    assert action.shape == (2,)


def test_what_is_on_its_way_is_of_the_moment_in_which_it_left(used: Trainer) -> None:
    trainer = Trainer(CONFIG, PROBLEM, DEMOS, seed=1)
    now = trained(trainer, (8,))
    policy, state = trainer.begin_snapshot(9), trainer.export_state()
    then = {name: np.array(array) for name, array in trainer.export_state().items()}
    later = trained(trainer, (2,))
    arrived = policy()
    assert (arrived.env_steps, arrived.critic_updates) == (8, 3 * (8 - CONFIG.random_steps))
    assert all(np.array_equal(arrived.arrays[name], now.arrays[name]) for name in now.arrays)
    assert any(not np.array_equal(arrived.arrays[name], later.arrays[name]) for name in now.arrays)
    assert all(np.array_equal(state[name], array) for name, array in then.items())


def test_metrics_are_plain_numbers(used: Trainer) -> None:
    metrics = used.metrics()
    assert {"critic_loss", "q", "entropy", "temperature"} <= set(metrics)
    assert all(type(value) is float and np.isfinite(value) for value in metrics.values())


def test_the_same_seed_and_data_give_the_same_actor_bit_for_bit_looked_at_or_not(used: Trainer) -> None:
    again = Trainer(CONFIG, PROBLEM, DEMOS, seed=1)
    again.start_from_demos(lambda share: True)
    monitor = Monitor(CONFIG, DEMOS, share=1.0)
    observations = np.random.default_rng(7).normal(size=(10, PROBLEM.observation_size)).astype(np.float32)
    monitor.remember(replace(segment(n=9, ending="truncated"), observations=observations))
    monitor.remember(replace(segment(n=9, episode=1, ending="terminated"), observations=observations[::-1]))
    figures: list[dict[str, float]] = []
    one = trained(again, (3, 4, 80, 1), lambda t: figures.append(monitor.measure(*t.weights(), t.metrics())))
    two = used.snapshot(9)
    assert len(figures) == again.budget.updates // CONFIG.utd
    assert {"q_above_return", "policy_gap", "dormant_critic", "entropy_excess"} <= figures[-1].keys()
    assert all(np.array_equal(one.arrays[name], two.arrays[name]) for name in two.arrays)
    other = Trainer(CONFIG, PROBLEM, DEMOS, seed=2)
    other.start_from_demos(lambda share: True)
    three = trained(other, (3, 4, 80, 1))
    assert any(not np.array_equal(three.arrays[name], two.arrays[name]) for name in two.arrays)


def test_while_random_steps_last_a_snapshot_asks_for_random_actions(used: Trainer) -> None:
    trainer = Trainer(CONFIG, PROBLEM, DEMOS, seed=1)
    trainer.receive(batch(4, 0, is_demo=False))
    assert (trainer.budget.owed, trainer.snapshot(1).arrays) == (0, {})
    assert trainer.snapshot(1, final=True).arrays
    trainer.receive(batch(1, 0, is_demo=False))
    assert trainer.snapshot(2).arrays
    assert trainer.snapshot(2).fingerprint == PROBLEM.fingerprint


def test_cloning_may_be_left_at_that(used: Trainer) -> None:
    trainer = Trainer(CONFIG, PROBLEM, DEMOS, seed=1)
    shares: list[float] = []
    trainer.start_from_demos(lambda share: bool(shares.append(share)))
    assert shares == [0.0]


def test_a_seeded_ring_holds_the_demonstrations(used: Trainer) -> None:
    trainer = Trainer(replace(CONFIG, prior="seeded"), PROBLEM, DEMOS, seed=1)
    assert trainer.ring_rows == 30
    trainer.receive(batch(4, 0, is_demo=False))
    assert trainer.ring_rows == 34


@pytest.mark.parametrize(
    ("setting", "free", "on_device"),
    [("auto", None, True), ("auto", 200, True), ("auto", 120, False), ("host", None, False), ("device", 200, True)],
)
def test_a_ring_goes_where_there_is_room(setting: str, free: int | None, on_device: bool) -> None:
    assert holds_on_device(setting, 100, free, "7 transitions (0.00 GB)") is on_device


def test_a_ring_that_was_to_be_on_a_device_without_room_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"learner\.ring' must be auto or host: 7 transitions .* 80% of the 0\.00 GB"):
        holds_on_device("device", 100, 120, "7 transitions (0.00 GB)")


def test_one_device_and_a_mesh_of_two_processes_learn_the_same() -> None:
    flags = f"{os.environ['XLA_FLAGS']} --xla_force_host_platform_device_count=2"
    environment = {**os.environ, "XLA_FLAGS": flags}
    coordinator = f"127.0.0.1:{free_ports(1)[0]}"
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.run.mesh_process", str(i), coordinator],
            env=environment, cwd=Path(__file__).parents[2], text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )
        for i in range(2)
    ]  # fmt: skip
    try:
        told = [process.communicate(timeout=240) for process in processes]
    finally:
        for process in processes:
            process.kill()
    for process, (_, errors) in zip(processes, told, strict=True):
        assert process.returncode == 0, errors[-3000:]
    found = json.loads(told[0][0].splitlines()[-1])  # after what the library that joins them has to say
    assert found["there"] == 4
    assert found["critics"] == ["P('ensemble',)", 4]
    assert found["actor"] == [True, 4]
    assert found["compiled"] == 0
    assert found["largest"] < 1e-5
    assert found["policy"] < 1e-5
    assert found["metrics"] == []
    assert found["same_ring"]
    assert found["restored"]
    assert found["refused"] == (
        "Setting 'learner.mesh' must be within the devices that JAX finds in process 0 of 2, 2 (cpu). "
        "Received '8 x 2 devices'."
    )


def test_settings_that_need_prior_data_say_so() -> None:
    with pytest.raises(ConfigError) as info:
        Trainer(CONFIG, PROBLEM, None, seed=0)
    assert str(info.value) == (
        "Setting 'run.demos' must be a demonstration store, since these agent settings use prior data. Received None."
    )

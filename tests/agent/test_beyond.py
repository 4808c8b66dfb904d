"""What goes beyond the paper, all at once, in the hands of a trainer."""

from dataclasses import replace

import jax
import numpy as np
import pytest

from rlpd_robot.agent.export import export_actor
from rlpd_robot.run import trainer as trainers
from rlpd_robot.run.diagnostics.monitor import Monitor
from rlpd_robot.run.trainer import Trainer
from tests.run.point import PROBLEM
from tests.run.test_trainer import CONFIG, DEMOS, batch, trained
from tests.wire.examples import segment


def test_what_goes_beyond_the_paper_goes_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trainers, "clone", lambda state, demos, config: (state, {}))  # a quarter of the compiling
    beyond = {"critic": "simba", "value_bins": 11, "clone_proposals": True, "random_steps": 1, "warm_up_steps": 4}
    config = replace(CONFIG, utd=1, **beyond)
    trainer = Trainer(config, PROBLEM, DEMOS, seed=1)
    assert (trainer.config.value_low, trainer.config.value_high) == (
        pytest.approx(100 * float(DEMOS.reward.min())),
        pytest.approx(100 * float(DEMOS.reward.max())),
    )
    trainer.warm_up()
    compiled = trainer.compiles.count
    trainer.start_from_demos(lambda share: True)
    cloned = export_actor(trainer.state.actor)
    trainer.receive(batch(3, 1, is_demo=False))
    assert trainer.budget.owed == 0
    assert trainer.snapshot(1).arrays["mean/bias"].tolist() == cloned["mean/bias"].tolist(), "it acts, and stays"
    trained(trainer, (2, 2))
    assert trainer.budget.updates == 2
    assert trainer.compiles.count == compiled
    same = [np.array_equal(array, cloned[name]) for name, array in export_actor(trainer.state.proposal).items()]
    moved = [not np.array_equal(array, cloned[name]) for name, array in export_actor(trainer.state.actor).items()]
    assert all(same)
    assert all(moved)
    critics, targets = trainer.state.critics, trainer.state.target_critics
    assert (np.asarray(critics["observation"]["count"]) == 2 * CONFIG.batch_size).all(), "a minibatch for each update"
    for name, statistic in critics["observation"].items():
        np.testing.assert_allclose(statistic, targets["observation"][name], rtol=1e-5, err_msg=name)
    monitor = Monitor(trainer.config, DEMOS, share=1.0)
    observations = np.random.default_rng(7).normal(size=(10, PROBLEM.observation_size)).astype(np.float32)
    monitor.remember(replace(segment(n=9, ending="truncated"), observations=observations))
    figures = monitor.measure(*trainer.weights(), trainer.metrics())
    assert figures["q_outside_range"] == 0.0, "no category lies far outside"
    assert {"dormant_critic", "layer_norm_input"} <= figures.keys()
    again = Trainer(config, PROBLEM, DEMOS, seed=2)
    again.restore(trainer.export_state(), 7, 2)
    weights = (jax.tree.leaves((t.weights(), t.state.proposal)) for t in (trainer, again))
    assert all(np.array_equal(a, b) for a, b in zip(*weights, strict=True))

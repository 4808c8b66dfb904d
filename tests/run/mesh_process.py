"""Run in a process of its own, where XLA takes the processor for four devices: one device beside a mesh of all."""

import json
import sys
from dataclasses import replace

import jax
import numpy as np

from rlpd_robot.errors import ConfigError
from rlpd_robot.run.devices import make_layout
from rlpd_robot.run.learner_settings import MeshSettings
from rlpd_robot.run.trainer import Trainer
from tests.run.point import PROBLEM
from tests.run.test_trainer import CONFIG, DEMOS, batch

PLAIN = replace(CONFIG, clone_updates=0, clone_weight=0.0, random_steps=0)


def learned(mesh: MeshSettings, ring: str) -> tuple[Trainer, int]:
    """After a few super-steps, and what was compiled after the first."""
    trainer = Trainer(PLAIN, PROBLEM, DEMOS, seed=1, layout=make_layout(mesh), ring=ring)
    compiled = []
    for n in (3, 2):
        trainer.receive(batch(n, n, is_demo=False))
        while trainer.budget.owed:
            trainer.step()
            compiled.append(trainer.compiles.count)
    return trainer, compiled[-1] - compiled[0]


def arrays(trainer: Trainer) -> dict[str, np.ndarray]:
    """The agent's state."""
    return {name: np.asarray(array) for name, array in trainer.export_state().items()}


def main() -> None:
    """Prints what came of it, as JSON."""
    one, _ = learned(MeshSettings(), "device")
    many, compiled = learned(MeshSettings(2, 2), "host")
    ours, theirs = arrays(one), arrays(many)
    kernel = many.state.critics["value"]["kernel"].sharding
    actor = many.state.actor["mean"]["kernel"].sharding
    many.restore(theirs, 5, 15)
    again = arrays(many)
    try:
        make_layout(MeshSettings(8, 1))
        refused = ""
    except ConfigError as error:
        refused = str(error)
    found = {
        "there": jax.device_count(),
        "critics": [str(kernel.spec), len(kernel.device_set)],
        "actor": [actor.is_fully_replicated, len(actor.device_set)],
        "compiled": compiled,
        "largest": max(float(np.abs(ours[key].astype(float) - theirs[key]).max()) for key in ours),
        "same_ring": one.ring_digest() == many.ring_digest(),
        "restored": all(np.array_equal(theirs[key], again[key]) for key in theirs),
        "refused": refused,
    }
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()

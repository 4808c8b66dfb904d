"""Run in two processes, where XLA takes the processor for two devices each: one device beside a mesh of all four.

The first also computes on one of its devices alone. Words: which of the processes this is, and where they meet.
"""

import json
import sys
from dataclasses import replace

import jax
import numpy as np

from rlpd_robot.errors import ConfigError
from rlpd_robot.run.devices import make_layout
from rlpd_robot.run.hosts import Hosts, join
from rlpd_robot.run.learner_settings import MeshSettings
from rlpd_robot.run.trainer import Trainer
from rlpd_robot.run.trainer_hosts import LeadingTrainer, facts_of, follow
from tests.run.point import PROBLEM
from tests.run.test_trainer import CONFIG, DEMOS, batch

PLAIN = replace(CONFIG, clone_updates=0, clone_weight=0.0, random_steps=0, utd=2)
SEED, RING = 1, "host"


def learn(trainer: Trainer) -> int:
    """A few super-steps; returns what was compiled after the first."""
    compiled = []
    for n in (3, 2):
        trainer.receive(batch(n, n, is_demo=False))
        while trainer.budget.owed:
            trainer.step()
            compiled.append(trainer.compiles.count)
    return compiled[-1] - compiled[0]


def arrays(trainer: Trainer) -> dict[str, np.ndarray]:
    """The agent's state."""
    return {name: np.asarray(array) for name, array in trainer.export_state().items()}


def lead(mesh: MeshSettings, hosts: Hosts) -> None:
    """Prints what came of it, as JSON."""
    one = Trainer(PLAIN, PROBLEM, DEMOS, seed=SEED, ring="device")
    learn(one)
    many = LeadingTrainer(hosts, PLAIN, PROBLEM, DEMOS, SEED, make_layout(mesh), RING)
    compiled = learn(many)
    ours, theirs = arrays(one), arrays(many)
    kernel = many.state.critics["value"]["kernel"].sharding
    actor = many.state.actor["mean"]["kernel"].sharding
    policies = one.snapshot(1).arrays, many.snapshot(1).arrays
    many.restore(theirs, 5, 10)
    again = arrays(many)
    try:
        make_layout(replace(mesh, ensemble=8))
        refused = ""
    except ConfigError as error:
        refused = str(error)
    found = {
        "there": jax.device_count(),
        "critics": [str(kernel.spec), len(kernel.device_set)],
        "actor": [actor.is_fully_replicated, len(actor.device_set)],
        "compiled": compiled,
        "largest": max(float(np.abs(ours[key].astype(float) - theirs[key]).max()) for key in ours),
        "policy": max(float(np.abs(policies[0][key] - policies[1][key]).max()) for key in policies[0]),
        "metrics": sorted(many.metrics().keys() ^ one.metrics().keys()),
        "same_ring": one.ring_digest() == many.ring_digest(),
        "restored": all(np.array_equal(theirs[key], again[key]) for key in theirs),
        "refused": refused,
    }
    many.close()
    print(json.dumps(found))


def main(process: int, coordinator: str) -> None:
    """Be one of the two."""
    mesh = MeshSettings(2, 2, processes=2, process=process, coordinator=coordinator, wait_s=60.0)
    hosts = join(mesh)
    assert hosts is not None
    if process == 0:
        lead(mesh, hosts)
        return
    hosts.agree(facts_of(PLAIN, PROBLEM, DEMOS, SEED, RING))
    trainer = Trainer(PLAIN, PROBLEM, DEMOS, SEED, make_layout(mesh), RING)
    follow(trainer, hosts, lambda doing: None)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])

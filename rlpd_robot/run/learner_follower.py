"""The other processes of a learner that is several: without sockets, and without files but the demonstrations."""

from rlpd_robot.agent.config import AgentConfig
from rlpd_robot.agent.layout import Layout
from rlpd_robot.liveness import pulse
from rlpd_robot.run.devices import make_layout
from rlpd_robot.run.hosts import Hosts
from rlpd_robot.run.prior_data import open_demos
from rlpd_robot.run.saying import say
from rlpd_robot.run.settings import Settings
from rlpd_robot.run.trainer import Trainer
from rlpd_robot.run.trainer_hosts import LeadingTrainer, facts_of, follow
from rlpd_robot.spec import ProblemSpec
from rlpd_robot.types import Batch

_TURN_S = 600.0  # longest time that an order may take: compiling, cloning


def make_trainer(
    hosts: Hosts | None,
    config: AgentConfig,
    problem: ProblemSpec,
    demos: Batch | None,
    seed: int,
    layout: Layout,
    ring: str,
) -> Trainer:
    """The trainer of a learner with sockets: one that leads the other processes, where there are any.

    Args and Raises: as of `LeadingTrainer`.
    """
    if hosts is None:
        return Trainer(config, problem, demos, seed, layout, ring)
    return LeadingTrainer(hosts, config, problem, demos, seed, layout, ring)


def follow_learner(settings: Settings, hosts: Hosts) -> None:
    """Compute what process 0 says, until it ends.

    Raises:
        ConfigError: this process has other settings, prior data or devices than process 0.
        StoreError: the demonstrations cannot be read.
        ProtocolError: process 0 is gone.
    """
    beats = pulse()
    beats.beat("reading demonstrations", _TURN_S)
    store = open_demos(settings)
    assert store is not None  # the settings say so
    config, seed, ring = settings.agent, settings.run.seed, settings.learner.ring
    layout = make_layout(settings.learner.mesh, settings.learner.unroll)
    demos = store.transitions()
    hosts.agree(facts_of(config, store.problem, demos, seed, ring))
    trainer = Trainer(config, store.problem, demos, seed, layout, ring)
    where = settings.learner.mesh.coordinator
    say(f"process {hosts.index} of {hosts.count} of learner '{settings.run.name}' takes its orders from {where}")
    follow(trainer, hosts, lambda doing: beats.beat(doing, _TURN_S))

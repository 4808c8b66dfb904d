"""Settings of the learner. No JAX here: a supervisor checks them without it."""

from dataclasses import dataclass, field

from rlpd_robot.agent.config import AgentConfig
from rlpd_robot.errors import ConfigError
from rlpd_robot.run.bounds import at_least
from rlpd_robot.wire.settings import is_local


@dataclass(frozen=True)
class MeshSettings:
    """Devices that the learner computes on, as a mesh. Their number is the product of both; 1 and 1: the first alone.

    Attributes:
        ensemble: devices among which the critics are divided; a divisor of `agent.ensemble`.
        data: devices among which each minibatch is divided; a divisor of `agent.batch_size`.
        processes: learners that are one, each with as many of the devices; on several machines, one each. The first
            one alone talks to actors, commits and publishes.
        process: which of them this is, from 0 on.
        coordinator: host and port at which process 0 listens for the others, such as 10.0.0.5:5570.
        wait_s: longest time for the others to come, and to take their orders [s].
    """

    ensemble: int = 1
    data: int = 1
    processes: int = 1
    process: int = 0
    coordinator: str | None = None
    wait_s: float = 120.0

    def __post_init__(self) -> None:
        for key in ("ensemble", "data", "processes"):
            at_least(f"learner.mesh.{key}", getattr(self, key), 1)
        if not 0 <= self.process < self.processes:
            expected = f"between 0 and {self.processes - 1}, for learner.mesh.processes={self.processes}"
            raise ConfigError("learner.mesh.process", self.process, expected)
        if not 1 <= self.wait_s <= 3600:
            raise ConfigError("learner.mesh.wait_s", self.wait_s, "between 1 and 3600")
        if self.processes > 1:
            host, _, port = (self.coordinator or "").rpartition(":")
            if not host or not port.isdigit() or not 0 < int(port) < 1 << 16:
                expected = "host and port of process 0, such as 10.0.0.5:5570, with several learner.mesh.processes"
                raise ConfigError("learner.mesh.coordinator", self.coordinator, expected)
        if self.devices % self.processes:
            expected = f"a divisor of its devices, {self.ensemble} x {self.data}"
            raise ConfigError("learner.mesh.processes", self.processes, expected)

    @property
    def devices(self) -> int:
        """How many there must be."""
        return self.ensemble * self.data

    def check(self, agent: AgentConfig, insecure: bool, demos: str | None) -> None:
        """Whether critics and minibatches can be divided so, and whether processes may meet there.

        Args:
            agent: its sizes.
            insecure: whether a person allowed plain links beyond this machine.
            demos: where the prior data are.

        Raises:
            ConfigError: they cannot.
        """
        if self.processes > 1:
            assert self.coordinator is not None
            if not insecure and not is_local(f"tcp://{self.coordinator}"):
                expected = "a loopback address, or one with link.insecure=true: whoever reaches it can take part, and "
                expected += "nothing between the processes is encrypted"
                raise ConfigError("learner.mesh.coordinator", self.coordinator, expected)
            if demos is None:
                expected = "a demonstration store, which tells all learner.mesh.processes what robot and task there are"
                raise ConfigError("run.demos", None, expected)
        for key, parts, whole in (("ensemble", self.ensemble, "ensemble"), ("data", self.data, "batch_size")):
            size = getattr(agent, whole)
            if size % parts:
                expected = f"a divisor of agent.{whole}, which is {size}"
                raise ConfigError(f"learner.mesh.{key}", parts, expected)


@dataclass(frozen=True)
class LearnerSettings:
    """The learner's side.

    Attributes:
        publish_every: transitions trained on between two published policies; in lock-step also the leave given to the
            actor at a time.
        metrics_s: time between two rows of metrics [s].
        checkpoint_every: transitions between two checkpoints; 0: only at the end.
        checkpoints_kept: newest checkpoints that stay on disk.
        nice: how far to let other processes go first, 0 to 19; `train` says 10 where a robot moves by the wall clock.
        diagnose_share: of the learner's time that may go into looking why it does not learn [0..0.5]; 0: none.
        compile_cache: where compiled programs are kept for the next start: auto (a folder of this user), none, or a
            folder.
        mesh: see `learner.mesh`.
        ring: where live transitions are held for sampling: device, host, or auto, which is host where the device has no
            room for `agent.ring_capacity`.
        unroll: critic updates of a super-step that are compiled one after the other instead of as a loop; a divisor of
            `agent.utd`. More compile longer, and may run faster on an accelerator; what is learned is the same within
            rounding.
    """

    publish_every: int = 50
    metrics_s: float = 1.0
    checkpoint_every: int = 2000
    checkpoints_kept: int = 3
    nice: int = 0
    diagnose_share: float = 0.01
    compile_cache: str = "auto"
    mesh: MeshSettings = field(default_factory=MeshSettings)
    ring: str = "auto"
    unroll: int = 1

    def __post_init__(self) -> None:
        at_least("learner.unroll", self.unroll, 1)
        if self.ring not in ("auto", "device", "host"):
            raise ConfigError("learner.ring", self.ring, "auto, device or host")
        if not 0 <= self.nice <= 19:
            raise ConfigError("learner.nice", self.nice, "between 0 and 19")
        at_least("learner.publish_every", self.publish_every, 1)
        at_least("learner.checkpoint_every", self.checkpoint_every, 0)
        at_least("learner.checkpoints_kept", self.checkpoints_kept, 1)
        if not self.metrics_s > 0:
            raise ConfigError("learner.metrics_s", self.metrics_s, "above 0")
        if not 0 <= self.diagnose_share <= 0.5:
            raise ConfigError("learner.diagnose_share", self.diagnose_share, "between 0 and 0.5")
        if not self.compile_cache:
            raise ConfigError("learner.compile_cache", self.compile_cache, "auto, none or a folder")

    def check(self, agent: AgentConfig, insecure: bool, demos: str | None) -> None:
        """Whether an agent's updates can be laid out so. Arguments and errors as of `MeshSettings.check`."""
        if agent.utd % self.unroll:
            raise ConfigError("learner.unroll", self.unroll, f"a divisor of agent.utd, which is {agent.utd}")
        self.mesh.check(agent, insecure, demos)

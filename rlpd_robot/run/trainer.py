"""The learning half of the learner: agent, rings and budget; no sockets, no files."""

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rlpd_robot.agent.config import AgentConfig
from rlpd_robot.agent.export import export_actor
from rlpd_robot.agent.layout import ONE_DEVICE, Layout, local
from rlpd_robot.agent.networks import Params
from rlpd_robot.agent.ring import add, make_ring
from rlpd_robot.agent.state import AgentState, init_state
from rlpd_robot.agent.update import CLONE_STEPS, average, clone, update_from_rings
from rlpd_robot.data.digest import rows_digest
from rlpd_robot.errors import ConfigError, DataError
from rlpd_robot.run.budget import UpdateBudget
from rlpd_robot.run.latest_metrics import LatestMetrics
from rlpd_robot.run.live_ring import make_live_ring
from rlpd_robot.run.value_range import with_value_range
from rlpd_robot.spec import ProblemSpec
from rlpd_robot.types import Batch, PolicySnapshot

Progress = Callable[[float], bool]
"""Called with the share done [0..1]; false to leave it at that."""

_INSERT = 256  # rows of one insertion into a ring


class CompileCounter:
    """Counts what XLA compiles in this process, so that a hidden recompilation cannot pass for slow learning."""

    def __init__(self) -> None:
        self.count = 0
        self.seconds = 0.0
        jax.monitoring.register_event_duration_secs_listener(self._listen)

    def _listen(self, event: str, duration_secs: float, **_: str | int) -> None:
        if event.endswith("backend_compile_duration"):
            self.count += 1
            self.seconds += duration_secs


class Trainer:
    """One agent learning from demonstrations and the live transitions it is given.

    Args:
        config: the method's settings.
        problem: what the robot and task look like.
        demos: prior data [N], or none; with chunks, rows whose actions are chunks, as all that it is given later.
        seed: of everything random here.
        layout: over which devices.
        ring: where live transitions are held: auto, device or host.

    Attributes:
        config: the settings, with the range of values that categorical critics have of the prior data.
        actor_size: elements of what the actor puts out, the actions of a chunk one after the other.
        ring_place: a sentence that says where they are.

    Raises:
        ConfigError: the settings need prior data and there is none, or it does not tell the range of values, or the
            device has no room for the ring.
    """

    def __init__(
        self,
        config: AgentConfig,
        problem: ProblemSpec,
        demos: Batch | None,
        seed: int,
        layout: Layout = ONE_DEVICE,
        ring: str = "auto",
    ) -> None:
        if demos is None and config.needs_demos:
            raise ConfigError("run.demos", None, "a demonstration store, since these agent settings use prior data")
        self.config = config = with_value_range(config, demos)
        self.problem = problem
        self.budget = UpdateBudget(config.utd, free=config.free_steps)
        self.compiles = CompileCounter()
        self.demo_rows = 0 if demos is None else len(demos.reward)
        self._metrics = LatestMetrics()
        self._offline, self._online = config, replace(config, conservative_weight=0.0)
        self.actor_size = problem.action_size * config.chunk
        o, a = problem.observation_size, self.actor_size
        self._live, self.ring_place = make_live_ring(ring, config, o, a, layout)
        self._layout = layout = self._live.layout
        self.state: AgentState = layout.place_state(init_state(config, o, a, seed))
        self._actor_average: Params = _copied(self.state.actor)
        self._average_share = layout.place(np.float32(config.actor_average))
        self._demos = layout.place(make_ring(max(1, self.demo_rows), o, a))
        self._added = 0
        if demos is not None:
            self._demos = add(self._demos, demos, _INSERT)
            if config.prior == "seeded":
                self.refill(demos)

    def warm_up(self, from_demos: bool = True) -> float:
        """Compile everything that learning will run, on a copy; returns the seconds it took.

        Args:
            from_demos: also what `start_from_demos` runs.
        """
        start = time.monotonic()
        self._live.add(jax.tree.map(lambda c: np.zeros((0, *c.shape[1:]), np.float32), self._demos.rows))
        spare = _copied(self.state)
        if from_demos and self.config.clone_updates:
            spare, metrics = clone(spare, self._demos, self.config)
            LatestMetrics().offer(metrics)
        wanted = {(self._online, self.config.demo_rows)}
        if from_demos and self.config.pretrain_updates:
            wanted.add((self._offline, self.config.batch_size))
        for config, demo_rows in wanted:
            spare, metrics = self._updated(spare, config, demo_rows)
            LatestMetrics().offer(metrics)
        _wait_for(average(_copied(self._actor_average), spare.actor, self._average_share))
        self.export_state()
        self._live.forget()
        return time.monotonic() - start

    def start_from_demos(self, progress: Progress) -> None:
        """Clone the actor and pre-train offline, as far as the settings ask for it."""
        rounds = -(-self.config.clone_updates // CLONE_STEPS)
        for i in range(rounds):
            self.state, metrics = clone(self.state, self._demos, self.config)
            self._metrics.offer(metrics)
            if i % 5 == 0:
                _wait_for(self.state.actor)
                if not progress(i / rounds):
                    return
        if rounds:
            self._end_cloning()
        rounds = -(-self.config.pretrain_updates // self.config.utd)
        for i in range(rounds):
            self._update(self._offline, self.config.batch_size)
            if i % 50 == 0:
                _wait_for(self.state.actor)
                if not progress(i / rounds):
                    return
        self._actor_average = average(self._actor_average, self.state.actor, self._layout.place(np.float32(1.0)))

    def _end_cloning(self) -> None:
        """Start the actor's Adam afresh: moments of the cloning loss would mis-scale its first real steps."""
        fresh = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), self.state.actor_optimiser)
        self.state = self.state._replace(actor_optimiser=self._layout.place(fresh))
        if self.config.clone_proposals:
            self.state = self.state._replace(proposal=_copied(self.state.actor))

    def receive(self, rows: Batch) -> None:
        """Take live transitions [N] into the ring and the budget."""
        self.refill(rows)
        self.budget.receive(len(rows.reward))

    def refill(self, rows: Batch) -> None:
        """Take transitions [N] into the ring alone: they are booked already, or are no live ones."""
        self._live.add(rows)
        self._added += len(rows.reward)

    def step(self) -> None:
        """One super-step: U critic updates, one actor and one temperature update."""
        self._update(self._online, self.config.demo_rows)
        self._actor_average = average(self._actor_average, self.state.actor, self._average_share)
        self.budget.spend()

    def metrics(self) -> dict[str, float]:
        """Of one of the last ten super-steps; the only transfer from the device besides policies and checkpoints."""
        return self._metrics.read()

    def weights(self) -> tuple[Any, Any]:
        """Parameters of the actor and of the critics, by layer, as NumPy arrays; valid until the next super-step."""
        networks = self.state.actor, self.state.critics
        actor, critics = jax.device_get(self._layout.gathered(networks))
        return actor, critics

    def snapshot(self, version: int, final: bool = False) -> PolicySnapshot:
        """The actor as it is now; without arrays, which means "act at random", while the random steps last.

        Args:
            version: of the publication.
            final: what is evaluated is the network, also after a run that ended within its random steps.
        """
        return self._snapshot(version, local(self._actor_average), final)()

    def begin_snapshot(self, version: int) -> Callable[[], PolicySnapshot]:
        """The same, on its way while the device goes on; what is returned waits for it."""
        leaving = _copied(local(self._actor_average))  # the next super-step writes into the original
        for leaf in jax.tree.leaves(leaving):
            leaf.copy_to_host_async()
        return self._snapshot(version, leaving)

    def _snapshot(self, version: int, actor: Params, final: bool = False) -> Callable[[], PolicySnapshot]:
        env_steps, critic_updates = self.budget.received, self.budget.updates
        at_random = env_steps < self.config.random_steps and not final
        fingerprint = self.problem.fingerprint
        return lambda: PolicySnapshot(
            version=version,
            fingerprint=fingerprint,
            env_steps=env_steps,
            critic_updates=critic_updates,
            arrays={} if at_random else export_actor(actor),
        )

    def export_state(self) -> dict[str, Any]:
        """The agent by names of its leaves, optimisers and random key included: copies, on their way to the host.

        Learning may go on; whoever writes them down, in a thread, waits for them by `numpy.asarray`.
        """
        # Copies, since the next super-step writes into the originals.
        portable = self._layout.gathered(_portable(self.state, self._actor_average))
        leaves = jax.tree_util.tree_leaves_with_path(portable)
        for _, leaf in leaves:
            leaf.copy_to_host_async()
        return {jax.tree_util.keystr(path): leaf for path, leaf in leaves}

    def restore(self, arrays: Mapping[str, Any], received: int, critic_updates: int) -> None:
        """Take up what `export_state` gave, with the account that belongs to it. The ring is refilled by `refill`.

        Raises:
            DataError: an array is missing or of another shape; nothing has changed.
        """
        self.check(arrays)
        leaves, structure = jax.tree_util.tree_flatten_with_path(self._shapes())
        restored = [jax.device_put(arrays[jax.tree_util.keystr(path)]) for path, _ in leaves]
        state, running = jax.tree_util.tree_unflatten(structure, restored)
        self.state = self._layout.place_state(state._replace(key=jax.random.wrap_key_data(state.key)))
        self._actor_average = self._layout.place(running)
        self._live.forget()
        self.budget.received, self.budget.updates = received, critic_updates

    def check(self, arrays: Mapping[str, Any]) -> None:
        """Whether these are an agent's of this kind.

        Raises:
            DataError: an array is missing or of another shape.
        """
        for name, leaf in self.shapes().items():
            array = arrays.get(name)
            if array is None or array.shape != leaf.shape or array.dtype != leaf.dtype:
                found = "missing" if array is None else f"{array.shape} {array.dtype}"
                raise DataError("Checkpoint", f"{name} is {found}", f"{leaf.shape} {leaf.dtype}")

    def shapes(self) -> dict[str, jax.ShapeDtypeStruct]:
        """Of what `export_state` gives, shape and dtype of each array."""
        return {jax.tree_util.keystr(path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(self._shapes())}

    def _shapes(self) -> Any:
        return jax.eval_shape(_portable, self.state, self._actor_average)

    @property
    def ring_rows(self) -> int:
        """Transitions in the live ring, demonstrations that it was seeded with included."""
        return min(self._added, self.config.ring_capacity)

    def ring_digest(self) -> int:
        """`rows_digest` of the live transitions in the ring."""
        rows = self._live.columns()
        live = rows.is_demo == 0
        return rows_digest(Batch(*(column[live] for column in rows)))

    def wait(self) -> None:
        """Until the device has done all that it was given."""
        _wait_for(self.state)
        self._live.wait()

    @property
    def waited_s(self) -> float:
        """That super-steps had to wait for minibatches from the host's memory [s]."""
        return self._live.waited_s

    def close(self) -> None:
        """Let go of threads."""
        self._live.close()

    def _update(self, config: AgentConfig, demo_rows: int) -> None:
        self.state, metrics = self._updated(self.state, config, demo_rows)
        self._metrics.offer(metrics)

    def _updated(
        self, state: AgentState, config: AgentConfig, demo_rows: int
    ) -> tuple[AgentState, dict[str, jax.Array]]:
        clone_weight = np.float32(self.config.clone_weight_at(self.budget.trained))
        value_weight = np.float32(self.config.value_weight(self.budget.trained))
        live = self._live.source(state.key, demo_rows)
        updated: tuple[AgentState, dict[str, jax.Array]] = update_from_rings(
            state, self._demos, live, clone_weight, config, demo_rows, value_weight, self._layout
        )
        return updated


@jax.jit
def _copied(tree: Any) -> Any:
    """A tree of arrays that share nothing with these; one program, where leaf by leaf each shape would be one."""
    return jax.tree.map(jnp.copy, tree)


@jax.jit
def _portable(state: AgentState, actor_average: Params) -> tuple[AgentState, Params]:
    """Copies of what a checkpoint holds of the agent; a random key as its numbers."""
    copied: tuple[AgentState, Params] = _copied((state._replace(key=jax.random.key_data(state.key)), actor_average))
    return copied


def _wait_for(tree: Any) -> None:
    for leaf in jax.tree.leaves(tree):
        leaf.block_until_ready()

"""What acts in a study, and what is learned of it."""

from types import SimpleNamespace
from typing import Any

import numpy as np

from rlpd_robot.agent.proposals import least_values
from rlpd_robot.run.experiment.acting import Acting
from rlpd_robot.run.experiment.practice import Practice, chunker_of
from rlpd_robot.types import PolicySnapshot, Transition
from tests.agent import reference as ref
from tests.agent.support import ACT, OBS, make_state, reference_ensemble, tiny

SEEN = np.array([0.3, -0.2, 0.5], np.float32)


def saying(actions: list[float], version: int = 1) -> PolicySnapshot:
    """A policy that always says tanh of these."""
    size = len(actions)
    arrays = {
        "mean/kernel": np.zeros((OBS, size), np.float32),
        "mean/bias": np.array(actions, np.float32),
        "log_std/kernel": np.zeros((OBS, size), np.float32),
        "log_std/bias": np.full(size, -3.0, np.float32),
    }
    return PolicySnapshot(version, "f", 0, 0, arrays)


def acting(config: Any, state: Any = None) -> Acting:
    trainer = SimpleNamespace(config=config, state=state, problem=SimpleNamespace(action_size=ACT))
    trainer.actor_size = config.chunk * ACT
    return Acting(trainer, np.random.default_rng(0))  # type: ignore[arg-type]


def test_a_chunk_is_played_to_its_end_whatever_is_published() -> None:
    policy = acting(tiny(chunk=2))
    policy.take(saying([0.1, 0.2, 0.3, 0.4]))
    played = [policy.act(SEEN, explore=False)]
    policy.take(saying([0.5, 0.6, 0.7, 0.8], version=2))
    played += [policy.act(SEEN, explore=False) for _ in range(2)]
    policy.begin()  # the chunk under way is of the episode before
    played.append(policy.act(SEEN, explore=False))
    np.testing.assert_allclose(np.arctanh(played), [[0.1, 0.2], [0.3, 0.4], [0.5, 0.6], [0.5, 0.6]], rtol=1e-5)
    assert policy.version == 2
    policy.take(PolicySnapshot(3, "f", 0, 0, {}))
    policy.begin()
    assert policy.act(SEEN, explore=True).shape == policy.act(SEEN, explore=True).shape == (ACT,)


def test_the_better_by_the_lowest_critic_acts() -> None:
    config = tiny(clone_updates=1, clone_proposals=True, clone_acts=True, hidden_layers=1)
    state = make_state(config, seed=2)
    clone = saying([1.0, -1.0]).arrays
    proposal: dict[str, dict] = {}
    for name, array in clone.items():
        layer, part = name.split("/")
        proposal.setdefault(layer, {})[part] = array
    state = state._replace(proposal=proposal)
    nets = reference_ensemble(state.target_critics)

    def least(action: np.ndarray) -> float:
        return min(ref.critic_forward(net, SEEN[None].astype(float), action[None])[0][0] for net in nets)

    cloned = np.tanh([1.0, -1.0])
    for said in ([0.2, 0.9], [-2.0, 1.0], [1.5, -0.5], [0.9, -1.0]):
        policy, own = acting(config, state), np.tanh(said)
        policy.take(saying(said))
        better = least(cloned) > least(own)
        np.testing.assert_allclose(policy.act(SEEN, explore=False), cloned if better else own, rtol=1e-5)
        assert policy.figures() == {"clone_share": float(better)}
        assert policy.figures() == {}
    values = least_values(config, state.target_critics, SEEN, np.float32([own, cloned]))
    np.testing.assert_allclose(values, [least(own), least(cloned)], rtol=1e-4)


class Counting:
    """Stands for a trainer: it takes rows and does nothing with them."""

    def __init__(self, config: Any) -> None:
        self.config, self.problem, self.actor_size = config, SimpleNamespace(action_size=ACT), config.chunk * ACT
        self.ring_rows, self.rows, self.booked = 0, [], []
        self.budget = SimpleNamespace(received=0, owed=0, receive=self.book)

    def book(self, count: int) -> None:
        self.budget.received += count
        self.booked.append(count)

    def refill(self, rows: Any) -> None:
        self.rows.append(rows)
        self.ring_rows += len(rows.reward)

    def snapshot(self, version: int) -> PolicySnapshot:
        return saying([0.0] * self.actor_size, version)


def transition(step: int, ending: str = "") -> Transition:
    seen = [np.full(OBS, float(t), np.float32) for t in (step, step + 1)]
    action = np.full(ACT, 0.01 * step, np.float32)
    stamps = (0.0, 0.0, 0.0, 0.0)
    return Transition(
        *("boot", step, 0, step, seen[0], action, action, 1.0, seen[1], False, False, 0, 1, stamps),
        ending=ending,  # type: ignore[arg-type]
        cause="",
    )


def test_practice_learns_from_chunks_and_books_transitions() -> None:
    trainer = Counting(tiny(chunk=3, discount=0.5))
    done: list[bool] = []
    practice = Practice(trainer, 2, 7, 0, lambda: done.append(True), lambda episode: None)  # type: ignore[arg-type]
    practice.begin_episode(0)
    for step in range(7):
        practice.on_transition(transition(step, "truncated" if step == 6 else ""))
    assert trainer.booked == [4, 2, 1], "two wait for the first row that can be learned from"
    assert practice.received == 7
    assert done
    rows = [row for part in trainer.rows for row in part.observation[:, 0].tolist()]
    assert rows == [0, 1, 2, 3, 4]
    assert {part.action.shape[1] for part in trainer.rows} == {3 * ACT}
    assert chunker_of(trainer.config).take(practice.rows[0], ended=False) is None

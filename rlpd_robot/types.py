"""The values that flow through the toolkit, and THE table of every field.

Data flows one way: robot → actor → journal → learner → policy → actor.

Dimension letters: `N` transitions, `O` observation, `A` action, `C` command.

| where | field | shape, dtype | unit | meaning |
|---|---|---|---|---|
| RobotState | values[name] | per `RobotSpec.state` | SI, per field | what the robot and its trackers measured |
| RobotState | sequence | int | - | control period count since the robot's boot |
| RobotState | stamp_s | float | s | robot's monotonic clock at measurement |
| RobotState | received_s | float | s | this process's monotonic clock on arrival |
| RobotState | executed | int or None | - | number of the command it followed; -1: none; None: it does not say |
| Command | values | (C,) float64 | per `RobotSpec.command` | what the robot is asked to do |
| Segment | observations | (N+1, O) float32 | task | the true final observation included |
| Segment | actions | (N, A) float32 | [-1, 1] | as executed after the safety filter, mapped back |
| Segment | proposed_actions | (N, A) float32 | [-1, 1] | as the policy or person wanted it |
| Segment | rewards | (N,) float32 | task | reward of each transition |
| Segment | success | (N,) bool | - | task solved in the state after the transition |
| Segment | intervened | (N,) bool | - | a person acted |
| Segment | safety | (N,) uint16 | - | why another command than proposed, bits of `robot.safety.CAUSES`; 0: none |
| Segment | policy_versions | (N,) int64 | - | snapshot that proposed the action; -1: none |
| Segment | stamps_s | (N, 4) float64 | s | actor's monotonic clock: state in, action out, filtered, sent |
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rlpd_robot.errors import DataError

Ending = Literal["", "terminated", "truncated", "unknown"]
ENDINGS: tuple[Ending, ...] = ("", "terminated", "truncated", "unknown")


@dataclass(frozen=True, slots=True)
class RobotState:
    """One named, stamped measurement in SI units. See the table above."""

    values: Mapping[str, NDArray[Any]]
    sequence: int
    stamp_s: float
    received_s: float
    executed: int | None = None


@dataclass(frozen=True, slots=True)
class Command:
    """One physical command, laid out as the concatenated fields of `RobotSpec.command`."""

    values: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Transition:
    """One executed control period, as the control loop saw it. Arrays as in the table, without the leading N."""

    boot: str
    sequence: int
    episode: int
    step: int
    observation: NDArray[np.float32]
    action: NDArray[np.float32]
    proposed_action: NDArray[np.float32]
    reward: float
    next_observation: NDArray[np.float32]
    success: bool
    intervened: bool
    safety: int
    policy_version: int
    stamps_s: tuple[float, float, float, float]
    ending: Ending
    cause: str

    @property
    def filtered(self) -> bool:
        """Whether another command than the proposed one was sent."""
        return self.safety != 0


_COLUMNS: dict[str, Any] = {
    "actions": np.dtype(np.float32),
    "proposed_actions": np.dtype(np.float32),
    "rewards": np.dtype(np.float32),
    "success": np.dtype(np.bool_),
    "intervened": np.dtype(np.bool_),
    "safety": np.dtype(np.uint16),
    "policy_versions": np.dtype(np.int64),
    "stamps_s": np.dtype(np.float64),
}


@dataclass(frozen=True, slots=True, eq=False)
class Segment:
    """N ≥ 1 consecutive transitions of one episode, column by column.

    A segment that starts at step 0 and has an ending is an *episode*. `ending` and `cause` speak of the last
    transition; "" means that the episode goes on. Every transition is identified by (boot, sequence), `boot` being a
    random id drawn at each start of an actor and `sequence` counting up by one from `first_sequence`.

    Raises:
        DataError: lengths that disagree, a non-finite number, an action outside [-1, 1], an unknown ending.
    """

    boot: str
    first_sequence: int
    episode: int
    first_step: int
    observations: NDArray[np.float32]
    actions: NDArray[np.float32]
    proposed_actions: NDArray[np.float32]
    rewards: NDArray[np.float32]
    success: NDArray[np.bool_]
    intervened: NDArray[np.bool_]
    safety: NDArray[np.uint16]
    policy_versions: NDArray[np.int64]
    stamps_s: NDArray[np.float64]
    ending: Ending = ""
    cause: str = ""

    def __post_init__(self) -> None:
        where = f"Episode {self.episode} from step {self.first_step}"
        if len(self.rewards) == 0:
            raise DataError(where, "it holds no transition", "at least one")
        if self.ending not in ENDINGS:
            raise DataError(where, f"ending is {self.ending!r}", f"one of {ENDINGS}")
        self._check_shapes(where)
        self._check_values(where)

    def _check_shapes(self, where: str) -> None:
        n = len(self.rewards)
        if self.observations.ndim != 2 or len(self.observations) != n + 1:
            raise DataError(
                where, f"observations have shape {self.observations.shape}", f"({n + 1}, O) for {n} rewards"
            )
        for name, dtype in _COLUMNS.items():
            column = getattr(self, name)
            if len(column) != n or column.dtype != dtype:
                raise DataError(
                    where, f"{name} has shape {column.shape} and dtype {column.dtype}", f"{n} rows of {dtype}"
                )
        for name in ("actions", "proposed_actions"):
            if getattr(self, name).ndim != 2:
                raise DataError(where, f"{name} has shape {getattr(self, name).shape}", f"({n}, A)")

    def _check_values(self, where: str) -> None:
        for name in ("observations", "actions", "proposed_actions", "rewards", "stamps_s"):
            finite = np.isfinite(getattr(self, name))
            if not finite.all():
                index = np.argwhere(~finite)[0].tolist()
                raise DataError(where, f"{name} holds a non-finite number at index {index}", "finite values")
        for name in ("actions", "proposed_actions"):
            size = float(np.abs(getattr(self, name)).max(initial=0.0))
            if size > 1.0:
                raise DataError(where, f"{name} reaches {size:.6g}", "values in [-1, 1]")

    def __len__(self) -> int:
        return len(self.rewards)

    @property
    def is_episode(self) -> bool:
        """Whether this is one whole episode."""
        return self.first_step == 0 and self.ending != ""

    @property
    def next_sequence(self) -> int:
        """The sequence number after the last transition."""
        return self.first_sequence + len(self)

    @property
    def filtered(self) -> NDArray[np.bool_]:
        """(N,) whether the safety filter changed the command."""
        return self.safety.astype(np.bool_)

    @property
    def bootstrap(self) -> NDArray[np.float32]:
        """(N,) 1 where the value of the next observation counts, 0 at a true terminal. A time limit bootstraps."""
        mask = np.ones(len(self), np.float32)
        if self.ending == "terminated":
            mask[-1] = 0.0
        return mask

    @staticmethod
    def from_transitions(transitions: Sequence[Transition]) -> "Segment":
        """Stack consecutive transitions of one episode.

        Raises:
            DataError: they are not consecutive, or an earlier one than the last has an ending.
        """
        first, last = transitions[0], transitions[-1]
        for i, t in enumerate(transitions):
            if (t.boot, t.sequence, t.episode, t.step) != (
                first.boot,
                first.sequence + i,
                first.episode,
                first.step + i,
            ) or (t.ending and t is not last):
                raise DataError(
                    f"Episode {first.episode}", f"transition {i} is not the successor of the one before", "one episode"
                )
        return Segment(
            boot=first.boot,
            first_sequence=first.sequence,
            episode=first.episode,
            first_step=first.step,
            observations=np.array([*(t.observation for t in transitions), last.next_observation], np.float32),
            actions=np.array([t.action for t in transitions], np.float32),
            proposed_actions=np.array([t.proposed_action for t in transitions], np.float32),
            rewards=np.array([t.reward for t in transitions], np.float32),
            success=np.array([t.success for t in transitions], np.bool_),
            intervened=np.array([t.intervened for t in transitions], np.bool_),
            safety=np.array([t.safety for t in transitions], np.uint16),
            policy_versions=np.array([t.policy_version for t in transitions], np.int64),
            stamps_s=np.array([t.stamps_s for t in transitions], np.float64).reshape(-1, 4),
            ending=last.ending,
            cause=last.cause,
        )

    @staticmethod
    def join(segments: Sequence["Segment"]) -> "Segment":
        """Concatenate consecutive segments of one episode, sharing the observation at each seam.

        Raises:
            DataError: a gap, another episode, or a seam whose two observations differ.
        """
        first, last = segments[0], segments[-1]
        for before, after in zip(segments, segments[1:], strict=False):
            if (
                (after.boot, after.episode) != (before.boot, before.episode)
                or after.first_sequence != before.next_sequence
                or after.first_step != before.first_step + len(before)
                or not np.array_equal(before.observations[-1], after.observations[0])
            ):
                raise DataError(
                    f"Episode {first.episode}",
                    f"the segment from sequence {after.first_sequence} does not continue the one before",
                    f"boot {before.boot}, sequence {before.next_sequence}",
                )
        columns = {name: np.concatenate([getattr(s, name) for s in segments]) for name in _COLUMNS}
        observations = np.concatenate([*(s.observations[:-1] for s in segments), last.observations[-1:]])
        return Segment(
            boot=first.boot,
            first_sequence=first.first_sequence,
            episode=first.episode,
            first_step=first.first_step,
            observations=observations,
            ending=last.ending,
            cause=last.cause,
            **columns,
        )

    def same_as(self, other: "Segment") -> bool:
        """Whether every field is equal, arrays element by element."""
        return all(np.array_equal(getattr(self, f.name), getattr(other, f.name)) for f in fields(self))


@dataclass(frozen=True, slots=True, eq=False)
class PolicySnapshot:
    """The actor network alone, as arrays that NumPy can run.

    `arrays` maps "dense_0/kernel" (in, out) float32, "dense_0/bias" (out,) … and "mean/kernel", "mean/bias",
    "log_std/kernel", "log_std/bias"; hidden activation ReLU, output a tanh-squashed Gaussian.
    `version` counts up by one per publication; `fingerprint` is that of the `ProblemSpec` it was trained for.
    """

    version: int
    fingerprint: str
    env_steps: int
    critic_updates: int
    arrays: Mapping[str, NDArray[np.float32]]


class Batch(NamedTuple):
    """Transitions as the learner consumes them, column by column; leading dimensions [N], [B] or [U, B].

    A NamedTuple is a JAX pytree by itself, so NumPy and JAX arrays both fit.

    Attributes:
        observation: (…, O) float32.
        action: (…, A) float32 in [-1, 1], as executed.
        reward: (…) float32.
        next_observation: (…, O) float32.
        bootstrap: (…) float32, 1 - terminated: whether the next value counts.
        is_demo: (…) float32, 1 for a row of the prior data.
    """

    observation: Any
    action: Any
    reward: Any
    next_observation: Any
    bootstrap: Any
    is_demo: Any


def to_batch(segment: Segment, *, is_demo: bool) -> Batch:
    """The rows of one segment for a replay ring, leading dimension [N]."""
    return Batch(
        observation=segment.observations[:-1],
        action=segment.actions,
        reward=segment.rewards,
        next_observation=segment.observations[1:],
        bootstrap=segment.bootstrap,
        is_demo=np.full(len(segment), float(is_demo), np.float32),
    )

"""Episodes of a small arm that no check has anything to say about, for tests to spoil."""

from functools import lru_cache

import numpy as np

from rlpd_robot.data.lint.view import EpisodeView
from rlpd_robot.spec import Field, ProblemSpec, RobotSpec

EPISODES, STEPS, PERIOD_S = 12, 120, 0.02
A, O = 3, 7  # noqa: E741


def make_problem() -> ProblemSpec:
    """Joint positions 3, joint velocities 3, angle of a door."""
    robot = RobotSpec(
        name="arm",
        period_s=PERIOD_S,
        state=(
            Field("position", (3,), "float64", "rad", (-2.0,) * 3, (2.0,) * 3),
            Field("velocity", (3,), "float64", "rad/s"),
            Field("door", (), "float64", "rad"),
        ),
        command=(Field("target", (3,), "float64", "rad", (-2.0,) * 3, (2.0,) * 3, ("base", "elbow", "wrist")),),
    )
    return ProblemSpec(robot, "open", O, A, horizon=200)


def make_view(index: int) -> EpisodeView:
    """One attempt: joints follow their targets at once, half of the way in each period; the door opens at the end."""
    rng = np.random.default_rng(index)
    n = STEPS + int(rng.integers(0, 20))
    wander = np.cumsum(rng.normal(0, 0.05, (n, A)), axis=0)
    actions = (0.7 * np.tanh(wander + rng.normal(0, 0.1, (n, A)))).astype(np.float32)
    position = np.zeros((n + 1, A))
    position[0] = rng.normal(0, 0.2, A)
    for t in range(n):
        position[t + 1] = position[t] + 0.5 * (2.0 * actions[t] - position[t]) + rng.normal(0, 1e-3, A)
    velocity = np.diff(position, axis=0, prepend=position[:1]) / PERIOD_S * 0.02
    door = np.maximum(0, np.arange(n + 1) - 0.7 * n) * 0.03 + rng.normal(0, 1e-3, n + 1)
    success = door[1:] > 0.5
    state_s = 100.0 * index + PERIOD_S * np.arange(n) + rng.uniform(0, 1e-3, n)
    return EpisodeView(
        index=index,
        problem=make_problem(),
        boot="boot-a",
        observations=np.concatenate([position, velocity, door[:, None]], axis=1).astype(np.float32),
        actions=actions,
        proposed_actions=actions.copy(),
        rewards=np.where(success, 0, -1).astype(np.float32),
        success=success,
        intervened=np.ones(n, np.bool_),
        safety=np.zeros(n, np.uint16),
        stamps_s=state_s[:, None] + np.array([0, 1e-3, 2e-3, 3e-3]),
        ending="truncated",
        cause="stopped by the operator",
    )


@lru_cache
def _views() -> tuple[EpisodeView, ...]:
    return tuple(make_view(i) for i in range(EPISODES))


def make_views() -> list[EpisodeView]:
    """A dozen of them. Their arrays are shared: copy what you change."""
    return list(_views())

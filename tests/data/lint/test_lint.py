"""Each defect is planted by itself into healthy episodes, and found under its name, where it is, and nowhere else."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from rlpd_robot.data.demo_store import DemoStore
from rlpd_robot.data.dimensions import action_names
from rlpd_robot.data.lint.checks import CHECKS
from rlpd_robot.data.lint.finding import Finding, Place, Severity
from rlpd_robot.data.lint.lag import LagSums
from rlpd_robot.data.lint.run import lint, lint_store
from rlpd_robot.data.lint.view import EpisodeView
from tests.data.lint.healthy import A, O, make_problem, make_views

Views = list[EpisodeView]
ROOT = Path(__file__).parents[3]


def names(findings: Sequence[Finding]) -> list[str]:
    return [f.check for f in findings]


def changed(view: EpisodeView, column: str, change: Callable[[NDArray], None]) -> EpisodeView:  # type: ignore[type-arg]
    values = getattr(view, column).copy()
    change(values)
    return replace(view, **{column: values})


def spoil(views: Views, column: str, change: Callable[[NDArray], None], episodes: Sequence[int]) -> Views:  # type: ignore[type-arg]
    return [changed(v, column, change) if v.index in episodes else v for v in views]


def everywhere(views: Views, column: str, change: Callable[[NDArray], None]) -> Views:  # type: ignore[type-arg]
    return spoil(views, column, change, range(len(views)))


def put(index: object, value: object) -> Callable[[NDArray], None]:  # type: ignore[type-arg]
    def change(values: NDArray) -> None:  # type: ignore[type-arg]
        values[index] = value

    return change


def add(index: object, value: object) -> Callable[[NDArray], None]:  # type: ignore[type-arg]
    def change(values: NDArray) -> None:  # type: ignore[type-arg]
        values[index] += value

    return change


def test_healthy_episodes_are_left_in_peace() -> None:
    assert lint(make_problem(), make_views()) == []


def not_finite(views: Views) -> Views:
    return spoil(views, "rewards", put(7, np.nan), [4])


def outside_range(views: Views) -> Views:
    return spoil(views, "proposed_actions", put((slice(3, 5), 1), 1.5), [2])


def saturated(views: Views) -> Views:
    for column in ("actions", "proposed_actions"):
        views = everywhere(views, column, put((slice(20, 60), 2), 1.0))
    return views


def filtered(views: Views) -> Views:
    views = spoil(views, "proposed_actions", add((slice(10, 30), 0), 0.2), [1, 2])
    return spoil(views, "safety", put(slice(10, 30), 8), [1, 2])


def replaced(views: Views) -> Views:
    return spoil(views, "proposed_actions", add((slice(10, 30), 0), 0.2), [1, 2])


def idle(views: Views) -> Views:
    still = []
    for v in views:
        n = 40
        still.append(
            replace(
                v,
                actions=np.concatenate([np.repeat(v.actions[:1], n, 0), v.actions]),
                proposed_actions=np.concatenate([np.repeat(v.actions[:1], n, 0), v.proposed_actions]),
                observations=np.concatenate(
                    [v.observations[:1] + 1e-5 * np.arange(n, dtype=np.float32)[:, None], v.observations]
                ),
                rewards=np.concatenate([np.full(n, -1, np.float32), v.rewards]),
                success=np.concatenate([np.zeros(n, np.bool_), v.success]),
                safety=np.zeros(n + len(v), np.uint16),
                stamps_s=np.concatenate([v.stamps_s[:1] - 0.02 * np.arange(n, 0, -1)[:, None], v.stamps_s]),
            )
        )
    return still


def stuck(views: Views) -> Views:
    def freeze(o: NDArray[np.float32]) -> None:
        o[30:60, 0] = o[30, 0]
        o[60:, 0] += 2.0

    return spoil(views, "observations", freeze, [5])


def repeated(views: Views) -> Views:
    def hold(o: NDArray[np.float32]) -> None:
        o[1::2] = o[: len(o) - 1 : 2][: len(o[1::2])]

    return spoil(views, "observations", hold, [0, 1, 2])


def huge(views: Views) -> Views:
    return everywhere(views, "observations", lambda o: o.__setitem__((slice(None), 6), 1000 * o[:, 6]))


def turns_over(views: Views) -> Views:
    def wrap(o: NDArray[np.float32]) -> None:
        o[:, 6] = (np.linspace(2.5, 4.0, len(o)) + np.pi) % (2 * np.pi) - np.pi

    return everywhere(views, "observations", wrap)


def quaternion(views: Views) -> Views:
    def rotate(o: NDArray[np.float32]) -> None:
        half = np.linspace(0.2, 0.9, len(o))
        q = np.stack([np.cos(half), 0.6 * np.sin(half), 0.48 * np.sin(half), 0.64 * np.sin(half)], axis=1)
        q[50:70] *= -1
        o[:, 3:7] = q

    return everywhere(views, "observations", rotate)


def out_of_order(views: Views) -> Views:
    return spoil(views, "stamps_s", add((11, 1), -0.002), [3])


def jitter(views: Views) -> Views:
    return spoil(views, "stamps_s", add((slice(5, 100, 5),), 0.012), [3, 4])


def gap(views: Views) -> Views:
    return spoil(views, "stamps_s", add((slice(60, None),), 0.1), [3])


def slow_action(views: Views) -> Views:
    return spoil(views, "stamps_s", add((slice(20, 60), 3), 0.011), [3, 4])


def large_reward(views: Views) -> Views:
    return spoil(views, "rewards", put(-1, 1000.0), [3])


def flickers(views: Views) -> Views:
    return spoil(views, "success", put(slice(1, 60, 9), True), [6])


def limit(views: Views) -> Views:
    def give_up(v: EpisodeView) -> EpisodeView:
        lost = replace(v, success=np.zeros_like(v.success), rewards=np.full_like(v.rewards, -1))
        return replace(lost, ending="terminated", cause="time limit")

    return [give_up(v) if v.index in (3, 9) else v for v in views]


def cut_at_success(views: Views) -> Views:
    def cut(v: EpisodeView) -> EpisodeView:
        n = int(v.success.argmax()) + 1
        columns = ("actions", "proposed_actions", "rewards", "success", "intervened", "safety", "stamps_s")
        return replace(v, observations=v.observations[: n + 1], **{c: getattr(v, c)[:n] for c in columns})

    return [cut(v) if v.index == 2 else v for v in views]


def outside_spec(views: Views) -> Views:
    return spoil(views, "observations", add((slice(30, 33), 1), 5.0), [2])


def twins(views: Views) -> Views:
    return everywhere(views, "observations", lambda o: o.__setitem__((slice(None), 5), o[:, 4]))


def slow_rate(views: Views) -> Views:
    return everywhere(views, "stamps_s", lambda s: s.__setitem__(slice(None), s[:1] + 1.5 * (s - s[:1])))


def fast_rate(views: Views) -> Views:
    return everywhere(views, "stamps_s", lambda s: s.__setitem__(slice(None), s[:1] + 0.05 * (s - s[:1])))


def late_motion(views: Views) -> Views:
    def delay(o: NDArray[np.float32]) -> None:
        o[6:] = o[:-6].copy()

    return everywhere(views, "observations", delay)


def early_motion(views: Views) -> Views:
    def hasten(o: NDArray[np.float32]) -> None:
        o[:-3] = o[3:].copy()

    return everywhere(views, "observations", hasten)


def constant_reward(views: Views) -> Views:
    return everywhere(views, "rewards", put(slice(None), -1.0))


def no_success(views: Views) -> Views:
    return everywhere(views, "success", put(slice(None), False))


def cost_as_reward(views: Views) -> Views:
    return everywhere(views, "rewards", lambda r: r.__setitem__(slice(None), -r))


def short(views: Views) -> Views:
    v = views[8]
    columns = ("actions", "proposed_actions", "rewards", "success", "intervened", "safety", "stamps_s")
    views[8] = replace(v, observations=v.observations[:4], **{c: getattr(v, c)[:3] for c in columns})
    return views


def too_long(views: Views) -> Views:
    problem = replace(make_problem(), horizon=60)
    return [replace(v, problem=problem) for v in views]


def twice(views: Views) -> Views:
    return [*views, replace(views[3], index=len(views), stamps_s=views[3].stamps_s + 1e4)]


def mirrored(views: Views) -> Views:
    views = everywhere(views, "observations", add((slice(None), 6), 5.0))
    return spoil(views, "observations", lambda o: o.__setitem__((slice(None), 6), -o[:, 6]), [7])


def shifted(views: Views) -> Views:
    views = spoil(views, "observations", add((slice(None), 6), 0.5), range(6, 12))
    return [replace(v, boot="boot-b") if v.index >= 6 else v for v in views]


def constant_observation(views: Views) -> Views:
    return everywhere(views, "observations", put((slice(None), 6), 0.25))


def constant_action(views: Views) -> Views:
    for column in ("actions", "proposed_actions"):
        views = everywhere(views, column, put((slice(None), 1), 0.0))
    return views


def outlier(views: Views) -> Views:
    for column in ("actions", "proposed_actions"):
        views = spoil(views, column, lambda a: a.__setitem__(slice(None, None, 2), -a[::2]), [5])
    return views


PLANTED: dict[str, tuple[Callable[[Views], Views], set[str]]] = {
    "not-finite": (not_finite, set()),
    "outside-range": (outside_range, {"replaced-action"}),
    "saturated-action": (saturated, set()),
    "filtered-action": (filtered, set()),
    "replaced-action": (replaced, set()),
    "idle": (idle, set()),
    "stuck-sensor": (stuck, {"outside-spec"}),
    "repeated-observation": (repeated, set()),
    "huge-observation": (huge, set()),
    "angle-turns-over": (turns_over, set()),
    "quaternion-flips": (quaternion, set()),
    "stamps-out-of-order": (out_of_order, set()),
    "jitter": (jitter, set()),
    "gap": (gap, set()),
    "slow-action": (slow_action, set()),
    "large-reward": (large_reward, {"outlier-episode"}),
    "success-flickers": (flickers, set()),
    "limit-as-terminal": (limit, {"outlier-episode"}),
    "cut-at-success": (cut_at_success, set()),
    "outside-spec": (outside_spec, set()),
    "duplicated-sensor": (twins, set()),
    "slow-rate": (slow_rate, set()),
    "fast-rate": (fast_rate, set()),
    "late-motion": (late_motion, set()),
    "motion-before-action": (early_motion, set()),
    "constant-reward": (constant_reward, set()),
    "no-success": (no_success, set()),
    "reward-against-success": (cost_as_reward, set()),
    "short-episode": (short, {"outlier-episode"}),
    "longer-than-horizon": (too_long, set()),
    "repeated-episode": (twice, set()),
    "mirrored-axis": (mirrored, set()),
    "shifted-frame": (shifted, set()),
    "constant-observation": (constant_observation, set()),
    "constant-action": (constant_action, set()),
    "outlier-episode": (outlier, set()),
}


@pytest.mark.parametrize("check", PLANTED)
def test_a_planted_defect_is_found_under_its_name(check: str) -> None:
    plant, beside = PLANTED[check]
    views = plant(make_views())
    found = lint(views[0].problem, views)
    assert check in names(found)
    assert set(names(found)) <= {check} | beside, [f.what for f in found]


def test_every_check_that_looks_at_one_episode_is_planted() -> None:
    assert {check.name for check in CHECKS} <= PLANTED.keys()


def only(findings: Sequence[Finding], check: str) -> Finding:
    (found,) = [f for f in findings if f.check == check]
    return found


def test_a_finding_says_where_and_how_often() -> None:
    found = only(lint(make_problem(), stuck(make_views())), "stuck-sensor")
    assert (found.severity, found.dimension, found.count) == (Severity.WARNING, "observation[0]", 30)
    assert found.places == (Place(5, 30, 59, 30),)
    assert str(found.places[0]) == "episode 5 steps 30-59"
    assert found.what == "observation[0] stood still and then jumped, 30 steps in 1 episodes"
    views = spoil(make_views(), "rewards", put([3, 9], np.inf), [4])
    found = only(lint(make_problem(), spoil(views, "rewards", put([1, 2, 6], np.nan), [7])), "not-finite")
    assert [str(place) for place in found.places] == [
        "episode 7 steps 1-6 (3 of them)",
        "episode 4 steps 3-9 (2 of them)",
    ]


def test_in_lock_step_the_wall_clock_says_nothing() -> None:
    """Slow motion at a keyboard, a paused stand-in: its own time went on evenly."""
    views = jitter(slow_rate(make_views()))
    assert {"jitter", "slow-rate"} <= set(names(lint(make_problem(), views, {"lockstep": False})))
    assert names(lint(make_problem(), views, {"lockstep": True})) == []


def test_a_joint_at_rest_at_the_end_of_its_range_is_not_saturated() -> None:
    def rest(actions: NDArray) -> None:  # type: ignore[type-arg]
        actions[:, 0] = -1

    views = [changed(changed(v, "actions", rest), "proposed_actions", rest) for v in make_views()]
    found = names(lint(make_problem(), views))
    assert "constant-action" in found
    assert "saturated-action" not in found


def test_actions_are_named_after_the_command() -> None:
    found = only(lint(make_problem(), saturated(make_views())), "saturated-action")
    assert found.dimension == "target[wrist]"
    assert found.what.startswith("action target[wrist] is at the end of its range in 30 % of steps (480 of 1590)")


@pytest.mark.parametrize(("planted", "steps"), [(late_motion, 6), (early_motion, -3)])
def test_the_lag_is_measured(planted: Callable[[Views], Views], steps: int) -> None:
    views = planted(make_views())
    sums = LagSums(A, O)
    for v in views:
        sums.add(v.actions, v.observations)
    lags = sums.lags()
    assert [(lag.action, lag.steps) for lag in lags] == [(0, steps), (1, steps), (2, steps)]
    assert {lag.observation % 3 for lag in lags} == {0, 1, 2}, "each is found in its own joint"
    assert "(120 ms)" in only(lint(make_problem(), late_motion(make_views())), "late-motion").what


def test_a_left_handed_frame() -> None:
    problem = replace(make_problem(), observation_size=O + 9)

    def with_frame(v: EpisodeView, mirror: float) -> EpisodeView:
        angle = np.linspace(0, 1, len(v.observations))
        zero, one = np.zeros_like(angle), np.ones_like(angle)
        rows = [np.cos(angle), -np.sin(angle), zero, np.sin(angle), np.cos(angle), zero, zero, zero, mirror * one]
        frame = np.stack(rows, axis=1).astype(np.float32)
        return replace(v, problem=problem, observations=np.concatenate([v.observations, frame], axis=1))

    right, left = ([with_frame(v, mirror) for v in make_views()] for mirror in (1.0, -1.0))
    assert "left-handed-frame" not in names(lint(problem, right))
    found = only(lint(problem, left), "left-handed-frame")
    assert found.what == "observation[7] to [15] are a rotation matrix of determinant -1: a left-handed frame"


def test_what_an_importer_clipped() -> None:
    notes = {"transitions with actions clipped to [-1, 1]": 40, "pictures left out": 7}
    found = lint(make_problem(), make_views(), {"import": {"notes": notes}})
    assert names(found) == ["clipped-at-import"]
    assert found[0].what.startswith("40 transitions with actions clipped to [-1, 1]")
    for odd in (3, {"notes": 3}, {"notes": {"actions clipped": "many"}}):
        assert lint(make_problem(), make_views(), {"import": odd}) == []


def test_actions_of_another_size_than_the_command() -> None:
    problem = replace(make_problem(), action_size=2)
    views = [
        replace(v, problem=problem, actions=v.actions[:, :2], proposed_actions=v.actions[:, :2]) for v in make_views()
    ]
    assert names(lint(problem, views)) == ["action-size"]


def test_no_episode() -> None:
    (found,) = lint(make_problem(), [])
    assert (found.check, found.severity) == ("empty", Severity.ERROR)


def test_a_thing_at_rest_is_no_stuck_sensor() -> None:
    views = everywhere(make_views(), "observations", lambda o: o.__setitem__((slice(0, 80), 6), 0.0))
    assert lint(make_problem(), views) == []


def test_what_may_be_a_time_limit_and_is_a_success() -> None:
    views = [replace(v, ending="terminated", cause="time limit") for v in make_views()]
    assert lint(make_problem(), views) == []


def test_another_kind_of_episode_is_no_outlier() -> None:
    views = spoil(make_views(), "rewards", put(slice(None), -3.0), [0, 4, 8])
    assert lint(make_problem(), views) == []


def test_the_worst_comes_first() -> None:
    views = fast_rate(saturated(not_finite(make_views())))
    found = [f.severity for f in lint(make_problem(), views)]
    assert found == [Severity.ERROR, Severity.WARNING, Severity.HINT]


def test_what_is_found_in_the_shipped_stores_is_so() -> None:
    """The door's card tells the same: its policy was held back by the speed limits, and bends the wrist to its end."""
    store = DemoStore.open(ROOT / "demos/adroit_door/demos.zarr")
    found = lint_store(store.path)
    assert set(names(found)) == {"filtered-action", "saturated-action"}
    rows = list(store.episodes())
    different = sum((np.abs(e.actions - e.proposed_actions) > 1e-4) & e.filtered[:, None] for e in rows).sum(axis=0)
    by_name = dict(zip(action_names(store.problem), different.tolist(), strict=True))
    for finding in found:
        if finding.check == "filtered-action":
            assert by_name[finding.dimension or ""] == finding.count
    wrist = action_names(store.problem).index("joint_target[WRJ1]")
    (at_its_end,) = (finding for finding in found if finding.check == "saturated-action")
    assert at_its_end.dimension == "joint_target[WRJ1]"
    assert at_its_end.count == sum(int(np.sum(np.abs(e.actions[:, wrist]) >= 0.999)) for e in rows) == 1131

    store = DemoStore.open(ROOT / "demos/adroit_pen/demos.zarr")
    found = lint_store(store.path)
    assert names(found) == ["duplicated-sensor", "fast-rate"]
    assert found[0].what == "observation[24], observation[39] are the same in every step"
    for e in store.episodes():  # the pen's place, and its place from a target that is at 0 along that axis
        np.testing.assert_array_equal(e.observations[:, 24], e.observations[:, 39])


def test_a_large_store_is_looked_at_in_part(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    of = EpisodeView.of
    monkeypatch.setattr(EpisodeView, "of", lambda index, *rest: seen.append(index) or of(index, *rest))
    lint_store(ROOT / "demos/adroit_pen/demos.zarr", most_steps=1000)
    assert seen == [*range(0, 25, 3)], "2,500 transitions"

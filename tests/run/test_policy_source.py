import contextlib
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rlpd_robot.errors import DataError, SpecMismatchError
from rlpd_robot.run.policy_archive import PolicyArchive
from rlpd_robot.run.policy_source import REASONS, PolicySource
from rlpd_robot.types import PolicySnapshot
from tests.run.point import PROBLEM, policy, save_policy
from tests.wire.waiting import wait_until

SEEN = np.array([0.5, -0.5, 0.0, 0.0], np.float32)


class Subscriber:
    """Gives what a test has put in."""

    def __init__(self) -> None:
        self.coming: list[PolicySnapshot] = []

    def poll(self) -> PolicySnapshot | None:
        return self.coming.pop(0) if self.coming else None

    def wait(self, version: int, timeout_s: float) -> PolicySnapshot | None:
        while self.coming:
            if self.coming[0].version >= version:
                return self.coming.pop(0)
            self.coming.pop(0)
        return None


class Bench:
    """A source with all that it needs, and what it told."""

    def __init__(self, run: Path, seed: int = 0) -> None:
        self.told: list[str] = []
        self.subscriber: Any = Subscriber()
        self.archive = PolicyArchive(run)
        self.source = PolicySource(self.subscriber, PROBLEM, seed, self.archive, self.told.append)

    def close(self) -> None:
        self.archive.close()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with contextlib.closing(Bench(tmp_path)) as bench:
        yield bench


def spoiled(number: float, version: int = 9) -> PolicySnapshot:
    snapshot = policy(version=version)
    kernel = snapshot.arrays["mean/kernel"].copy()
    kernel[1, 1] = number
    return replace(snapshot, arrays={**snapshot.arrays, "mean/kernel": kernel})


def cut(name: str, version: int = 9) -> PolicySnapshot:
    snapshot = policy(version=version)
    return replace(snapshot, arrays={k: (v[:-1] if k == name else v) for k, v in snapshot.arrays.items()})


def of_three_axes() -> PolicySnapshot:
    """A good network, of a robot with one more position."""
    snapshot = policy(version=9)
    kernel = np.zeros((6, 4), np.float32)
    return replace(snapshot, arrays={**snapshot.arrays, "dense_0/kernel": kernel})


@pytest.mark.parametrize(
    ("bad", "reason", "words"),
    [
        (spoiled(math.nan), "nonfinite", "mean/kernel holds a non-finite number"),
        (spoiled(math.inf), "nonfinite", "mean/kernel holds a non-finite number"),
        (spoiled(-math.inf), "nonfinite", "mean/kernel holds a non-finite number"),
        (cut("mean/bias"), "shape", "mean has kernel (4, 2) and bias (1,)"),
        (cut("dense_0/kernel"), "shape", "it maps 3 observations to 2 actions. Expected 4 to 2"),
        (of_three_axes(), "shape", "it maps 6 observations to 2 actions. Expected 4 to 2"),
        (replace(policy(version=9), fingerprint="other"), "spec", "it was trained for another robot or task"),
        (replace(policy(version=9), fingerprint="other", arrays={}), "spec", "it was trained for another robot or"),
        (policy(version=2), "older", "version 3 was here before"),
        (policy(version=3, gain=1.0), "older", "version 3 was here before"),
        (replace(policy(version=2), arrays={}), "older", "version 3 was here before"),
    ],
)
def test_a_bad_snapshot_is_refused_and_the_last_good_one_goes_on(
    bench: Bench, bad: PolicySnapshot, reason: str, words: str
) -> None:
    bench.source.take(policy(version=3))
    good = bench.source.current().act(SEEN, explore=False)
    bench.source.take(bad)
    assert bench.source.current().version == 3
    assert np.array_equal(bench.source.current().act(SEEN, explore=False), good)
    stats = bench.source.stats()
    assert {r: stats[f"policies_refused_{r}"] for r in REASONS} == {r: float(r == reason) for r in REASONS}
    assert (stats["policies_received"], stats["policies_refused"]) == (1, 1)
    [told] = bench.told
    assert told.startswith(f"refused policy {bad.version} ({reason}): ")
    assert words in told
    assert told.endswith("; policy 3 goes on acting")


def test_a_burst_is_told_once_and_another_reason_again(bench: Bench) -> None:
    bench.source.take(policy(version=3))
    for version in range(10, 20):
        bench.source.take(spoiled(math.nan, version))
    bench.source.take(policy(version=1))
    assert [text.partition(":")[0] for text in bench.told] == [
        "refused policy 10 (nonfinite)",
        "refused policy 1 (older)",
    ]
    assert bench.source.stats()["policies_refused_nonfinite"] == 10


def test_a_disk_that_keeps_no_policy_is_told(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "actor").write_text("in the way")
    bench.source.take(policy(version=1))
    wait_until(lambda: bench.archive.errors)
    bench.source.take(policy(version=2))
    assert bench.told[0].startswith("policy 1 could not be kept on disk (")
    assert bench.source.current().version == 2


def test_the_first_of_all_may_be_bad_too(bench: Bench) -> None:
    bench.source.take(spoiled(math.nan))
    assert bench.source.acting is None
    assert bench.told[0].endswith("; there is no other yet")


def test_the_same_snapshot_again_is_no_fault(bench: Bench) -> None:
    """As a learner sends that goes on from its last checkpoint."""
    bench.source.take(policy(version=3))
    bench.source.take(policy(version=3))
    assert bench.told == []
    assert bench.source.stats()["policies_refused"] == 0


def test_an_earlier_version_is_pinned_and_newer_ones_wait(bench: Bench, tmp_path: Path) -> None:
    save_policy(tmp_path / "checkpoints" / "at-1" / "policy.npz", gain=1.0, version=4)
    source = bench.source
    bench.subscriber.coming = [policy(version=7)]
    assert source.newest().version == 7
    assert source.pin(4) == "policy 4 acts instead of 7 until `rlpd-robot unpin`"
    bench.subscriber.coming = [policy(version=8)]
    assert source.newest().version == 4
    assert np.allclose(source.current().act(SEEN, explore=False), np.tanh(-1.0 * SEEN[:2]))
    stats = source.stats()
    assert (stats["policy_version"], stats["policy_pinned"], stats["policy_newest"]) == (4, 4, 8)
    assert source.unpin() == "policy 8 acts instead of 4, and newer ones as they come"
    assert source.newest().version == 8
    assert source.unpin() == "no policy is pinned"
    assert source.stats()["policy_pinned"] == -1


def test_what_cannot_act_cannot_be_pinned(bench: Bench, tmp_path: Path) -> None:
    save_policy(tmp_path / "checkpoints" / "at-1" / "policy.npz", version=4, fingerprint="other")
    bench.source.take(policy(version=7))
    with pytest.raises(SpecMismatchError):
        bench.source.pin(4)
    with pytest.raises(DataError, match=r"^Policy 5: it is not on this machine in .*\. Expected "):
        bench.source.pin(5)
    assert bench.source.current().version == 7


def test_a_pin_from_the_start_needs_no_learner_and_cannot_be_let_go_without_one(bench: Bench, tmp_path: Path) -> None:
    save_policy(tmp_path / "policy.npz", version=4)
    bench.source.pin(4)
    assert bench.source.newest().version == 4
    with pytest.raises(DataError, match="no other has come yet"):
        bench.source.unpin()
    assert bench.source.pinned


def test_lock_step_takes_the_version_it_is_told_unless_one_is_pinned(bench: Bench, tmp_path: Path) -> None:
    source = bench.source
    bench.subscriber.coming = [policy(version=v) for v in (1, 2, 3)]
    source.wait(2, 0.0)
    assert source.current().version == 2
    assert (source.has(2), source.has(3)) == (True, False)
    save_policy(tmp_path / "policy.npz", version=1)
    source.pin(1)
    assert source.has(99)
    source.wait(99, 0.0)
    assert source.current().version == 1
    source.unpin()
    assert not source.has(99)


def test_a_restarted_actor_begins_with_the_newest_on_disk(tmp_path: Path) -> None:
    with contextlib.closing(Bench(tmp_path)) as first:
        first.source.take(policy(version=5))
    with contextlib.closing(Bench(tmp_path)) as second:
        second.source.begin_from_archive()
        assert second.source.current().version == 5
        second.source.take(policy(version=4))
        assert second.source.current().version == 5  # the learner lags behind its own actor


def test_nothing_on_disk_is_nothing_to_begin_with(bench: Bench) -> None:
    bench.source.begin_from_archive()
    assert bench.source.acting is None
    assert bench.told == []


def noise(bench: Bench, episode: int, draws: int = 3) -> list[list[float]]:
    bench.source.begin_episode(episode)
    return [bench.source.current().act(SEEN, explore=True).tolist() for _ in range(draws)]


@pytest.mark.parametrize("arrays", [True, False])
def test_an_episodes_noise_depends_on_seed_and_episode_alone(tmp_path: Path, arrays: bool) -> None:
    snapshot = policy(version=1) if arrays else replace(policy(version=1), arrays={})
    one, two, other = (Bench(tmp_path / name, seed) for name, seed in (("1", 5), ("2", 5), ("3", 6)))
    for bench in (one, two, other):
        bench.source.take(snapshot)
    noise(one, 0, draws=17)  # the other one was restarted, and acted less before
    assert noise(one, 4) == noise(two, 4)
    assert noise(one, 4) != noise(one, 5)
    assert noise(one, 4) != noise(other, 4)
    for bench in (one, two, other):
        bench.close()

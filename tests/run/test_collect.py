import math
from pathlib import Path

import numpy as np
import pytest

from rlpd_robot.config import build
from rlpd_robot.data.demo_store import DemoStore
from rlpd_robot.errors import ConfigError, DataError, FaultError, SpecMismatchError, StoreError
from rlpd_robot.run.collect import run_collect
from rlpd_robot.run.settings import CollectSettings, RobotSettings
from tests.run.point import FAKE, HORIZON, PROBLEM, save_policy, settings


@pytest.fixture
def policy(tmp_path: Path) -> str:
    return str(save_policy(tmp_path / "policy.npz"))


def collect(tmp_path: Path, policy: str | None, fail: dict[str, int] | None = None, **wanted: object) -> int:
    out = wanted.pop("out", str(tmp_path / "demos.zarr"))
    robot = RobotSettings("fake", {"_target_": f"{FAKE}.FakeDriver", **(fail or {})})
    chosen = CollectSettings(out=out, policy=policy, **wanted)  # type: ignore[arg-type]
    return run_collect(settings(tmp_path, collect=chosen, robot=robot), build)


def test_episodes_become_a_store(tmp_path: Path, policy: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert collect(tmp_path, policy, episodes=3) == 0
    store = DemoStore.open(tmp_path / "demos.zarr")
    store.check(PROBLEM)
    episodes = list(store.episodes())
    assert [(e.episode, e.first_sequence, len(e)) for e in episodes] == [(i, i * HORIZON, HORIZON) for i in range(3)]
    assert {v for e in episodes for v in e.policy_versions.tolist()} == {3}
    assert store.summary().success_rate == 1.0
    assert store.attributes["policy_version"] == 3
    assert store.attributes["lockstep"] is True
    text = capsys.readouterr().out
    assert text.startswith(f"3 of 3 episodes kept in {tmp_path / 'demos.zarr'}: success 100 %, normalised return ")


def test_the_same_seed_gives_the_same_demonstrations(tmp_path: Path, policy: str) -> None:
    for name, seed in (("a", 5), ("b", 5), ("c", 6)):
        assert collect(tmp_path, policy, episodes=2, seed=seed, out=str(tmp_path / name)) == 0
    a, b, c = (DemoStore.open(tmp_path / name).transitions() for name in "abc")
    assert all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))
    assert not np.array_equal(a.observation, c.observation)


def test_exploration_is_a_choice(tmp_path: Path, policy: str) -> None:
    for name, explore in (("a", True), ("b", False)):
        assert collect(tmp_path, policy, episodes=1, explore=explore, out=str(tmp_path / name)) == 0
    noisy, calm = (DemoStore.open(tmp_path / name).transitions().action for name in "ab")
    assert np.abs(np.diff(noisy, axis=0)).max() > 2 * np.abs(np.diff(calm, axis=0)).max()


def test_random_is_a_policy_too(tmp_path: Path) -> None:
    assert collect(tmp_path, "random", episodes=1, keep_failures=True) == 0
    actions = DemoStore.open(tmp_path / "demos.zarr").transitions().action
    assert actions.min() < -0.9
    assert actions.max() > 0.9


def test_failures_are_left_out_and_their_number_is_bounded(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bad = str(save_policy(tmp_path / "bad.npz", gain=-2.0))
    assert collect(tmp_path, bad, episodes=2, max_attempts=3) == 1
    assert capsys.readouterr().out.startswith("0 of 3 episodes kept")
    assert len(DemoStore.open(tmp_path / "demos.zarr")) == 0


def test_failures_are_kept_on_request(tmp_path: Path) -> None:
    bad = str(save_policy(tmp_path / "bad.npz", gain=-2.0))
    assert collect(tmp_path, bad, episodes=2, keep_failures=True) == 0
    assert DemoStore.open(tmp_path / "demos.zarr").summary().success_rate == 0.0


def test_a_store_grows_by_what_is_collected_later(tmp_path: Path, policy: str) -> None:
    for _ in range(2):
        assert collect(tmp_path, policy, episodes=2) == 0
    assert len(DemoStore.open(tmp_path / "demos.zarr")) == 4


@pytest.mark.parametrize(("missing", "key"), [("out", "collect.out"), ("policy", "collect.policy")])
def test_paths_must_be_given(tmp_path: Path, policy: str, missing: str, key: str) -> None:
    given = {"out": str(tmp_path / "demos.zarr"), "policy": policy, missing: None}
    with pytest.raises(ConfigError, match=f"^Setting '{key}' must be a path. Received None.$"):
        collect(tmp_path, **given)


@pytest.mark.parametrize("noise", [-0.1, math.inf, math.nan])
def test_noise_that_is_none(noise: float) -> None:
    with pytest.raises(ConfigError, match=r"'collect\.noise' must be a finite number of at least 0\. Received"):
        CollectSettings(noise=noise)


def test_no_policy(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="none.npz': there is no such policy file"):
        collect(tmp_path, str(tmp_path / "none.npz"))
    assert list(tmp_path.iterdir()) == []


def test_a_policy_of_another_problem_writes_nothing(tmp_path: Path) -> None:
    other = str(save_policy(tmp_path / "other.npz", fingerprint="f" * 16))
    with pytest.raises(SpecMismatchError):
        collect(tmp_path, other)
    assert [path.name for path in tmp_path.iterdir()] == ["other.npz"]


def test_rubbish_for_a_policy_writes_nothing(tmp_path: Path) -> None:
    (tmp_path / "bad.npz").write_bytes(b"PK")
    with pytest.raises(DataError):
        collect(tmp_path, str(tmp_path / "bad.npz"))
    assert [path.name for path in tmp_path.iterdir()] == ["bad.npz"]


def test_something_else_at_the_path_stays_as_it_is(tmp_path: Path, policy: str) -> None:
    (tmp_path / "demos.zarr").write_text("my thesis")
    with pytest.raises(StoreError, match=r"demos\.zarr"):
        collect(tmp_path, policy)
    assert (tmp_path / "demos.zarr").read_text() == "my thesis"


def test_a_fault_keeps_the_episodes_before_it(tmp_path: Path, policy: str) -> None:
    with pytest.raises(FaultError):
        collect(tmp_path, policy, fail={"nan_after": 5}, episodes=1)
    assert len(DemoStore.open(tmp_path / "demos.zarr")) == 0

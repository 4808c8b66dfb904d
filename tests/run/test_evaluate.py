import json
import math
import re
import threading
from pathlib import Path

import pytest

from rlpd_robot.config import build
from rlpd_robot.errors import ConfigError, DataError, FaultError, NoRenderingError, SpecMismatchError, StoreError
from rlpd_robot.robot.fake import FakeDriver, FakeTask
from rlpd_robot.robot.safety import SafetySettings
from rlpd_robot.run.checkpoint import Checkpoint, save_checkpoint
from rlpd_robot.run.consumed import ConsumedBook
from rlpd_robot.run.evaluate import evaluate, film, run_eval, seeds_of, sentence
from rlpd_robot.run.settings import EvalSettings, RobotSettings
from rlpd_robot.run.statistics import wilson_interval
from tests.run.point import HORIZON, policy, save_policy, settings

SAFETY = SafetySettings("range", none_because="it is no robot")


def test_one_deterministic_episode_for_each_seed() -> None:
    driver = FakeDriver()
    one = evaluate(driver, FakeTask(HORIZON), policy(), SAFETY, [5, 7, 5], 1.0)
    assert driver.resets == [5, 7, 5]
    assert [e.steps for e in one.episodes] == [HORIZON] * 3
    assert one.episodes[0].solved_fraction == one.episodes[2].solved_fraction
    assert one.successes == 3


def test_figures_are_those_of_the_episodes() -> None:
    good = evaluate(FakeDriver(), FakeTask(HORIZON), policy(), SAFETY, [1, 2, 3], 1.0)
    figures = good.to_json()
    returns = [episode["normalized_return"] for episode in figures["episodes"]]
    assert [episode["seed"] for episode in figures["episodes"]] == [1, 2, 3]
    assert figures["success_rate"] == 1.0
    assert figures["success_ci95"] == list(wilson_interval(3, 3))
    assert math.isclose(figures["normalized_return"], sum(returns) / 3)
    assert all(0 < value < 100 for value in returns)
    bad = evaluate(FakeDriver(), FakeTask(HORIZON), policy(gain=-2.0), SAFETY, [1, 2], 1.0)
    assert (bad.to_json()["success_rate"], bad.to_json()["normalized_return"]) == (0.0, 0.0)
    assert sentence(bad) == ("0 of 2 deterministic episodes solved (95 % interval 0–66 %), normalised return 0.0")


def test_seeds_count_up_from_the_setting() -> None:
    assert seeds_of(EvalSettings(episodes=3, seed=40)) == [40, 41, 42]


def test_a_policy_of_another_problem_moves_nothing() -> None:
    driver = FakeDriver()
    with pytest.raises(SpecMismatchError, match="Policy snapshot 3 does not match task 'fake-reach' on robot 'fake'"):
        evaluate(driver, FakeTask(HORIZON + 1), policy(), SAFETY, [1], 1.0)
    assert driver.resets == []


def test_a_fault_is_not_an_evaluation() -> None:
    driver = FakeDriver(nan_after=5)
    with pytest.raises(FaultError, match="non-finite"):
        evaluate(driver, FakeTask(HORIZON), policy(), SAFETY, [1], 1.0)
    assert driver.stops >= 5


def test_a_person_may_stop_it() -> None:
    stop = threading.Event()

    class StoppingTask(FakeTask):
        def success(self, state) -> bool:
            if len(driver.resets) == 2:
                stop.set()
            return super().success(state)

    driver = FakeDriver()
    result = evaluate(driver, StoppingTask(HORIZON), policy(), SAFETY, [1, 2, 3, 4], 1.0, stop)
    assert driver.resets == [1, 2]
    assert [e.cause for e in result.episodes] == ["time limit", "stop requested"]
    assert [episode["seed"] for episode in result.to_json()["episodes"]] == [1, 2]


@pytest.mark.parametrize(("gain", "status", "word"), [(2.0, 0, "solved"), (-2.0, 1, "failed")])
def test_the_verb_judges_the_runs_own_policy_and_writes_it_down(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], gain: float, status: int, word: str
) -> None:
    save_policy(tmp_path / "point" / "policy.npz", gain)
    assert run_eval(settings(tmp_path, eval=EvalSettings(episodes=2, seed=9)), build) == status
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("  ")[:2] for line in lines[:2]] == [["seed 9", word], ["seed 10", word]]
    written = json.loads((tmp_path / "point" / "eval.json").read_text())
    assert written["success_rate"] == 1 - status
    assert len(written["episodes"]) == 2


def test_another_policy_leaves_the_runs_figures_alone(tmp_path: Path) -> None:
    path = save_policy(tmp_path / "mine.npz")
    assert run_eval(settings(tmp_path, eval=EvalSettings(episodes=1, policy=str(path))), build) == 0
    assert not (tmp_path / "point").exists()


def test_a_run_under_way_is_judged_by_its_newest_checkpoint(tmp_path: Path) -> None:
    book = ConsumedBook()
    checkpoint = Checkpoint({}, {}, (book.boots, book.runs), policy(version=8), "f")
    save_checkpoint(tmp_path / "point" / "checkpoints", checkpoint, kept=1)
    assert run_eval(settings(tmp_path, eval=EvalSettings(episodes=1)), build) == 0


def test_no_policy(tmp_path: Path) -> None:
    sentence_ = (
        f"Store '{tmp_path / 'point' / 'policy.npz'}': there is no such policy file. "
        "Name one with eval.policy=FILE, or a run with run.name=NAME."
    )
    with pytest.raises(StoreError, match=f"^{re.escape(sentence_)}$"):
        run_eval(settings(tmp_path), build)


def test_rubbish_for_a_policy(tmp_path: Path) -> None:
    (tmp_path / "mine.npz").write_bytes(b"no zip at all")
    with pytest.raises(DataError, match="mine.npz"):
        run_eval(settings(tmp_path, eval=EvalSettings(policy=str(tmp_path / "mine.npz"))), build)


class Camera(FakeDriver):
    """A driver that films, or finds that it cannot."""

    def __init__(self, blind: bool = False) -> None:
        super().__init__()
        self._blind = blind

    def save(self, *paths: Path) -> None:
        if self._blind:
            raise NoRenderingError({"egl": "no display"})
        for path in paths:
            path.write_text(f"{self.resets}")


def test_the_first_episode_is_filmed_again(tmp_path: Path) -> None:
    recipe = {"_target_": "tests.run.test_evaluate.Camera"}
    paths = [tmp_path / "a.mp4", tmp_path / "a.gif"]
    wanted = settings(tmp_path, eval=EvalSettings(episodes=3, seed=11))
    assert film(recipe, FakeTask(HORIZON), policy(), wanted, build, paths) is None
    assert [path.read_text() for path in paths] == ["[11]", "[11]"]


def test_a_machine_that_cannot_draw_says_so(tmp_path: Path) -> None:
    recipe = {"_target_": "tests.run.test_evaluate.Camera", "blind": True}
    reason = film(recipe, FakeTask(HORIZON), policy(), settings(tmp_path), build, [tmp_path / "a.mp4"])
    assert reason is not None
    assert reason.startswith("No video was made, because nothing here could draw it (egl: no display).")


def test_a_driver_that_does_not_exist(tmp_path: Path) -> None:
    save_policy(tmp_path / "point" / "policy.npz")
    wrong = settings(tmp_path, robot=RobotSettings("fake", {"_target_": "no_such_module.Driver"}))
    with pytest.raises(ConfigError, match=r"^Setting '_target_' must be something that can be imported .*no_such_mod"):
        run_eval(wrong, build)

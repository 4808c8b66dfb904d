import functools
import re
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from rlpd_robot import cli
from rlpd_robot.config import build, load
from rlpd_robot.errors import ConfigError, MissingPackageError, RlpdRobotError, SpecError
from rlpd_robot.robot.fake import FakeDriver, FakeTask
from rlpd_robot.verbs import studies
from sim.faults.plan import Plan
from sim.hand import AdroitHand

CONFIGS = Path(str(files("robot_configs")))  # as installed
GROUPS = ("agent", "experiment", "link", "robot", "row", "safety", "task", "teleop")
ROOTS = sorted(path.stem for path in CONFIGS.glob("*.yaml") if path.stem != "base")
CHOICES = [
    (group, path.relative_to(CONFIGS / group).with_suffix("").as_posix())
    for group in GROUPS
    for path in sorted((CONFIGS / group).rglob("*.yaml"))
]
EXPERIMENTS = [choice for choice in CHOICES if choice[0] == "experiment" and "/" not in choice[1]]
DRY_RUNS = [choice for group, choice in CHOICES if group == "experiment" and choice.startswith("dry_run/")]
FOR_DRY_RUNS = "stand_in/joints"
"""No choice of a run: a dry run puts it into `robot.stand_in` (tests/integration/test_dry_run.py)."""
IN_PROCESS = ("adroit_in_process", "gymnasium")
"""Robots without a link."""


composed = functools.cache(load)
"""Of what several tests look at."""


def refused(*words: str, verb: str = "train") -> str:
    """The sentence with which these words are refused."""
    with pytest.raises(ConfigError) as info:
        load(verb, words)
    return str(info.value)


def words_of(group: str, choice: str) -> tuple[str, ...]:
    """A choice, and what a robot's own file must take up."""
    return (f"{group}={choice}", "link.robot=tcp://127.0.0.1:7001", "sim.lockstep=false")


def test_no_file_is_left_out() -> None:
    files = {path.relative_to(CONFIGS).with_suffix("").as_posix() for path in CONFIGS.rglob("*.yaml")}
    assert files == {"base", FOR_DRY_RUNS, *ROOTS, *(f"{group}/{choice}" for group, choice in CHOICES)}
    assert {"actor", "collect", "eval", "learner", "sim", "train"} <= set(ROOTS)


@pytest.mark.parametrize(("group", "choice"), [c for c in CHOICES if c[0] != "row"])  # tests/run/experiment has those
def test_every_choice_composes(group: str, choice: str) -> None:
    settings, text = composed("train", words_of(group, choice))
    assert settings.run.name == f"{settings.task['name']}-seed0"
    assert "???" not in text


@pytest.mark.parametrize("verb", ROOTS)
def test_what_a_verb_would_run_with_is_printed(
    verb: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(studies.BENCHES, "plain", [])
    verbs = {"collect": ["demos", "collect"], "bench": ["bench", "plain"], "dry_run": ["dry-run"]}
    words = verbs.get(verb, [verb])
    assert cli.main([*words, "--cfg", "run.seed=41"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("robot:\n  name: adroit_door\n")
    assert "name: door-seed41" in shown


@pytest.mark.parametrize(("group", "choice"), EXPERIMENTS)
def test_an_experiment_uses_what_belongs_together(group: str, choice: str) -> None:
    settings, _ = composed("train", words_of(group, choice))
    task = build(settings.task)
    assert settings.robot.name == f"adroit_{task.name}"
    assert settings.run.demos is not None
    assert task.name in settings.run.demos


@pytest.mark.parametrize("choice", DRY_RUNS)
def test_every_kind_of_bad_day_can_happen_to_the_hand(choice: str) -> None:
    settings, _ = load("sim", [f"experiment={choice}", "sim.faults.seed=3"])
    assert settings.robot.stand_in is not None
    faults = settings.robot.stand_in["faults"]
    assert faults["seed"] == 3
    hand = AdroitHand("pen", randomize=settings.robot.stand_in["randomize"])
    plan = Plan.of(faults, hand.spec)
    assert (plan is None) == (choice == "dry_run/randomized")
    if plan is not None:
        plan.close()


def test_a_stand_in_that_takes_no_ranges_refuses_them() -> None:
    recipe = ["dry_run.stand_in={_target_: builtins.print}", "robot.stand_in=${dry_run.stand_in}"]
    with pytest.raises(ConfigError, match=r"sim.randomize' must be left alone: the stand-in of robot 'ur5e'"):
        load("sim", ["robot=ur5e", *recipe, "sim.randomize.mass=[1,2]"])
    with pytest.raises(ConfigError, match="sim.twin' must be left alone"):
        load("sim", ["robot=ur5e", *recipe, "sim.twin=x.yaml"])


@pytest.mark.parametrize(("group", "choice"), [c for c in CHOICES if c[0] == "robot" and c[1] not in IN_PROCESS])
def test_a_robots_driver_is_at_its_link(group: str, choice: str) -> None:
    settings, _ = composed("train", words_of(group, choice))
    assert settings.robot.driver["address"] == "tcp://127.0.0.1:7001"
    if settings.robot.stand_in is not None:  # a real robot has none
        assert settings.robot.stand_in["address"] == "tcp://127.0.0.1:7001"
        assert settings.robot.stand_in["lockstep"] is False
    driver = build(settings.robot.driver)
    driver.close()


def test_every_key_of_the_settings_may_be_set() -> None:
    settings, _ = load(
        "train",
        [
            "run.env_steps=7",
            "actor.greedy_every=3",
            "learner.publish_every=9",
            "eval.film=false",
            "learner.mesh.data=2",
        ],
    )
    assert (settings.run.env_steps, settings.actor.greedy_every, settings.learner.publish_every) == (7, 3, 9)
    assert (settings.eval.film, settings.learner.mesh.data, settings.learner.mesh.ensemble) == (False, 2, 1)


@pytest.mark.parametrize(
    ("word", "sentence"),
    [
        (
            "run.sed=1",
            "Setting 'run.sed' must be one of the keys of the group 'run': demos, env_steps, max_minutes, name, root, "
            "seed. Received 'sed'.",
        ),
        (
            "rum=1",
            "Setting 'rum' must be one of the keys of the settings: actor, agent, ",
        ),
        (
            "+run.sed=1",
            "Setting 'run.sed' must be one of the keys of the group 'run': demos, env_steps, max_minutes, name, root, "
            "seed. Received 'sed'.",
        ),
        ("run=5", "Setting 'run' must be a group of the keys name, root, seed, env_steps, max_minutes, demos. Rec"),
        ("run.seed=one", "Setting 'run.seed' must be a whole number. Received 'one'."),
        ("run.seed=1.5", "Setting 'run.seed' must be a whole number. Received 1.5."),
        ("run.seed=[1]", "Setting 'run.seed' must be a whole number. Received [1]."),
        ("run.name=null", "Setting 'run.name' must be a text. Received None."),
        ("agent.target_entropy=low", "Setting 'agent.target_entropy' must be a number or null. Received 'low'."),
        ("agent.layer_norm=maybe", "Setting 'agent.layer_norm' must be true or false. Received 'maybe'."),
        ("robot.driver=3", "Setting 'robot.driver' must be a mapping. Received 3."),
        ("agent.utd=0", "Setting 'agent.utd' must be a whole number of at least 1. Received 0."),
        ("link=nope", "Setting 'link' must be one of compose, local. Received 'nope'."),
        ("robot.stand_in=5", "Setting 'robot.stand_in' must be a recipe, such as a file of the group has, or null."),
        ("run.seed", "Setting 'run.seed' must be written as key=value. Received 'run.seed'."),
        ("--seed=1", "Setting '--seed' must be written as key=value. Received '--seed=1'."),
        ("run.seed=[", "Setting 'run.seed' must be written as key=value. Received 'run.seed=['."),
        ("~task", "Setting 'task' must be given. Received None."),
        (
            "run.seed=1,2",
            "Setting 'run.seed=1,2' must be one value for each key that `rlpd-robot VERB --cfg` shows. "
            "Received \"Ambiguous value for argument 'run.seed=1,2'\".",
        ),
        (
            "run.demos=${nowhere}",
            "Setting 'run.demos=${nowhere}' must be one value for each key that `rlpd-robot VERB --cfg` shows. "
            "Received \"Interpolation key 'nowhere' not found\".",
        ),
        (
            "link.data=tcp://*:5561",
            "Setting 'link.data' must be a loopback address, unless link.keys names a directory of",
        ),
    ],
)
def test_a_wrong_word_is_refused_in_one_sentence(word: str, sentence: str) -> None:
    assert refused(word).startswith(sentence)


def test_a_real_robot_may_be_given_a_stand_in_by_a_word() -> None:
    settings, _ = load("sim", ["robot=ur5e", "robot.stand_in={_target_: mine.serve}"])
    assert settings.robot.stand_in == {"_target_": "mine.serve"}


@pytest.mark.parametrize("group", GROUPS)
def test_a_choice_that_is_not_there_lists_those_that_are(group: str) -> None:
    choices = ", ".join(sorted(choice for g, choice in CHOICES if g == group))
    verb = "experiment" if group == "row" else "train"
    assert refused(f"{group}=nope", verb=verb) == f"Setting '{group}' must be one of {choices}. Received 'nope'."


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's own folder, with a quote in its name."""
    folder = tmp_path / "my lab's configs"
    for group in ("robot", "task", "experiment"):
        (folder / group).mkdir(parents=True)
    monkeypatch.setenv("RLPD_ROBOT_CONFIGS", str(folder))
    return folder


def test_a_users_own_folder_joins(mine: Path) -> None:
    (mine / "robot" / "ours.yaml").write_text("name: ours\ndriver:\n  _target_: rlpd_robot.robot.fake.FakeDriver\n")
    (mine / "task" / "ours.yaml").write_text("_target_: rlpd_robot.robot.fake.FakeTask\nhorizon: 7\n")
    (mine / "experiment" / "ours.yaml").write_text(
        "# @package _global_\ndefaults:\n  - override /robot: ours\n  - override /task: ours\nrun:\n  name: first\n"
    )
    settings, _ = load("train", ["experiment=ours", "agent=quick"])
    assert (settings.robot.name, settings.robot.stand_in, settings.run.name) == ("ours", None, "first")
    assert build(settings.task).horizon == 7
    assert "ours" in refused("robot=nope")
    assert "adroit_door" in refused("robot=nope")


def test_a_users_folder_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RLPD_ROBOT_CONFIGS", str(tmp_path / "none"))
    assert refused() == (
        "Setting 'RLPD_ROBOT_CONFIGS' must be a directory with groups such as robot/ and task/. "
        f"Received '{tmp_path / 'none'}'."
    )


@pytest.mark.parametrize(
    ("text", "start"),
    [
        ("name: [", "Setting '{folder}' must be valid YAML. Received 'while parsing a flow node"),
        ("name: ours\n", "Setting 'robot.driver' must be given. Received None."),
        (
            "nme: ours\n",
            "Setting 'robot.nme' must be one of the keys of the group 'robot': cameras, driver, film, model, name, ",
        ),
        ("- ours\n", "Setting 'robot=ours' must be one value for each key"),
        ("name: ours\ndriver: 5\n", "Setting 'robot.driver' must be a mapping. Received 5."),
    ],
)
def test_a_users_wrong_file(mine: Path, text: str, start: str) -> None:
    (mine / "robot" / "ours.yaml").write_text(text)
    assert refused("robot=ours").startswith(start.format(folder=mine))


class Fussy:
    """What recipes may run into."""

    def __init__(self, size: int, error: str = "") -> None:
        self.size = size
        if error == "type":
            raise TypeError("a bug inside")
        if error == "ours":
            raise SpecError("Fussy", "nothing fits", "something else")


FUSSY = f"{__name__}.Fussy"


def test_a_recipe_makes_what_it_names() -> None:
    assert isinstance(build({"_target_": "rlpd_robot.robot.fake.FakeDriver", "size": 3}), FakeDriver)
    assert isinstance(build({"_target_": "rlpd_robot.robot.fake.FakeTask"}, horizon=3), FakeTask)


@pytest.mark.parametrize(
    ("recipe", "sentence"),
    [
        ({"size": 3}, "Setting '_target_' must be the dotted name of a class or function. Received None."),
        ({"_target_": 5}, "Setting '_target_' must be the dotted name of a class or function. Received 5."),
        ({"_target_": "nope.Thing"}, "Setting '_target_' must be something that can be imported (.*No module named"),
        ({"_target_": "rlpd_robot.Nope"}, "Setting '_target_' must be something that can be imported (.*Nope"),
        ({"_target_": FUSSY}, f"Setting '{FUSSY}: arguments' must be those that it takes \\(missing.*'size'\\). Rec"),
        ({"_target_": FUSSY, "size": 1, "sise": 2}, f"Setting '{FUSSY}: arguments' must be .*unexpected.*'sise'"),
        ({"_target_": FUSSY, "size": 1, "error": "ours"}, "Fussy: nothing fits. Expected something else."),
        (
            {"_target_": FUSSY, "size": {"_target_": FUSSY, "size": 1, "error": "ours"}},
            "Fussy: nothing fits. Expected something else.",
        ),
    ],
)
def test_a_wrong_recipe(recipe: dict[str, Any], sentence: str) -> None:
    with pytest.raises(RlpdRobotError, match=f"^{sentence.replace(' (.', ' [(].')}"):
        build(recipe)


def test_a_bug_in_what_a_recipe_names_is_shown_as_it_is() -> None:
    with pytest.raises(TypeError, match=f"^{re.escape('a bug inside')}$"):
        build({"_target_": FUSSY, "size": 1, "error": "type"})


def test_the_place_for_cameras_is_kept_and_empty() -> None:
    assert load("actor", ["robot=ur5e"])[0].robot.cameras == {}
    with pytest.raises(ConfigError, match=r"'robot.cameras' must be empty, .*nothing here takes pictures yet"):
        load("actor", ["+robot.cameras.wrist={device: 0}"])


def test_a_package_that_a_recipe_lacks_is_told_in_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "lacking.py").write_text(
        "from rlpd_robot.errors import MissingPackageError\n"
        "raise MissingPackageError('roslibpy', 'robots behind rosbridge', 'ros')\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(MissingPackageError, match=r"^Package 'roslibpy'.*pip install 'rlpd-robot\[ros\]'$"):
        build({"_target_": "lacking.Driver"})

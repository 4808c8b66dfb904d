"""From YAML and `key=value` words to frozen dataclasses, and no further in: only this file knows Hydra.

Roots per verb and the groups robot, task, agent, safety, link, experiment, row lie in `robot_configs/`. A user's own
folder of the same groups joins through the environment variable RLPD_ROBOT_CONFIGS.
"""

import dataclasses
import inspect
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import Field, dataclass, field, fields, make_dataclass
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_module
from hydra.core.config_store import ConfigStore
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from hydra.utils import instantiate
from omegaconf import MISSING, BooleanNode, DictConfig, FloatNode, IntegerNode, ListConfig, OmegaConf, StringNode
from omegaconf.errors import (
    ConfigAttributeError,
    ConfigKeyError,
    MissingMandatoryValue,
    OmegaConfBaseException,
    ValidationError,
)
from yaml import YAMLError  # type: ignore[import-untyped]

from rlpd_robot.agent.config import AgentConfig
from rlpd_robot.errors import ConfigError, RlpdRobotError
from rlpd_robot.robot.safety import SafetySettings
from rlpd_robot.robot.watchdog import WatchdogSettings
from rlpd_robot.run.bench_settings import (
    ChaosSettings,
    DryRunBenchSettings,
    FuzzSettings,
    ImportBenchSettings,
    ImportFuzzSettings,
    LatencySettings,
    LearnerBenchSettings,
    RecordChaosSettings,
    RosbridgeSettings,
)
from rlpd_robot.run.dashboard.settings import DashboardSettings
from rlpd_robot.run.doctor.settings import DoctorSettings
from rlpd_robot.run.dry_run.settings import DryRunSettings
from rlpd_robot.run.experiment.settings import StudySettings
from rlpd_robot.run.learner_settings import LearnerSettings
from rlpd_robot.run.record_settings import RecordSettings
from rlpd_robot.run.settings import (
    ActorSettings,
    CollectSettings,
    EvalSettings,
    Recipe,
    RobotSettings,
    RunSettings,
    ServeSettings,
    Settings,
)
from rlpd_robot.run.supervise_settings import SuperviseSettings
from rlpd_robot.wire.settings import LinkSettings

USER_FOLDER = "RLPD_ROBOT_CONFIGS"


@dataclass
class _FaultsSchema:
    """What goes wrong with the stand-in (`sim/faults/plan.py`).

    Attributes:
        seed: of all that is random about it.
        script: faults, by time or by chance; docs/dry_run.md has the kinds.
        orders: file to which others append faults, one JSON object a line, while it runs.
        log: file to which each beginning and end of a fault is appended.
        record: file to which every reading that is told is written.
    """

    seed: int = 0
    script: list[Any] = field(default_factory=list)
    orders: str | None = None
    log: str | None = None
    record: str | None = None


@dataclass
class _RandomizeSchema:
    """What is drawn anew at each reset of the stand-in (`sim/randomize.py`); each range is [low, high], none: nothing.

    Attributes:
        seed: of all that is drawn.
        widen: episodes over which the ranges widen from nothing to what they say; 0: at once.
        mass: factor of each body's mass and inertia.
        friction: factor of each geom's sliding friction.
        damping: factor of each freedom's damping.
        gain: factor of each motor's gain.
        joint_friction: dry friction added to each freedom [N m, N].
        base: added to each coordinate of where the hand is mounted [m].
        tracker: added to each coordinate of where objects are seen [m].
        start: added to where each joint starts [rad, m].
        command_delay_s: from a command to the motors [s].
        observation_delay: of all readings [control periods, whole].
    """

    seed: int = 0
    widen: int = 0
    mass: list[float] | None = None
    friction: list[float] | None = None
    damping: list[float] | None = None
    gain: list[float] | None = None
    joint_friction: list[float] | None = None
    base: list[float] | None = None
    tracker: list[float] | None = None
    start: list[float] | None = None
    command_delay_s: list[float] | None = None
    observation_delay: list[float] | None = None


@dataclass
class _SimSchema:
    """Of the stand-in.

    Attributes:
        lockstep: it waits for each command; otherwise it moves by the wall clock.
        book: file in which it writes down what became of each command.
        view: how to watch it, page, window, files:DIRECTORY or dashboard:RUN (docs/recording.md, docs/dashboard.md).
        faults: what goes wrong with it (docs/dry_run.md).
        twin: file of one robot that it is to be like; none: the model.
        randomize: what is another in each episode (docs/dry_run.md).
    """

    lockstep: bool = True
    book: str | None = None
    view: str | None = None
    faults: _FaultsSchema = field(default_factory=_FaultsSchema)
    twin: str | None = None
    randomize: _RandomizeSchema = field(default_factory=_RandomizeSchema)


@dataclass
class _RobotSchema:
    name: str = MISSING
    driver: dict[str, Any] = MISSING
    stand_in: Any = (
        None  # a mapping or null: where OmegaConf knows that, it cannot set the one in the place of the other
    )
    film: Any = None
    model: Any = None
    cameras: dict[str, Any] = field(default_factory=dict)


@dataclass
class _SafetySchema:
    """`SafetySettings` with a type OmegaConf can hold where a number, a mapping or nothing may stand."""

    name: str = "robot range"
    margin: float = 0.0
    max_speed: Any = None
    source: str = ""
    measured: dict[str, str] = field(default_factory=dict)
    max_acceleration: Any = None
    max_jerk: Any = None
    max_step: Any = None
    range: dict[str, Any] = field(default_factory=dict)
    workspace: dict[str, Any] = field(default_factory=dict)
    effort: dict[str, Any] = field(default_factory=dict)
    hard: dict[str, Any] = field(default_factory=dict)
    max_excess: float = 10.0
    none_because: str = ""


def _schema(cls: type[Any], **types: Any) -> Any:
    """A schema field: the open twin of a frozen settings class, since OmegaConf cannot merge into a frozen one.

    `types` are those of attributes whose own are unknown to OmegaConf.
    """
    columns = [(f.name, types.get(f.name, Any if _group_in(f) else f.type), _open(f)) for f in fields(cls)]
    return field(default_factory=make_dataclass(f"{cls.__name__}Schema", columns))


def _group_in(one: Field[Any]) -> type[Any] | None:
    """The settings class of a group within a group."""
    factory = one.default_factory
    return factory if isinstance(factory, type) and dataclasses.is_dataclass(factory) else None


def _open(one: Field[Any]) -> Any:
    """A default of its own for each schema."""
    if (inner := _group_in(one)) is not None:
        return _schema(inner)
    if one.default_factory is not dataclasses.MISSING:
        return field(default_factory=one.default_factory)
    if isinstance(one.default, tuple):
        return field(default_factory=partial(list, one.default))
    return field(default=one.default)


_GROUPS = {
    "agent": AgentConfig,
    "link": LinkSettings,
    "run": RunSettings,
    "watchdog": WatchdogSettings,
    "supervise": SuperviseSettings,
    "actor": ActorSettings,
    "learner": LearnerSettings,
    "eval": EvalSettings,
    "collect": CollectSettings,
    "record": RecordSettings,
    "serve": ServeSettings,
    "dashboard": DashboardSettings,
    "fuzz": FuzzSettings,
    "import_fuzz": ImportFuzzSettings,
    "import_bench": ImportBenchSettings,
    "latency": LatencySettings,
    "chaos": ChaosSettings,
    "record_chaos": RecordChaosSettings,
    "rosbridge": RosbridgeSettings,
    "learner_bench": LearnerBenchSettings,
    "doctor": DoctorSettings,
    "dry_run": DryRunSettings,
    "dry_run_bench": DryRunBenchSettings,
}

_Schema = make_dataclass(
    "_Schema",
    [
        ("robot", _RobotSchema, field(default_factory=_RobotSchema)),
        ("task", dict[str, Any], field(default=MISSING)),
        ("safety", _SafetySchema, field(default_factory=_SafetySchema)),
        ("study", Any, _schema(StudySettings, rows=list[str], published=dict[str, float])),
        ("sim", _SimSchema, field(default_factory=_SimSchema)),
        ("resume", str, field(default="auto")),
        ("policy", str, field(default="latest")),
        ("teleop", Any, field(default=None)),
        *((name, Any, _schema(cls)) for name, cls in _GROUPS.items()),
    ],
)
ConfigStore.instance().store(name="schema", node=_Schema)  # once: it is a fifth of what composing costs


def load(verb: str, overrides: Sequence[str]) -> tuple[Settings, str]:
    """Compose the settings of one verb.

    Args:
        verb: the root file, `robot_configs/<verb>.yaml`.
        overrides: words such as "agent=adroit" or "run.seed=1".

    Returns:
        The settings, and the composed YAML for the run's directory.

    Raises:
        ConfigError: an unknown key or group, a wrong type, a value out of range.
    """
    try:
        with initialize_config_module("robot_configs", version_base="1.3"):
            composed = compose(verb, [*_search_path(), *overrides])
        OmegaConf.resolve(composed)
        return _settings(composed), OmegaConf.to_yaml(composed)
    except (HydraException, OmegaConfBaseException) as error:
        raise _explain(error, overrides) from error
    except YAMLError as error:
        raise ConfigError(os.environ.get(USER_FOLDER, "robot_configs"), _in_one_line(error), "valid YAML") from error


def load_words(cls: type[Any], words: Sequence[str], groups: Sequence[str] = ()) -> tuple[Any, list[str], str]:
    """Fill settings whose keys stand without a group in front.

    Args:
        cls: their frozen dataclass.
        words: "key=value".
        groups: those whose words are left for `load`.

    Returns:
        The settings, the words left over, and the settings as YAML.

    Raises:
        ConfigError: an unknown key, a wrong type, or a value that the settings refuse.
    """
    names = [f.name for f in fields(cls)]
    merged: Any = OmegaConf.structured(cls)
    left = []
    for word in words:
        key, _, value = word.partition("=")
        if key.partition(".")[0] in groups:
            left.append(word)
        elif key not in names:
            raise ConfigError(key, value, f"one of the keys {', '.join([*names, *groups])}")
        else:
            try:
                merged = OmegaConf.merge(merged, OmegaConf.from_dotlist([word]))
            except (OmegaConfBaseException, YAMLError) as error:
                kind = "a list such as [first,second]" if isinstance(merged[key], ListConfig) else "one value"
                raise ConfigError(key, value, kind) from error
    data: Any = OmegaConf.to_container(merged)
    return cls(**data), left, OmegaConf.to_yaml(merged)


def build(recipe: Recipe, **arguments: Any) -> Any:
    """Call what a recipe names, with its own and these arguments.

    Raises:
        ConfigError: there is no such thing, or it does not take these arguments.
    """
    target = recipe.get("_target_")
    if not isinstance(target, str):
        raise ConfigError("_target_", target, "the dotted name of a class or function")
    try:
        make = instantiate(dict(recipe), _partial_=True, _convert_="all")
    except HydraException as error:
        own = error.__cause__
        while own is not None and not isinstance(own, RlpdRobotError):  # of a recipe inside this one, or of its module
            own = own.__cause__
        if own is not None:
            raise own from error
        reason = _in_one_line(error.__cause__ or error)
        raise ConfigError("_target_", target, f"something that can be imported ({reason})") from error
    try:
        inspect.signature(make.func).bind(*make.args, **{**make.keywords, **arguments})
    except TypeError as error:
        given = {key: value for key, value in recipe.items() if key != "_target_"}
        raise ConfigError(f"{target}: arguments", given, f"those that it takes ({error})") from error
    return make(**arguments)  # here and not within Hydra, which turns dataclasses to mappings and wraps what is raised


def _search_path() -> list[str]:
    folder = os.environ.get(USER_FOLDER)
    if not folder:
        return []
    if not Path(folder).is_dir():
        raise ConfigError(USER_FOLDER, folder, "a directory with groups such as robot/ and task/")
    path = str(Path(folder).resolve()).replace("\\", "\\\\").replace("'", "\\'")
    return [f"hydra.searchpath=['file://{path}']"]


def _settings(composed: DictConfig) -> Settings:
    data: Mapping[str, Any] = OmegaConf.to_container(composed, resolve=True, throw_on_missing=True)  # type: ignore[assignment]
    robot = _make(RobotSettings, "robot", data)
    for name in ("stand_in", "film", "model"):
        _recipe_or_none(f"robot.{name}", getattr(robot, name))
    _refuse_unheard(data["sim"], robot)
    return Settings(
        robot=robot,
        task=data["task"],
        safety=_make(SafetySettings, "safety", data),
        study=_make(StudySettings, "study", data),
        resume=data["resume"],
        policy=data["policy"],
        teleop=_recipe_or_none("teleop", data["teleop"]),
        **{name: _make(cls, name, data) for name, cls in _GROUPS.items()},
    )


def _refuse_unheard(sim: Mapping[str, Any], robot: RobotSettings) -> None:
    """A stand-in that takes no such thing would not tell."""
    ranges = [value for key, value in sim["randomize"].items() if key not in ("seed", "widen")]
    asked = {"twin": sim["twin"] is not None, "randomize": any(one is not None for one in ranges)}
    for key in asked:
        if asked[key] and robot.stand_in is not None and key not in robot.stand_in:
            expected = f"left alone: the stand-in of robot '{robot.name}' does not take it"
            raise ConfigError(f"sim.{key}", sim[key], expected)


def _recipe_or_none(key: str, value: Any) -> Recipe | None:
    if value is not None and not isinstance(value, Mapping):
        raise ConfigError(key, value, "a recipe, such as a file of the group has, or null")
    return value


def _make(cls: type[Any], name: str, data: Mapping[str, Any], key: str = "") -> Any:
    """One frozen dataclass of settings, `data[key or name]`; a key that was forced in by + is refused here."""
    values = data[key or name]
    known = [f.name for f in fields(cls)]
    if not isinstance(values, Mapping):
        raise ConfigError(name, values, f"a group of the keys {', '.join(known)}")
    for given in values:
        if given not in known:
            raise _unknown(f"{name}.{given}", known)
    inner = {f.name: group for f in fields(cls) if (group := _group_in(f)) is not None}
    return cls(**{**values, **{key: _make(group, f"{name}.{key}", values, key) for key, group in inner.items()}})


def _unknown(key: str, known: Iterable[object]) -> ConfigError:
    group, _, last = key.rpartition(".")
    where = f"of the group '{group}'" if group else "of the settings"
    names = sorted(str(name) for name in known if name != "hydra")
    return ConfigError(key, last, f"one of the keys {where}: {', '.join(names)}")


_KINDS: dict[Any, str] = {
    IntegerNode: "a whole number",
    FloatNode: "a number",
    BooleanNode: "true or false",
    StringNode: "a text",
    DictConfig: "a mapping",
}


def _explain(error: Exception, overrides: Sequence[str]) -> ConfigError:
    """An error of Hydra's or OmegaConf's in one sentence."""
    if isinstance(error, MissingConfigException) and error.missing_cfg_file:
        group, _, choice = error.missing_cfg_file.rpartition("/")
        return ConfigError(group, choice, f"one of {', '.join(_choices(group, error.options or ())) or '(none)'}")
    if isinstance(error, OverrideParseException):
        return ConfigError(error.override.partition("=")[0], error.override, "written as key=value")
    root: BaseException = error
    while not getattr(root, "full_key", None) and (inner := root.__cause__ or root.__context__):
        root = inner
    if isinstance(root, ConfigKeyError | ConfigAttributeError) and isinstance(root.parent_node, DictConfig):
        return _unknown(str(root.full_key), root.parent_node)
    if isinstance(root, ValidationError) and type(root.child_node) in _KINDS:
        kind = _KINDS[type(root.child_node)] + (" or null" if root.child_node._is_optional() else "")
        return ConfigError(str(root.full_key), root.value, kind)
    if isinstance(root, MissingMandatoryValue):
        return ConfigError(str(root.full_key), None, "given")
    expected = "one value for each key that `rlpd-robot VERB --cfg` shows"
    return ConfigError(" ".join(overrides) or "(none)", str(root).strip().partition("\n")[0], expected)


def _choices(group: str, options: Iterable[str]) -> list[str]:
    """Those of a group, with those in its folders, which Hydra does not tell."""
    roots = [Path(str(files("robot_configs"))), *(Path(p) for p in (os.environ.get(USER_FOLDER),) if p)]
    nested = {f"{path.parent.name}/{path.stem}" for root in roots for path in (root / group).glob("*/*.yaml")}
    return sorted({*options, *nested})


def _in_one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__

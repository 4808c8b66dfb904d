"""The kinds of faults by name, and how entries of a YAML file become faults."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

import numpy as np

from rlpd_robot.errors import ConfigError
from rlpd_robot.spec import RobotSpec
from sim.faults.acting import ActuatorDelay, Backlash, Gain, Saturation, Stiction, Stuck
from sim.faults.events import Death, EmergencyStop, Hang, Reflex
from sim.faults.fault import Fault, Scheduled
from sim.faults.link import ClockJump, ClockSkew, Cut, Duplication, Latency, Loss, Reordering
from sim.faults.sensing import (
    Bias,
    Dropout,
    Frozen,
    Noise,
    NotANumber,
    Quantised,
    SensorDelay,
    TrackerDropout,
    WrongOrder,
)

KINDS: dict[str, type[Fault]] = {
    # what it tells
    "noise": Noise,
    "bias": Bias,
    "quantised": Quantised,
    "dropout": Dropout,
    "frozen": Frozen,
    "nan": NotANumber,
    "wrong_order": WrongOrder,
    "sensor_delay": SensorDelay,
    "tracker_dropout": TrackerDropout,
    # how it follows
    "actuator_delay": ActuatorDelay,
    "gain": Gain,
    "saturation": Saturation,
    "backlash": Backlash,
    "stiction": Stiction,
    "stuck": Stuck,
    # its link and its clock
    "latency": Latency,
    "loss": Loss,
    "cut": Cut,
    "duplication": Duplication,
    "reordering": Reordering,
    "clock_jump": ClockJump,
    "clock_skew": ClockSkew,
    # what happens to it
    "reflex": Reflex,
    "e_stop": EmergencyStop,
    "death": Death,
    "hang": Hang,
}

_AT_ONCE = (Death, Hang)
_TIMES = ("kind", "name", "at_s", "per_minute", "seconds")


def schedule(where: str, entry: Mapping[str, Any], spec: RobotSpec, seed: Sequence[int]) -> Scheduled:
    """A fault from its entry: `{kind, name, at_s or per_minute, seconds, **settings of its kind}`.

    Without `at_s` and `per_minute` it begins at once; without `seconds` it does not end.

    Args:
        where: the entry stands, for errors.
        entry: as written.
        spec: of the robot that it happens to.
        seed: of whatever is random about it.

    Raises:
        ConfigError: no such kind or setting, or a value that means nothing.
    """
    if isinstance(entry, Mapping) and entry.get("kind") != entry.get("kind"):  # a word of the command line: {kind: nan}
        entry = {**entry, "kind": "nan"}
    if not isinstance(entry, Mapping) or entry.get("kind") not in KINDS:
        received = entry.get("kind") if isinstance(entry, Mapping) else entry
        raise ConfigError(f"{where}.kind", received, f"one of {', '.join(KINDS)}")
    make = KINDS[entry["kind"]]
    known = [f.name for f in fields(make)]  # type: ignore[arg-type]
    own = {key: value for key, value in entry.items() if key not in _TIMES}
    for key in own:
        if key not in known:
            raise ConfigError(f"{where}.{key}", own[key], f"one of the keys {', '.join((*_TIMES, *known))}")
    times = _times(where, entry)
    fault = make(**{key: tuple(value) if isinstance(value, list) else value for key, value in own.items()})
    fault.rng = np.random.default_rng(list(seed))
    try:
        fault.check(where, spec)
    except TypeError as error:  # a text where a number belongs
        raise ConfigError(where, dict(own), f"settings of a '{entry['kind']}' ({error})") from error
    seconds = times.get("seconds", 0.0 if issubclass(make, _AT_ONCE) else math.inf)
    is_random = "per_minute" in times
    at_s = math.nan if is_random else times.get("at_s", 0.0)
    return Scheduled(fault, str(entry.get("name", entry["kind"])), at_s, times.get("per_minute", 0.0), seconds)


def _times(where: str, entry: Mapping[str, Any]) -> dict[str, float]:
    if "at_s" in entry and "per_minute" in entry:
        raise ConfigError(where, dict(entry), "either scripted (at_s) or random (per_minute)")
    times = {}
    for name in ("at_s", "per_minute", "seconds"):
        if name in entry:
            value = entry[name]
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
                raise ConfigError(f"{where}.{name}", value, "a number of at least 0")
            times[name] = float(value)
    return times

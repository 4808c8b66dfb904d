"""Single entries of a limits file: a number or a box, each with its unit, its margin and where it comes from."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rlpd_robot.errors import ConfigError
from rlpd_robot.spec import Field, RobotSpec

Floats = NDArray[np.float64]

PROVENANCE = ("unit", "margin", "source")
"""What an entry says beside its numbers: `margin` is the part taken off, `source` is for whoever reads it next."""

_ORDERS = ("", "/s", "/s²", "/s³", "/s⁴")


def unit_over_time(unit: str, order: int) -> str:
    """The unit of a derivative: ("rad", 2) → "rad/s²", ("rad/s", 1) → "rad/s²"."""
    base, order = (unit[:-2], order + 1) if unit.endswith("/s") else (unit, order)
    return base + _ORDERS[order]


def per_field(key: str, setting: Any, spec: RobotSpec, order: int) -> Floats:
    """(C,) one positive limit for each command element; infinity where there is none.

    Args:
        key: of the setting, for errors.
        setting: null, one number, or for each command field a number or an entry: `{limit, unit, margin, source}`, or
            `{none_because}`. `limit` is a number or one for each element.
        spec: of the robot.
        order: of the derivative: 0 of the command itself, 1 of its speed …

    Raises:
        ConfigError: it is none of these, or its unit is another one.
    """
    if setting is None:
        return np.full(spec.command_size, np.inf)
    names = [f.name for f in spec.command]
    entries = dict(setting) if isinstance(setting, Mapping) else dict.fromkeys(names, setting)
    if set(entries) != set(names):
        raise ConfigError(key, entries, f"one number, or one for each of the command fields {names}")
    return np.concatenate([_one_limit(f"{key}.{f.name}", entries[f.name], f, order) for f in spec.command])


def _one_limit(key: str, entry: Any, of: Field, order: int) -> Floats:
    unit = unit_over_time(of.unit, order)
    what = f"positive numbers in {unit}"
    if not isinstance(entry, Mapping):
        return numbers(key, entry, of.size, what, positive=True)
    if "none_because" in entry:
        reason(f"{key}.none_because", entry["none_because"])
        only(key, entry, ("none_because",))
        return np.full(of.size, np.inf)
    share = provenance(key, entry, ("limit",), unit)
    return numbers(f"{key}.limit", entry["limit"], of.size, what, positive=True) * (1 - share)


def box(key: str, entry: Any, of: Field, ends: bool = True) -> tuple[Floats, Floats]:
    """(N,), (N,) the ends of an entry `{low, high, unit, margin, source}`, the margin taken off both.

    Args:
        key: of the setting, for errors.
        entry: as above; `low` and `high` are numbers, or one for each element.
        of: the field that is meant; gives unit and size.
        ends: they must be given; otherwise they default to the field's own range.

    Raises:
        ConfigError: something is missing, or `low` is not below `high`.
    """
    if not isinstance(entry, Mapping):
        raise ConfigError(key, entry, "low, high, unit, margin and source")
    given = {"low": of.low, "high": of.high, **entry}
    if not ends:
        only(key, entry, ("low", "high", *PROVENANCE))
        entry = given
    share = provenance(key, entry, ("low", "high"), of.unit)
    low, high = (numbers(f"{key}.{end}", entry[end], of.size, f"numbers in {of.unit}") for end in ("low", "high"))
    if not (low < high).all():
        raise ConfigError(key, f"low {low.tolist()}, high {high.tolist()}", "low < high for every element")
    if share >= 0.5:
        raise ConfigError(f"{key}.margin", entry["margin"], "a part of the range in [0, 0.5)")
    margin = share * (high - low)
    return low + margin, high - margin


def numbers(key: str, value: Any, size: int, expected: str, positive: bool = False) -> Floats:
    """(size,) from one number, or a list of so many."""
    single = isinstance(value, int | float) and not isinstance(value, bool)
    values = [value] * size if single else value
    good = isinstance(values, list | tuple) and len(values) == size
    good = good and all(isinstance(v, int | float) and not isinstance(v, bool) and math.isfinite(v) for v in values)
    if not good or (positive and not all(v > 0 for v in values)):
        raise ConfigError(key, value, f"{expected}: one, or {size} in a list")
    return np.array(values, np.float64)


def provenance(key: str, entry: Mapping[str, Any], keys: tuple[str, ...], unit: str) -> float:
    """The margin of an entry, after a look at all of its keys and at its unit.

    Raises:
        ConfigError: a key is missing or unknown, or the unit is not the field's.
    """
    only(key, entry, (*keys, *PROVENANCE))
    for name in (*keys, *PROVENANCE):
        if entry.get(name) is None:
            raise ConfigError(f"{key}.{name}", entry.get(name), "given: each limit has its unit, margin and source")
    if _plain(entry["unit"]) != _plain(unit):
        raise ConfigError(f"{key}.unit", entry["unit"], f"{unit!r}, as the robot describes it")
    reason(f"{key}.source", entry["source"])
    margin = entry["margin"]
    if not (isinstance(margin, int | float) and not isinstance(margin, bool) and 0 <= margin < 1):
        raise ConfigError(f"{key}.margin", margin, "a part of the limit in [0, 1)")
    return float(margin)


def reason(key: str, text: Any) -> str:
    """A text that says something."""
    if not isinstance(text, str) or not text.strip():
        raise ConfigError(key, text, "a sentence")
    return text


def only(key: str, entry: Mapping[str, Any], keys: tuple[str, ...]) -> None:
    """No other keys than these."""
    for name in entry:
        if name not in keys:
            raise ConfigError(f"{key}.{name}", entry[name], f"one of the keys {', '.join(keys)}")


def _plain(unit: Any) -> str:
    return str(unit).replace(" ", "").replace("·", "").replace("^", "").replace("²", "2").replace("³", "3")

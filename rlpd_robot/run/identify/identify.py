"""`rlpd-robot identify STORE`: the wiring, the file of the twin, and what a person and a program read of it."""

import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from rlpd_robot.errors import ConfigError, DataError
from rlpd_robot.robot.task import Task
from rlpd_robot.run.evaluate import Build
from rlpd_robot.run.identify.fit import Fitted, fit
from rlpd_robot.run.identify.model import Model
from rlpd_robot.run.identify.recordings import read_recordings
from rlpd_robot.run.identify.settings import IdentifySettings
from rlpd_robot.run.settings import Settings

SURE = 0.1
"""Standard error, as part of the value, beyond which a parameter counts as not determined by the recording."""

_SURE_EFFORT = 0.01  # of a motor's effort: the same of friction


def identify(
    path: Path,
    wanted: IdentifySettings,
    settings: Settings,
    build: Build,
    *,
    as_json: bool,
    tell: Callable[[str], None],
) -> int:
    """Fit, write the twin, print what was found: 0; 1 when the fitted model is no better than the model as it is.

    Raises:
        ConfigError: nothing is known of the robot's model, or the file is there already.
        RlpdRobotError: the store cannot be used.
    """
    name = settings.robot.name
    if settings.robot.model is None:
        raise ConfigError(
            "robot.model", None, f"a recipe: robot '{name}' has no model that can be fitted (docs/dry_run.md)"
        )
    out = Path(wanted.out or f"twins/{name}.yaml")
    if out.exists():
        raise ConfigError("out", str(out), "the path of a file that is not there yet")
    task: Task = build(settings.task)
    model: Model = build(settings.robot.model)
    recordings = read_recordings(path, task, model, wanted)
    if not recordings:
        raise DataError(f"Store {str(path)!r}", "it holds no episode of two periods or more", "one at least")
    began_s = time.monotonic()
    found = fit(model, recordings, wanted.window, wanted.max_delay, tell)
    out.parent.mkdir(parents=True, exist_ok=True)
    partial = out.with_name(f".{out.name}.{os.getpid()}.partial")
    partial.write_text(twin_text(name, str(path), model, found))
    os.replace(partial, out)
    better = _total(found.held_after, found.after) < _total(found.held_before, found.before)
    if as_json:
        print(json.dumps(to_json(model, found, out), indent=1))
    else:
        print("\n".join(lines(model, found)))
        print(f"{time.monotonic() - began_s:.0f} s; wrote {out}")
        print(f"Try the policy on it:  rlpd-robot dry-run … sim.twin={out}")
        if not better:
            print("The fitted model is no nearer to the recording than the model as it is: do not use it.")
    return 0 if better else 1


def _total(held: Any, fitted: Any) -> float:
    """RMS over joints; of what was held out, where there is any."""
    values = fitted if np.isnan(held).all() else held
    return float(np.sqrt(np.nanmean(values**2)))


def unsure(model: Model, found: Fitted) -> list[str]:
    """Parameters that the recording says too little about."""
    told = ["delay"] if found.delay_error_s > SURE * max(found.parameters.delay_s, model.spec.period_s) else []
    for i in _found(found):
        weak = [
            name for name, error in (("gain", found.gain_error), ("damping", found.damping_error)) if error[i] > SURE
        ]
        if found.friction_error[i] > max(SURE * found.parameters.friction[i], _SURE_EFFORT * model.effort[i]):
            weak.append("friction")
        if weak:
            told.append(f"{model.joints[i]} ({', '.join(weak)})")
    return told


def _moved(found: Fitted) -> list[int]:
    return [int(i) for i in np.flatnonzero(~np.isnan(found.after))]


def _found(found: Fitted) -> list[int]:
    """Joints that the file of the twin has."""
    return [i for i in _moved(found) if found.explained[i]]


def unexplained(model: Model, found: Fitted) -> list[str]:
    """Joints whose motion no parameters of the model explain."""
    return [model.joints[i] for i in _moved(found) if not found.explained[i]]


def lines(model: Model, found: Fitted) -> Iterator[str]:
    """For a person."""
    p = found.parameters
    yield f"delay from command to motors: {1e3 * p.delay_s:.1f} ms (± {1e3 * found.delay_error_s:.1f})"
    yield ""
    head = f"{'missed before':>13} {'after':>9} {'held out':>9}"
    yield f"{'joint':<14} {'gain':>14} {'damping':>14} {'dry friction':>18}   {head}"
    for i in _moved(found):
        gain = f"{p.gain[i]:.3f} ± {p.gain[i] * found.gain_error[i]:.3f}"
        damping = f"{p.damping[i]:.3f} ± {p.damping[i] * found.damping_error[i]:.3f}"
        friction = f"{p.friction[i]:.4f} ± {found.friction_error[i]:.4f}"
        missed = (found.before[i], found.after[i], found.held_after[i])
        told = " ".join(f"{value:>{width}.2e}" for value, width in zip(missed, (13, 9, 9), strict=True))
        yield f"{model.joints[i]:<14} {gain:>14} {damping:>14} {friction:>18}   {told}"
    yield ""
    yield (
        "gain and damping: factors of the model's; friction [N m, N]; missed: RMS between recorded and simulated "
        f"[rad, m], over {found.periods} periods"
    )
    rest = [name for i, name in enumerate(model.joints) if i not in _moved(found)]
    if rest:
        yield f"not observed, or not moved, so as in the model: {', '.join(rest)}"
    if odd := unexplained(model, found):
        yield (
            f"moved otherwise than any such model, left as they are in it: {', '.join(odd)}. Something touched them, "
            "or they have play: record motion in free space."
        )
    if weak := unsure(model, found):
        yield f"the recording says too little of: {'; '.join(weak)}. Record more motion, and quicker."


def twin_text(name: str, source: str, model: Model, found: Fitted) -> str:
    """The file that `sim.twin` takes."""
    p = found.parameters
    rows = [
        f"  {model.joints[i]}: {{gain: {p.gain[i]:.5g}, damping: {p.damping[i]:.5g}, friction: {p.friction[i]:.5g}}}"
        for i in _found(found)
    ]
    head = [
        f"# Written by rlpd-robot identify from {Path(source).name}, {found.periods} control periods",
        "# gain, damping: factors of the model's; friction: dry, in place of the model's [N m, N].",
        f"robot: {name}",
        f"command_delay_s: {p.delay_s:.5g}  # [s]",
        "joints:",
    ]
    return "\n".join([*head, *rows]) + "\n"


def to_json(model: Model, found: Fitted, out: Path) -> dict[str, Any]:
    """For a program."""
    p = found.parameters

    def row(i: int) -> dict[str, float | None]:
        values = {
            "gain": p.gain[i],
            "gain_error": p.gain[i] * found.gain_error[i],
            "damping": p.damping[i],
            "damping_error": p.damping[i] * found.damping_error[i],
            "friction": p.friction[i],
            "friction_error": found.friction_error[i],
            "rms_before": found.before[i],
            "rms_after": found.after[i],
            "held_out_before": found.held_before[i],
            "held_out_after": found.held_after[i],
        }
        return {key: float(value) if np.isfinite(value) else None for key, value in values.items()}

    return {
        "twin": str(out),
        "periods": found.periods,
        "command_delay_s": p.delay_s,
        "command_delay_error_s": found.delay_error_s,
        "joints": {model.joints[i]: row(i) for i in _moved(found)},
        "unsure": unsure(model, found),
        "unexplained": unexplained(model, found),
    }

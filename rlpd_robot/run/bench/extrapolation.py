"""`rlpd-robot bench extrapolation`: LayerNorm bounds what critics make up (RLPD, section 4.2 and Figure 3).

Two networks as the critics are, with and without LayerNorm, learn y = |x| from points of a disc of radius 0.5 in the
plane, and are then asked far outside it. Without LayerNorm the answers grow for ever; with it, the last hidden layer
has a bounded norm, and so has every answer.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from numpy.typing import NDArray

from rlpd_robot.agent.config import AgentConfig
from rlpd_robot.agent.networks import Params, evaluate, make_critics
from rlpd_robot.files import make_directories, replace_file
from rlpd_robot.run.diagnostics.networks import look_at_critics
from rlpd_robot.run.evaluate import Build
from rlpd_robot.run.plotting import LIGHT, dress, legend, new_figure, to_png
from rlpd_robot.run.settings import Settings

RADIUS = 0.5  # of the data
_POINTS = 512
_STEPS = 2000
_RADII = (0.25, 0.5, 1.0, 2.0, 4.0)
_REACH = 4.0
_CONFIG = AgentConfig(ensemble=1, target_subset=1, hidden_layers=2, hidden_width=128)
_NAMES = {False: "without LayerNorm", True: "with LayerNorm"}


def run_bench(settings: Settings, words: Sequence[str], build: Build) -> dict[str, Any]:
    """Fit both, ask both, and write the picture into `run.root`."""
    fitted = {norm: fit(replace(_CONFIG, layer_norm=norm), settings.run.seed) for norm in (False, True)}
    report: dict[str, Any] = {"radii": list(_RADII), "rows": {}}
    for norm, critics in fitted.items():
        largest = [float(np.abs(ask(critics, _circle(radius))).max()) for radius in _RADII]
        report["rows"][_NAMES[norm]] = {"largest": largest, "bound": bound_of(critics) if norm else None}
    make_directories(Path(settings.run.root))
    path = Path(settings.run.root) / "extrapolation.png"
    replace_file(path, picture(fitted))
    report["picture"] = str(path)
    without, bounded = (report["rows"][name] for name in _NAMES.values())
    report["passed"] = bounded["largest"][-1] <= bounded["bound"] and without["largest"][-1] > bounded["largest"][-1]
    return report


def table(report: Mapping[str, Any]) -> str:
    """Largest answers on circles; the data ends at a radius of 0.5."""
    head = "largest |value| at radius  " + "".join(f"{radius:>9g}" for radius in report["radii"]) + "    bound"
    lines = [
        f"{name:<27}" + "".join(f"{value:>9.2f}" for value in row["largest"]) + _bound(row["bound"])
        for name, row in report["rows"].items()
    ]
    return "\n".join([head, *lines, f"the data ends at radius {RADIUS}; {report['picture']}"])


def _bound(value: float | None) -> str:
    return "     none" if value is None else f"{value:>9.2f}"


def fit(config: AgentConfig, seed: int) -> Params:
    """Adam on the mean squared error over all points at once."""
    rng = np.random.default_rng(seed)
    angle, radius = rng.uniform(0, 2 * np.pi, _POINTS), RADIUS * np.sqrt(rng.uniform(0, 1, _POINTS))
    points = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1).astype(np.float32)
    return jax.device_get(_descend(jax.random.key(seed), points, radius.astype(np.float32), config, _STEPS))


@partial(jax.jit, static_argnums=(3, 4))
def _descend(key: jax.Array, points: jax.Array, labels: jax.Array, config: AgentConfig, steps: int) -> Params:
    optimiser = optax.adam(1e-3)
    critics = make_critics(config, 1).init(key, points[:1, :1], points[:1, 1:])["params"]

    def loss(critics: Params) -> jax.Array:
        return jnp.mean(jnp.square(evaluate(config, critics, points[:, :1], points[:, 1:], key)[0] - labels))

    def step(carry: Any, _: None) -> tuple[Any, None]:
        critics, state = carry
        change, state = optimiser.update(jax.grad(loss)(critics), state)
        return (optax.apply_updates(critics, change), state), None

    (critics, _), _ = jax.lax.scan(step, (critics, optimiser.init(critics)), None, length=steps)
    return critics


def ask(critics: Params, points: NDArray[np.float32]) -> NDArray[np.float32]:
    """Values (N,) at points (N, 2)."""
    values: NDArray[np.float32] = look_at_critics(critics, points[:, :1], points[:, 1:]).values[0]
    return values


def bound_of(critics: Params) -> float:
    """What no answer can exceed: |w| · max|h| + |b|.

    h = ReLU(s · n + c) with |n| = √width at most after LayerNorm, so |h| ≤ max|s| · √width + |c|.
    """
    norm = critics[f"norm_{_CONFIG.hidden_layers - 1}"]
    hidden = float(np.abs(norm["scale"]).max()) * np.sqrt(_CONFIG.hidden_width) + float(np.linalg.norm(norm["bias"]))
    value = critics["value"]
    return float(np.linalg.norm(value["kernel"]) * hidden + np.abs(value["bias"]).max())


def _circle(radius: float) -> NDArray[np.float32]:
    angle = np.linspace(0, 2 * np.pi, 256, endpoint=False)
    return (radius * np.stack([np.cos(angle), np.sin(angle)], axis=1)).astype(np.float32)


def picture(fitted: Mapping[bool, Params]) -> bytes:
    """Both answers over the plane, and along the radius beside the bound."""
    figure = new_figure(11.0, 3.6, LIGHT, "the picture")
    grid = figure.add_gridspec(1, 3)
    axis = np.linspace(-_REACH, _REACH, 121, dtype=np.float32)
    plane = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    values = {norm: ask(critics, plane).reshape(len(axis), -1) for norm, critics in fitted.items()}
    low, high = min(v.min() for v in values.values()), max(v.max() for v in values.values())
    angle = np.linspace(0, 2 * np.pi, 200)
    for i, (norm, shown) in enumerate(values.items()):
        axes = figure.add_subplot(grid[0, i])
        image = axes.imshow(
            shown, extent=(-_REACH, _REACH, -_REACH, _REACH), origin="lower", vmin=low, vmax=high, cmap="viridis"
        )
        axes.plot(RADIUS * np.cos(angle), RADIUS * np.sin(angle), color="white", linewidth=1.2)
        axes.set_title(_NAMES[norm], loc="left", color=LIGHT.text, fontsize=11, fontweight="bold")
        axes.tick_params(colors=LIGHT.text, labelsize=9, length=0)
    figure.colorbar(image, ax=axes, shrink=0.85)
    axes = figure.add_subplot(grid[0, 2])
    dress(axes, "largest value on a circle", LIGHT, "radius; the data ends at 0.5")
    radii = np.linspace(0.05, _REACH, 60)
    for norm, colour in ((False, LIGHT.demos), (True, LIGHT.main)):
        largest = [float(np.abs(ask(fitted[norm], _circle(float(r)))).max()) for r in radii]
        axes.plot(radii, largest, color=colour, label=_NAMES[norm])
    axes.plot(radii, radii, color=LIGHT.text, linestyle=":", linewidth=1, label="|x|, learned within 0.5")
    axes.axvline(RADIUS, color=LIGHT.grid)
    legend(axes, LIGHT)
    return to_png(figure, dpi=110)

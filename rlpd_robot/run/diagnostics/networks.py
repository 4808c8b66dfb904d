"""Actor and critics once more in NumPy, with a look inside: the learner's own programs are left as they are.

Nothing is compiled, and no random key is used, so that looking cannot change what is learned. Dropout is off.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rlpd_robot.agent.value_support import ValueSupport
from rlpd_robot.policy.numpy_actor import LOG_STD_MAX, LOG_STD_MIN

Array = NDArray[np.float32]
Layers = Mapping[str, Mapping[str, Array]]
"""Parameters by layer: "dense_0" → {"kernel": …, "bias": …}, as the learner's networks name them."""

DORMANT = 0.025
"""τ: a unit is dormant when its mean activation is at most this share of its layer's mean."""

_LAYER_NORM_EPSILON, _VARIANCE_EPSILON = 1e-6, 1e-6
"""As the learner's networks have them."""

SATURATED = 0.99
"""An action of at least this magnitude is at its end stop [-]."""


@dataclass(frozen=True)
class CriticLook:
    """Of E critics on B rows.

    Attributes:
        values: (E, B).
        hidden: (E, B, width) of each hidden layer, after ReLU.
        norm_inputs: (E, B) standard deviation over the units that LayerNorm divides by, of each layer that has one.
    """

    values: Array
    hidden: Sequence[Array]
    norm_inputs: Sequence[Array]


def look_at_critics(
    critics: Layers, observation: Array, action: Array, support: ValueSupport | None = None
) -> CriticLook:
    """(B, O), (B, A) → values and what they came from.

    Args:
        critics: parameters, of plain or of SimBa critics.
        support: of categorical critics, what their categories stand for.
    """
    hidden: list[Array] = []
    norm_inputs: list[Array] = []
    look = _through_blocks if "embed" in critics else _through_layers
    said = _dense(look(critics, observation, action, hidden, norm_inputs), critics["value"])
    if support is None:
        return CriticLook(said[..., 0], hidden, norm_inputs)
    shares = np.exp(said - said.max(axis=-1, keepdims=True))
    values = shares @ support.centers.astype(np.float32) / shares.sum(axis=-1)
    return CriticLook(values, hidden, norm_inputs)


def _through_layers(
    critics: Layers, observation: Array, action: Array, hidden: list[Array], norm_inputs: list[Array]
) -> Array:
    x: Array = np.concatenate([observation, action], axis=-1)[None]
    for i in range(_depth(critics)):
        x = _dense(x, critics[f"dense_{i}"])
        norm = critics.get(f"norm_{i}")
        x = np.maximum(x if norm is None else _layer_norm(x, norm, norm_inputs), 0.0)
        hidden.append(x)
    return x


def _through_blocks(
    critics: Layers, observation: Array, action: Array, hidden: list[Array], norm_inputs: list[Array]
) -> Array:
    seen = critics["observation"]
    x = (observation - seen["mean"]) / np.sqrt(seen["variance"] + np.float32(_VARIANCE_EPSILON))
    x = np.concatenate([x, np.broadcast_to(action, (len(x), *action.shape))], axis=-1)
    x = _dense(x, critics["embed"])
    for i in range(sum(name.startswith("expand_") for name in critics)):
        inner = _layer_norm(x, critics[f"norm_{i}"], norm_inputs)
        inner = np.maximum(_dense(inner, critics[f"expand_{i}"]), 0.0)
        hidden.append(inner)
        x = x + _dense(inner, critics[f"contract_{i}"])
    return _layer_norm(x, critics["norm_out"], norm_inputs)


def _dense(x: Array, layer: Mapping[str, Array]) -> Array:
    product: Array = np.matmul(x, layer["kernel"]) + layer["bias"]
    return product


def _layer_norm(x: Array, norm: Mapping[str, Array], norm_inputs: list[Array]) -> Array:
    x = x - x.mean(axis=-1, keepdims=True)
    deviation = np.sqrt(np.square(x).mean(axis=-1, keepdims=True) + _LAYER_NORM_EPSILON)
    norm_inputs.append(deviation[..., 0])
    normed: Array = x / deviation * norm["scale"] + norm["bias"]
    return normed


@dataclass(frozen=True)
class ActorLook:
    """Of one actor on B rows.

    Attributes:
        action: (B, A) the most likely one, in [-1, 1].
        std: (B, A) before the tanh.
        hidden: (B, width) of each hidden layer, after ReLU.
    """

    action: Array
    std: Array
    hidden: Sequence[Array]


def look_at_actor(actor: Layers, observation: Array) -> ActorLook:
    """(B, O) → actions and what they came from."""
    x, hidden = observation, []
    for i in range(_depth(actor)):
        x = np.maximum(x @ actor[f"dense_{i}"]["kernel"] + actor[f"dense_{i}"]["bias"], 0.0)
        hidden.append(x)
    mean = x @ actor["mean"]["kernel"] + actor["mean"]["bias"]
    log_std = x @ actor["log_std"]["kernel"] + actor["log_std"]["bias"]
    return ActorLook(np.tanh(mean), np.exp(np.clip(log_std, LOG_STD_MIN, LOG_STD_MAX)), hidden)


def dormant_share(hidden: Sequence[Array]) -> float:
    """Share of hidden units, of all layers and critics together, that hardly ever fire [0..1].

    Args:
        hidden: (…, B, width) of each layer, after ReLU.

    Source: Sokar et al. 2023, "The dormant neuron phenomenon in deep reinforcement learning", arXiv:2302.12902.
    """
    dormant = units = 0
    for layer in hidden:
        activity = layer.mean(axis=-2)
        dormant += int(np.sum(activity <= DORMANT * activity.mean(axis=-1, keepdims=True)))
        units += activity.size
    return dormant / units


def saturated_share(action: Array) -> float:
    """Share of action elements at their end stops [0..1]."""
    return float(np.mean(np.abs(action) >= SATURATED))


def _depth(layers: Mapping[str, Any]) -> int:
    return sum(name.startswith("dense_") for name in layers)

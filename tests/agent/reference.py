"""RLPD once more, in float64 NumPy, with every gradient written out by hand: what the JAX agent is held against.

Written from the paper (Ball et al. 2023, arXiv:2302.02948, Algorithm 1), SAC (Haarnoja et al. 2018, arXiv:1812.05905)
and Adam (Kingma and Ba 2015, Algorithm 1), not from the JAX code. One critic at a time, loops over the ensemble, no
automatic differentiation. All randomness is an argument: the noise of the two action draws and the target subset.

A network is a dict of layers in order, a layer a dict of arrays: "kernel" (in, out), "bias" (out,), and for LayerNorm
"scale" and "bias". An ensemble is a list of networks.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Net = dict[str, dict[str, Array]]

LAYER_NORM_EPSILON = 1e-6  # Flax's, which the authors' code uses
LOG_STD_RANGE = (-20.0, 2.0)  # the authors' code, `TanhNormal`


@dataclass(frozen=True)
class Settings:
    """The numbers of Algorithm 1 and what surrounds it."""

    discount: float
    target_rate: float
    actor_rate: float
    critic_rate: float
    temperature_rate: float
    target_entropy: float
    entropy_backup: bool
    weight_decay: float = 0.0
    reward_scale: float = 1.0
    reward_offset: float = 0.0
    clone_weight: float = 0.0
    value_weight: float = 1.0


@dataclass(frozen=True)
class Minibatch:
    """Rows [B]."""

    observation: Array
    action: Array
    reward: Array
    next_observation: Array
    bootstrap: Array
    is_demo: Array


@dataclass(frozen=True)
class CriticDraws:
    """What one critic step draws: noise (B, A) of the next action, and the members of the target subset."""

    noise: Array
    subset: Sequence[int]


@dataclass
class Adam:
    """First and second moments of a network's (or a scalar's) gradient."""

    first: dict[tuple[str, str], Array] = field(default_factory=dict)
    second: dict[tuple[str, str], Array] = field(default_factory=dict)
    steps: int = 0

    def step(self, net: Net, gradient: Net, rate: float, weight_decay: float = 0.0) -> None:
        """Change `net` in place. Decay is decoupled (AdamW), of kernels alone."""
        self.steps += 1
        for layer in net:
            for name in net[layer]:
                g = gradient[layer][name]
                key = (layer, name)
                m = self.first[key] = 0.9 * self.first.get(key, np.zeros_like(g)) + 0.1 * g
                v = self.second[key] = 0.999 * self.second.get(key, np.zeros_like(g)) + 0.001 * g**2
                unbiased_m, unbiased_v = m / (1.0 - 0.9**self.steps), v / (1.0 - 0.999**self.steps)
                decay = weight_decay * net[layer][name] if name == "kernel" else 0.0
                net[layer][name] = net[layer][name] - rate * (unbiased_m / (np.sqrt(unbiased_v) + 1e-8) + decay)


@dataclass
class Agent:
    """Everything that Algorithm 1 changes."""

    actor: Net
    critics: list[Net]
    targets: list[Net]
    temperature: Net  # one "scalar", log α
    actor_adam: Adam = field(default_factory=Adam)
    critic_adams: list[Adam] = field(default_factory=list)
    temperature_adam: Adam = field(default_factory=Adam)

    def __post_init__(self) -> None:
        self.critic_adams = self.critic_adams or [Adam() for _ in self.critics]

    @property
    def log_alpha(self) -> float:
        return float(self.temperature["log"]["alpha"])


# --- networks -----------------------------------------------------------------------------------------------------


def critic_forward(net: Net, observation: Array, action: Array) -> tuple[Array, list[tuple[Array, ...]]]:
    """Values (B,) and what the backward pass needs: Dense, LayerNorm where there is one, ReLU; last a Dense to one."""
    x = np.concatenate([observation, action], axis=1)
    tape: list[tuple[Array, ...]] = []
    for i in range(_depth(net)):
        dense, norm = net[f"dense_{i}"], net.get(f"norm_{i}")
        h = x @ dense["kernel"] + dense["bias"]
        standard, spread = h, np.ones((len(h), 1))
        y = h
        if norm is not None:
            spread = np.sqrt(h.var(axis=1, keepdims=True) + LAYER_NORM_EPSILON)
            standard = (h - h.mean(axis=1, keepdims=True)) / spread
            y = standard * norm["scale"] + norm["bias"]
        tape.append((x, standard, spread, y))
        x = np.where(y > 0.0, y, 0.0)
    tape.append((x,))
    return (x @ net["value"]["kernel"] + net["value"]["bias"])[:, 0], tape


def critic_backward(net: Net, tape: list[tuple[Array, ...]], upstream: Array) -> tuple[Net, Array]:
    """From dL/dQ (B,) to the gradient of every parameter, and of the inputs (B, O + A)."""
    (x,) = tape[-1]
    gradient: Net = {"value": {"kernel": x.T @ upstream[:, None], "bias": upstream.sum(keepdims=True)}}
    dx = upstream[:, None] @ net["value"]["kernel"].T
    for i in reversed(range(_depth(net))):
        x, standard, spread, y = tape[i]
        dy = dx * (y > 0.0)
        norm = net.get(f"norm_{i}")
        dh = dy
        if norm is not None:
            gradient[f"norm_{i}"] = {"scale": (dy * standard).sum(axis=0), "bias": dy.sum(axis=0)}
            ds = dy * norm["scale"]
            # d((h - mean) / spread): the parts along the constant and along `standard` itself drop out.
            along = (ds * standard).mean(axis=1, keepdims=True) * standard
            dh = (ds - ds.mean(axis=1, keepdims=True) - along) / spread
        gradient[f"dense_{i}"] = {"kernel": x.T @ dh, "bias": dh.sum(axis=0)}
        dx = dh @ net[f"dense_{i}"]["kernel"].T
    return gradient, dx


def actor_forward(net: Net, observation: Array) -> tuple[Array, Array, list[Array], Array]:
    """Mean and clipped log std (B, A), the layers' inputs, and the log std before clipping. No LayerNorm."""
    inputs = [observation]
    for i in range(_depth(net)):
        h = inputs[-1] @ net[f"dense_{i}"]["kernel"] + net[f"dense_{i}"]["bias"]
        inputs.append(np.where(h > 0.0, h, 0.0))
    mean = inputs[-1] @ net["mean"]["kernel"] + net["mean"]["bias"]
    raw = inputs[-1] @ net["log_std"]["kernel"] + net["log_std"]["bias"]
    return mean, np.clip(raw, *LOG_STD_RANGE), inputs, raw


def actor_backward(net: Net, inputs: list[Array], raw_log_std: Array, d_mean: Array, d_log_std: Array) -> Net:
    """From dL/dmean and dL/dlog_std (B, A) to the gradient of every parameter."""
    low, high = LOG_STD_RANGE
    d_log_std = d_log_std * ((raw_log_std > low) & (raw_log_std < high))
    top = inputs[-1]
    gradient: Net = {
        "mean": {"kernel": top.T @ d_mean, "bias": d_mean.sum(axis=0)},
        "log_std": {"kernel": top.T @ d_log_std, "bias": d_log_std.sum(axis=0)},
    }
    dx = d_mean @ net["mean"]["kernel"].T + d_log_std @ net["log_std"]["kernel"].T
    for i in reversed(range(_depth(net))):
        dh = dx * (inputs[i + 1] > 0.0)
        gradient[f"dense_{i}"] = {"kernel": inputs[i].T @ dh, "bias": dh.sum(axis=0)}
        dx = dh @ net[f"dense_{i}"]["kernel"].T
    return gradient


def log_density(action_before_tanh: Array, mean: Array, log_std: Array) -> Array:
    """log π of tanh(u), u ~ N(mean, std): the normal's log density less log(1 - tanh² u), summed over A."""
    u = action_before_tanh
    normal = -0.5 * ((u - mean) / np.exp(log_std)) ** 2 - log_std - 0.5 * np.log(2.0 * np.pi)
    # 1 - tanh² u = 4 / (e^u + e^-u)²
    squash = np.log(4.0) - 2.0 * np.logaddexp(u, -u)
    return np.asarray((normal - squash).sum(axis=1))


def _depth(net: Net) -> int:
    return sum(name.startswith("dense_") for name in net)


# --- Algorithm 1 --------------------------------------------------------------------------------------------------


def target_values(settings: Settings, agent: Agent, batch: Minibatch, draws: CriticDraws) -> Array:
    """(B,), lines 12-14: the smallest of the subset's values, with the entropy bonus where it is backed up."""
    mean, log_std, _, _ = actor_forward(agent.actor, batch.next_observation)
    u = mean + np.exp(log_std) * draws.noise
    values = [critic_forward(agent.targets[i], batch.next_observation, np.tanh(u))[0] for i in draws.subset]
    value = np.min(values, axis=0)
    if settings.entropy_backup:
        value = value - np.exp(agent.log_alpha) * log_density(u, mean, log_std)
    reward = settings.reward_scale * (batch.reward + settings.reward_offset)
    return np.asarray(reward + settings.discount * batch.bootstrap * value)


def critic_loss(critics: list[Net], batch: Minibatch, targets: Array) -> tuple[float, list[Net]]:
    """Mean over ensemble and minibatch of (Q - target)², and each member's gradient (line 15)."""
    loss, gradients = 0.0, []
    for net in critics:
        value, tape = critic_forward(net, batch.observation, batch.action)
        error = value - targets
        loss += float(np.mean(error**2)) / len(critics)
        gradient, _ = critic_backward(net, tape, 2.0 * error / (len(error) * len(critics)))
        gradients.append(gradient)
    return loss, gradients


def actor_loss(settings: Settings, agent: Agent, batch: Minibatch, noise: Array) -> tuple[float, Net, float]:
    """Mean of α log π - mean over the ensemble of Q (line 18), its gradient, and the estimated entropy [nat]."""
    mean, log_std, inputs, raw = actor_forward(agent.actor, batch.observation)
    std = np.exp(log_std)
    u = mean + std * noise
    action = np.tanh(u)
    log_pi = log_density(u, mean, log_std)
    alpha, rows, share = np.exp(agent.log_alpha), len(action), settings.value_weight / len(agent.critics)
    d_action = np.zeros_like(action)
    value = np.zeros(rows)
    for net in agent.critics:
        q, tape = critic_forward(net, batch.observation, action)
        _, d_input = critic_backward(net, tape, np.ones(rows))
        value += share * q
        d_action += share * d_input[:, batch.observation.shape[1] :]
    # With u = mean + std · noise the normal's exponent is constant, and d(-log(1 - tanh² u))/du = 2 tanh u.
    du = (alpha * 2.0 * action - d_action * (1.0 - action**2)) / rows
    loss = float(np.mean(alpha * log_pi - value))
    error, d_clone = cloning_error(action, batch)
    loss += settings.clone_weight * error
    du += settings.clone_weight * d_clone * (1.0 - action**2)
    d_mean, d_log_std = du, du * std * noise - alpha / rows
    return loss, actor_backward(agent.actor, inputs, raw, d_mean, d_log_std), float(-np.mean(log_pi))


def cloning_error(action: Array, batch: Minibatch) -> tuple[float, Array]:
    """Squared distance of the sampled to the demonstrated actions, mean over demonstration rows; gradient by action."""
    rows = max(float(batch.is_demo.sum()), 1.0)
    error = (action - batch.action) * batch.is_demo[:, None]
    return float((error**2).sum() / rows), 2.0 * error / rows


def temperature_loss(log_alpha: float, entropy: float, target_entropy: float) -> tuple[float, float]:
    """α · (entropy - target) and its derivative by log α, which is the same number (line 19)."""
    loss = float(np.exp(log_alpha)) * (entropy - target_entropy)
    return loss, loss


def average(targets: list[Net], critics: list[Net], rate: float) -> None:
    """Line 16: targets ← (1 - ρ) targets + ρ critics, in place."""
    for target, critic in zip(targets, critics, strict=True):
        for layer in target:
            for name in target[layer]:
                target[layer][name] = (1.0 - rate) * target[layer][name] + rate * critic[layer][name]


def super_step(
    settings: Settings, agent: Agent, batches: Sequence[Minibatch], draws: Sequence[CriticDraws], actor_noise: Array
) -> dict[str, float]:
    """Lines 9-20, changing `agent` in place: a critic step on each minibatch, then one actor step on the last one."""
    losses, target_means = [], []
    for batch, drawn in zip(batches, draws, strict=True):
        targets = target_values(settings, agent, batch, drawn)
        loss, gradients = critic_loss(agent.critics, batch, targets)
        for net, gradient, adam in zip(agent.critics, gradients, agent.critic_adams, strict=True):
            adam.step(net, gradient, settings.critic_rate, settings.weight_decay)
        average(agent.targets, agent.critics, settings.target_rate)
        losses.append(loss)
        target_means.append(targets.mean())
    loss, gradient, entropy = actor_loss(settings, agent, batches[-1], actor_noise)
    agent.actor_adam.step(agent.actor, gradient, settings.actor_rate)
    _, slope = temperature_loss(agent.log_alpha, entropy, settings.target_entropy)
    agent.temperature_adam.step(agent.temperature, {"log": {"alpha": np.asarray(slope)}}, settings.temperature_rate)
    return {
        "critic_loss": float(np.mean(losses)),
        "target_q": float(np.mean(target_means)),
        "actor_loss": loss,
        "entropy": entropy,
        "temperature": float(np.exp(agent.log_alpha)),
    }

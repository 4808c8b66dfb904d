"""The trained actor in plain NumPy: a tanh-Gaussian MLP as published in a `PolicySnapshot`."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rlpd_robot.errors import DataError
from rlpd_robot.types import PolicySnapshot

LOG_STD_MIN, LOG_STD_MAX = -20.0, 2.0
"""Range of the log standard deviation in the authors' code (rlpd, `TanhNormal`)."""

Dense = tuple[NDArray[np.float32], NDArray[np.float32]]
"""Kernel (in, out) and bias (out,) of one layer."""


class NumpyActor:
    """a = tanh(μ(o) + σ(o)·ε), ε ~ N(0, I) when exploring and 0 when not (SAC, arXiv:1812.05905, appendix C).

    Not thread-safe: the hidden layers are computed in buffers that live as long as the actor.

    Args:
        snapshot: the network; its arrays are copied where they are not aligned and contiguous.
        rng: draws ε.

    Raises:
        DataError: a layer is missing or surplus, shapes do not chain, or a number is not finite.
    """

    def __init__(self, snapshot: PolicySnapshot, rng: np.random.Generator) -> None:
        self.version = snapshot.version
        hidden, mean, log_std = layers(snapshot)
        self._hidden = [(*_aligned(layer), np.empty(layer[0].shape[1], np.float32)) for layer in hidden]
        self._mean, self._log_std = _aligned(mean), _aligned(log_std)
        self._std = np.empty(len(mean[1]), np.float32)
        self._noise = np.empty_like(self._std)
        self._rng = rng

    def act(self, observation: NDArray[np.float32], explore: bool) -> NDArray[np.float32]:
        """One action.

        Args:
            observation: (O,) float32.
            explore: sample; otherwise tanh of the mean.

        Returns:
            (A,) float32 in [-1, 1], the caller's to keep.
        """
        x = observation
        for kernel, bias, out in self._hidden:
            np.dot(x, kernel, out=out)
            out += bias
            np.maximum(out, 0.0, out=out)
            x = out
        action = x @ self._mean[0]
        action += self._mean[1]
        if explore:
            action += self._draw(x)
        np.tanh(action, out=action)
        return action

    def _draw(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        std, noise = self._std, self._noise
        np.dot(x, self._log_std[0], out=std)
        std += self._log_std[1]
        np.clip(std, LOG_STD_MIN, LOG_STD_MAX, out=std)
        np.exp(std, out=std)
        self._rng.standard_normal(dtype=np.float32, out=noise)
        noise *= std
        return noise


def layers(snapshot: PolicySnapshot) -> tuple[list[Dense], Dense, Dense]:
    """Hidden layers, mean and log-std layer of a snapshot, checked.

    Raises:
        DataError: a layer is missing or surplus, shapes do not chain, or a number is not finite.
    """
    where, arrays = f"Policy snapshot {snapshot.version}", snapshot.arrays
    depth = sum(name.startswith("dense_") and name.endswith("/kernel") for name in arrays)
    names = [*(f"dense_{i}" for i in range(depth)), "mean", "log_std"]
    keys = {f"{name}/{part}" for name in names for part in ("kernel", "bias")}
    if set(arrays) != keys:
        raise DataError(where, f"its arrays are {sorted(arrays)}", f"{sorted(keys)}")
    chain = [_dense(where, arrays, name) for name in names]
    inputs = [None, *(kernel.shape[1] for kernel, _ in chain[:depth]), chain[depth - 1][0].shape[1] if depth else None]
    for name, (kernel, _), size in zip(names, chain, inputs, strict=True):
        if size is not None and kernel.shape[0] != size:
            raise DataError(where, f"{name}/kernel has shape {kernel.shape}", f"({size}, …) after the layer before it")
    mean, log_std = chain[-2], chain[-1]
    if mean[0].shape != log_std[0].shape:
        raise DataError(where, f"log_std/kernel has shape {log_std[0].shape}", f"{mean[0].shape}, as mean/kernel")
    return chain[:depth], mean, log_std


def _dense(where: str, arrays: Mapping[str, NDArray[Any]], name: str) -> Dense:
    kernel, bias = arrays[f"{name}/kernel"], arrays[f"{name}/bias"]
    if kernel.ndim != 2 or 0 in kernel.shape or bias.shape != kernel.shape[1:]:
        raise DataError(where, f"{name} has kernel {kernel.shape} and bias {bias.shape}", "(in, out) and (out,)")
    for part, array in (("kernel", kernel), ("bias", bias)):
        if array.dtype != np.float32:
            raise DataError(where, f"{name}/{part} is {array.dtype}", "float32")
        if not np.isfinite(array).all():
            raise DataError(where, f"{name}/{part} holds a non-finite number", "finite values")
    return kernel, bias


def _aligned(layer: Dense) -> Dense:
    kernel, bias = (np.require(a, requirements=["C", "A"]) for a in layer)  # views into a message may be neither
    return kernel, bias

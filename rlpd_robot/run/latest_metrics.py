"""What super-steps measure, on its way from the device while the device goes on."""

import jax
import jax.numpy as jnp
import numpy as np

from rlpd_robot.agent.layout import local

EVERY = 10
"""Super-steps between two transfers: as many as a learner makes between two looks at its sockets."""


class LatestMetrics:
    """Of a few super-steps ago, so that whoever asks does not wait for what the device works on now."""

    def __init__(self) -> None:
        self._names: tuple[str, ...] = ()
        self._leaving: jax.Array | None = None
        self._since = 0

    def offer(self, metrics: dict[str, jax.Array]) -> None:
        """Scalars of one super-step. Every tenth's, and the first of other names, begin to leave, as one array."""
        self._since = self._since + 1 if self._names == tuple(metrics) else 0
        if self._since % EVERY == 0:
            self._names, self._leaving = tuple(metrics), _stacked(local(tuple(metrics.values())))
            self._leaving.copy_to_host_async()

    def read(self) -> dict[str, float]:
        """Those that left last; nothing before the first."""
        if self._leaving is None:
            return {}
        return dict(zip(self._names, np.asarray(self._leaving).tolist(), strict=True))


@jax.jit
def _stacked(values: tuple[jax.Array, ...]) -> jax.Array:
    return jnp.stack([jnp.asarray(value, jnp.float32) for value in values])

"""The devices that a learner computes on."""

import jax

from rlpd_robot.agent.layout import Layout, mesh_of
from rlpd_robot.errors import ConfigError
from rlpd_robot.run.learner_settings import MeshSettings


def make_layout(mesh: MeshSettings, unroll: int = 1) -> Layout:
    """The layout over the first devices of this machine, as many as the settings ask for.

    Args:
        mesh: how many.
        unroll: as of `Layout`.

    Raises:
        ConfigError: there are not so many.
    """
    if mesh.devices == 1:
        return Layout(unroll=unroll)
    there = jax.devices()
    if mesh.devices > len(there):
        found = f"{len(there)} ({there[0].device_kind})"
        asked = f"{mesh.ensemble} x {mesh.data} devices"
        raise ConfigError("learner.mesh", asked, f"within the devices that JAX finds on this machine, {found}")
    return Layout(mesh_of(there[: mesh.devices], mesh.ensemble, mesh.data), unroll)

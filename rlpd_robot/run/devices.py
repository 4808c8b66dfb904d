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
    if mesh.processes != jax.process_count():
        raise ConfigError("learner.mesh.processes", mesh.processes, "1 wherever `rlpd-robot learner` is not what runs")
    each = mesh.devices // mesh.processes
    chosen: list[jax.Device] = []
    for process in range(mesh.processes):
        there = [device for device in jax.devices() if device.process_index == process]
        if each > len(there):
            found = f"{len(there)} ({there[0].device_kind})"
            where = "on this machine" if mesh.processes == 1 else f"in process {process} of {mesh.processes}"
            asked = f"{mesh.ensemble} x {mesh.data} devices"
            raise ConfigError("learner.mesh", asked, f"within the devices that JAX finds {where}, {found}")
        chosen += there[:each]
    return Layout(mesh_of(chosen, mesh.ensemble, mesh.data), unroll)

"""The simulated hand as a robot of its own, behind the robot wire protocol: what `rlpd-robot sim` starts."""

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rlpd_robot.wire.security import LOOPBACK_ONLY, Security
from sim.faults.server import serve_robot_with_faults
from sim.hand import AdroitHand


def serve(
    task: str,
    address: str,
    lockstep: bool,
    stop: threading.Event,
    security: Security = LOOPBACK_ONLY,
    book: str | None = None,
    view: str | None = None,
    faults: Mapping[str, Any] | None = None,
    twin: str | None = None,
    randomize: Mapping[str, Any] | None = None,
) -> None:
    """Serve one hand until `stop` is set.

    Args:
        task: see `AdroitHand`.
        address: where to listen, such as "tcp://127.0.0.1:5560".
        lockstep: True: the simulation waits for each command, as fast as the controller. False: it keeps to the wall
            clock, 100 periods a second, and moves on whether commands come or not.
        stop: ends the server.
        security: of the link; loopback alone unless told otherwise.
        book: file to write down what becomes of each command; none: nowhere.
        view: how to watch it, see `sim.view.ViewedHand`; none: not at all.
        faults: what goes wrong, `{seed, script, orders, log}` of `sim.faults.plan.Plan`; none: nothing.
        twin, randomize: see `AdroitHand`.

    Raises:
        ConfigError: no such task, an address that cannot be used, or a fault, a twin or a range that means nothing.
        MissingPackageError: the models are not installed.
        AddressError: the address is taken.
        StoreError: the book cannot be gone on with.
        NoRenderingError, ChildError: it cannot be watched.
    """
    path = Path(book) if book is not None else None
    if view is None:
        hand = AdroitHand(task, None, twin, randomize)
        return serve_robot_with_faults(hand, address, lockstep, stop, security, path, faults)
    from sim.view import ViewedHand  # draws

    viewed = ViewedHand(task, view, twin, randomize)
    print(viewed.where, flush=True)
    try:
        serve_robot_with_faults(viewed, address, lockstep, stop, security, path, faults)
    finally:
        viewed.close()

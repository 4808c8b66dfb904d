"""The simulated hand as a robot of its own, behind the robot wire protocol: what `rlpd-robot sim` starts."""

import threading
from pathlib import Path

from rlpd_robot.robot.server import serve as serve_robot
from rlpd_robot.wire.security import LOOPBACK_ONLY, Security
from sim.hand import AdroitHand


def serve(
    task: str,
    address: str,
    lockstep: bool,
    stop: threading.Event,
    security: Security = LOOPBACK_ONLY,
    book: str | None = None,
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

    Raises:
        ConfigError: no such task, or an address that cannot be used.
        MissingPackageError: the models are not installed.
        AddressError: the address is taken.
        StoreError: the book cannot be gone on with.
    """
    serve_robot(AdroitHand(task), address, lockstep, stop, security, Path(book) if book is not None else None)

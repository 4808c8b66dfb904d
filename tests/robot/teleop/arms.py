"""A point of two axes under a device, at a time that a test sets."""

from types import SimpleNamespace

import numpy as np

from rlpd_robot.robot.fake import fake_spec

SPEC = fake_spec(period_s=0.1)  # one action unit is one metre
AXES = {"right": {"target.0": 0.5}, "up": {"target.1": 1.0}}
START = np.array([0.25, 0.0], np.float32)


def at(seconds: float = 100.0) -> SimpleNamespace:
    """A clock: call `now`, set `s`."""
    clock = SimpleNamespace(s=seconds)
    clock.now = lambda: clock.s
    return clock

"""What every test shares. JAX is not imported here: most of the toolkit, and most tests, never need it."""

import os

from hypothesis import HealthCheck, settings

# Set before anything imports JAX, and inherited by the processes that tests start.
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("JAX_NUMPY_RANK_PROMOTION", "raise")  # (E, B, 1) - (B,) fails instead of giving (E, B, B)

# How fast examples come says something of the machine, not of this program.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")

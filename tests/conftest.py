"""What every test shares. JAX is not imported here: most of the toolkit, and most tests, never need it."""

import os

# Set before anything imports JAX, and inherited by the processes that tests start.
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("JAX_NUMPY_RANK_PROMOTION", "raise")  # (E, B, 1) - (B,) fails instead of giving (E, B, B)

"""Acting without JAX: from an observation to an action, in microseconds of NumPy."""

"""Demonstration stores, replay and sampling in NumPy and zarr; no JAX, no sockets."""

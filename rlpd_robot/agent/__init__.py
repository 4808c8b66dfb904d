"""RLPD (arXiv:2302.02948) as pure functions in JAX; knows neither robots nor files."""

"""Everything that may move metal. Never imports JAX."""

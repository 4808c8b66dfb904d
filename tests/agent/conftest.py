"""Short compilations and double precision for the agent's tests."""

import os
from collections.abc import Iterator

import jax
import pytest

with pytest.MonkeyPatch.context() as patch:
    # Trade the speed of the compiled code, of which tests run little, for a quarter of the compile time. XLA reads the
    # variable once, when its first device starts, which a test module's constants may do; processes that other tests
    # start never see it.
    if "XLA_FLAGS" not in os.environ:
        flags = "--xla_backend_optimization_level=0 --xla_cpu_use_fusion_emitters=false"
        patch.setenv("XLA_FLAGS", f"{flags} --xla_cpu_parallel_codegen_split_count=1")
    jax.devices()


@pytest.fixture
def float64() -> Iterator[None]:
    """JAX in double precision for one test; what was compiled in single precision stays apart."""
    jax.config.update("jax_enable_x64", True)
    try:
        yield
    finally:
        jax.config.update("jax_enable_x64", False)

from pathlib import Path

import pytest

from tests.integration.running import make_demos


@pytest.fixture(scope="session", autouse=True)
def compiled_once(tmp_path_factory: pytest.TempPathFactory) -> object:
    """What one learner has compiled, the next one need not: these tests are not about XLA."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JAX_COMPILATION_CACHE_DIR", str(tmp_path_factory.mktemp("compiled")))
        patch.setenv("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
        yield


@pytest.fixture(scope="session")
def demos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Demonstrations on the point."""
    return make_demos(tmp_path_factory.mktemp("demos") / "demos.zarr")

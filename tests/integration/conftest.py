from pathlib import Path

import pytest

from tests.integration.running import make_demos


@pytest.fixture(scope="session")
def demos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Demonstrations on the point."""
    return make_demos(tmp_path_factory.mktemp("demos") / "demos.zarr")

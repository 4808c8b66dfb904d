import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from rlpd_robot.data import layout
from rlpd_robot.data.demo_store import StoreWriter
from tests.data.episodes import make_episode, make_problem


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stores made in this test have several chunks after a few episodes."""
    monkeypatch.setattr(layout, "CHUNK_BYTES", 512)


@pytest.fixture(scope="session")
def originals(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Stores of several chunks, written once; named by how many episodes they hold."""
    folder = tmp_path_factory.mktemp("originals")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(layout, "CHUNK_BYTES", 512)
        for episodes in (0, 1, 2, 3, 12):
            with StoreWriter(folder / str(episodes), make_problem()) as writer:
                for i in range(episodes):
                    writer.append(make_episode(i))
    return folder


@pytest.fixture
def make_store(tmp_path: Path, originals: Path) -> Callable[[int], Path]:
    """A store of that many episodes (0, 1, 2, 3 or 12), for this test alone."""

    def make(episodes: int) -> Path:
        return Path(shutil.copytree(originals / str(episodes), tmp_path / "demos.zarr"))

    return make

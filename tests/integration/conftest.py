import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.integration.running import Verb, children_of, link_words, make_demos

Start = Callable[..., tuple[Verb, Path]]


@pytest.fixture(scope="session")
def demos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Demonstrations on the point."""
    return make_demos(tmp_path_factory.mktemp("demos") / "demos.zarr")


@pytest.fixture
def train(tmp_path: Path, demos: Path) -> Iterator[Start]:
    """Starts or goes on with one run of the point's experiment; gives the process and the run's directory."""
    started: list[Verb] = []
    words = ["train", "experiment=point", f"run.demos={demos}", f"run.root={tmp_path}", "resume=auto"]

    def start(*more: str) -> tuple[Verb, Path]:
        started.append(Verb([*words, *link_words(), *more], tmp_path / f"train{len(started)}.log"))
        return started[-1], tmp_path / "point"

    yield start
    for verb in started:
        for pid in children_of(verb.process.pid).values():
            os.kill(pid, signal.SIGKILL)
        verb.kill()

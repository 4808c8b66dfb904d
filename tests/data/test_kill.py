"""SIGKILL at random moments: what was said to be committed is there, whole, and the store goes on."""

import multiprocessing
import random
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from rlpd_robot.data.demo_store import DemoStore, StoreWriter
from rlpd_robot.data.validate import validate
from tests.data.episodes import make_episode, make_problem

KILLS = 12
DEADLINE_S = 30.0


def _write(path: Path, said: Connection) -> None:
    with StoreWriter(path, make_problem(), lock_timeout_s=10.0) as writer:
        while True:
            said.send(len(writer))
            writer.append(make_episode(len(writer)))


@pytest.mark.integration
def test_a_killed_writer_loses_nothing_that_it_committed(tmp_path: Path, small_chunks: None) -> None:
    path = tmp_path / "killed.zarr"
    DemoStore.create(path, make_problem())
    spawn = multiprocessing.get_context("forkserver")  # its server imports once, and forks before zarr is used
    spawn.set_forkserver_preload(["tests.data.test_kill"])
    moments = random.Random(20230206)
    committed, ragged = 0, 0
    for kill in range(KILLS):
        reader, writer = spawn.Pipe(duplex=False)
        process = spawn.Process(target=_write, args=(path, writer), daemon=True)
        process.start()
        writer.close()
        assert reader.poll(DEADLINE_S), "the writer did not start"
        said = reader.recv()
        assert said == committed, "the next writer found another number of episodes than the reader did"
        if kill % 2:
            assert reader.poll(DEADLINE_S), "the writer did not append"
        process.join(timeout=moments.uniform(0.0, 0.25))
        process.kill()
        process.join(timeout=DEADLINE_S)
        assert process.exitcode == -9
        said = _last(reader, said)

        store = DemoStore.open(path)
        committed = len(store)
        assert said <= committed <= said + 1, "an episode was lost after its commit, or appeared before it"
        for i, episode in enumerate(store.episodes()):
            assert episode.same_as(make_episode(i))
        ragged += store.summary().uncommitted_rows > 0 or any(path.rglob("*.partial"))
    assert committed >= KILLS // 2
    assert ragged > 0, "no kill fell into an append: the test shows nothing"
    with StoreWriter(path, make_problem(), lock_timeout_s=10.0) as last:
        last.append(make_episode(committed))
    assert validate(path) == []
    assert len(DemoStore.open(path)) == committed + 1


def _last(reader: Connection, said: int) -> int:
    """The last number that arrived whole before the writer died."""
    try:
        while reader.poll(0):
            said = reader.recv()
    except EOFError:
        reader.close()
    return said

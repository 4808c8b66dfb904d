"""Whatever is wrong with what a person gives: one sentence, status 2, and nothing written."""

import re
import shutil
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import zarr
import zmq

from rlpd_robot import cli
from rlpd_robot.data.demo_store import DemoStore, StoreWriter
from rlpd_robot.robot.fake import FakeDriver, FakeTask, fake_spec
from rlpd_robot.robot.task import problem_of
from rlpd_robot.wire.messages import Refused, to_bytes
from tests.integration.running import CONFIGS, free_ports, link_words, make_demos
from tests.run.point import save_policy
from tests.wire.examples import problem, segment

pytestmark = pytest.mark.integration


@pytest.fixture
def refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Callable[..., str]]:
    """The sentence with which a verb of the point's experiment is refused; nothing may have been written."""
    monkeypatch.setenv("RLPD_ROBOT_CONFIGS", str(CONFIGS))
    monkeypatch.syspath_prepend(str(CONFIGS.parents[2]))
    monkeypatch.setenv("PYTHONPATH", str(CONFIGS.parents[2]))
    root = tmp_path / "runs"
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def run(*words: str, verb: str = "train") -> str:
        before = sorted(path for path in tmp_path.rglob("*") if path.suffix != ".lock")
        status = cli.main([verb, "experiment=point", f"run.root={root}", *link_words(), *words])
        text = capsys.readouterr().err
        assert status == 2, text
        assert sorted(path for path in tmp_path.rglob("*") if path.suffix != ".lock") == before
        assert text.endswith("\n")
        assert text.count("\n") == 1
        return text.removeprefix(f"rlpd-robot {verb}: ").rstrip("\n")

    yield run
    for number, handler in handlers.items():
        signal.signal(number, handler)
    assert not root.exists()


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that somebody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_no_store_where_the_agent_needs_one(refused: Callable[..., str]) -> None:
    for verb in ("train", "learner"):
        assert refused(verb=verb) == (
            "Setting 'run.demos' must be a demonstration store, since these agent settings use prior data. "
            "Received None."
        )


@pytest.mark.parametrize("verb", ["train", "learner"])
def test_a_store_that_is_not_there(refused: Callable[..., str], tmp_path: Path, verb: str) -> None:
    path = tmp_path / "none.zarr"
    assert refused(f"run.demos={path}", verb=verb).startswith(f"Store '{path}': there is nothing at this path. ")


@pytest.mark.parametrize("verb", ["train", "learner"])
def test_a_directory_that_is_no_store(refused: Callable[..., str], tmp_path: Path, verb: str) -> None:
    (tmp_path / "holiday").mkdir()
    (tmp_path / "holiday" / "beach.png").write_bytes(b"\x89PNG")
    assert refused(f"run.demos={tmp_path / 'holiday'}", verb=verb).startswith(f"Store '{tmp_path / 'holiday'}': ")


def test_a_store_without_an_episode(refused: Callable[..., str], tmp_path: Path) -> None:
    path = tmp_path / "empty.zarr"
    DemoStore.create(path, problem_of(FakeTask(40), fake_spec()))
    assert refused(f"run.demos={path}") == (
        f"Store '{path}': it holds no episode. Record or collect demonstrations first."
    )


@pytest.mark.parametrize("verb", ["train", "learner"])
def test_a_damaged_store(refused: Callable[..., str], demos: Path, tmp_path: Path, verb: str) -> None:
    path = Path(shutil.copytree(demos, tmp_path / "damaged.zarr"))
    chunk = max((path / "data" / "observations").rglob("*"), key=lambda file: file.is_file() and file.stat().st_size)
    chunk.write_bytes(chunk.read_bytes()[:10])
    assert refused(f"run.demos={path}", verb=verb).startswith(f"Store '{path}': ")


@pytest.mark.parametrize("verb", ["train", "learner"])
@pytest.mark.parametrize("array", ["observations", "actions", "rewards"])
def test_nan_in_a_demonstration(
    refused: Callable[..., str], demos: Path, tmp_path: Path, verb: str, array: str
) -> None:
    path = Path(shutil.copytree(demos, tmp_path / "nan.zarr"))
    zarr.open_group(path, mode="r+")[f"data/{array}"][45] = np.nan
    sentence = refused(f"run.demos={path}", verb=verb)
    assert str(path) in sentence
    assert "pisode 1" in sentence
    assert array in sentence
    assert "finite" in sentence


def test_a_store_of_another_robot(refused: Callable[..., str], tmp_path: Path) -> None:
    path = make_demos(tmp_path / "slow.zarr", driver=FakeDriver(period_s=0.05), episodes=1)
    assert refused(f"run.demos={path}") == (
        f"Store '{path}' does not match this robot and task: robot.period_s: 0.01 here, 0.05 there. "
        "Use a store recorded on this robot and task, or set them as the store has them."
    )


def test_a_store_of_another_task(refused: Callable[..., str], tmp_path: Path) -> None:
    path = tmp_path / "other.zarr"
    with StoreWriter(path, problem()) as writer:
        writer.append(segment(n=5, ending="truncated"))
    sentence = refused(f"run.demos={path}")
    assert sentence.startswith(f"Store '{path}' does not match this robot and task: ")
    assert 'task: "fake-reach" here, "reach" there' in sentence


@pytest.mark.parametrize("link", ["robot", "data", "policy", "control"])
def test_train_notices_a_port_in_use_before_it_begins(
    refused: Callable[..., str], demos: Path, taken: int, link: str
) -> None:
    address = f"tcp://127.0.0.1:{taken}"
    assert refused(f"run.demos={demos}", f"link.{link}={address}") == (
        f"Cannot listen on {address} ('link.{link}'): the port is in use. "
        f"Stop the program that uses it, or choose another address for 'link.{link}'."
    )


def test_one_port_for_two_links(refused: Callable[..., str], demos: Path) -> None:
    address = f"tcp://127.0.0.1:{free_ports(1)[0]}"
    sentence = refused(f"run.demos={demos}", f"link.data={address}", f"link.policy={address}")
    assert sentence.startswith(f"Cannot listen on {address} ('link.policy'): the port is in use.")


def test_a_socket_file_that_somebody_listens_on_is_left_to_him(
    refused: Callable[..., str], demos: Path, tmp_path: Path
) -> None:
    """ZeroMQ would take it over."""
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "s"))
        server.listen()
        sentence = refused(f"run.demos={demos}", f"link.data=ipc://{tmp_path / 's'}")
        assert sentence.startswith(f"Cannot listen on ipc://{tmp_path / 's'} ('link.data'): it is in use.")
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(tmp_path / "s"))


@pytest.mark.parametrize("link", ["data", "policy"])
def test_a_learner_whose_port_is_in_use(refused: Callable[..., str], demos: Path, taken: int, link: str) -> None:
    sentence = refused(f"run.demos={demos}", f"link.{link}=tcp://127.0.0.1:{taken}", verb="learner")
    assert sentence.startswith(f"Cannot listen on tcp://127.0.0.1:{taken} ('link.{link}'): the port is in use.")


def test_a_stand_in_whose_port_is_in_use(refused: Callable[..., str], taken: int) -> None:
    sentence = refused(f"link.robot=tcp://127.0.0.1:{taken}", verb="sim")
    assert sentence.startswith(f"Cannot listen on tcp://127.0.0.1:{taken} ('link.robot'): the port is in use.")


@pytest.mark.parametrize("verb", ["train", "learner", "actor", "sim", "eval"])
def test_a_link_that_others_could_reach(refused: Callable[..., str], demos: Path, verb: str) -> None:
    assert refused(f"run.demos={demos}", "link.data=tcp://0.0.0.0:5561", verb=verb) == (
        "Setting 'link.data' must be a loopback address, unless link.keys names a directory of keys "
        "(`rlpd-robot keys`) or link.insecure=true: nothing on this link is encrypted. "
        "Received 'tcp://0.0.0.0:5561'."
    )


def test_a_name_that_is_taken(refused: Callable[..., str], demos: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere" / "point").mkdir(parents=True)
    (tmp_path / "elsewhere" / "point" / "summary.json").write_text("{}")
    assert refused(f"run.demos={demos}", f"run.root={tmp_path / 'elsewhere'}") == (
        f"Setting 'run.name' must be a new name: '{tmp_path / 'elsewhere' / 'point'}' exists already, and "
        "resume=auto would go on with it. Received 'point'."
    )


@pytest.mark.parametrize("verb", ["train", "learner"])
def test_a_root_that_is_a_file(refused: Callable[..., str], demos: Path, tmp_path: Path, verb: str) -> None:
    (tmp_path / "file").write_text("")
    sentence = refused(f"run.demos={demos}", f"run.root={tmp_path / 'file'}", verb=verb)
    assert re.match(r"Setting 'run\.root' must be a directory in which .* can be made \(Not a directory\)", sentence)


def test_a_live_store_of_another_robot_is_left_alone(refused: Callable[..., str], demos: Path, tmp_path: Path) -> None:
    """A learner goes on with what is in its directory, but not with another robot's."""
    make_demos(tmp_path / "old" / "point" / "live.zarr", driver=FakeDriver(period_s=0.05), episodes=1)
    sentence = refused(f"run.demos={demos}", f"run.root={tmp_path / 'old'}", verb="learner")
    assert "robot.period_s" in sentence
    assert str(tmp_path / "old" / "point" / "live.zarr") in sentence


@contextmanager
def newer_peer() -> Iterator[str]:
    """Address of somebody who answers whatever he is told in version 2 of the protocol."""
    answer = to_bytes(Refused("?")).replace(b"\xa1v\x01", b"\xa1v\x02", 1)
    done = threading.Event()
    with zmq.Context() as context, context.socket(zmq.ROUTER) as sock:
        port = sock.bind_to_random_port("tcp://127.0.0.1")

        def serve() -> None:
            while not done.is_set():
                if sock.poll(20):
                    sock.send_multipart([sock.recv_multipart()[0], answer])

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"tcp://127.0.0.1:{port}"
        finally:
            done.set()
            thread.join(10)


NEWER = "speaks protocol version 2, this side speaks 1. Install the same rlpd-robot version on both machines."


@pytest.mark.parametrize("verb", ["train", "actor", "eval"])
def test_a_robot_of_another_version(refused: Callable[..., str], demos: Path, tmp_path: Path, verb: str) -> None:
    policy = save_policy(tmp_path / "policy.npz")
    with newer_peer() as address:
        words = [f"run.demos={demos}", f"eval.policy={policy}", f"link.robot={address}", "robot.stand_in=null"]
        assert refused(*words, verb=verb) == f"robot at {address} {NEWER}"


def test_a_learner_of_another_version(refused: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    with newer_peer() as address:
        words = [
            "~robot.driver.address",
            "~robot.driver.security",
            "robot.driver._target_=rlpd_robot.robot.fake.FakeDriver",
        ]
        sentence = refused(*words, f"link.data={address}", verb="actor")
    assert sentence == f"The learner at {address} refused: learner at {address} {NEWER}"
    (tmp_path / "runs").rmdir()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["safety.max_speed={target: fast}"], "Setting 'safety.max_speed"),
        (["safety.max_speed={elbow: 1.0}"], "Setting 'safety.max_speed"),
        (["safety.margin=0.7"], "Setting 'safety.margin'"),
        (["task._target_=sim.tasks.registry.make_task", "~task.horizon", "+task.name=door"], "Robot 'fake'"),
        (["robot.driver._target_=rlpd_robot.nowhere.Driver"], "Setting '_target_' must be something that can be imp"),
        (["+robot.driver.speed=3"], "Setting 'rlpd_robot.robot.zmq_driver.ZmqDriver: arguments' must be those that it"),
    ],
)
def test_train_meets_the_robot_before_it_begins(
    refused: Callable[..., str], demos: Path, words: list[str], sentence: str
) -> None:
    assert refused(f"run.demos={demos}", *words).startswith(sentence)

"""The policy server: real sockets, its own thread, and clients that know the bytes alone."""

import contextlib
import importlib.util
import os
import shutil
import signal
import subprocess
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import zmq

from rlpd_robot.errors import ConfigError, DataError
from rlpd_robot.run.serve import PolicyFollower, PolicyServer, ServedPolicy
from rlpd_robot.run.settings import ServeSettings
from rlpd_robot.wire.keys import make_keys, read_pair, read_public
from rlpd_robot.wire.policy_channel import PolicyPublisher, PolicySubscriber
from rlpd_robot.wire.policy_protocol import Request, Status, pack_request, unpack_reply
from rlpd_robot.wire.security import Security
from rlpd_robot.wire.sockets import ANY_PORT
from tests.integration.running import Verb, free_ports
from tests.run.point import policy, save_policy
from tests.wire.waiting import wait_until

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
SEEN = np.array([0.25, -0.5, 0.0, 0.0], np.float32)
WANTED = np.tanh([-0.5, 1.0]).astype(np.float32)  # tanh(-2 · position), see `policy`


def network(version=3, **changes):
    return replace(policy(), version=version, **changes)


@pytest.fixture
def served():
    served = ServedPolicy(explore=False, rng=np.random.default_rng(0))
    served.take(network())
    return served


@contextlib.contextmanager
def running(served, **options):
    server, stop = PolicyServer(ANY_PORT, served, **options), threading.Event()
    thread = threading.Thread(target=server.run, args=(stop,))
    thread.start()
    try:
        yield server
    finally:
        stop.set()
        thread.join()
        server.close()


@pytest.fixture
def server(served):
    with running(served) as server:
        yield server


@pytest.fixture
def client():
    """Makes a connected socket."""
    with zmq.Context() as context, contextlib.ExitStack() as stack:

        def connect(address):
            sock = stack.enter_context(context.socket(zmq.DEALER))
            sock.linger, sock.rcvtimeo = 0, 10_000
            sock.connect(address)
            return sock

        yield connect


def ask(sock, observation=SEEN, sequence=1, budget_us=5_000_000):
    sock.send(pack_request(Request(sequence, 99, budget_us, np.asarray(observation, np.float32))))
    return unpack_reply(sock.recv(), "the server")


def test_an_observation_is_answered_with_the_policys_action(server, client):
    reply = ask(client(server.address), sequence=17)
    assert (reply.status, reply.sequence, reply.stamp, reply.policy_version) == (Status.OK, 17, 99, 3)
    assert np.allclose(reply.action, WANTED, atol=1e-6)
    assert 0 < reply.server_us < 5_000_000
    assert server.stats()["answered"] == 1


@pytest.mark.parametrize(
    ("observation", "status"),
    [
        ([0.0] * 3, Status.WRONG_SIZE),
        ([0.0] * 5, Status.WRONG_SIZE),
        ([], Status.WRONG_SIZE),
        ([0, np.nan, 0, 0], Status.NOT_FINITE),
        ([0, 0, -np.inf, 0], Status.NOT_FINITE),
        ([0, 0, 0, -1.1e6], Status.NOT_FINITE),
    ],
)
def test_an_observation_that_is_none_is_refused_with_its_reason(server, client, observation, status):
    sock = client(server.address)
    reply = ask(sock, observation)
    assert (reply.status, reply.sequence, len(reply.action)) == (status, 1, 0)
    assert server.stats()[status.name.lower()] == 1
    assert ask(sock).status == Status.OK


def test_before_the_first_policy_it_says_so(client):
    with running(ServedPolicy(False, np.random.default_rng(0))) as server:
        assert ask(client(server.address)).status == Status.NO_POLICY


def test_a_policy_that_gives_no_action_is_not_believed(served, server, client):
    class Mad:
        version = 4

        def act(self, observation, explore):
            return np.array([np.nan, 0.0], np.float32)

    served.current = Mad(), 4
    assert ask(client(server.address)).status == Status.POLICY_FAILED


def test_a_late_answer_is_not_sent(served, server, client):
    class Slow:
        version = 4

        def act(self, observation, explore):
            gate.wait(10)
            return np.zeros(2, np.float32)

    gate = threading.Event()
    served.current = Slow(), 4
    sock = client(server.address)
    sock.send(pack_request(Request(1, 0, 1, SEEN)))
    wait_until(lambda: served.current[0].version == 4)
    gate.set()
    assert ask(sock, sequence=2).sequence == 2
    assert server.stats()["late"] == 1


def test_rubbish_is_counted_and_not_answered(server, client):
    sock = client(server.address)
    for frames in ([b""], [b"RLPQ"], [b"x" * 100], [b"", b""], [pack_request(Request(1, 0, 1, SEEN)), b""]):
        sock.send_multipart(frames)
    assert ask(sock, sequence=5).sequence == 5
    assert server.stats()["rubbish"] == 5


def test_a_message_beyond_the_largest_observation_cuts_the_connection(server, client):
    big = client(server.address)
    big.send(bytes(1 << 20))
    assert ask(client(server.address)).status == Status.OK
    assert server.stats()["rubbish"] == 0


def test_a_new_policy_takes_over_and_a_bad_one_does_not(served, server, client):
    sock = client(server.address)
    broken = {**policy().arrays, "mean/bias": np.full(2, np.nan, np.float32)}
    for bad in (network(9, arrays=broken), network(9, fingerprint="other"), network(9, arrays={})):
        with pytest.raises(DataError):
            served.take(bad)
    assert ask(sock).policy_version == 3
    served.take(network(4))
    assert ask(sock).policy_version == 4
    assert served.refused == 3


def test_exploring_draws_a_fresh_action_each_time(client):
    served = ServedPolicy(True, np.random.default_rng(0))
    served.take(network())
    with running(served) as server:
        sock = client(server.address)
        assert not np.array_equal(ask(sock).action, ask(sock).action)


def test_it_follows_the_learner(served, server, client):
    stop = threading.Event()
    with contextlib.closing(PolicyPublisher(ANY_PORT)) as publisher:
        follower = PolicyFollower(served, PolicySubscriber(publisher.address), stop)
        publisher.publish(network(0, arrays={}))  # the learner asks for random actions
        publisher.publish(network(11))
        wait_until(lambda: served.current[0].version == 11)
        assert ask(client(server.address)).policy_version == 11
        follower.close()
    assert not stop.is_set()


def test_with_keys_only_the_role_client_is_served(served, tmp_path, client):
    make_keys(tmp_path / "keys")
    with (
        running(served, security=Security(str(tmp_path / "keys"))) as server,
        zmq.Context() as own,
        own.socket(zmq.DEALER) as sock,
    ):
        pair = read_pair(tmp_path / "keys", "client")
        sock.linger, sock.rcvtimeo = 0, 10_000
        sock.curve_publickey, sock.curve_secretkey = pair.public, pair.secret
        sock.curve_serverkey = read_public(tmp_path / "keys", "actor")
        sock.connect(server.address)
        assert ask(sock).status == Status.OK
        client(server.address)
        wait_until(lambda: server.stats()["unauthorized"] > 0)


@pytest.fixture
def verb(tmp_path):
    """`rlpd-robot serve` of a policy file, as a process; (address, process)."""
    address = f"tcp://127.0.0.1:{free_ports(1)[0]}"
    path = save_policy(tmp_path / "policy.npz")
    words = ["serve", f"serve.policy={path}", f"link.serve={address}"]
    process = Verb(words, tmp_path / "serve.log")
    process.until(lambda: "serving" in process.text)
    yield address, process
    process.kill()


@pytest.mark.integration
def test_the_example_clients_get_their_actions_from_the_verb(verb, tmp_path):
    address, process = verb
    spec = importlib.util.spec_from_file_location("policy_client", EXAMPLES / "policy_client.py")
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    asker = example.PolicyClient(address)
    with zmq.Context.instance(), asker.socket:
        version, action = asker.act(SEEN.tolist(), budget_s=10.0)
        assert version == 3
        assert np.allclose(action, WANTED, atol=1e-6)
        with pytest.raises(RuntimeError, match="status 3"):
            asker.act([1.0], budget_s=10.0)

        os.kill(process.process.pid, signal.SIGSTOP)
        assert [asker.act(SEEN.tolist(), budget_s=0.05) for _ in range(3)] == [None] * 3
        os.kill(process.process.pid, signal.SIGCONT)
        assert asker.act(SEEN.tolist(), budget_s=10.0) is not None
    process.interrupt()
    assert process.ends() == 0
    assert "answered 2, late 3," in process.text


def test_the_python_example_is_short():
    assert len((EXAMPLES / "policy_client.py").read_text().splitlines()) <= 40


ZMQ_H = """
#pragma once
#include <cstddef>
#define ZMQ_DEALER 5
#define ZMQ_LINGER 17
#define ZMQ_RCVTIMEO 27
#define ZMQ_SNDTIMEO 28
#define ZMQ_IMMEDIATE 39
extern "C" {
void *zmq_ctx_new(); int zmq_ctx_term(void *); void *zmq_socket(void *, int); int zmq_close(void *);
int zmq_setsockopt(void *, int, const void *, std::size_t); int zmq_connect(void *, const char *);
int zmq_send(void *, const void *, std::size_t, int); int zmq_recv(void *, void *, std::size_t, int);
}
"""
"""The few lines of libzmq's header that the example uses: the wheel brings the library without it."""


@pytest.mark.integration
def test_the_cpp_example_gets_its_action(server, tmp_path):
    compiler = shutil.which("g++")
    libraries = list((Path(zmq.__file__).parent.parent / "pyzmq.libs").glob("libzmq-*.so*"))
    if compiler is None or not libraries:
        pytest.skip("no C++ compiler, or no libzmq beside pyzmq")
    (tmp_path / "zmq.h").write_text(ZMQ_H)
    program, folder = tmp_path / "policy_client", libraries[0].parent
    words = [compiler, "-std=c++17", "-Wall", "-Werror", f"-I{tmp_path}", str(EXAMPLES / "policy_client.cpp")]
    words += [str(libraries[0]), f"-Wl,-rpath,{folder}", "-Wl,--allow-shlib-undefined", "-o", str(program)]
    subprocess.run(words, check=True, timeout=60)
    seen = [str(x) for x in SEEN]
    done = subprocess.run([program, server.address, *seen], capture_output=True, text=True, timeout=30)
    assert done.returncode == 0
    assert np.allclose([float(x) for x in done.stdout.split(":")[1].split()], WANTED, atol=1e-5)
    assert done.stdout.startswith("policy 3:")


def test_a_wrong_bound_is_refused():
    for value in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(ConfigError, match=r"serve\.max_observation"):
            ServeSettings(max_observation=value)

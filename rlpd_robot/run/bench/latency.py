"""`rlpd-robot bench latency`: how late, with real processes on this machine's cores.

Policy server and a raw ZeroMQ echo are asked in turn, in one run, with the same bytes, so that whatever else the
machine does falls on both alike. The whole actor (journal, links, policies that come meanwhile) drives a robot behind
its server in another process, alone and beside its learner, which is owed more updates than it can make.
"""

import json
import os
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import zmq
from numpy.typing import NDArray

from rlpd_robot.errors import PeerTimeoutError
from rlpd_robot.policy.numpy_actor import NumpyActor
from rlpd_robot.policy.snapshot_file import save_snapshot
from rlpd_robot.robot.control_loop import STAGES
from rlpd_robot.run.bench.latency_parts import Part, bench_problem, write_demos
from rlpd_robot.run.bench.networks import random_network
from rlpd_robot.run.evaluate import POLICY, Build
from rlpd_robot.run.ports import free_addresses
from rlpd_robot.run.processes import Child
from rlpd_robot.run.settings import Settings
from rlpd_robot.wire.policy_channel import PolicyPublisher, PolicySubscriber
from rlpd_robot.wire.policy_protocol import Request, pack_request, unpack_reply
from rlpd_robot.wire.sockets import ANY_PORT, Options, dial, make_socket

AIMS = {"ratio_p50": 1.3, "ratio_p99": 2.0, "lateness_alone_p99_ms": 1.0, "lateness_loaded_p99_ms": 3.0}
"""Upper limits; lateness at 100 Hz."""

_OBSERVATION, _ACTION = 39, 28  # the door's
_WARM_UP = 500  # rounds
_SWAPS = 20
_TOLD = 3  # sentences of an actor
_PERIODS_HZ = (50, 100, 500)
_START_S = 60.0
_LEARNER_S = 240.0  # to compile and clone
_POLITE = ("learner.nice=10",)  # as `train` starts it where a robot moves by the wall clock
_BUSY = ("agent.clone_updates=10", "agent.utd=40", "learner.publish_every=2", "run.env_steps=100000000")
"""It falls behind, and is at full load; and it publishes a policy some times a second."""

_STAGES = (*STAGES, "response", "policy_swap", "command_age")
_QUANTILES = {"p50": 50.0, "p99": 99.0, "p999": 99.9}

Figures = dict[str, float]


def run_bench(settings: Settings, words: Sequence[str], build: Build) -> dict[str, Any]:
    """Measure. `latency` says how long.

    Raises:
        ChildError, PeerTimeoutError: a process failed.
    """
    with tempfile.TemporaryDirectory(prefix="rlpd-latency-") as folder:
        report = _measure_server(settings.latency.rounds, words, Path(folder))
        alone, loaded = (
            {str(hertz): _measure_actor(hertz, settings, Path(folder), given) for hertz in _PERIODS_HZ}
            for given in (None, words)
        )
    lateness: dict[str, Any] = {**_only(alone["100"], "lateness_ms")}
    lateness |= {
        name: {hertz: _only(one, "lateness_ms") for hertz, one in runs.items()}
        for name, runs in (("alone", alone), ("loaded", loaded))
    }
    figures = {
        "ratio_p50": report["ratio"]["p50"],
        "ratio_p99": report["ratio"]["p99"],
        "lateness_alone_p99_ms": alone["100"]["lateness_ms_p99"],
        "lateness_loaded_p99_ms": loaded["100"]["lateness_ms_p99"],
    }
    missed = [name for name, value in figures.items() if value > AIMS[name]]
    report |= {"lateness_ms": lateness, "loops": {"alone": alone, "loaded": loaded}, "aims": AIMS, "missed": missed}
    return {**report, "cores": os.cpu_count(), "load_before": os.getloadavg()[0], "passed": not missed}


def table(report: Mapping[str, Any]) -> str:
    """The report for people."""
    lines = [f"{'[µs]':26} {'p50':>9} {'p99':>9} {'p99.9':>9}"]
    for name in ("echo", "forward", "server", "swap"):
        lines.append(_row(name, report[f"{name}_us"]))
    lines.append(_row("server / (echo + forward)", report["ratio"]))
    lines.append(f"{'tick lateness [ms]':26} {'p50':>9} {'p99':>9} {'p99.9':>9}")
    for name in ("alone", "loaded"):
        lines += [_row(f"{hertz} Hz, {name}", one) for hertz, one in report["lateness_ms"][name].items()]
    lines.append(f"{'at 100 Hz [ms]':26} {'p50':>9} {'p99':>9} {'p99.9':>9}")
    for name in ("alone", "loaded"):
        one = report["loops"][name]["100"]
        lines += [_row(f"{stage}, {name}", _only(one, f"{stage}_ms")) for stage in _STAGES]
    for name, runs in report["loops"].items():
        for hertz, one in runs.items():
            lines += [f"{hertz} Hz, {name}: {sentence}" for sentence in one["said"][:_TOLD]]
            if one["faults"]:
                lines.append(
                    f"{hertz} Hz, {name}: {one['faults']:.0f} faults, after each of which it went on by itself"
                )
    used = ", ".join(f"{one['learner_cores']:.2f} at {hertz} Hz" for hertz, one in report["loops"]["loaded"].items())
    lines.append(f"cores that the learner kept busy: {used}")
    lines.append(f"cores={report['cores']} missed aims: {', '.join(report['missed']) or 'none'}")
    return "\n".join(lines)


def _measure_server(rounds: int, words: Sequence[str], folder: Path) -> dict[str, Any]:
    """Echo, server and forward pass in turn; then how long a new policy takes to answer."""
    fingerprint = "0" * 16
    network = random_network(_OBSERVATION, _ACTION, fingerprint)
    policy = NumpyActor(network, np.random.default_rng(0))
    observation = np.zeros(_OBSERVATION, np.float32)
    echo_address, serve_address = free_addresses(2)
    with ExitStack() as stack:
        publisher = PolicyPublisher(ANY_PORT)
        stack.callback(publisher.close)
        publisher.publish(network)
        part = Part("echo", echo_address)
        stack.callback(part.kill)
        links = [f"link.serve={serve_address}", f"link.policy={publisher.address}"]
        stack.callback(Child("serve", ["serve", *words, *links], folder).end, 5.0)
        echo, server = (_Asker(address, stack) for address in (echo_address, serve_address))
        times: dict[str, list[float]] = {"echo": [], "forward": [], "server": []}
        request = pack_request(Request(0, 0, 10_000_000, observation))
        for first in (echo, server):
            first.ask(request)
        server.wait_for_version(1, observation)
        for i in range(_WARM_UP + rounds):
            for name, call in (("echo", echo.ask), ("server", server.ask)):
                request = pack_request(Request(i, 0, 10_000_000, observation))
                took_s = _timed(call, request)
                if i >= _WARM_UP:
                    times[name].append(took_s)
            took_s = _timed(lambda _: policy.act(observation, False), b"")
            if i >= _WARM_UP:
                times["forward"].append(took_s)
        swaps = []
        for version in range(2, 2 + _SWAPS):
            start_s = time.perf_counter()
            publisher.publish(random_network(_OBSERVATION, _ACTION, fingerprint, version=version))
            server.wait_for_version(version, observation)
            swaps.append(time.perf_counter() - start_s)
    figures = {f"{name}_us": _quantiles(values, 1e6) for name, values in {**times, "swap": swaps}.items()}
    ratio = {q: figures["server_us"][q] / (figures["echo_us"][q] + figures["forward_us"][q]) for q in _QUANTILES}
    return {**figures, "ratio": ratio, "rounds": rounds}


class _Asker:
    """A client that waits for each answer."""

    def __init__(self, address: str, stack: ExitStack) -> None:
        self._address = address
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        stack.callback(context.term)
        options: Options = {zmq.RCVTIMEO: int(1e3 * _START_S), zmq.SNDTIMEO: int(1e3 * _START_S), zmq.IMMEDIATE: 1}
        self._socket = make_socket(context, zmq.DEALER, 1 << 20, options)
        stack.callback(self._socket.close, 0)
        dial(self._socket, "link.serve", address)

    def ask(self, request: bytes) -> bytes:
        self._socket.send(request)
        return self._socket.recv()

    def wait_for_version(self, version: int, observation: NDArray[np.float32]) -> None:
        deadline = time.monotonic() + _START_S
        request = pack_request(Request(0, 0, 10_000_000, observation))
        while unpack_reply(self.ask(request), self._address).policy_version < version:
            if time.monotonic() > deadline:
                raise PeerTimeoutError("the policy server", self._address, _START_S, f"It never got policy {version}.")


def _measure_actor(hertz: int, settings: Settings, folder: Path, words: Sequence[str] | None) -> dict[str, Any]:
    """The actor at this rate: its figures and the robot's; with the words of a learner, beside that at full load."""
    robot_address, data, policy, control = free_addresses(4)
    run = folder / f"{hertz}-{'alone' if words is None else 'loaded'}"
    run.mkdir()
    with ExitStack() as stack:
        learner = None
        if words is None:
            problem = bench_problem(hertz)
            network = random_network(problem.observation_size, problem.action_size, problem.fingerprint)
            save_snapshot(run / POLICY, network)  # the actor finds it there
        else:
            write_demos(run / "demos.zarr", hertz)
            own = (f"link.data={data}", f"link.policy={policy}", f"run.root={run}", "run.name=learner")
            demos = f"run.demos={run / 'demos.zarr'}"
            learner = Child("learner", ["learner", *_POLITE, *words, *_BUSY, *own, demos], run)
            stack.callback(learner.end, _START_S)
            _wait_for_policy(learner, policy)
        robot = Part("robot", robot_address, hertz)
        stack.callback(robot.kill)
        link = {"robot": robot_address, "data": data, "policy": policy, "control": control, "timeout_s": 0.5}
        options = {"link": link, "actor": asdict(settings.actor)}
        began_s, worked_s = time.monotonic(), learner.processor_s if learner is not None else 0.0
        actor = Part("actor", run, max(2, round(hertz * settings.latency.seconds)), json.dumps(options))
        stack.callback(actor.kill)
        figures = actor.report(_START_S + 2 * settings.latency.seconds)
        cores = 0.0
        if learner is not None:
            learner.check()
            cores = (learner.processor_s - worked_s) / (time.monotonic() - began_s)
        theirs = robot.end()
    theirs.pop("said")
    said = [line for line in figures.pop("said") if line.startswith(("Robot stopped", "not permitted"))]
    age = {key: value for key, value in theirs.items() if key.startswith("command_age")}
    robots = {f"robot_{key}": value for key, value in theirs.items()}
    return {**figures, **age, **robots, "learner_cores": cores, "said": said}


def _wait_for_policy(learner: Child, address: str) -> None:
    """Until it has compiled and cloned, and has published."""
    deadline = time.monotonic() + _LEARNER_S
    with closing(PolicySubscriber(address)) as subscriber:
        while subscriber.poll(0.5) is None:
            learner.check()
            if time.monotonic() > deadline:
                raise PeerTimeoutError("the learner", address, _LEARNER_S, "Try a smaller agent.")


def _timed(call: Callable[[bytes], object], request: bytes) -> float:
    start_s = time.perf_counter()
    call(request)
    return time.perf_counter() - start_s


def _quantiles(values: Sequence[float], scale: float) -> Figures:
    return {name: scale * float(np.percentile(values, q)) for name, q in _QUANTILES.items()}


def _only(figures: Mapping[str, Any], prefix: str) -> Figures:
    return {name: figures[f"{prefix}_{name}"] for name in _QUANTILES}


def _row(name: str, figures: Mapping[str, float]) -> str:
    return f"{name:26} " + " ".join(f"{figures[q]:9.2f}" for q in _QUANTILES)

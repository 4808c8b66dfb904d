"""What a check looks at while services run: the learner's figures, what was delivered, and whether time is up."""

import json
import time
from collections.abc import Callable
from typing import Any, Protocol

DEADLINE_S = 600.0
STEPS = 300  # transitions that count as progress


class Place(Protocol):
    """Where services run: containers or processes."""

    def up(self, *names: str) -> None:
        """Start services, and start again what ends."""

    def not_well(self, name: str) -> str:
        """What its health check says where nothing else runs; an AssertionError where it passes."""

    def healthy(self, name: str) -> bool:
        """Whether its health check passes."""

    def read(self, path: str) -> str:
        """A file of /data; empty where there is none."""

    def run(self, name: str, *words: str, within_s: float = 120.0) -> tuple[int, str]:
        """One run of a service with these words: exit status, output."""

    def kill_process(self, name: str) -> None:
        """The process that the service's supervisor looks after, at once."""

    def kill_container(self, name: str) -> None:
        """Everything in it, at once."""

    def stop(self, name: str) -> float:
        """As `docker stop`; how long it took [s]."""

    def directory(self, name: str) -> str:
        """Of the run that a service belongs to."""

    def verb(self, name: str) -> str:
        """Which part of a run it is."""


def kill_and_recover(
    place: Place,
    name: str,
    kill: Callable[[str], None],
    what: str,
    learner: str,
    at_least: int = 0,
    then: Callable[[], None] = lambda: None,
    meanwhile: Callable[[], None] = lambda: None,
) -> int:
    """Kill something, and wait until it is well again and the training goes on; how many transitions there are then.

    Args:
        place: where.
        name: of the service.
        kill: kills some of it.
        what: that is.
        learner: service that tells of transitions.
        at_least: so many transitions have been told already.
        then: done once it is well, before it must go on.
        meanwhile: done again and again until it has gone on.
    """
    started = record(place, name).get("started_unix_s")
    kill(name)
    wait(
        f"{name}, {what} killed, is started again",
        lambda: record(place, name).get("started_unix_s") not in (started, None),
    )
    wait(f"{name} is well again", lambda: place.healthy(name))
    then()
    return learns(place, learner, max(at_least, row(place, learner).get("env_steps", 0)), meanwhile)


def learns(place: Place, learner: str, before: int, meanwhile: Callable[[], None] = lambda: None) -> int:
    """Wait for more transitions, and for updates on them; how many transitions there are then."""

    def more() -> int:
        meanwhile()
        now = row(place, learner)
        return now["env_steps"] if now.get("env_steps", 0) >= before + STEPS and now.get("critic_updates", 0) > 0 else 0

    reached: int = wait(f"the learner has more than {before + STEPS} transitions", more)
    now = row(place, learner)
    say(f"  {now['env_steps']} transitions, {now['critic_updates']} updates, policy {now.get('policy_version')}")
    return reached


def start(place: Place, *names: str) -> None:
    """Start them, and wait until each health check passes, which it did not before."""
    for name in names:
        say(f"before its start: {place.not_well(name)}")
    place.up(*names)
    for name in names:
        wait(f"{name} is well", lambda name=name: place.healthy(name))


def stop_in_order(place: Place, *names: str) -> None:
    """Each as a person would, within its grace period, with status 0; then its health check fails."""
    for name in names:
        say(f"{name} ended in order within {place.stop(name):.1f} s; now: {place.not_well(name)}")


def delivered_once(place: Place, learner: str, operator: str) -> None:
    """Of each actor: every transition from its first to its last, each one once."""
    directory = place.directory(learner)
    status, text = place.run(operator, "demos", "list", f"{directory}/live.zarr", "--json")
    assert status == 0, text
    listed = json.loads(text)
    boots: dict[str, list[dict[str, Any]]] = {}
    for episode in listed:
        boots.setdefault(episode["boot"], []).append(episode)
    total = 0
    for boot, episodes in boots.items():
        at = 0
        for episode in sorted(episodes, key=lambda episode: episode["first_sequence"]):
            assert episode["first_sequence"] == at, f"actor {boot}: {at} expected, {episode['first_sequence']} came"
            at += episode["steps"]
        total += at
    counters = json.loads(place.read(f"{directory}/actor.json"))
    last = sum(episode["steps"] for episode in boots[listed[-1]["boot"]])
    assert counters["uncommitted"] == 0, counters["uncommitted"]
    assert last == counters["steps"], f"{counters['steps']} executed by the last actor, {last} committed"
    say(f"{total} transitions of {len(boots)} actors, each one once and none left out")


def row(place: Place, learner: str) -> dict[str, Any]:
    """The newest of the learner's figures; empty before the first."""
    lines = place.read(f"{place.directory(learner)}/metrics.jsonl").splitlines()
    for line in reversed(lines[-3:]):
        try:
            value: dict[str, Any] = json.loads(line)
        except ValueError:  # torn by a kill
            continue
        return value
    return {}


def record(place: Place, name: str) -> dict[str, Any]:
    """What the process's supervisor has written down."""
    text = place.read(f"{place.directory(name)}/alive/{place.verb(name)}.json")
    value: dict[str, Any] = json.loads(text) if text else {}
    return value


def wait(what: str, condition: Callable[[], Any], deadline_s: float = DEADLINE_S) -> Any:
    """The condition's first true value."""
    began = time.monotonic()
    while not (value := condition()):
        assert time.monotonic() - began < deadline_s, f"not within {deadline_s:g} s: {what}"
        time.sleep(0.5)
    say(f"{what} ({time.monotonic() - began:.1f} s)")
    return value


def say(text: str) -> None:
    """One line, now."""
    print(text, flush=True)

"""Start the sim profile of compose.yaml, kill parts of it, and see it recover with every transition delivered once.

    python docker/check_running.py                    an engine where there is one, else processes; it says which
    python docker/check_running.py --processes        ordinary processes, whatever there is
    python docker/check_running.py --roots DIRECTORY  processes in the file systems that check_chroot.py has made

The processes get what a container would: a network namespace with the services' names, a process namespace, /data and
/run/secrets of their own, a user who is not root, no capability. That takes root; without, they share this machine's
loopback, and it says so. Every wait has a deadline; the whole takes some minutes.
"""

import argparse
import json
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from engine import Engine, engine_at_hand
from namespaces import Namespaces
from processes import Processes

RUN = "door"
DEADLINE_S = 600.0
STEPS = 300  # transitions that count as progress

Place = Engine | Processes


def main() -> int:
    """Run the check; 0 when everything held."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--processes", action="store_true")
    words.add_argument("--roots", type=Path)
    asked = words.parse_args()
    environment = {"RUN": RUN, "ENV_STEPS": "1000000", "RLPD_UID": "1000", "RLPD_GID": "1000"}
    with tempfile.TemporaryDirectory(prefix="rlpd-robot-check-") as folder:
        place: Place
        if not (asked.processes or asked.roots) and (compose := engine_at_hand()):
            place = Engine(compose, environment, Path(folder))
        else:
            place = Processes(environment, Path(folder), asked.roots, Namespaces.permitted())
        print(f"ran as: {place.how}", flush=True)
        try:
            check(place)
        finally:
            place.close()
    print(f"passed, as {place.how}")
    return 0


def check(place: Place) -> None:
    """The whole course.

    Raises:
        AssertionError: something did not hold, or not in time.
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that all is taken away
    place.up()
    for name in ("sim", "learner", "actor", "dashboard"):
        wait(f"{name} is well", lambda name=name: place.healthy(name))
    learns(place, 0)
    say(place.tool("status", f"runs/{RUN}")[1])
    reached = kill_and_recover(place, "learner", place.kill_process, "its process")
    reached = kill_and_recover(place, "learner", place.kill_container, "its container")
    reached = kill_and_recover(place, "actor", place.kill_container, "its container", reached)
    kill_and_recover(place, "sim", place.kill_process, "its process", reached)
    assert place.healthy("dashboard"), "the dashboard does not answer after all that"
    say(f"the dashboard has a picture of the hand: {'yes' if place.read(f'runs/{RUN}/view/view.jpg') else 'no'}")
    for name in ("dashboard", "actor", "learner", "sim"):
        seconds = place.stop(name)
        say(f"{name} ended in order within {seconds:.1f} s")
    delivered_once(place)


def kill_and_recover(place: Place, name: str, kill: Callable[[str], None], what: str, at_least: int = 0) -> int:
    """Kill something, and wait until it is well again and the training goes on."""
    started = record(place, name).get("started_unix_s")
    kill(name)
    wait(
        f"{name}, {what} killed, is started again",
        lambda: record(place, name).get("started_unix_s") not in (started, None),
    )
    wait(f"{name} is well again", lambda: place.healthy(name))
    return learns(place, max(at_least, row(place).get("env_steps", 0)))


def learns(place: Place, before: int) -> int:
    """Wait for more transitions, and for updates on them; how many transitions there are then."""

    def more() -> int:
        now = row(place)
        return now["env_steps"] if now.get("env_steps", 0) >= before + STEPS and now.get("critic_updates", 0) > 0 else 0

    reached: int = wait(f"the learner has more than {before + STEPS} transitions", more)
    now = row(place)
    say(f"  {now['env_steps']} transitions, {now['critic_updates']} updates, policy {now.get('policy_version')}")
    return reached


def delivered_once(place: Place) -> None:
    """Of each actor: every transition from its first to its last, each one once."""
    status, text = place.tool("demos", "list", f"runs/{RUN}/live.zarr", "--json")
    assert status == 0, text
    boots: dict[str, list[dict[str, Any]]] = {}
    for episode in json.loads(text):
        boots.setdefault(episode["boot"], []).append(episode)
    total = 0
    for boot, episodes in boots.items():
        at = 0
        for episode in sorted(episodes, key=lambda episode: episode["first_sequence"]):
            assert episode["first_sequence"] == at, f"actor {boot}: {at} expected, {episode['first_sequence']} came"
            at += episode["steps"]
        total += at
    counters = json.loads(place.read(f"runs/{RUN}/actor.json"))
    last = sum(episode["steps"] for episode in json.loads(text) if episode["boot"] == json.loads(text)[-1]["boot"])
    assert counters["uncommitted"] == 0, counters["uncommitted"]
    assert last == counters["steps"], f"{counters['steps']} executed by the last actor, {last} committed"
    say(f"{total} transitions of {len(boots)} actors, each one once and none left out")


def row(place: Place) -> dict[str, Any]:
    """The newest of the learner's figures; empty before the first."""
    lines = place.read(f"runs/{RUN}/metrics.jsonl").splitlines()
    for line in reversed(lines[-3:]):
        try:
            value: dict[str, Any] = json.loads(line)
        except ValueError:  # torn by a kill
            continue
        return value
    return {}


def record(place: Place, name: str) -> dict[str, Any]:
    """What the process's supervisor has written down."""
    text = place.read(f"runs/{RUN}/alive/{name}.json")
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


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (AssertionError, subprocess.TimeoutExpired) as error:
        print(f"FAILED: {error}", file=sys.stderr)
        sys.exit(1)

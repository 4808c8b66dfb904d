"""Demonstrations by hand, in a terminal: one ended by a word, one cut short by a stop and kept by the next session."""

import json
import re
import time

from looking import say, start, stop_in_order, wait
from processes import Processes
from terminal import Terminal

HELD_S = 2.0
STOPPED = "arm it when it is safe"
SCREEN = 3000  # characters of the last picture or two


def check(place: Processes) -> None:
    """The record profile, on its own stand-in.

    Raises:
        AssertionError: something did not hold, or not in time.
    """
    start(place, "record-sim")
    record_by_hand(place, "record", "demos/mine.zarr", "operator")
    stop_in_order(place, "record-sim")


def record_by_hand(place: Processes, name: str, store: str, operator: str) -> None:
    """Two sittings of the recorder.

    Args:
        place: where.
        name: of the service that records.
        store: that it records to, below /data.
        operator: service that looks at it afterwards.

    Raises:
        AssertionError: something did not hold, or not in time.
    """
    terminal = place.on_terminal(name)
    shows(terminal, "waiting")
    first = one_episode(terminal)
    terminal.press("1")
    shows(terminal, f"episode {first}: ")
    second = one_episode(terminal)
    began = time.monotonic()
    status = place.stop_on_terminal(name, terminal)
    assert status == 0, terminal.text[-2000:]
    assert "stays on disk" in terminal.text, terminal.text[-2000:]
    say(f"{name}, stopped in the midst of an episode, ended in order within {time.monotonic() - began:.1f} s")

    terminal = place.on_terminal(name)
    shows(terminal, "Keep it in")
    terminal.press("y")
    shows(terminal, f"is episode {second} of")
    shows(terminal, "waiting")
    terminal.press("Q")
    assert terminal.ends(60.0) == 0, terminal.text[-2000:]
    status, text = place.run(operator, "demos", "list", store, "--json")
    assert status == 0, text
    steps = {episode["index"]: episode["steps"] for episode in json.loads(text)}
    assert steps[first] > 0, text
    assert steps[second] > 0, text
    say(f"{store} holds both, {steps[first]} and {steps[second]} steps")


def one_episode(terminal: Terminal) -> int:
    """Begin one, and hold a key for a while; its number. A robot that a busy machine has let stop is armed again."""
    for _ in range(10):
        before = newest(terminal)
        wait("an episode begins", lambda before=before: newest(terminal) > before or begin(terminal), 120.0)
        until = time.monotonic() + HELD_S
        while time.monotonic() < until and not stopped(terminal):
            terminal.press("w")
            time.sleep(0.05)
        if not stopped(terminal):
            return newest(terminal)
    raise AssertionError(f"a fault each time: {terminal.text[-SCREEN:]}")


def begin(terminal: Terminal) -> bool:
    """Press what a person would for an episode to begin; never true."""
    terminal.press("A" if stopped(terminal) else "\r")
    return goes_on(terminal)


def stopped(terminal: Terminal) -> bool:
    """Whether the panel tells of a fault."""
    return STOPPED in terminal.text[-SCREEN:]


def newest(terminal: Terminal) -> int:
    """Number of the newest episode of this sitting; -1 before the first."""
    return max((int(number) for number in re.findall(r"episode (\d+) begins", terminal.text)), default=-1)


def shows(terminal: Terminal, text: str) -> None:
    """Until it does."""
    wait(f"the recorder says '{text}'", lambda: text in terminal.text or goes_on(terminal), 120.0)


def goes_on(terminal: Terminal) -> bool:
    """Never true; raises when it has ended."""
    assert terminal.process.poll() is None, f"the recorder has ended: {terminal.text[-2000:]}"
    return False

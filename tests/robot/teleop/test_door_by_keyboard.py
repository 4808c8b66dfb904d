"""Somebody who presses keys by the figures of the stand-in's page opens the door, as docs/recording.md says."""

import os

import numpy as np

from rlpd_robot.config import load
from rlpd_robot.robot.task import ActionMap
from rlpd_robot.robot.teleop.keyboard import KeyboardTeleop
from rlpd_robot.types import RobotState
from sim.hand import AdroitHand
from sim.tasks.door import DoorTask

SCENE = 2  # of the first twelve, nine open within the time; the other three come to stand ajar by 1 rad or more
AHEAD_S = 0.12  # how far a person looks ahead; the arm swings after


class Person:
    """What is wanted of each axis now, -1, 0 or 1, as long as its key is held down."""

    def __init__(self, period_s: float) -> None:
        self.phase, self._periods, self._period_s = "line up", 0, period_s
        self._last: np.ndarray | None = None

    def wishes(self, state: dict[str, np.ndarray]) -> dict[str, int]:
        palm = state["palm_position"] - state["handle_position"]
        speed = 0 * palm if self._last is None else (palm - self._last) / self._period_s
        self._last = palm
        x, y, z = palm + AHEAD_S * speed  # to the right of the handle, beyond it, above it [m]
        self._periods += 1
        match self.phase:
            case "line up":  # before the handle, and above it
                lined_up = abs(z - 0.05) < 0.02 and abs(x - 0.03) < 0.02
                self._next("reach", self._periods > 9 and lined_up)
                return {"up": toward(0.05 - z), "right": toward(0.03 - x)}
            case "reach":
                self._next("grip", y > -0.06)
                return {"up": toward(0.05 - z, 0.015), "right": toward(0.03 - x, 0.015), "forward": 1}
            case "grip":  # the fingers come down over the handle
                self._next("turn", self._periods > 16)
                near = {"up": toward(-0.04 - z), "right": toward(0.03 - x, 0.015), "forward": toward(0.02 - y)}
                return {**near, "grip": 1}
            case "turn":  # the latch goes down, and the hand with it
                self._next("pull", state["latch_angle"] > 1.0 or self._periods > 61)
                near = {"up": toward(-0.03 - z, 0.015), "right": toward(-x, 0.015), "forward": toward(-0.03 - y, 0.02)}
                return {**near, "roll": 1, "grip": int(self._periods <= 10)}
            case "pull":
                self._next("swing", state["door_angle"] > 0.3 or self._periods > 41)
                return {"forward": -1, "up": toward(-0.03 - z, 0.015)}
        return {"right": 1, "forward": -int(state["door_angle"] < 0.9), "bend": -int(state["door_angle"] > 0.7)}

    def _next(self, phase: str, when: bool) -> None:
        if when:
            self.phase, self._periods = phase, 0


def toward(error: float, near: float = 0.01) -> int:
    return 0 if abs(error) < near else int(np.sign(error))


def press(held: dict[str, int], keys: dict[str, str]) -> str:
    """The keys of these wishes."""
    wanted = [("-" if sign < 0 else "") + axis for axis, sign in held.items() if sign]
    return "".join(key for key, meaning in keys.items() if meaning in wanted)


def test_the_door_opens_within_the_tasks_time(terminal):
    ours, theirs = terminal
    recipe = dict(load("record", ["teleop=keyboard_door"])[0].teleop)
    hand, task, now = AdroitHand("door"), DoorTask(), [0.0]
    keys = recipe["keys"]
    hold_s = hand.spec.period_s
    keyboard = KeyboardTeleop(hand.spec, recipe["axes"], keys, hold_s, fd=theirs, clock=lambda: now[0])
    ranges, person = ActionMap.of(hand.spec), Person(hand.spec.period_s)
    hand.reset(SCENE)
    keyboard.begin(((recipe["start"] - ranges.middle) / ranges.half).clip(-1, 1).astype(np.float32))
    for _ in range(task.horizon):
        state = hand.read()
        if task.success(RobotState(state, 0, 0.0, 0.0)):
            break
        os.write(ours, press(person.wishes(state), keys).encode())
        now[0] += 2 * hold_s  # what is not pressed again counts no more
        hand.write(ranges.to_command(keyboard.poll().action).values)
        hand.advance()
    assert task.success(RobotState(hand.read(), 0, 0.0, 0.0)), person.phase
    keyboard.close()

"""`rlpd-robot record`: a person moves the robot, and each episode is safe the moment that it ends.

The control loop is that of the actor, with a teleoperation source in the policy's place and the safety filter between
them. While no episode runs, the robot is held stopped. Never imports JAX.
"""

import os
import select
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rlpd_robot.data.layout import LOCKSTEP
from rlpd_robot.data.partial_episode import Partial
from rlpd_robot.errors import ArmRefusedError, ConfigError, FaultError
from rlpd_robot.robot.control_loop import STOP_REQUESTED, ControlLoop
from rlpd_robot.robot.driver import Driver
from rlpd_robot.robot.episode import EpisodeSummary
from rlpd_robot.robot.safety import SafetyLimits
from rlpd_robot.robot.task import Task, problem_of
from rlpd_robot.robot.teleop.keyboard import KeyboardTeleop, WithKeys
from rlpd_robot.robot.teleop.pilot import Pilot
from rlpd_robot.robot.teleop.source import Event, TeleopSource
from rlpd_robot.run.episode_recorder import DISCARDED, FAILED, EpisodeRecorder, Saved
from rlpd_robot.run.evaluate import Build
from rlpd_robot.run.realtime import check_core, come_first
from rlpd_robot.run.record_settings import RecordSettings
from rlpd_robot.run.record_task import Rates, Stance, WatchedTask
from rlpd_robot.run.record_view import EVERY_S, GAP, View, make_view
from rlpd_robot.run.reset_seed import SEED
from rlpd_robot.run.settings import Settings
from rlpd_robot.spec import ProblemSpec
from rlpd_robot.timing import SystemClock, Ticker
from rlpd_robot.types import Ending, Transition

_LOOK_S = 0.02  # between two looks at the keys while nothing moves
_HOLD_S = 0.1  # between two messages that tell the robot to stay stopped
_SPEAK_S = 5.0  # for the last words at the end
_ASK_S = 600.0  # how long a question stays open
_ASK_AT_END_S = 20.0  # the same at the end: whoever stops a container or a service waits for it

BY_PERSON = {Event.SUCCESS: "success, by a person's word", Event.FAILURE: FAILED, Event.DISCARD: DISCARDED}
"""Causes of an episode that a person ends."""


def run_record(settings: Settings, build: Build, stop: threading.Event) -> int:
    """Record until enough, or until a person quits: 0; 1 when fewer than asked for were recorded."""
    wanted = settings.record
    if not wanted.out:
        raise ConfigError("record.out", None, "the path of a store, such as mine.zarr")
    if settings.teleop is None:
        raise ConfigError("teleop", None, "a device or what stands in for one, such as teleop=keyboard_door")
    check_core(settings.actor.cpu)
    recipe = dict(settings.teleop)
    start = recipe.pop("start", None)
    with ExitStack() as stack:
        driver = build(settings.robot.driver)
        stack.callback(driver.close)
        task: Task = build(settings.task)
        spec = driver.connect(settings.actor.connect_s)
        if not driver.lockstep:
            for sentence in come_first(settings.actor.cpu, settings.actor.realtime_priority):
                print(sentence, flush=True)  # nothing moves yet
        problem = problem_of(task, spec)
        limits = SafetyLimits.of_robot(settings.safety, spec, settings.robot.stand_in is not None or driver.lockstep)
        source: TeleopSource = build(recipe, spec=spec)
        stack.callback(source.close)
        stance = Stance(spec, limits, start, needed=source.person)
        if not isinstance(source, KeyboardTeleop):
            source = WithKeys(source)
            stack.callback(source.close)
        boot = uuid.uuid4().hex
        about = {
            "recorded_with": source.name,
            "success_by": wanted.judge,
            SEED: wanted.seed,
            LOCKSTEP: driver.lockstep,
        }
        recorder = EpisodeRecorder(Path(wanted.out), problem, boot, source.person, about)
        stack.callback(recorder.close)
        decide_leftover(recorder, recorder.leftover(), wanted.keep_partial, print)
        view = make_view(wanted.plain)
        stack.callback(view.close)
        cue = Cue(wanted)
        stack.callback(cue.close)
        session = Session(settings, driver, task, problem, limits, source, stance, recorder, view, cue, boot, stop)
        enough = session.run()
        view.close()
        decide_leftover(recorder, session.left, wanted.keep_partial, print, at_end=True)
        print(summary_of(recorder, session.saved))
    return 0 if enough else 1


class Session:
    """One sitting: episodes until enough, or until a person quits. Subscriber of its own control loop."""

    def __init__(
        self,
        settings: Settings,
        driver: Driver,
        task: Task,
        problem: ProblemSpec,
        limits: SafetyLimits,
        source: TeleopSource,
        stance: Stance,
        recorder: EpisodeRecorder,
        view: View,
        cue: "Cue",
        boot: str,
        stop: threading.Event,
    ) -> None:
        wanted = self._wanted = settings.record
        self.saved = 0  # of this session, and to be seen
        self.left: Partial | None = None
        self._driver, self._source, self._recorder, self._view, self._stop = driver, source, recorder, view, stop
        self._max_steps = wanted.max_steps or problem.horizon
        self._rates = Rates(problem.robot)
        self._task = WatchedTask(task, self._rates, self._succeeded if wanted.judge == "person" else None)
        self._pilot = Pilot(source, self._hear, self._stance, wanted.release, wanted.silent_s)
        self._where, self._nowhere = stance, np.zeros(problem.action_size, np.float32)
        self._loop = ControlLoop(
            driver,
            self._task,
            replace(problem, horizon=self._max_steps),
            limits,
            lambda: self._pilot,
            boot,
            SystemClock(),
            subscribers=(recorder, self),
            before_step=self._before_step,
            stop_requested=stop,
            watchdog=settings.watchdog,
            deadline=settings.actor.late,
            verdict=self._verdict,
        )
        paced = driver.lockstep and wanted.pace > 0
        self._ticker = Ticker(problem.robot.period_s / wanted.pace, SystemClock()) if paced else None
        self._attempts = 0
        self._recording = self._start = self._paused = self._quit = False
        self._said: Event | None = None  # the word that ends the episode under way
        self._next_show_s = self._next_hold_s = 0.0
        self._stats: dict[str, float] = {}
        self._silent = ""
        self._title = f"{settings.robot.name}, {problem.task} → {wanted.out}"
        self._help = _help(source)
        self._cue = cue

    def run(self) -> bool:
        """Whether as many episodes were recorded as asked for.

        Raises:
            FaultError: the robot was stopped, and nobody is here who could arm it.
            StoreError: the disk refuses; what it has is safe.
        """
        try:
            self._loop.warm_up()
        except FaultError as error:  # of a device that says nothing yet
            self._tell_silence(error.cause)
        self._stats = self._loop.stats()
        wanted = self._wanted
        while not (self._stop.is_set() or self._quit or 0 < wanted.episodes <= self.saved):
            automatic = wanted.reset == "auto" and not (self._paused or self._silent)
            if self._loop.fault is None and (automatic or self._start):
                self._episode()
            else:
                self._idle()
        return not wanted.episodes or self.saved >= wanted.episodes

    def on_transition(self, transition: Transition) -> None:
        """Show it, now and then; and tell the source where the robot is."""
        self._pilot.executed(transition.action)
        self._show()

    def on_episode(self, summary: EpisodeSummary) -> None:
        """The recorder has it."""

    def _episode(self) -> None:
        self._start, self._said = False, None
        number = self._recorder.begin(self._loop.next_sequence)
        self._pilot.begin()
        self._view.say(f"episode {number} begins")
        self._cue(f"episode {number}")
        self._recording, seed = True, self._wanted.seed + self._attempts
        self._attempts += 1
        if self._ticker is not None:
            self._ticker.start()
        fault: FaultError | None = None
        cause = ""
        try:
            cause = self._loop.run_episode(number, seed, explore=False).cause
        except FaultError as error:
            fault = error
        finally:
            self._recording = False
        self._driver.stop()
        if cause == STOP_REQUESTED:
            self.left = self._recorder.leave()
            return
        self._save(cause)
        if fault is not None:
            self._view.say(str(fault))
            if not self._attended:
                raise fault

    def _save(self, cause: str) -> None:
        hide = DISCARDED if self._said is Event.DISCARD else ""
        if self._said is Event.FAILURE and self._wanted.failures == "hide":
            hide = FAILED
        saved = self._recorder.save(hide)
        if saved is None:
            self._view.say("nothing was recorded")
            return
        self.saved += not hide
        word = f"hidden, {hide}" if hide else "success" if saved.success else "no success"
        doubt = self._said is Event.SUCCESS and not saved.success
        ended = f"{saved.steps} steps, ended by {cause or 'a fault'}"
        text = f"episode {saved.index}: {word}, {ended}; safe after {saved.safe_ms:.0f} ms"
        self._view.say(text + ("; the task does not count it as solved" if doubt else ""))
        self._cue(word)

    @property
    def _attended(self) -> bool:
        """Whether a person is here who can press keys or buttons."""
        return self._source.person or bool(getattr(self._source, "reads", False))

    def _idle(self) -> None:
        """Between episodes: keep the robot stopped, and listen to the person."""
        if not self._attended:
            raise ConfigError("record.reset", self._wanted.reset, "'auto' where nobody can press a key to begin")
        now = time.monotonic()
        if now >= self._next_hold_s:
            self._next_hold_s = now + _HOLD_S
            self._loop.hold()
        try:
            self._pilot.look()
            self._tell_silence("")
        except FaultError as error:
            self._start = False
            self._tell_silence(error.cause)
        self._show()
        self._stop.wait(_LOOK_S)

    def _before_step(self, sequence: int) -> None:
        """The pace of a stand-in in lock-step, and its pause."""
        if self._ticker is not None:
            self._ticker.wait()
        while self._paused and self._driver.lockstep and not self._stop.is_set() and self._said is None:
            self._pilot.look()
            self._show()
            time.sleep(_LOOK_S)

    def _hear(self, event: Event) -> None:
        """A person's word."""
        match event:
            case Event.START:
                self._start = not self._recording
            case Event.SUCCESS | Event.FAILURE | Event.DISCARD if self._recording:
                self._said = self._said or event
            case Event.UNDO if not self._recording:
                self._undo()
            case Event.PAUSE:
                self._paused = not self._paused
                self._view.say("paused; the same key goes on" if self._paused else "going on")
            case Event.ARM:
                self._arm()
            case Event.QUIT:
                self._quit = True
                if self._recording:
                    self._stop.set()

    def _undo(self) -> None:
        undone = self._recorder.undo()
        if undone is None:
            self._view.say("there is no episode of this session to undo")
            return
        self.saved -= 1
        self._view.say(f"episode {undone.index} is hidden; it stays in the store (`rlpd-robot demos edit`)")

    def _arm(self) -> None:
        try:
            self._view.say(self._loop.arm())
        except ArmRefusedError as error:
            self._view.say(str(error))

    def _tell_silence(self, cause: str) -> None:
        """On entering it and on leaving it: a device that says nothing, or "" for one that is well."""
        if bool(cause) != bool(self._silent):
            self._view.say(cause or f"'{self._source.name}' is there again")
        self._silent = cause

    def _verdict(self) -> tuple[Ending, str]:
        if self._said is None:
            return "", ""
        return "terminated" if self._succeeded() and self._wanted.judge == "person" else "truncated", BY_PERSON[
            self._said
        ]

    def _succeeded(self) -> bool:
        return self._said is Event.SUCCESS

    def _stance(self) -> NDArray[np.float32]:
        state = self._task.state
        return self._where.action(state) if state is not None else self._nowhere  # the loop's warm-up sends nothing

    def _show(self) -> None:
        now = time.monotonic()
        if now >= self._next_show_s:
            self._next_show_s = now + EVERY_S
            self._view.show(self._status())

    def _status(self) -> dict[str, Any]:
        if not self._recording:
            self._stats = self._loop.stats()  # takes too long for a tick
        fault = self._loop.fault
        begins = self._wanted.reset == "auto" and not self._paused
        prompt = "begins by itself" if begins else "reset the scene, then start"
        if fault or self._silent:
            prompt = "arm it when it is safe" if fault else "the device gives no sign of life"
        return {
            "title": self._title,
            "phase": "recording" if self._recording else "paused" if self._paused else "waiting",
            "prompt": prompt,
            "fault": fault or "",
            "step": self._recorder.steps if self._recording else 0,
            "max_steps": self._max_steps,
            "enabled": self._pilot.enabled,
            "source": self._source.name,
            "rates": self._rates.take(),
            "late_ms": -1.0 if self._driver.lockstep else self._stats["lateness_ms_p99"],
            "missed": self._stats["deadline_misses"],
            "episodes": self._recorder.episodes,
            "successes": self._recorder.successes,
            "hidden": self._recorder.hidden,
            "session": self.saved,
            "help": self._help,
        }


class Cue:
    """What can be heard: the terminal's bell, and a program that speaks."""

    def __init__(self, wanted: RecordSettings) -> None:
        self._bell, self._say = wanted.bell, wanted.say
        self._speaking: list[subprocess.Popen[bytes]] = []

    def __call__(self, text: str) -> None:
        """Make it heard; nothing waits for the end of a spoken word.

        Raises:
            ConfigError: the program that speaks cannot be started.
        """
        if self._bell:
            sys.stdout.write("\a")
            sys.stdout.flush()
        if self._say:
            self._speaking = [process for process in self._speaking if process.poll() is None]
            null = subprocess.DEVNULL
            try:
                self._speaking.append(subprocess.Popen([self._say, text], stdin=null, stdout=null, stderr=null))
            except OSError as error:
                raise ConfigError("record.say", self._say, f"a program that can be started ({error})") from error

    def close(self) -> None:
        """Let the last words be spoken, for a while."""
        deadline = time.monotonic() + _SPEAK_S
        for process in self._speaking:
            try:
                process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(_SPEAK_S)


def decide_leftover(
    recorder: EpisodeRecorder, left: Partial | None, keep: str, tell: Callable[[str], None], at_end: bool = False
) -> Saved | None:
    """Keep or hide the beginning of an episode that was cut short; a person is asked where `keep` is "ask".

    Raises:
        ConfigError: nobody can be asked, before a new session. It lies where it was.
    """
    if left is None or left.episode is None:
        return None
    what = f"the beginning of an episode, {len(left.episode)} steps,"
    if keep == "ask":
        question = f"{what} was recorded before the recorder ended. Keep it in {recorder.path}? [y/n] "
        answer = ask(question, _ASK_AT_END_S if at_end else _ASK_S)
        if answer is None and at_end:
            tell(f"{what} stays on disk; the next `rlpd-robot record` asks what to do with it")
            return None
        if answer is None:
            raise ConfigError(
                "record.keep_partial", keep, f"'keep' or 'discard' where nobody can be asked; {what} waits"
            )
        keep = "keep" if answer else "discard"
    saved = recorder.settle(left, keep == "keep")
    tell(f"{what} is episode {saved.index}{', hidden' if saved.hidden else ''} of {recorder.path}")
    return saved


def ask(question: str, patience_s: float = _ASK_S) -> bool | None:
    """A person's answer by the key y or n; None where no terminal is, or no answer comes in that time [s]."""
    try:
        fd = sys.stdin.fileno()
    except (AttributeError, OSError, ValueError):
        return None
    if not os.isatty(fd):
        return None
    print(question, end="", flush=True)
    deadline = time.monotonic() + patience_s
    while (left_s := deadline - time.monotonic()) > 0 and select.select([fd], [], [], left_s)[0]:
        for key in os.read(fd, 64).decode("ascii", "replace").lower():
            if key in "yn":
                print(key)
                return key == "y"
    print()
    return None


def summary_of(recorder: EpisodeRecorder, saved: int) -> str:
    """The last line."""
    share = f", success {100 * recorder.successes / recorder.episodes:.0f} %" if recorder.episodes else ""
    hidden = f", {recorder.hidden} hidden" if recorder.hidden else ""
    return f"{saved} episodes recorded; {recorder.path} holds {recorder.episodes}{hidden}{share}"


def _help(source: TeleopSource) -> dict[str, str]:
    """Keys and axes, those of a person's words on a line of their own."""
    words: list[str] = []
    moves: list[str] = []
    for key, meaning in source.help().items():
        (words if meaning in set(Event) or meaning == "clutch" else moves).append(f"{key} {meaning}")
    return {label: GAP.join(parts) for label, parts in (("move", moves), ("keys", words)) if parts}

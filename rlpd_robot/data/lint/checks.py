"""THE table of the checks that look at one episode at a time: what each looks for, why it hurts, and what helps."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from rlpd_robot.data.dimensions import state_range
from rlpd_robot.data.lint import actions, frames, rewards, sensors, timing
from rlpd_robot.data.lint.finding import Severity
from rlpd_robot.data.lint.view import EpisodeView

SATURATED = "saturated-action"
OF_TIME = ("jitter", "gap", "slow-action")
"""Checks by the wall clock."""

Repair = Literal["", "drop", "truncate"]
"""What `--fix` does with an episode in which it was found: nothing, leave it out, or call its ending a time limit."""

ERROR, WARNING, HINT = Severity.ERROR, Severity.WARNING, Severity.HINT


@dataclass(frozen=True)
class Check:
    """One line of the table.

    Attributes:
        name: of the check.
        severity: how bad it is.
        of: what the columns of the mask are: "action", "observation", or "" for a mask of steps.
        look: mask (N,), (N, A) or (N+1, O) of one episode: True where it is so.
        what: sentence about `{where}` with `{count}` steps of `{steps}`, `{share}` percent, in `{episodes}` episodes.
        why: it hurts learning.
        fix: what helps.
        share: least part of all steps from which it is worth telling.
        repair: what `--fix` does.
    """

    name: str
    severity: Severity
    of: Literal["action", "observation", ""]
    look: Callable[[EpisodeView], NDArray[np.bool_]]
    what: str
    why: str
    fix: str
    share: float = 0.0
    repair: Repair = ""


CHECKS: tuple[Check, ...] = (
    Check(
        "not-finite",
        ERROR,
        "",
        lambda e: _with_final(
            e,
            sensors.not_finite(e.actions, e.proposed_actions, e.rewards, e.stamps_s),
            sensors.not_finite(e.observations),
        ),
        "{count} steps hold NaN or infinity",
        "One such number makes every weight of the networks NaN, so that training refuses the store.",
        "Leave those episodes out; look at the sensor or the conversion that made them.",
        repair="drop",
    ),
    Check(
        "outside-range",
        ERROR,
        "action",
        lambda e: actions.outside(e.actions, e.proposed_actions),
        "{where} lies beyond [-1, 1] in {count} steps",
        "The policy's tanh cannot make such an action, so that training refuses the store.",
        "Leave those episodes out, or import them again with the right range (actions=command).",
        repair="drop",
    ),
    Check(
        SATURATED,
        WARNING,
        "action",
        lambda e: actions.saturated(e.actions),
        "{where} is at the end of its range in {share:.0f} % of steps ({count} of {steps})",
        "A tanh policy reaches ±1 only at infinity: its gradient is nearly nothing there, and the range is not "
        "enough for what was wanted.",
        "Widen the command's range in the robot's description, or scale the teleoperation down, and record again.",
        share=0.2,
    ),
    Check(
        "filtered-action",
        WARNING,
        "action",
        lambda e: actions.clipped(e.actions, e.proposed_actions, e.safety),
        "{where} was changed by the safety filter in {count} steps ({share:.1f} %)",
        "The executed action was stored, so the critic is right; but whoever demonstrated wanted something that the "
        "robot did not do, and a policy that wants the same will be held back too.",
        "Move more slowly, or raise the limit if the robot bears it (`rlpd-robot demos info` lists which limits).",
        share=0.01,
    ),
    Check(
        "replaced-action",
        WARNING,
        "action",
        lambda e: actions.replaced(e.actions, e.proposed_actions, e.safety),
        "{where} was executed otherwise than wanted in {count} steps ({share:.1f} %), though the filter let it through",
        "Commands came late or were dropped, and the robot went on with the one before: the data has a delay that "
        "comes and goes.",
        "Look at the link and the load of the machine that recorded (`rlpd-robot bench latency`).",
        share=0.01,
    ),
    Check(
        "idle",
        HINT,
        "",
        lambda e: actions.idle(e.actions, e.observations),
        "{count} steps ({share:.1f} %) at the start or end of {episodes} episodes in which nothing moves",
        "Half of every minibatch is demonstrations: what stands still teaches the policy to stand still.",
        "Cut them off: `rlpd-robot demos edit trim STORE OUT episodes=… first=… last=…`.",
        share=0.02,
    ),
    Check(
        "stuck-sensor",
        WARNING,
        "observation",
        lambda e: sensors.stuck(e.observations),
        "{where} stood still and then jumped, {count} steps in {episodes} episodes",
        "The sensor froze while its thing moved on: the same observation then stands for different states, and the "
        "jump for a motion that no action made.",
        "See to the sensor (tracker out of view, dropped messages); leave the episodes out, or trim them.",
    ),
    Check(
        "repeated-observation",
        WARNING,
        "",
        lambda e: sensors.repeated(e.observations),
        "{count} steps ({share:.1f} %) are followed by an observation that is the same to the last bit",
        "States come more slowly than the control rate, or the stream stopped: an action seems to do nothing in one "
        "step and twice as much in the next.",
        "Bring the robot's state rate up to the control rate, or the control rate down to it.",
        share=0.01,
    ),
    Check(
        "huge-observation",
        WARNING,
        "observation",
        lambda e: sensors.huge(e.observations),
        "{where} is beyond ±100 in {share:.0f} % of steps",
        "Networks see raw numbers: one in millimetres, degrees or pixels drowns the others.",
        "Use SI units or a scale of about 1 in the task's `observe`, and convert the store.",
        share=0.01,
    ),
    Check(
        "outside-spec",
        HINT,
        "observation",
        lambda e: sensors.outside_spec(e.observations, *state_range(e.problem)),
        "{where} is beyond the range that the robot states for it in {count} steps, if the observation is its state",
        "A sensor in another unit or with another zero than its description says.",
        "Compare unit and zero of that field with the robot's description.",
    ),
    Check(
        "angle-turns-over",
        WARNING,
        "observation",
        lambda e: sensors.turned_over(e.observations),
        "{where} jumps by a whole turn {count} times",
        "Two neighbouring poses look as far apart as can be, and no network is steep enough for it.",
        "Observe sine and cosine of the angle instead.",
    ),
    Check(
        "quaternion-flips",
        WARNING,
        "observation",
        lambda e: frames.flipped_quaternions(e.observations),
        "{where} is part of a quaternion that changes its sign {count} times",
        "q and -q are the same rotation: one pose has two observations, far apart.",
        "Keep w ≥ 0 or the sign of the step before, or observe a rotation by six numbers.",
    ),
    Check(
        "stamps-out-of-order",
        WARNING,
        "",
        lambda e: timing.out_of_order(e.stamps_s),
        "{count} steps have stamps that run backwards",
        "Observation and action may not belong together, and no delay can be told from such data.",
        "Stamp everything by one monotonic clock; never by the wall clock, which is set now and then.",
    ),
    Check(
        "jitter",
        WARNING,
        "",
        lambda e: timing.jittery(e.stamps_s, e.period_s),
        "{count} steps ({share:.1f} %) came more than half a control period too early or late",
        "The same action moves the robot by different amounts, which looks like noise in its dynamics.",
        "Free the recording machine of other load; see `rlpd-robot bench latency`.",
        share=0.01,
    ),
    Check(
        "gap",
        WARNING,
        "",
        lambda e: timing.gaps(e.stamps_s, e.period_s),
        "{count} steps lie three control periods or more after the one before",
        "Steps are missing in between, and the transition across the hole did not happen so.",
        "Split the episode there: `rlpd-robot demos edit split STORE OUT episode=… at=…`.",
    ),
    Check(
        "slow-action",
        WARNING,
        "",
        lambda e: timing.slow_actions(e.stamps_s, e.period_s),
        "{count} actions ({share:.1f} %) left more than half a control period after the state that they answer",
        "An action that late acts in the next period in part: its effect is ascribed to the wrong step.",
        "Make the teleoperation or the policy faster, or the control period longer.",
        share=0.01,
    ),
    Check(
        "large-reward",
        WARNING,
        "",
        lambda e: rewards.large(e.rewards),
        "{count} rewards are beyond ±100",
        "Values add up to thousands, which a layer-normalised critic fits slowly or not at all.",
        "Scale rewards to about 1 a step.",
    ),
    Check(
        "success-flickers",
        HINT,
        "",
        lambda e: rewards.flickering(e.success),
        "the task is solved and lost again more than three times within each of {episodes} episodes",
        "A success at the edge of its threshold rewards noise.",
        "Give the task's success a margin or a time that it must last.",
    ),
    Check(
        "limit-as-terminal",
        WARNING,
        "",
        lambda e: rewards.last_step(
            len(e), rewards.limit_as_terminal(e.ending, e.cause, e.success, len(e), e.problem.horizon)
        ),
        "{episodes} episodes call a time limit a true end",
        "The critic learns that nothing follows there, so that states late in an episode are worth too little or, "
        "with rewards of -1, too much.",
        "Store them as truncated; values then go on.",
        repair="truncate",
    ),
    Check(
        "cut-at-success",
        HINT,
        "",
        lambda e: rewards.last_step(len(e), rewards.cut_at_success(e.ending, e.success, len(e), e.problem.horizon)),
        "{episodes} episodes stop in the moment of success and are not terminated",
        "Values go on after the last step, and no data shows how: with rewards of -1 the goal looks as bad as any "
        "state.",
        "Import with unknown=terminated if success ends an episode of this task; otherwise record on for a while.",
    ),
)


def _with_final(e: EpisodeView, steps: NDArray[np.bool_], observations: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """(N+1,) steps, and the observations before and after them."""
    return np.append(steps, False) | observations

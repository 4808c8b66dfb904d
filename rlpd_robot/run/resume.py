"""What a learner does before it goes on where the one before it was stopped, killed or cut from its power."""

from collections.abc import Callable, Mapping
from difflib import unified_diff
from pathlib import Path

from rlpd_robot.data.demo_store import DemoStore
from rlpd_robot.run.checkpoint import load_newest
from rlpd_robot.run.consumed import Rows
from rlpd_robot.run.course import Course
from rlpd_robot.run.metrics import Severity
from rlpd_robot.run.refill import Patience
from rlpd_robot.run.settings import Settings
from rlpd_robot.types import Segment
from rlpd_robot.wire.intake import ActorInfo

_HEARD_S = 2.0  # an actor that was silent for longer may still have rows to bring
_SHOWN = 6  # changed lines of the settings

Tell = Callable[[Severity, str], None]


class Resumption:
    """Brings a course back to its newest checkpoint, and its rows with it.

    Args:
        course: fresh; goes on from here.
        settings: of the run.
        tell: puts an event where a person sees it.
        now: on the monotonic clock [s].

    Attributes:
        restored: whether there was a checkpoint to go on from; otherwise the networks start anew.
        is_new: whether there is nothing to go on from at all.
    """

    def __init__(self, course: Course, settings: Settings, tell: Tell, now: float) -> None:
        self._course, self._tell = course, tell
        self._patience = Patience(settings.link.timeout_s, settings.actor.policy_s, now)
        self._highest = 0
        self._starts_over = False
        self.restored, self.is_new = False, True

    def restore(self, checkpoints: Path, wanted: str, config_text: str) -> None:
        """Take up the newest good checkpoint of this fingerprint, if there is one."""
        checkpoint, passed = load_newest(checkpoints, wanted)
        for problem in passed:
            self._tell("warning", problem)
        self._starts_over = any("of other agent settings" in problem for problem in passed)
        if checkpoint is None:
            return
        self._course.restore(checkpoint)
        self.restored, self.is_new = True, False
        changed = changed_settings(checkpoint.config_text, config_text)
        if changed:
            self._tell("info", f"settings that changed since the checkpoint: {changed}")

    def refill(self, before: DemoStore | None, on_episode: Callable[[Segment], None]) -> None:
        """Give the course every committed row, in the order of their commits; hidden ones too: they were learned from.

        Args:
            on_episode: told of each episode.
        """
        rows = 0
        for episode in before.episodes(hidden=True) if before is not None else ():
            self._course.receive(Rows.of(episode))
            self._highest = max(self._highest, int(episode.policy_versions.max()))
            rows += len(episode)
            on_episode(episode)
        self.is_new = self.is_new and not rows
        if self.is_new:
            return
        source = f"the checkpoint after {self._course.book.rows}" if self.restored else "no checkpoint: networks anew"
        self._tell("info", f"goes on from the {rows} transitions in {before.path.name if before else '-'}, {source}")

    def is_over(self, actors: Mapping[str, ActorInfo], now: float) -> bool:
        """Whether everything is in its place again, or has been waited for long enough.

        Rows of an episode that was open come from its actor's journal, and whether it acts in lock-step is for it to
        say where the checkpoint cannot: both are waited for.
        """
        course = self._course
        if self.is_new or not (course.missing or course.lockstep is None):
            return True
        heard = any(now - actor.last_heard_s < _HEARD_S for actor in actors.values())
        if not self._patience.is_over(course.missing, heard, now):
            return False
        if course.missing:
            lost = course.give_up()
            text = f"goes on without {lost} transitions that no actor has brought again; updates with them stand"
            self._tell("warning", text)
        course.lockstep = bool(course.lockstep)
        return True

    def begin(self, actors: Mapping[str, ActorInfo]) -> None:
        """Publish, and let learning go on."""
        seen = max([self._highest, *(newest_version(actor) for actor in actors.values())])
        if self._starts_over:  # the numbers of other networks' policies are not used again
            self._course.version = max(self._course.version, seen)
        self._course.begin(seen)


def newest_version(actor: ActorInfo) -> int:
    """Of the newest policy that an actor says it has, also while an earlier one is pinned; -1: none."""
    version = max(actor.stats.get(name, -1.0) for name in ("policy_version", "policy_newest"))
    return int(version) if 0 <= version < 1 << 53 else -1


def changed_settings(before: str, after: str) -> str:
    """The lines in which two composed settings differ, in one; "" where they do not."""
    lines = [
        line[0] + " " + line[1:].strip()
        for line in unified_diff(before.splitlines(), after.splitlines(), n=0, lineterm="")
        if line[0] in "+-" and line[:3] not in ("+++", "---")
    ]
    return ", ".join(lines[:_SHOWN]) + (", …" if len(lines) > _SHOWN else "")

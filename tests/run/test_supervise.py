import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rlpd_robot.config import load
from rlpd_robot.errors import ChildError
from rlpd_robot.run import supervise as module
from rlpd_robot.run.supervise import supervise
from rlpd_robot.run.supervisor import ChildSpec


class Watched:
    """A supervisor that watches nothing, and remembers what it was given."""

    specs: Sequence[ChildSpec] = ()
    ended: Sequence[str] = ()
    status: int | None = 0

    def __init__(self, specs: Sequence[ChildSpec], *_: Any) -> None:
        Watched.specs, Watched.ended = specs, ()

    def start(self) -> None: ...

    def look(self) -> None:
        raise ChildError("actor", "ended (3), after 5 restarts", "it slipped")

    def end(self, names: Sequence[str], timeout_s: float) -> None:
        Watched.ended = names

    def child(self, name: str) -> "Watched":
        return self


@pytest.fixture(autouse=True)
def watched(monkeypatch: pytest.MonkeyPatch) -> type[Watched]:
    monkeypatch.setattr(module, "Supervisor", Watched)
    return Watched


@pytest.mark.parametrize(
    ("verb", "real", "again"),
    [("actor", True, ("actor.armed_at_start=false",)), ("actor", False, ()), ("learner", True, ())],
)
def test_before_a_real_robot_an_actor_that_died_waits_for_a_person(
    verb: str, real: bool, again: tuple[str, ...], tmp_path: Path, watched: type[Watched]
) -> None:
    settings, _ = load(verb, [f"run.root={tmp_path}"])
    if real:
        settings = replace(settings, robot=replace(settings.robot, stand_in=None))
    stop = threading.Event()
    stop.set()
    assert supervise(verb, ["run.seed=1"], settings, stop, print) == 0
    assert watched.specs == [ChildSpec(verb, [verb, "run.seed=1"], restart_words=again)]
    assert watched.ended == [verb]


def test_one_that_is_given_up_ends_this_too(tmp_path: Path, watched: type[Watched]) -> None:
    settings, _ = load("actor", [f"run.root={tmp_path}"])
    with pytest.raises(ChildError):
        supervise("actor", [], settings, threading.Event(), print)
    assert watched.ended == ["actor"]


@pytest.mark.parametrize(("ended", "status"), [(0, 0), (1, 1), (-9, 1), (-15, 0)])
def test_one_that_could_not_hand_over_is_no_success(
    ended: int, status: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Watched, "status", ended)
    settings, _ = load("actor", [f"run.root={tmp_path}"])
    stop = threading.Event()
    stop.set()
    assert supervise("actor", [], settings, stop, print) == status

from collections.abc import Iterator

import pytest

from rlpd_robot.errors import PeerRefusedError, PeerTimeoutError
from rlpd_robot.run import rearm
from rlpd_robot.run.rearm import Rearm
from tests.wire.waiting import wait_until


class Actor:
    """Answers as it is told to."""

    def __init__(self) -> None:
        self.fault = self.persists = self.absent = False
        self.asked = 0

    def status(self) -> str:
        self.asked += 1
        if self.absent:
            raise PeerTimeoutError("the actor", "tcp://127.0.0.1:1", 1.0, "See.")
        return "FAULT: robot link" if self.fault else "no fault; 3 episodes"

    def arm(self) -> str:
        if self.persists:
            raise PeerRefusedError("The actor", "the cause persists")
        self.fault = False
        return "Armed again after: robot link"


@pytest.fixture
def actor() -> Actor:
    return Actor()


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    monkeypatch.setattr(rearm, "_ASK_EVERY_S", 0.001)
    return []


@pytest.fixture
def arming(actor: Actor, told: list[tuple[str, str]]) -> Iterator[Rearm]:
    arming = Rearm(actor.status, actor.arm, lambda *words: told.append(words))
    yield arming
    arming.close()


def test_it_waits_until_the_actor_has_noticed_and_its_cause_is_gone(
    actor: Actor, arming: Rearm, told: list[tuple[str, str]]
) -> None:
    actor.absent = actor.persists = True
    arming.begin()
    for key, value in (("absent", False), ("fault", True)):
        before = actor.asked
        wait_until(lambda n=before: actor.asked > n + 3)
        assert told == []
        setattr(actor, key, value)
    wait_until(lambda: actor.asked > before + 10)
    assert told == []
    actor.persists = False
    wait_until(lambda: told)
    assert told == [("info", "armed after its stand-in was started again: Armed again after: robot link")]
    assert not actor.fault


def test_an_answer_that_is_lost_is_no_failure(actor: Actor, told: list[tuple[str, str]]) -> None:
    def arm() -> str:
        actor.fault = False
        raise PeerTimeoutError("the actor", "tcp://127.0.0.1:1", 1.0, "See.")

    actor.fault = True
    Rearm(actor.status, arm, lambda *words: told.append(words)).begin()
    wait_until(lambda: told)
    assert told == [("info", "armed after its stand-in was started again")]


def test_a_cause_that_persists_is_told_in_the_end(actor: Actor, told: list[tuple[str, str]]) -> None:
    actor.fault = actor.persists = True
    Rearm(actor.status, actor.arm, lambda *words: told.append(words), patience_s=0.2).begin()
    wait_until(lambda: told)
    assert told == [
        (
            "warning",
            "could not be armed after its stand-in was started again: The actor refused: the cause persists",
        )
    ]

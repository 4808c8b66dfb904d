"""A person has a running actor go back to an earlier policy, while the robot moves."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rlpd_robot.data.demo_store import DemoStore
from rlpd_robot.run.stopping import SUPERVISOR
from tests.integration.running import Verb, link_words, run_verb
from tests.run.point import save_policy

pytestmark = pytest.mark.integration


@pytest.fixture
def verb(tmp_path: Path) -> Iterator[Callable[..., Verb]]:
    """Starts one verb of the point's experiment by the wall clock."""
    shared = ["experiment=point", f"run.root={tmp_path}", *link_words(), "sim.lockstep=false", "link.timeout_s=20"]
    started: list[Verb] = []

    def start(*words: str) -> Verb:
        supervised = {SUPERVISOR: str(os.getpid())}  # so that a hiccup of this machine does not wait for a person
        started.append(Verb([*words, *shared], tmp_path / f"{words[0]}{len(started)}.log", **supervised))
        return started[-1]

    yield start
    for process in started:
        process.kill()


def said(verb: Verb) -> tuple[int, str]:
    """(exit status, words) of a verb that asks the actor."""
    return verb.ends(), verb.text.strip()


def episode_numbers(actor: Verb) -> list[int]:
    """Of the episodes that came to an end without a fault."""
    return [int(line.split()[1].rstrip(":")) for line in actor.text.splitlines() if line.startswith("episode ")]


def test_pin_roll_back_and_unpin_while_the_robot_moves(verb: Callable[..., Verb], tmp_path: Path, demos: Path) -> None:
    run = tmp_path / "point"
    fingerprint = DemoStore.open(demos).problem.fingerprint
    for version in (3, 5):  # of a run that was here before
        save_policy(run / "actor" / "policies" / f"policy-{version:010d}.npz", version=version, fingerprint=fingerprint)
    verb("sim")
    actor = verb("actor", "policy=pin:3")  # no learner anywhere
    actor.until(lambda: "policy 3 from the disk of this machine acts" in actor.text)
    actor.until(lambda: ", policy 3, ended by" in actor.text)

    assert said(verb("pin", "5")) == (0, "policy 5 acts instead of 3 until `rlpd-robot unpin`")
    actor.until(lambda: ", policy 5, ended by" in actor.text)
    status, text = said(verb("pin", "4"))
    assert status == 2
    assert text == (
        f"rlpd-robot pin: The actor refused: Policy 4: it is not on this machine in {str(run)!r}. Expected one of 3, 5."
    )
    status, text = said(verb("status"))
    assert status == 0
    assert "; policy 5 acts, pinned\n" in text + "\n"
    status, text = said(verb("unpin"))
    assert (status, "no other has come yet" in text) == (2, True)

    actor.kill()
    last = episode_numbers(actor)[-1]
    again = verb("actor")  # by the wall clock it waits for no learner that it does not need
    again.until(lambda: ", policy 5, ended by" in again.text)
    assert episode_numbers(again)[0] > last  # it repeats no episode
    again.interrupt()
    assert again.ends() == 0, again.text


def test_a_version_that_is_not_there_is_refused_before_the_robot_moves(
    verb: Callable[..., Verb], tmp_path: Path
) -> None:
    verb("sim")
    actor = verb("actor", "policy=pin:12")
    assert actor.ends() == 2
    assert actor.text.strip().endswith("Expected one that was kept: none yet.")


def test_asking_where_no_actor_runs(tmp_path: Path) -> None:
    [address] = [word for word in link_words() if word.startswith("link.control=")]
    status, text = run_verb(["arm", address, "link.timeout_s=0.2"], tmp_path / "log")
    assert (status, text) == (
        1,
        f"rlpd-robot arm: No answer from the actor at {address.removeprefix('link.control=')} within 0.2 s. "
        "See whether it runs on this machine, with the same 'link.control'.\n",
    )

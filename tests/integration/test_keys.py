"""Robot and actor as processes with keys; one without them stays outside."""

from pathlib import Path

import pytest

from rlpd_robot.wire.keys import make_keys, secret_path
from tests.integration.running import Verb, link_words, run_verb

pytestmark = pytest.mark.integration


def test_a_robot_with_keys_talks_to_the_actor_that_has_them(tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    make_keys(keys)
    shared = ["experiment=point", f"run.root={tmp_path}", *link_words(), "actor.connect_s=2"]
    sim = Verb(["sim", *shared, f"link.keys={keys}"], tmp_path / "sim.log")
    try:
        sim.until(lambda: "stand-in of robot" in sim.text)
        status, text = run_verb(["actor", *shared], tmp_path / "stranger.log")
        assert (status, text[:48]) == (1, "rlpd-robot actor: No answer from a robot at tcp:"), text

        secret_path(keys, "actor").chmod(0o644)
        status, text = run_verb(["actor", *shared, f"link.keys={keys}"], tmp_path / "careless.log")
        assert (status, "others can read it. Run: chmod 600" in text) == (2, True), text

        secret_path(keys, "actor").chmod(0o600)
        friend = Verb(["actor", *shared, f"link.keys={keys}", "actor.connect_s=30"], tmp_path / "friend.log")
        try:
            friend.until(lambda: "connected to robot 'fake'" in friend.text)
        finally:
            friend.kill()
    finally:
        sim.kill()
    assert "link.robot: a peer without the actor's key was turned away" in sim.text

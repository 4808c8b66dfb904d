"""The sim profile: it learns, is killed in parts, recovers, and has delivered every transition once."""

import json

from looking import Place, delivered_once, kill_and_recover, learns, say, start, stop_in_order

ENVIRONMENT = {"RUN": "door", "ENV_STEPS": "1000000"}


def check(place: Place) -> None:
    """The whole course.

    Raises:
        AssertionError: something did not hold, or not in time.
    """
    start(place, "sim", "learner", "actor", "dashboard")
    learns(place, "learner", 0)
    say(place.run("operator", "status", place.directory("learner"))[1])
    reached = kill_and_recover(place, "learner", place.kill_process, "its process", "learner")
    reached = kill_and_recover(place, "learner", place.kill_container, "its container", "learner")
    reached = kill_and_recover(place, "actor", place.kill_container, "its container", "learner", reached)
    kill_and_recover(place, "sim", place.kill_process, "its process", "learner", reached)
    assert place.healthy("dashboard"), "the dashboard does not answer after all that"
    picture = f"{place.directory('sim')}/view/view.jpg"
    say(f"the dashboard has a picture of the hand: {'yes' if place.read(picture) else 'no'}")
    stop_in_order(place, "dashboard", "actor", "learner", "sim")
    delivered_once(place, "learner", "operator")


def check_dry_run(place: Place) -> None:
    """A dry run of the policy that there is, or of random actions, comes to a verdict.

    Raises:
        AssertionError: it does not, or its exit status says another thing than its sheet.
    """
    status, text = place.run("dry-run", within_s=1500.0)
    verdict = place.read(f"{place.directory('dry-run')}/dry_run/verdict.json")
    assert status in (0, 1), text
    assert verdict, f"it left no verdict: {text}"
    assert json.loads(verdict)["go"] is (status == 0), f"status {status}: {text}"
    say(f"the dry run came to a verdict, {'go' if status == 0 else 'no go'}: {text.strip().splitlines()[-1]}")

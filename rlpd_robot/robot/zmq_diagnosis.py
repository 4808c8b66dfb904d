"""What can be told of a robot behind our wire protocol without moving it; see `robot/diagnosis.py`."""

import socket

from rlpd_robot.robot.diagnosis import Outcome, Verdict, reach


def link_verdict(address: str, timeout_s: float) -> Verdict:
    """Whether anybody listens at a tcp:// or ipc:// address."""
    if address.startswith("tcp://"):
        host, _, port = address.removeprefix("tcp://").rpartition(":")
        return reach(host.strip("[]"), int(port), timeout_s)
    if not address.startswith("ipc://"):
        return Verdict("reachable", Outcome.SKIPPED, f"{address} is inside this process")
    path = address.removeprefix("ipc://")
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(timeout_s)
        try:
            probe.connect(path.replace("@", "\0", 1) if path.startswith("@") else path)
        except OSError as error:
            remedy = "Start the robot's server on this machine, or `rlpd-robot sim`."
            return Verdict("reachable", Outcome.FAIL, f"nobody listens at {path} ({error.strerror or error})", remedy)
    return Verdict("reachable", Outcome.OK, f"somebody listens at {path}")


def stop_verdict(left: bool, answer_s: float) -> Verdict:
    """Whether a stop arrives: messages keep their order, so what is answered after it proves that it was taken.

    Args:
        left: whether the stop left this process at once.
        answer_s: after which time the robot answered the message that followed it [s].
    """
    if not left:
        remedy = "See whether the link comes and goes."
        return Verdict("stop", Outcome.FAIL, "a stop could not leave: the robot was not connected", remedy)
    return Verdict(
        "stop", Outcome.OK, f"the robot's server took a stop, and what followed it {1e3 * answer_s:.1f} ms later"
    )

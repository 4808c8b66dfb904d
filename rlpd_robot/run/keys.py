"""`rlpd-robot keys DIR`: key files for every role, and what to copy where."""

from pathlib import Path

from rlpd_robot.wire.keys import ROLES, make_keys


def run_keys(directory: Path) -> int:
    """Make the keys and explain them."""
    make_keys(directory)
    print(f"Keys are in {directory}. To every machine of the run copy all *.key files (public), and besides:")
    for role, where in ROLES.items():
        print(f"  {role + '.key_secret':20} {where}")
    print(
        "A secret belongs to one machine, readable by its owner alone (chmod 600); whoever holds it is that role.\n"
        "Then give every process link.keys=DIRECTORY; its links may leave the machine."
    )
    return 0

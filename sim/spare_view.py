"""`python -m sim.spare_view TASK DIRECTORY`: `sim.view_process` for the dashboard, on what the machine has to spare.

The hand does not wait for it. Where nothing can draw, it says so once and ends.
"""

import os
import sys

from rlpd_robot.errors import NoRenderingError
from sim.render import environment_that_draws
from sim.view import FILES


def main(task: str, directory: str) -> None:
    """Become that process; its standard input stays."""
    os.nice(19)
    try:
        environment = environment_that_draws()
    except NoRenderingError as error:
        text = str(error).replace("No video was made", "The dashboard shows no picture")
        print(text, file=sys.stderr, flush=True)
        return
    environment |= {"LP_NUM_THREADS": "1"}  # of Mesa, where it draws in software
    os.execve(sys.executable, [sys.executable, "-m", "sim.view_process", task, FILES, directory], environment)


if __name__ == "__main__":
    main(*sys.argv[1:])

"""`python -m rlpd_robot` is `rlpd-robot`."""

import sys

from rlpd_robot.cli import main

sys.exit(main())

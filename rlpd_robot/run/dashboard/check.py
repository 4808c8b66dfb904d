"""Whether a dashboard answers; imports next to nothing, since a container asks several times a minute."""

import urllib.error
import urllib.request
from collections.abc import Callable

from rlpd_robot.run.dashboard.settings import DashboardSettings

CHECK_S = 5.0
"""A check that takes longer has failed [s]."""


def check(settings: DashboardSettings, show: Callable[[str], None]) -> int:
    """Whether a dashboard on this machine answers, with the list of its runs; exit status 0 or 1."""
    host = settings.host if settings.loopback else "127.0.0.1"
    address = f"http://{f'[{host}]' if ':' in host else host}:{settings.port}/api/runs"
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(address, timeout=CHECK_S) as answer:
            answer.read()
    except (urllib.error.URLError, OSError) as error:
        show(f"dashboard: NOT WELL: {address}: {getattr(error, 'reason', error)}")
        return 1
    show("dashboard: well")
    return 0

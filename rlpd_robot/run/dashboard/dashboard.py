"""`rlpd-robot dashboard`: serves the page until told to stop."""

import threading
from collections.abc import Callable, Mapping
from pathlib import Path

from rlpd_robot.run.dashboard.guard import read_token
from rlpd_robot.run.dashboard.runs import Runs
from rlpd_robot.run.dashboard.server import Actions, DashboardServer
from rlpd_robot.run.dashboard.settings import DashboardSettings
from rlpd_robot.run.run_links import links_of
from rlpd_robot.run.settings import Settings

_END_S = 5.0


def run_dashboard(settings: Settings, links_given: bool, stop: threading.Event, show: Callable[[str], None]) -> int:
    """Serve until `stop`.

    Args:
        settings: of where to listen, what is below `run.root`, and the links to the actor.
        links_given: whether words to the actor go over the links of the settings; otherwise over those that the run
            that is looked at was started with.
        stop: ends it.
        show: says something to whoever started it.

    Raises:
        AddressError: the address cannot be listened on.
        KeyFileError: the token's file cannot be used.
    """
    chosen = settings.dashboard
    actions = None
    if chosen.token is not None:
        actions = Actions(read_token(Path(chosen.token)), _sayer(settings, links_given))
    server = DashboardServer((chosen.host, chosen.port), Runs(Path(settings.run.root)), chosen.names or (), actions)
    with server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.2}, name="http", daemon=True)
        thread.start()
        for line in _greeting(chosen, server.server_address[1], settings.run.root):
            show(line)
        stop.wait()
        server.shutdown()
        thread.join(_END_S)
    return 0


def _sayer(settings: Settings, links_given: bool) -> Callable[[Path, str, Mapping[str, str]], str]:
    def say(directory: Path, word: str, arguments: Mapping[str, str]) -> str:
        from rlpd_robot.wire.control import ask
        from rlpd_robot.wire.security import Security

        link = settings.link if links_given else links_of(directory)
        return ask(link.control, word, arguments, link.timeout_s, Security(link.keys, link.insecure))

    return say


def _greeting(chosen: DashboardSettings, port: int, root: str) -> list[str]:
    host = f"[{chosen.host}]" if ":" in chosen.host else chosen.host
    lines = [f"dashboard of the runs in {root}: http://{host}:{port}/ ; Ctrl-C ends it"]
    if not chosen.loopback:
        lines.append("it listens beyond this machine: whoever reaches it can read these runs")
    if chosen.token is not None:
        lines.append(f"words to the actor: with the token in {chosen.token}")
    return lines

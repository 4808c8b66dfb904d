"""A headless Chromium for tests of pages, over its debugging protocol (chromedevtools.github.io/devtools-protocol)."""

import base64
import contextlib
import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from websockets.sync.client import connect

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
START_S, PATIENCE_S = 60.0, 20.0
TABLET = (820, 1180)


def executable() -> str | None:
    """The browser of this machine; CHROMIUM in the environment names another."""
    return os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)


class Browser:
    """One process; `page` opens a tab."""

    def __init__(self, program: str, folder: Path) -> None:
        words = [
            "--headless=new",
            "--remote-debugging-port=0",
            f"--user-data-dir={folder / 'profile'}",
            "--no-first-run",
        ]
        words += [
            "--disable-gpu",
            "--disable-extensions",
            "--disable-background-networking",
            "--disable-component-update",
        ]
        words += ["--disable-sync", "--disable-dev-shm-usage", "--mute-audio", "--no-proxy-server", "about:blank"]
        if os.getuid() == 0:
            words.append("--no-sandbox")
        self._log, self._links = folder / "browser.log", contextlib.ExitStack()
        with self._log.open("wb") as log:
            self._process = subprocess.Popen([program, *words], stdout=log, stderr=log, start_new_session=True)
        try:
            link = connect(self._address(), max_size=None, open_timeout=PATIENCE_S, compression=None)
            self._socket = self._links.enter_context(link)
        except BaseException:
            self._process.kill()
            self._process.wait(10)
            raise
        self._count = 0
        self._pages: dict[str, Page] = {}

    @contextlib.contextmanager
    def page(self, size: tuple[int, int] = TABLET) -> "Iterator[Page]":
        """A tab of its own cookies and so many CSS pixels; whoever uses it looks at `problems` at the end."""
        context = self.call("Target.createBrowserContext")["browserContextId"]
        target = self.call("Target.createTarget", url="about:blank", browserContextId=context)["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        page = self._pages[session] = Page(self, session)
        for domain in ("Page", "Runtime", "Log", "Network"):
            page.call(f"{domain}.enable")
        page.resize(size)
        try:
            yield page
        finally:
            self.call("Target.disposeBrowserContext", browserContextId=context)
            del self._pages[session]

    def call(self, method: str, session: str = "", **arguments: Any) -> dict[str, Any]:
        """One command and its answer; what happens meanwhile is noted by its page."""
        self._count += 1
        message: dict[str, Any] = {"id": self._count, "method": method, "params": arguments}
        self._socket.send(json.dumps(message | ({"sessionId": session} if session else {})))
        deadline = time.monotonic() + PATIENCE_S
        while True:
            got = self.receive(deadline)
            if got.get("id") == self._count:
                assert "error" not in got, f"{method}: {got['error']}"
                result: dict[str, Any] = got["result"]
                return result

    def receive(self, deadline: float) -> dict[str, Any]:
        """The next message."""
        got: dict[str, Any] = json.loads(self._socket.recv(max(0.0, deadline - time.monotonic())))
        if got.get("sessionId") in self._pages:
            self._pages[got["sessionId"]].note(got)
        return got

    def close(self) -> None:
        """End it."""
        with contextlib.suppress(Exception):  # it may be gone already, and is killed anyhow
            self.call("Browser.close")
        self._links.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(10)

    def _address(self) -> str:
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline and self._process.poll() is None:
            if found := re.search(r"DevTools listening on (ws://\S+)", self._log.read_text(errors="replace")):
                return found[1]
            time.sleep(0.02)
        raise AssertionError(f"the browser did not start: {self._log.read_text(errors='replace')[-1000:]}")


class Page:
    """One tab.

    Attributes:
        problems: errors of scripts and of the console, and requests that failed.
    """

    def __init__(self, browser: Browser, session: str) -> None:
        self.problems: list[str] = []
        self._browser, self._session = browser, session
        self._loaded = False

    def call(self, method: str, **arguments: Any) -> dict[str, Any]:
        """One command of the protocol."""
        return self._browser.call(method, self._session, **arguments)

    def resize(self, size: tuple[int, int]) -> None:
        """Another screen, as of a tablet or telephone."""
        width, height = size
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=True)

    def open(self, address: str) -> None:
        """Go there, and wait until it has loaded."""
        self._loaded = False
        self.call("Page.navigate", url=address)
        deadline = time.monotonic() + PATIENCE_S
        while not self._loaded:
            self._browser.receive(deadline)

    def value(self, expression: str) -> Any:
        """Of a JavaScript expression, or of the promise that it is."""
        got = self.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in got, got["exceptionDetails"].get("exception", {}).get("description")
        return got["result"].get("value")

    def wait(self, condition: str, patience_s: float = 15.0) -> None:
        """Until a JavaScript expression is true."""
        look = f"""new Promise((done) => {{
          const until = Date.now() + {1000 * patience_s};
          (function look() {{
            if ({condition}) done(true); else if (Date.now() > until) done(false); else setTimeout(look, 30);
          }})();
        }})"""
        assert self.value(look) is True, f"not in {patience_s:g} s: {condition}; {self.problems}; {self.text[:2000]}"

    @property
    def text(self) -> str:
        """What a person reads."""
        return str(self.value("document.body.innerText"))

    @property
    def overflow(self) -> int:
        """By how many pixels the page is wider than the screen."""
        return int(self.value("document.documentElement.scrollWidth - document.documentElement.clientWidth"))

    def picture(self, path: Path) -> None:
        """The whole page as a PNG."""
        got = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(got["data"]))

    def note(self, event: dict[str, Any]) -> None:
        """What the browser tells of it."""
        told = event.get("params", {})
        match event.get("method"):
            case "Page.loadEventFired":
                self._loaded = True
            case "Runtime.exceptionThrown":
                details = told["exceptionDetails"]
                self.problems.append(str(details.get("exception", {}).get("description", details["text"])))
            case "Runtime.consoleAPICalled" if told["type"] in ("error", "warning", "assert"):
                self.problems.append(" ".join(str(part.get("value")) for part in told["args"]))
            case "Log.entryAdded" if told["entry"]["level"] in ("error", "warning"):
                self.problems.append(f"{told['entry']['text']} {told['entry'].get('url', '')}")
            case "Network.loadingFailed" if not told.get("canceled"):
                self.problems.append(f"request failed: {told['errorText']}")

"""A headless Chromium, spoken to in its own protocol (Chrome DevTools): one page, and what a test asks of it."""

from __future__ import annotations

import base64
import json
import subprocess
import time
from pathlib import Path
from typing import Any

import websocket

PROGRAM = "/usr/bin/chromium"
FLAGS = (
    "--headless=new",
    "--no-sandbox",  # it runs as root; what it shows is confined by its own policy and the frame's
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-features=IsolateSandboxedIframes",  # a frame in a process of its own has another connection
)


class Browser:
    """One browser with one page; a context manager."""

    def __init__(self, profile: Path) -> None:
        self.process = subprocess.Popen(
            [PROGRAM, *FLAGS, "--remote-debugging-port=0", f"--user-data-dir={profile}", "about:blank"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        self._socket: Any = None
        self._number = 0
        self.requests: list[str] = []  # what the page asked for since the last `show`
        try:
            self._connect(profile / "DevToolsActivePort")
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Browser:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
        self.process.terminate()
        self.process.wait(timeout=20)

    def show(self, html: Path) -> None:
        """Load a file, and wait until it and its frames are there."""
        self.requests.clear()
        self.call("Page.navigate", url=html.as_uri())
        deadline = time.monotonic() + 120
        while self.evaluate("document.readyState") != "complete":
            assert time.monotonic() < deadline, f"{html} does not load"
            time.sleep(0.02)

    def resize(self, width: int, height: int, dark: bool) -> None:
        """The size of the window in CSS pixels, and the colour scheme that its user prefers."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])

    def evaluate(self, expression: str, context: int | None = None) -> Any:
        """The value of a JavaScript expression."""
        where = {} if context is None else {"contextId": context}
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True, **where)
        if "exceptionDetails" in result:
            raise RuntimeError(json.dumps(result["exceptionDetails"])[:2000])
        return result["result"].get("value")

    def frame(self) -> int:
        """A context for `evaluate` in the page's only frame, from outside: it works where the frame runs no scripts."""
        (child,) = self.call("Page.getFrameTree")["frameTree"]["childFrames"]
        return self.call("Page.createIsolatedWorld", frameId=child["frame"]["id"])["executionContextId"]

    def screenshot(self, path: Path) -> None:
        time.sleep(0.5)  # large boxes are painted piece by piece, some frames after the size has changed
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot")["data"]))

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """One command of the protocol; its result."""
        self._number += 1
        self._socket.send(json.dumps({"id": self._number, "method": method, "params": parameters}))
        while True:
            message = json.loads(self._socket.recv())
            if message.get("method") == "Network.requestWillBeSent":
                self.requests.append(message["params"]["request"]["url"])
            if message.get("id") == self._number:
                if "error" in message:
                    raise RuntimeError(f"{method}: {message['error']}")
                return message["result"]

    def _connect(self, address: Path) -> None:
        deadline = time.monotonic() + 60
        while not address.exists() or len(address.read_text().splitlines()) < 2:
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{PROGRAM} did not start: status {self.process.poll()}")
            time.sleep(0.05)
        port, path = address.read_text().splitlines()
        self._socket = websocket.create_connection(f"ws://127.0.0.1:{port}{path}", timeout=60, suppress_origin=True)
        page = next(t for t in self.call("Target.getTargets")["targetInfos"] if t["type"] == "page")
        self._socket.close()
        self._socket = websocket.create_connection(
            f"ws://127.0.0.1:{port}/devtools/page/{page['targetId']}", timeout=60, suppress_origin=True
        )
        self.call("Page.enable")
        self.call("Network.enable")

"""A headless Chromium, driven over a pipe by its DevTools protocol.

Messages are JSON, each with a zero byte after it: Chromium reads them from descriptor 3
and writes to 4.  https://chromedevtools.github.io/devtools-protocol
"""

import base64
import json
import os
import select
import shutil
import signal
import subprocess
import time

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
#: Keys that are no characters, with their key codes.
KEYS = {
    "Backspace": 8, "Tab": 9, "Enter": 13, "Escape": 27, "End": 35, "Home": 36,
    "ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40,
    "PageUp": 33, "PageDown": 34, "F2": 113,
}  # fmt: skip
SHIFT = 8
TIMEOUT = 120  # seconds for one answer


def find():
    """Return the path of a Chromium, None if there is none."""
    return next(filter(None, map(shutil.which, NAMES)), None)


class Browser:
    """A running Chromium."""

    def __init__(self, program, folder):
        ours_in, theirs_out = os.pipe()
        theirs_in, ours_out = os.pipe()
        arguments = [
            "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
            "--no-first-run", "--disable-background-networking", "--mute-audio",
            "--disable-renderer-backgrounding", "--disable-extensions",
            "--disable-backgrounding-occluded-windows", "--disable-component-update",
            "--remote-debugging-pipe", f"--user-data-dir={folder}",
        ]  # fmt: skip

        # The shell moves the pipes' ends to where Chromium looks for them.
        command = f'exec "$0" "$@" 3<&{theirs_in} 4>&{theirs_out}'
        self._process = subprocess.Popen(
            ["bash", "-c", command, program, *arguments],
            pass_fds=(theirs_in, theirs_out),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        os.close(theirs_in)
        os.close(theirs_out)
        self._in, self._out = ours_in, ours_out
        self._rest, self._number = b"", 0
        self.events = []

    def close(self):
        """End Chromium and the processes that it started."""
        try:
            self.call("Browser.close")
            self._process.wait(10)
        except (OSError, TimeoutError, subprocess.TimeoutExpired):
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        os.close(self._in)
        os.close(self._out)

    def call(self, method, session=None, **params):
        """Send a command and return its result."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        if session:
            message["sessionId"] = session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._read()
            if answer.get("id") == self._number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return answer["result"]
            self.events.append(answer)

    def _read(self):
        end = time.monotonic() + TIMEOUT
        while b"\0" not in self._rest:
            if not select.select([self._in], [], [], end - time.monotonic())[0]:
                raise TimeoutError(f"Chromium did not answer within {TIMEOUT} s")
            chunk = os.read(self._in, 1 << 16)
            if not chunk:
                raise OSError("Chromium has ended")
            self._rest += chunk
        message, _, self._rest = self._rest.partition(b"\0")
        return json.loads(message)


class Page:
    """A tab that shows one page after another."""

    def __init__(self, browser):
        self._browser = browser
        target = browser.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = browser.call(
            "Target.attachToTarget", targetId=target, flatten=True
        )["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def open(self, url, *, width=1280, height=900, **emulated):
        """Open a page and wait until it is loaded; ``emulated`` are media features."""
        self.resize(width, height)
        features = [
            {"name": name.replace("_", "-"), "value": value}
            for name, value in emulated.items()
        ]
        self.call("Emulation.setEmulatedMedia", features=features)
        self._browser.events.clear()
        self.call("Page.navigate", url=url)
        loaded = f"document.readyState === 'complete' && location.href === {url!r}"
        while not self.evaluate(loaded):
            time.sleep(0.01)

    def resize(self, width, height=900):
        """Give the page another size; a narrow one is that of a phone."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=height, deviceScaleFactor=1, mobile=width < 600,
        )  # fmt: skip

    def call(self, method, **params):
        """Send a command to this page and return its result."""
        return self._browser.call(method, self._session, **params)

    def evaluate(self, script):
        """Return the value of an expression of JavaScript."""
        result = self.call("Runtime.evaluate", expression=script, returnByValue=True)
        if "exceptionDetails" in result:
            raise RuntimeError(result["exceptionDetails"]["exception"]["description"])
        return result["result"].get("value")

    def press(self, key, *, shift=False):
        """Press a key and let it go."""
        text = {"Enter": "\r"}.get(key, key if len(key) == 1 else "")
        code = KEYS.get(key, ord(key[0].upper()) if key.isalnum() else 0)
        what = {
            "key": key,
            "modifiers": SHIFT if shift else 0,
            "windowsVirtualKeyCode": code,
        }
        self.call("Input.dispatchKeyEvent", type="keyDown", text=text, **what)
        self.call("Input.dispatchKeyEvent", type="keyUp", **what)

    def type(self, text):
        """Press the key of each character."""
        for character in text:
            self.press(character)

    def click(self, selector):
        """Click into the middle of the first element that a selector matches."""
        x, y = self.evaluate(
            f"(() => {{const e = document.querySelector({json.dumps(selector)});"
            "e.scrollIntoView({block: 'center', behavior: 'instant'});"
            "const b = e.getBoundingClientRect();"
            "return [b.x + b.width / 2, b.y + b.height / 2]})()"
        )
        for kind in ("mousePressed", "mouseReleased"):
            self.call(
                "Input.dispatchMouseEvent",
                type=kind, x=x, y=y, button="left", clickCount=1,
            )  # fmt: skip

    def screenshot(self, path, *, whole=False):
        """Write what the page shows as a PNG."""
        result = self.call("Page.captureScreenshot", captureBeyondViewport=whole)
        with open(path, "wb") as file:
            file.write(base64.b64decode(result["data"]))

    def problems(self):
        """Return messages of the console, exceptions, and addresses asked for.

        The address of the page itself is not among them.
        """
        found = []
        for event in self._browser.events:
            method, params = event["method"], event["params"]
            if method == "Network.requestWillBeSent":
                address = params["request"]["url"]
                if params["type"] != "Document" and not address.startswith("data:"):
                    found.append(address)
            elif method in ("Runtime.exceptionThrown", "Runtime.consoleAPICalled"):
                found.append(json.dumps(params))
            elif method == "Log.entryAdded":
                found.append(params["entry"]["text"])
        return found

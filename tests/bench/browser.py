"""A headless Chromium that shows one page, driven through chromedriver (W3C WebDriver)."""
import json
import shutil
import subprocess
import tempfile
import time
import urllib.error
import urllib.request

from work import Failed

PROGRAMS = ("chromium", "chromedriver")


def missing():
    """Why there is no browser. Empty: there is one."""
    return next((f"no {name} in PATH" for name in PROGRAMS if not shutil.which(name)), "")


class Browser:
    """One window. Use it as a context."""

    def __enter__(self):
        self.directory = tempfile.mkdtemp(prefix="bench-browser-")
        self.driver = subprocess.Popen(["chromedriver", "--port=0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.session = None
        try:
            self.address = f"http://127.0.0.1:{self.port()}"
            arguments = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
                         "--disable-background-networking", "--disable-component-update", "--disable-sync",
                         f"--user-data-dir={self.directory}", "--window-size=1360,820"]
            options = {"binary": shutil.which("chromium"), "args": arguments}
            wanted = {"capabilities": {"alwaysMatch": {"browserName": "chrome", "goog:chromeOptions": options}}}
            self.session = self.call("POST", "/session", wanted)["sessionId"]
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        if self.session:
            self.call("DELETE", f"/session/{self.session}")
        self.driver.terminate()
        self.driver.wait()
        shutil.rmtree(self.directory, ignore_errors=True)

    def port(self):
        for line in self.driver.stdout:
            if "started successfully on port " in line:
                return int(line.rsplit(" ", 1)[1].strip().rstrip("."))
        raise Failed("chromedriver did not start")

    def call(self, method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.address + path, data, {"Content-Type": "application/json"}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=90) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            raise Failed(f"{path}: {json.load(error)['value']['message'].splitlines()[0]}") from None

    def go(self, address):
        self.call("POST", f"/session/{self.session}/url", {"url": address})

    def run(self, script):
        """The result of a script in the page."""
        return self.call("POST", f"/session/{self.session}/execute/sync", {"script": script, "args": []})

    def wait(self, expression, seconds=30):
        """Waits until an expression in the page is neither false nor null, and returns it."""
        end = time.monotonic() + seconds
        while True:
            found = self.run(f"return {expression}")
            if found:
                return found
            if time.monotonic() > end:
                raise Failed(f"not true within {seconds} s: {expression}")
            time.sleep(0.02)

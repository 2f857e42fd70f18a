"""The web page in a real browser."""
import http.client
import socket
import time
import xmlrpc.client

import browser
from metric import Bar, Metric
from metrics.dependencies import ours_alone
from metrics.requests import running
from peers import Ours


class PageOurs(Ours):
    """Our daemon with a port for the browser."""

    def configure(self, fleet):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        super().configure(fleet)
        with open(self.conf, "a") as file:
            file.write(f"[inet_http_server]\nport=127.0.0.1:{self.port}\n")

    def page(self):
        return f"http://127.0.0.1:{self.port}/"


class SocketTransport(xmlrpc.client.Transport):
    """XML-RPC over the daemon's socket."""

    def __init__(self, path):
        super().__init__()
        self.path = path

    def make_connection(self, host):
        connection = http.client.HTTPConnection("localhost")
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.connect(self.path)
        return connection


#: Remembers when the first frame after a change of a row is drawn, in ms since the epoch.
WATCH = """
window.drawn = 0;
const cell = document.querySelector('tr[data-n="p:p0"] td.state');
new MutationObserver(() => requestAnimationFrame(() => { window.drawn = performance.timeOrigin + performance.now(); }))
    .observe(cell, { childList: true, characterData: true, subtree: true });
"""


def page_1000(bench):
    count, turns, seconds = bench.pick(100, 1000), bench.pick(3, 6), bench.pick(4, 20)
    paint = Metric("page-1000-paint", f"web page, {count:,} programs: first paint", "ms", "lower", "CPU ms", [Bar("wall", "<=", 1000)],
                   "from the beginning of the navigation, as the browser counts; headless Chromium on the same cores")
    change = Metric("page-1000-change", f"web page, {count:,} programs: until a change is on it", "ms", "lower", "",
                    [Bar("wall", "<=", 300)], "from the call that stops or starts a program to the frame with its new state")
    idle = Metric("page-1000-idle", f"web page, {count:,} programs: the daemon beside an open page", "ms/s", "lower", "",
                  [Bar("wall", "<=", 1)], "CPU time while nothing changes; the page has CPU and memory of each program")
    metrics = [paint, change, idle]
    if not all([ours_alone(bench, metric) for metric in metrics]):
        return metrics
    why = browser.missing()
    if why:
        for metric in metrics:
            metric.skipped["ours"] = why
        return metrics
    bench.supervisors["ours"] = PageOurs
    try:
        with running(bench, paint, "rpc", count) as lineup:
            daemon = lineup.running["ours"]

            def turn():
                daemon.thaw()
                with browser.Browser() as window:
                    before = daemon.cpu_ns()
                    window.go(daemon.page())
                    window.wait("document.getElementById('live').textContent === 'live'")
                    shown = window.run("return performance.getEntriesByName('first-contentful-paint')[0].startTime")
                    used = daemon.cpu_ns() - before
                    rows = window.run("return document.querySelectorAll('tr[data-n]').length")
                    assert rows == count, rows
                    change.add("ours", changes(daemon, window, turns))
                    # The samples of the beginning are over.
                    time.sleep(5)
                    before = daemon.cpu_ns()
                    time.sleep(seconds)
                    idle.add("ours", [(daemon.cpu_ns() - before) / 1e6 / seconds])
                daemon.freeze()
                return [shown], used / 1e6

            bench.in_turn(paint, {"ours": turn})
    finally:
        bench.supervisors["ours"] = Ours
    return metrics


def changes(daemon, window, turns):
    """How long changes of one program take until the page has drawn them, in ms."""
    call = xmlrpc.client.ServerProxy("http://localhost/RPC2", SocketTransport(daemon.socket())).supervisor
    window.run(WATCH)
    times = []
    for turn in range(2 * turns):
        window.run("window.drawn = 0")
        begin = time.time() * 1e3
        if turn % 2:
            call.startProcess("p:p0")
        else:
            call.stopProcess("p:p0")
        drawn = window.wait("window.drawn")
        times.append(drawn - begin)
        # Changes that follow at once are gathered.
        time.sleep(0.6)
    return times

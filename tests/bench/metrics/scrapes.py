"""Requests over plain HTTP, which only ours answers for a supervisor of processes."""
import socket
import time

from metric import Bar, Metric
from metrics.dependencies import ours_alone
from metrics.requests import running, thinned
from work import Failed


class Connection:
    """A connection that is kept open, as that of Prometheus."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(str(path))
        self.rest = b""

    def get(self, path):
        """The body of an answer with a length."""
        self.socket.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        while b"\r\n\r\n" not in self.rest:
            self.rest += self.read()
        head, _, body = self.rest.partition(b"\r\n\r\n")
        lengths = [line.split(b":")[1] for line in head.lower().splitlines() if line.startswith(b"content-length:")]
        if not head.startswith(b"HTTP/1.1 200 ") or not lengths:
            raise Failed(head.decode(errors="replace"))
        parts, missing = [body], int(lengths[0]) - len(body)
        while missing > 0:
            parts.append(self.read())
            missing -= len(parts[-1])
        self.rest = b""
        return b"".join(parts)

    def read(self):
        data = self.socket.recv(1 << 20)
        if not data:
            raise Failed("the connection was closed")
        return data


def metrics_1000(bench):
    count, turns = bench.pick(100, 1000), bench.pick(5, 50)
    metric = Metric("metrics-1000", f"`/metrics`, {count:,} programs: p50", "ms", "lower", "CPU ms/call", [Bar("wall", "<=", 5)],
                    "a client in Python on a connection that is kept open")
    if not ours_alone(bench, metric):
        return [metric]
    with running(bench, metric, "rpc", count) as lineup:
        daemon = lineup.running["ours"]

        def turn():
            daemon.thaw()
            connection = Connection(daemon.socket())
            # Each process is asked for its use of CPU and memory once before.
            lines = connection.get("/metrics").count(b"node_supervisord_up{")
            if lines != count:
                raise Failed(f"{lines} of {count} programs")
            before, times = daemon.cpu_ns(), []
            for _ in range(turns):
                begin = time.perf_counter_ns()
                connection.get("/metrics")
                times.append((time.perf_counter_ns() - begin) / 1e6)
            used = daemon.cpu_ns() - before
            daemon.freeze()
            return thinned(times), used / turns / 1e6

        bench.in_turn(metric, {"ours": turn})
    return [metric]

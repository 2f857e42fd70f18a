"""From the exec of the daemon to the first instruction of its programs, and to its first answer."""
import time

from metric import Bar, Metric
from peers.base import Fleet, Program


def up(bench, count, separate, wall):
    """The time until all of `count` programs are up."""
    form = "conf.d" if separate else "numprocs"
    metric = Metric(f"start-{count}" + ("-confd" if separate else ""),
                    f"{count:,} programs up" + (", one file each" if separate else ""), "ms", "lower", "CPU ms",
                    [Bar("wall", "<=", wall, "limit"), Bar("cpu", "<=", 3.6, "limit")],
                    f"from the exec of the daemon to the first instruction of the last program; ours and Supervisor: {form}")
    return up_with(bench, metric, count, separate)


def until_up(daemon, fifo, count):
    """Starts a daemon. Returns the time until the last of `count` programs has stamped, and the CPU time, in ms; stops it."""
    try:
        began = daemon.start()
        last = max(ns for ns, _ in fifo.stamps(count))
        time.sleep(0.2)
        return [(last - began) / 1e6], daemon.cpu_ns() / 1e6
    finally:
        daemon.stop()
        fifo.close()


def up_with(bench, metric, count, separate=False):
    contenders = bench.contenders(metric, None, count)

    def turn(daemon):
        fifo = bench.work.fifo()
        daemon.prepare(Fleet([Program("p", [bench.work.child, "stamp", fifo.path], count)], separate))
        return until_up(daemon, fifo, count)

    def limit():
        fifo = bench.work.fifo()
        return until_up(bench.limit("start", bench.work.child, fifo.path, count), fifo, count)

    turns = {name: lambda daemon=daemon: turn(daemon) for name, daemon in contenders.items()}
    bench.in_turn(metric, {**turns, "limit": limit})
    return [metric]


def start_100(bench):
    return up(bench, 100, False, 1.4)


def start_1000(bench):
    return up(bench, bench.pick(200, 1000), False, 1.25)


def start_5000(bench):
    return up(bench, bench.pick(500, 5000), False, 1.3)


def start_1000_confd(bench):
    return up(bench, bench.pick(200, 1000), True, 1.25)


def start_5000_confd(bench):
    return up(bench, bench.pick(500, 5000), True, 1.3)


def first_child(bench):
    metric = Metric("first-child", "first child after exec of the daemon", "ms", "lower", "CPU ms", [Bar("wall", "<=", 2.4)],
                    "one program")
    return up_with(bench, metric, 1)


def first_rpc(bench):
    metric = Metric("first-rpc", "first answer over XML-RPC after exec of the daemon", "ms", "lower", "CPU ms",
                    [Bar("wall", "<=", 3)], "one program; a client tries to connect each 50 µs")
    contenders = bench.contenders(metric, "rpc")

    def turn(daemon):
        daemon.prepare(Fleet([Program("p", [bench.work.child, "pause"])]))
        try:
            probe = bench.work.start(bench.work.client, "probe", daemon.socket())
            time.sleep(0.05)
            began = daemon.start()
            answered = int(probe.communicate(timeout=60)[0])
            time.sleep(0.05)
            return [(answered - began) / 1e6], daemon.cpu_ns() / 1e6
        finally:
            daemon.stop()

    bench.in_turn(metric, {name: lambda daemon=daemon: turn(daemon) for name, daemon in contenders.items()})
    return [metric]

"""Output of programs: how fast it reaches the log, and the daemon's CPU time for it."""
import os
import time

from metric import Bar, Lineup, Metric
from metrics.dependencies import ours_alone
from peers import Ours
from peers.base import Fleet, Log, Program, ServiceDirectories
from work import Failed, wait_for


def logged_bytes(directory):
    """The bytes in all log files of a directory, without state and lock files."""
    return sum(entry.stat().st_size for entry in os.scandir(directory) if entry.name not in ("config", "lock", "state"))


def empty(directory, current):
    """Empties the log and removes its backups, so that the next repetition begins like this one."""
    for entry in list(os.scandir(directory)):
        if entry.name == current:
            os.truncate(entry.path, 0)
        elif entry.name not in ("config", "lock", "state"):
            os.unlink(entry.path)


def measure(bench, metric, size, total, max_bytes, backups, forms=None, beside=""):
    """MB/s by the writer's own stamps, and the daemon's CPU seconds for each GB. `forms`: the forms of lines that our daemon is
    compared with itself in, by contender. `beside`: a second target of our daemon, whose limit is our daemon without it."""
    ability = "rotate" if max_bytes else "log"
    with Lineup(metric) as lineup:
        scenes = {}
        if forms:
            contenders = {name: Ours(bench.work) for name in forms}
        elif beside:
            contenders = {"ours": Ours(bench.work), "limit": Ours(bench.work)}
        else:
            contenders = {**bench.contenders(metric, ability), "limit": None}
        for name, daemon in contenders.items():
            fifo = bench.work.fifo()
            log = Log(bench.work.fresh(), "current", max_bytes, backups, beside if name == "ours" else "")
            scene = scenes[name] = {"fifo": fifo, "log": log}
            if daemon is None:
                daemon = bench.limit("copy", fifo.path, log.path, total, size, max_bytes, backups, bench.work.child)
            else:
                words = [bench.work.child, "lines", fifo.path, total, size]
                daemon.prepare(Fleet([Program("w", words, log=log, log_format=forms[name] if forms else "")]))

            def ready(_, scene=scene):
                scene["writer"] = scene["fifo"].stamps(1)[0][1]
            lineup.add(name, daemon, ready)

        def turn(name):
            daemon, scene = lineup.running[name], scenes[name]
            log = scene["log"]
            daemon.thaw()
            time.sleep(0.05)
            before = daemon.cpu_ns()
            os.kill(scene["writer"], 10)
            (began, _), (ended, _) = scene["fifo"].stamps(2)
            if not max_bytes:
                try:
                    wait_for(lambda: logged_bytes(log.directory) >= total, "the whole output", 30)
                except Failed:
                    raise Failed(f"only {logged_bytes(log.directory)} of {total} bytes are in the log") from None
            time.sleep(0.1)
            used = daemon.cpu_ns() - before
            if not max_bytes:
                empty(log.directory, log.name)
            daemon.freeze()
            return [total / (ended - began) * 1e3], used / total

        bench.in_turn(metric, {name: lambda name=name: turn(name) for name in lineup.running})


def lines_100(bench):
    total = bench.pick(16, 100) * 1_000_000
    metric = Metric("lines-100", "100-byte unbuffered lines, one writer", "MB/s", "higher", "CPU s/GB",
                    [Bar("wall", ">=", 1.1, "peer"), Bar("cpu", "<=", 1.2)],
                    f"{total // 1_000_000} MB a repetition, every byte is looked for in the log; the limit is a loop of "
                    "read and write")
    measure(bench, metric, 100, total, 0, 0)
    return [metric]


def formed(bench, form, least):
    total = bench.pick(16, 100) * 1_000_000
    metric = Metric(f"lines-{form}", f"the same with log_format={form}", "MB/s", "higher", "CPU s/GB",
                    [Bar("wall", ">=", least, "limit")],
                    f"{total // 1_000_000} MB from the program a repetition; the limit is our daemon with log_format=plain")
    if ours_alone(bench, metric):
        measure(bench, metric, 100, total, 0, 0, {"ours": form, "limit": "plain"})
    return [metric]


def lines_prefix(bench):
    return formed(bench, "prefix", 0.5)


def lines_json(bench):
    return formed(bench, "json", 0.5)


def log_rotating(bench):
    total = bench.pick(128, 300) * 1_000_000
    metric = Metric("log-rotating", "log of 4 KiB writes, rotating 50 MB × 3", "MB/s", "higher", "CPU s/GB",
                    [Bar("wall", ">=", 0.95, "limit"), Bar("cpu", "<=", 1.1, "limit")],
                    f"{total // 1_000_000} MB a repetition; the limit renames and deletes as well; multilog has 16 MB files, "
                    "as many bytes of them")
    measure(bench, metric, 4096, total, 50_000_000, 3)
    return [metric]


def multi_target(bench):
    total = bench.pick(64, 300) * 1_000_000
    metric = Metric("multi-target", "4 KiB writes to a file, beside a FIFO that nobody reads", "MB/s", "higher", "CPU s/GB",
                    [Bar("wall", ">=", 0.95, "limit")], "limit: our daemon with the file alone")
    if ours_alone(bench, metric):
        hanging = os.path.join(bench.work.fresh(), "hangs")
        os.mkfifo(hanging)
        reader = os.open(hanging, os.O_RDWR | os.O_CLOEXEC)
        measure(bench, metric, 4096, total, 0, 0, beside=hanging)
        os.close(reader)
    return [metric]


def late_lines(bench):
    count, seconds = bench.pick(20, 200), bench.pick(0.5, 2)
    metric = Metric("late-lines", f"{count} writers with a line each 10 ms, 2 with one each 80 µs: until it is in the log, p99",
                    "ms", "lower", "CPU µs/line", [Bar("wall", "<=", 1)],
                    "the log of all is one FIFO, whose reader takes the time")
    with Lineup(metric) as lineup:
        logs = {}
        for name, daemon in bench.contenders(metric, "log").items():
            if isinstance(daemon, ServiceDirectories):
                metric.skipped[name] = "a logger for each program, with a directory of its own"
                continue
            log = logs[name] = Log(bench.work.fresh(), "current")
            os.mkfifo(log.path)
            # Held open, so that it can be opened for writing before its reader is there.
            reader = os.open(log.path, os.O_RDWR | os.O_CLOEXEC)
            daemon.prepare(Fleet([Program("slow", [bench.work.child, "late", 10_000], count, log=log),
                                  Program("fast", [bench.work.child, "late", 20], 2, log=log)]))
            lineup.add(name, daemon, lambda _, fd=reader: os.read(fd, 100))

        def turn(name):
            daemon = lineup.running[name]
            daemon.thaw()
            # The pipes of a daemon that was stopped are full.
            bench.work.run(bench.work.client, "late", logs[name].path, 0.5)
            before = daemon.cpu_ns()
            (lines, _, most, _), = bench.work.run(bench.work.client, "late", logs[name].path, seconds)
            used = daemon.cpu_ns() - before
            daemon.freeze()
            return [most / 1e6], used / lines / 1e3

        bench.in_turn(metric, {name: lambda name=name: turn(name) for name in lineup.running})
    return [metric]

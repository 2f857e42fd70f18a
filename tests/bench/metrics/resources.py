"""Memory, wake-ups, file sizes, and the check of a large configuration."""
import os
import shutil
import subprocess
import time

import machine
from metric import Bar, Lineup, Metric
from peers import Ours, Supervisor
from peers.base import Fleet, Program
from work import Failed


class PrivateOurs(Ours):
    """Our daemon from a copy of its binary, whose pages no other process shares."""

    def command(self):
        path = os.path.join(self.directory, "supervisord")
        if not os.path.exists(path):
            shutil.copy(self.program(), path)
        return [path, "-c", self.conf]


def memory(bench):
    metrics = []
    for count, bar in ((0, 4.5), (bench.pick(100, 1000), 7)):
        metric = Metric(f"memory-{count}", f"PSS, {count:,} programs", "MiB", "lower", "", [Bar("wall", "<=", bar)],
                        "our daemon from a copy of its file; it unmaps its code when it is idle, which stays in the page cache; "
                        "of others, pages of shared libraries and of the interpreter count in part; three repetitions: it does not vary")
        contenders = bench.contenders(metric, None, count)
        if "ours" in contenders:
            contenders["ours"] = PrivateOurs(bench.work)

        def turn(daemon, count=count):
            fifo = bench.work.fifo()
            programs = [Program("p", [bench.work.child, "stamp", fifo.path], count)] if count else []
            daemon.prepare(Fleet(programs))
            return measured(daemon, fifo, count)

        def limit(count=count):
            fifo = bench.work.fifo()
            return measured(bench.limit("start", bench.work.child, fifo.path, count), fifo, count)

        def measured(daemon, fifo, count):
            try:
                daemon.start()
                fifo.stamps(count)
                # Our daemon frees the memory of its start after it was idle for 10 s.
                time.sleep(12)
                return [machine.memory_kib(daemon.daemons()) / 1024], None
            finally:
                daemon.stop()
                fifo.close()

        turns = {name: lambda daemon=daemon: turn(daemon) for name, daemon in contenders.items()}
        repetitions, bench.repetitions = bench.repetitions, min(bench.repetitions, 3)
        try:
            bench.in_turn(metric, {**turns, "limit": limit})
        finally:
            bench.repetitions = repetitions
        metrics.append(metric)
    return metrics


def idle(bench):
    """Measures all daemons at the same time, because a sleeping daemon does not disturb the others."""
    seconds, count = bench.pick(5, 60), 100
    metric = Metric("idle", f"wake-ups in {seconds} idle seconds, {count} programs", "", "lower", "CPU ms", [Bar("wall", "<=", 0)],
                    "voluntary context switches of all threads; one repetition, all daemons at the same time")
    with Lineup(metric) as lineup:
        for name, daemon in bench.contenders(metric, None, count).items():
            fifo = bench.work.fifo()
            daemon.prepare(Fleet([Program("p", [bench.work.child, "stamp", fifo.path], count)]))
            lineup.add(name, daemon, lambda _, fifo=fifo: fifo.stamps(count))
        for daemon in lineup.running.values():
            daemon.thaw()
        # Our daemon frees memory after it was idle for 10 s.
        time.sleep(15)
        before = {name: (machine.voluntary_switches(daemon.pids), daemon.cpu_ns()) for name, daemon in lineup.running.items()}
        time.sleep(seconds)
        for name, daemon in lineup.running.items():
            switches, used = before[name]
            metric.add(name, [machine.switches_since(daemon.pids, switches)], (daemon.cpu_ns() - used) / 1e6)
    return [metric]


#: What Supervisor does with a configuration before it starts a program.
PARSE = """
import resource, sys, time
from supervisor.options import ServerOptions
began = time.monotonic_ns()
options = ServerOptions()
options.realize(['-c', sys.argv[1], '-n'])
print(time.monotonic_ns() - began)
"""


def check(bench):
    count = bench.pick(500, 10000)
    metric = Metric("check", f"`--check` of {count:,} programs", "ms", "lower", "CPU ms", [Bar("wall", "<=", 75)],
                    "the whole process, one section each; Supervisor: its parser alone, without the start of Python")
    contenders = {name: peer for name, peer in bench.contenders(metric, "rpc").items()}
    for name in bench.supervisors:
        if name not in contenders:
            metric.skipped[name] = "checks no configuration of this form"
    for daemon in contenders.values():
        daemon.prepare(Fleet([Program(f"p{number}", ["/bin/sleep", 1000]) for number in range(count)]))

    def ours():
        daemon = contenders["ours"]
        rows = bench.work.run(bench.work.limit, "execute", 1, daemon.program(), "--check", "-c", daemon.conf)
        if rows[0][2]:
            raise Failed(f"--check: exit status {rows[0][2]}")
        return [rows[0][0] / 1e6], rows[0][1] / 1e6

    def supervisor():
        python = Supervisor.venv("python")
        done = subprocess.run([python, "-c", PARSE, contenders["supervisor"].conf], stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL, check=True)
        return [int(done.stdout) / 1e6], None

    turns = {"ours": ours, "supervisor": supervisor}
    bench.in_turn(metric, {name: turns[name] for name in contenders})
    for daemon in contenders.values():
        daemon.stop()
    return [metric]


def files(bench):
    daemon = Metric("file-daemon", "size of the daemon's file", "MiB", "lower", "", [Bar("wall", "<=", 5.2)],
                    "of others, all files of what supervises, controls and logs; scripts without their interpreter")
    client = Metric("file-client", "size of the client's file", "MiB", "lower", "", [Bar("wall", "<=", 1.0)])
    mib = 1 << 20
    for name, peer in bench.contenders(daemon, None).items():
        if name == "ours":
            daemon.add(name, [os.path.getsize(peer.program()) / mib])
            client.add(name, [os.path.getsize(peer.control()) / mib])
        elif name in ("supervisor", "circus", "pm2"):
            daemon.skipped[name] = "scripts of an interpreter"
        else:
            daemon.add(name, [sum(os.path.getsize(os.path.realpath(shutil.which(file))) for file in peer.files) / mib])
    return [daemon, client]

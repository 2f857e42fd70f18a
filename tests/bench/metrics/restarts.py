"""From SIGKILL to the first instruction of the next process; restart of all programs; crash loops."""
import mmap
import os
import shutil
import struct
import time

from metric import Bar, Lineup, Metric
from peers.base import Fleet, Program
from work import Failed

VICTIMS = 25
#: All other supervisors, and our daemon by default, restart a program immediately only if it ran for a second.
LIVED_SECONDS = 1.1
#: Supervisors that always wait for a second have fewer samples.
KILLING_SECONDS = 3


def kill_to_exec(bench, count, bars):
    metric = Metric(f"restart-{count}", f"kill → exec, {VICTIMS} of {count:,} programs", "ms", "lower",
                    "CPU µs/restart", bars,
                    f"{VICTIMS} programs killed one after the other, each after at least {LIVED_SECONDS} s, in each repetition; fewer "
                    f"where that takes more than {KILLING_SECONDS} s")
    measure_kills(bench, metric, count - VICTIMS)
    return [metric]


def measure_kills(bench, metric, siblings):
    with Lineup(metric) as lineup:
        scenes = {}
        for name, daemon in {**bench.contenders(metric, None, siblings + VICTIMS), "limit": None}.items():
            fifo = bench.work.fifo()
            others = bench.work.fifo()
            scene = scenes[name] = {"fifo": fifo, "others": others}
            if name == "limit":
                daemon = bench.limit("hold", bench.work.child, fifo.path, VICTIMS, siblings)
            else:
                programs = [Program("v", [bench.work.child, "stamp", fifo.path], VICTIMS)]
                if siblings:
                    programs.insert(0, Program("s", [bench.work.child, "stamp", others.path], siblings))
                daemon.prepare(Fleet(programs))

            def ready(_, scene=scene, name=name):
                scene["pids"] = [pid for _, pid in scene["fifo"].stamps(VICTIMS)]
                if name != "limit":
                    scene["others"].stamps(siblings)
                scene["since"] = time.monotonic()
                time.sleep(siblings / 1000)
            lineup.add(name, daemon, ready)

        def turn(name):
            daemon, scene = lineup.running[name], scenes[name]
            time.sleep(max(0.0, scene["since"] + LIVED_SECONDS - time.monotonic()))
            daemon.thaw()
            time.sleep(0.05)
            before = daemon.cpu_ns()
            rows = bench.work.run(bench.work.client, "kill", scene["fifo"].path, KILLING_SECONDS, *scene["pids"])
            time.sleep(0.02)
            used = daemon.cpu_ns() - before
            daemon.freeze()
            scene["pids"] = scene["pids"][len(rows):] + [pid for _, pid in rows]
            scene["since"] = time.monotonic()
            return [ns / 1e6 for ns, _ in rows], used / len(rows) / 1e3

        bench.in_turn(metric, {name: lambda name=name: turn(name) for name in lineup.running})


def restart_25(bench):
    return kill_to_exec(bench, VICTIMS, [Bar("wall", "<=", 1.25, "limit")])


def restart_1000(bench):
    return kill_to_exec(bench, bench.pick(100, 1000), [Bar("wall", "<=", 1.15, "limit")])


def restart_5000(bench):
    return kill_to_exec(bench, bench.pick(500, 5000), [Bar("wall", "<=", 0.9)])


def restart_all(bench):
    count = bench.pick(50, 200)
    metric = Metric("restart-all", f"restart all, {count} programs", "ms", "lower", "CPU ms", [Bar("wall", "<=", 1.35, "limit")],
                    "from the start of the client to the first instruction of the last program")
    with Lineup(metric) as lineup:
        scenes = {}
        for name, daemon in bench.contenders(metric, "restart-all", count).items():
            fifo = bench.work.fifo()
            scene = scenes[name] = {"fifo": fifo}
            daemon.prepare(Fleet([Program("p", [bench.work.child, "stamp", fifo.path], count)]))

            def ready(_, scene=scene):
                scene["fifo"].stamps(count)
                scene["since"] = time.monotonic()
                time.sleep(1)
            lineup.add(name, daemon, ready)
        limit_fifo = bench.work.fifo()

        def turn(name):
            daemon, scene = lineup.running[name], scenes[name]
            time.sleep(max(0.0, scene["since"] + LIVED_SECONDS - time.monotonic()))
            daemon.thaw()
            time.sleep(0.05)
            command = daemon.client("restart-all")
            before, began = daemon.cpu_ns(), time.monotonic_ns()
            try:
                bench.work.run(bench.work.limit, "execute", 1, shutil.which(command[0]), *command[1:])
                stamps = scene["fifo"].stamps(count, 30)
            finally:
                scene["since"] = time.monotonic()
            used = daemon.cpu_ns() - before
            daemon.freeze()
            return [(max(ns for ns, _ in stamps) - began) / 1e6], used / 1e6

        def limit():
            (wall, used), = bench.work.run(bench.work.limit, "restart", bench.work.child, limit_fifo.path, count, 1)
            return [wall / 1e6], used / 1e6

        turns = {name: lambda name=name: turn(name) for name in lineup.running}
        bench.in_turn(metric, {**turns, "limit": limit})
    return [metric]


class Counter:
    """A 64-bit number in a file that `child tick` adds to."""

    def __init__(self, work):
        self.path = os.path.join(work.fresh(), "counter")
        with open(self.path, "wb") as file:
            file.write(bytes(4096))
        with open(self.path, "r+b") as file:
            self.map = mmap.mmap(file.fileno(), 4096)

    def value(self):
        return struct.unpack_from("q", self.map)[0]


def percentile(values, part):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * part))]


def crash_loop(bench, floor, ability, name, title, bars, rpc_bars):
    """CPU time for each respawn, and the latency of getState meanwhile."""
    # With a pause of one second, a shorter measurement would be random.
    count, seconds = bench.pick(50, 200), bench.pick(0.5, 2.0) if floor is not None else 2.0
    respawn = Metric(name, f"crash loop of {count}, {title}: respawns", "/s", "higher", "CPU µs/respawn", bars,
                     f"{seconds:g} s a repetition; programs that end at once with status 1")
    answer = Metric(f"{name}-getstate", f"crash loop of {count}, {title}: getState p99", "ms", "lower", "", rpc_bars,
                    "one client, 100 calls a second")
    with Lineup(respawn) as lineup:
        counters = {}
        for who, daemon in bench.contenders(respawn, ability, count).items():
            counter = counters[who] = Counter(bench.work)
            daemon.prepare(Fleet([Program("p", [bench.work.child, "tick", counter.path], count, floor=floor)]))

            def ready(daemon, counter=counter):
                wait = time.monotonic() + 60
                while counter.value() < count:
                    if time.monotonic() > wait:
                        raise Failed(f"{counter.value()} starts of {count} within 60 s")
                    time.sleep(0.01)
                time.sleep(1)
            lineup.add(who, daemon, ready)
        limit_counter = Counter(bench.work)
        answers = {}

        def turn(who):
            daemon, counter = lineup.running[who], counters[who]
            daemon.thaw()
            time.sleep(0.1)
            before, start, began = daemon.cpu_ns(), counter.value(), time.monotonic()
            if daemon.socket():
                rows = bench.work.run(bench.work.client, "call", daemon.socket(), "supervisor.getState", 1, seconds, 10000)
                answers[who] = [ns / 1e6 for ns, in rows]
            else:
                time.sleep(seconds)
            made, took, used = counter.value() - start, time.monotonic() - began, daemon.cpu_ns() - before
            daemon.freeze()
            if who in answers:
                answer.add(who, [percentile(answers.pop(who), 0.99)])
            if not made:
                raise Failed("no respawn")
            return [made / took], used / made / 1e3

        def limit():
            (made, used), = bench.work.run(bench.work.limit, "crash", bench.work.child, limit_counter.path, count, seconds)
            return [made / seconds], used / made / 1e3

        turns = {who: lambda who=who: turn(who) for who in lineup.running}
        bench.in_turn(respawn, {**turns, "limit": limit})
    return [respawn, answer]


def crash_no_floor(bench):
    return crash_loop(bench, 0, "crash0", "crash-0", "`restart_floor=0`", [Bar("cpu", "<=", 60)], [Bar("wall", "<=", 5)])


def crash_default(bench):
    return crash_loop(bench, None, "crash", "crash-default", "default pause", [], [Bar("wall", "<=", 5)])

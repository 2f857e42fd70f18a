"""One metric with its samples for each contender and its bars, and the loop that measures contenders in turn."""
import statistics
import sys
import time
from dataclasses import dataclass, field

import machine
import peers
from peers import Limit
from work import Failed

#: A contender whose repetition takes longer than this is measured only this often, and the table says so.
SLOW_SECONDS = 8.0
SLOW_REPETITIONS = 3

#: A repetition from which the hypervisor took more than this share of one core is measured again, at most this often.
STOLEN_SHARE = 0.01
STOLEN_REPEATS = 9


@dataclass
class Bar:
    """A goal: a value, or a ratio to the limit or to the best other supervisor of the run."""
    of: str  # "wall", or "cpu"
    op: str  # "<=" or ">="
    value: float
    relative: str = ""  # "", "limit" or "peer"


@dataclass
class Metric:
    """One row of the table."""
    name: str
    title: str
    unit: str
    better: str = "lower"
    cpu_unit: str = ""
    bars: list = field(default_factory=list)
    note: str = ""
    #: The samples of each repetition, by contender.
    samples: dict = field(default_factory=dict)
    #: The daemon's CPU time in each repetition, by contender.
    cpu: dict = field(default_factory=dict)
    #: The reason why a contender was not measured, by contender.
    skipped: dict = field(default_factory=dict)
    #: How many measurements were repeated because the hypervisor took CPU time from them, by contender.
    repeated: dict = field(default_factory=dict)
    busy_cores: float = 0.0
    when: str = ""
    #: The processor that it was measured on.
    processor: str = ""

    def add(self, contender, values, cpu=None):
        """Adds the samples of one repetition."""
        self.samples.setdefault(contender, []).append([round(value, 4) for value in values])
        if cpu is not None:
            self.cpu.setdefault(contender, []).append(round(cpu, 4))
        shown = statistics.median(values) if values else float("nan")
        used = "" if cpu is None else f", {cpu:.4g} {self.cpu_unit}"
        print(f"  {self.name}: {contender} {shown:.4g} {self.unit}{used}", file=sys.stderr, flush=True)


class Bench:
    """The settings and the contenders of one run."""

    def __init__(self, work, quick=False, force=False, realtime=False, repetitions=7, only_peers=None):
        self.work = work
        self.quick = quick
        self.force = force
        self.realtime = realtime
        self.repetitions = repetitions
        self.skipped = {}
        self.supervisors = {}
        for peer in peers.SUPERVISORS:
            why = peer.missing()
            if only_peers is not None and peer.name not in only_peers:
                why = "not asked for"
            if why:
                self.skipped[peer.name] = why
                print(f"skipped: {peer.name}: {why}", file=sys.stderr)
            else:
                self.supervisors[peer.name] = peer

    def pick(self, quick, full):
        return quick if self.quick else full

    def contenders(self, metric, ability, programs=1):
        """The supervisors that take part in `metric`. The reasons of the others are stored in `metric.skipped`."""
        found = {}
        for name, peer in self.supervisors.items():
            if ability and ability not in peer.can:
                metric.skipped[name] = f"cannot: {ability}"
            elif programs > peer.most:
                metric.skipped[name] = f"at most {peer.most} programs: {peer.most_reason}"
            else:
                found[name] = peer(self.work)
        metric.skipped.update(self.skipped)
        return found

    def limit(self, *words):
        return Limit(self.work).prepare(peers.base.Fleet()).with_words(*words)

    def await_quiet(self):
        """Waits while other programs use more than half of the cores. Returns the number of cores in use."""
        most = machine.os.cpu_count() / 2
        busy = machine.busy_cores()
        end = time.monotonic() + 60
        while busy > most and not (self.force or self.realtime):
            if time.monotonic() > end:
                raise Failed(f"{busy:.1f} cores are in use by others, more than half of {machine.os.cpu_count()}: "
                             "wait, or use --realtime or --force")
            time.sleep(2)
            busy = machine.busy_cores()
        return round(busy, 2)

    def in_turn(self, metric, turns):
        """Measures all contenders one after the other, and repeats that for each repetition of the run.

        `turns`: for each contender a function that measures once and returns its samples and its CPU figure; `None`:
        no such value. Each repetition begins with another contender, so that none always follows the same one.
        """
        names = list(turns)
        slow = set()

        def undisturbed(name):
            """The measurement of `name` from which the hypervisor took least, out of as many as it needs."""
            best = None
            for attempt in range(1 + STOLEN_REPEATS):
                began, stolen = time.monotonic(), machine.stolen_seconds()
                result = turns[name]()
                seconds = time.monotonic() - began
                share = (machine.stolen_seconds() - stolen) / seconds
                if best is None or share < best[0]:
                    best = share, result
                if share <= STOLEN_SHARE or seconds > SLOW_SECONDS:
                    break
                metric.repeated[name] = metric.repeated.get(name, 0) + 1
            return best[1]

        for repetition in range(self.repetitions):
            first = repetition % max(len(names), 1)
            for name in names[first:] + names[:first]:
                if name in metric.skipped or (name in slow and repetition >= SLOW_REPETITIONS):
                    continue
                began = time.monotonic()
                try:
                    values, cpu = undisturbed(name)
                except (Failed, OSError) as error:
                    if name == "ours":
                        raise
                    metric.skipped[name] = f"failed: {error}"
                    print(f"  {metric.name}: {name} failed: {error}", file=sys.stderr)
                    continue
                metric.add(name, values, cpu)
                if time.monotonic() - began > SLOW_SECONDS:
                    slow.add(name)


class Lineup:
    """Daemons that are started once and frozen while another one is measured."""

    def __init__(self, metric):
        self.metric = metric
        self.running = {}

    def add(self, name, daemon, ready):
        """Starts `daemon`, waits with `ready(daemon)`, and freezes it. A daemon that fails is skipped, except ours."""
        began = time.monotonic()
        try:
            daemon.start()
            ready(daemon)
            time.sleep(0.2)
            daemon.freeze()
        except (Failed, OSError) as error:
            daemon.stop()
            if name == "ours":
                raise
            self.metric.skipped[name] = f"failed: {error}"
            print(f"  {self.metric.name}: {name} failed: {error}", file=sys.stderr)
            return
        self.running[name] = daemon
        print(f"  {self.metric.name}: {name} runs ({time.monotonic() - began:.1f} s)", file=sys.stderr, flush=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for daemon in self.running.values():
            daemon.thaw()
            daemon.stop()

"""What is measured: one metric, its samples for each contender, its bar; and the loop that takes them in turn."""
import statistics
import sys
import time
from dataclasses import dataclass, field

import machine
import peers
from peers import Limit
from work import Failed

#: A contender whose one repetition takes longer is measured this often only, and the table says so.
SLOW_SECONDS = 8.0
SLOW_REPETITIONS = 3


@dataclass
class Bar:
    """What is to be reached: a value, or a ratio to the limit or to the best other supervisor of the run."""
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
    #: For each contender, for each repetition, its samples.
    samples: dict = field(default_factory=dict)
    #: The CPU time of the daemon, for each repetition, beside the samples.
    cpu: dict = field(default_factory=dict)
    #: Contenders that were not measured, and why.
    skipped: dict = field(default_factory=dict)
    busy_cores: float = 0.0
    when: str = ""

    def add(self, contender, values, cpu=None):
        """The samples of one repetition."""
        self.samples.setdefault(contender, []).append([round(value, 4) for value in values])
        if cpu is not None:
            self.cpu.setdefault(contender, []).append(round(cpu, 4))
        shown = statistics.median(values) if values else float("nan")
        used = "" if cpu is None else f", {cpu:.4g} {self.cpu_unit}"
        print(f"  {self.name}: {contender} {shown:.4g} {self.unit}{used}", file=sys.stderr, flush=True)


class Bench:
    """The settings of one run, and who takes part in it."""

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
        """The supervisors that take part in `metric`; the reasons of others are written into it."""
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
        """Refuses to measure while others use more than half of the cores; the cores in use before the metric."""
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
        """Takes one repetition of each contender after the other, and that as often as the run wants.

        `turns`: for each contender a function that measures once and returns its samples and its CPU figure, or `None`
        for those. The order moves by one with each repetition, so that nobody is always measured after the same one.
        """
        names = list(turns)
        slow = set()
        for repetition in range(self.repetitions):
            first = repetition % max(len(names), 1)
            for name in names[first:] + names[:first]:
                if name in metric.skipped or (name in slow and repetition >= SLOW_REPETITIONS):
                    continue
                began = time.monotonic()
                try:
                    values, cpu = turns[name]()
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
        """Starts `daemon`, waits with `ready(daemon)`, and freezes it; what fails is skipped, unless it is ours."""
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

"""Programs that depend on each other, and plans: features that no other supervisor of the bench has."""
from metric import Bar, Metric
from metrics.starts import until_up
from peers import Ours
from peers.base import Fleet, Program
from work import Failed


def ours_alone(bench, metric):
    """Skips all other supervisors."""
    for name in bench.supervisors:
        if name != "ours":
            metric.skipped[name] = "has no such feature that is compared"
    return "ours" in bench.supervisors


def started(bench, depends_on):
    """One start of ours with many programs in one file each. `depends_on`: the number of the program before, by number."""
    count = bench.pick(100, 1000)
    fifo = bench.work.fifo()
    programs = []
    for number in range(count):
        before = depends_on(number)
        programs.append(Program(f"p{number}", [bench.work.child, "stamp", fifo.path],
                                depends_on="" if before is None else f"p{before}"))
    return until_up(Ours(bench.work).prepare(Fleet(programs)), fifo, count)


def alone(_):
    return None


def star(bench):
    metric = Metric(f"star-{bench.pick(100, 1000)}", f"{bench.pick(100, 1000):,} programs up, all depend on the first", "ms", "lower",
                    "CPU ms", [Bar("wall", "<=", 1.5, "limit")], "limit: our daemon with the same programs without dependencies")
    if ours_alone(bench, metric):
        bench.in_turn(metric, {"ours": lambda: started(bench, lambda number: 0 if number else None),
                               "limit": lambda: started(bench, alone)})
    return [metric]


def chain(bench):
    count = bench.pick(100, 1000)
    metric = Metric(f"chain-{count}", f"{count:,} programs up, each depends on the one before", "ms", "lower", "CPU ms",
                    [Bar("wall", "<=", 1.5, "limit")],
                    "limit: our daemon with the same programs without dependencies, and for the chain's own latency a bare loop that "
                    "starts them one after the other")

    def limit():
        (wall,), cpu = started(bench, alone)
        fifo = bench.work.fifo()
        (more_wall,), more_cpu = until_up(bench.limit("start", bench.work.child, fifo.path, count), fifo, count)
        return [wall + more_wall], cpu + more_cpu

    if ours_alone(bench, metric):
        bench.in_turn(metric, {"ours": lambda: started(bench, lambda number: number - 1 if number else None), "limit": limit})
    return [metric]


def plan(bench):
    """A plan in which ten programs changed, and one in which all did."""
    count = bench.pick(500, 10000)
    few, all_of_them = (
        Metric(f"plan-{count}{suffix}", f"`supervisorctl plan`, {changed} of {count:,} programs changed", "ms", "lower", "client CPU ms",
               [Bar("wall", "<=", 200)], "the whole process; the daemon reads all of the new file for it")
        for suffix, changed in (("", "10"), ("-all", "all")))
    if not all([ours_alone(bench, few), ours_alone(bench, all_of_them)]):
        return [few, all_of_them]
    programs = [Program(f"p{number}", ["/bin/sleep", 1000], autostart=False) for number in range(count)]
    daemon = Ours(bench.work).prepare(Fleet(programs))
    try:
        daemon.start()
        daemon.wait_socket()
        with open(daemon.conf) as file:
            text = file.read()
        for metric, most in ((few, 10), (all_of_them, count)):
            with open(daemon.conf, "w") as file:
                file.write(text.replace("/bin/sleep 1000", "/bin/sleep 1001", most))

            def ours():
                rows = bench.work.run(bench.work.limit, "execute", 1, *daemon.client("plan"))
                # 2: there are changes.
                if rows[0][2] != 2:
                    raise Failed(f"plan: exit status {rows[0][2]}")
                return [rows[0][0] / 1e6], rows[0][1] / 1e6

            bench.in_turn(metric, {"ours": ours})
    finally:
        daemon.stop()
    return [few, all_of_them]

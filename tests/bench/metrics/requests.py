"""Requests over XML-RPC, and the client as a whole process."""
import shutil
import time

from metric import Bar, Lineup, Metric
from peers.base import Fleet, Program
from work import Failed, wait_for


def running(bench, metric, ability, count):
    """Daemons with `count` programs that wait for ever. All programs are up."""
    lineup = Lineup(metric)
    for name, daemon in bench.contenders(metric, ability, count).items():
        fifo = bench.work.fifo()
        daemon.prepare(Fleet([Program("p", [bench.work.child, "stamp", fifo.path], count)]))

        def ready(daemon, fifo=fifo):
            fifo.stamps(count)
            time.sleep(0.3 + count / 1000)
            if daemon.socket():
                daemon.wait_socket()
        lineup.add(name, daemon, ready)
    return lineup


def process_list(bench):
    count, seconds = bench.pick(100, 1000), bench.pick(0.5, 1.5)
    one = Metric("process-list", f"getAllProcessInfo, {count:,} programs, one client: p50", "ms", "lower", "CPU ms/call",
                 [Bar("wall", "<=", 1.8)], "a client in C")
    eight = Metric("process-list-8", f"getAllProcessInfo, {count:,} programs, 8 clients", "/s", "higher", "CPU ms/call",
                   [Bar("wall", ">=", 900)], "eight clients in C, on the same cores")
    with running(bench, one, "rpc", count) as lineup:
        eight.skipped = one.skipped

        def turn(name, clients):
            daemon = lineup.running[name]
            daemon.thaw()
            before = daemon.cpu_ns()
            rows = bench.work.run(bench.work.client, "call", daemon.socket(), "supervisor.getAllProcessInfo", clients, seconds, 0)
            used = daemon.cpu_ns() - before
            daemon.freeze()
            times = [ns / 1e6 for ns, in rows]
            # The calls of one client follow each other, so this is their number divided by their total time.
            rate = clients * len(times) / sum(times) * 1e3
            return ([rate] if clients > 1 else thinned(times)), used / len(times) / 1e6

        bench.in_turn(one, {name: lambda name=name: turn(name, 1) for name in lineup.running})
        bench.in_turn(eight, {name: lambda name=name: turn(name, 8) for name in lineup.running})
    return [one, eight]


def thinned(values, most=25):
    """At most this number of the sorted values, at even distances. Minimum, median and maximum stay."""
    ordered = sorted(values)
    if len(ordered) <= most:
        return ordered
    return [ordered[round(index * (len(ordered) - 1) / (most - 1))] for index in range(most)]


def whole_client(bench, name, title, action, count, bars):
    """Wall and CPU time of the client, from its exec to its exit."""
    turns_each = bench.pick(3, 10)
    metric = Metric(name, title, "ms", "lower", "client CPU ms", bars,
                    "the whole process; CPU is that of the client; the limit is a static program that ends at once")
    with running(bench, metric, action, count) as lineup:
        for who in list(lineup.running):
            daemon = lineup.running[who]
            daemon.thaw()
            try:
                wait_for(lambda: executed(bench, daemon.client(action), 1), f"{action} of {who}", 20, 0.2)
            except Failed as error:
                metric.skipped[who] = str(error)
            daemon.freeze()

        def turn(who):
            daemon = lineup.running[who]
            daemon.thaw()
            try:
                slow = who in ("supervisor", "circus", "pm2")
                rows = executed(bench, daemon.client(action), 2 if slow else turns_each)
            finally:
                daemon.freeze()
            return [wall / 1e6 for wall, _, _ in rows], sum(used for _, used, _ in rows) / len(rows) / 1e6

        def limit():
            rows = executed(bench, [bench.work.child], turns_each)
            return [wall / 1e6 for wall, _, _ in rows], sum(used for _, used, _ in rows) / len(rows) / 1e6

        turns = {who: lambda who=who: turn(who) for who in lineup.running}
        bench.in_turn(metric, {**turns, "limit": limit})
    return [metric]


def executed(bench, command, turns):
    rows = bench.work.run(bench.work.limit, "execute", turns, shutil.which(str(command[0])) or command[0], *command[1:])
    if command != [bench.work.child] and any(code for _, _, code in rows):
        raise Failed(f"{command[0].rsplit('/', 1)[-1]}: exit status {max(code for _, _, code in rows)}")
    return rows


def status_100(bench):
    return whole_client(bench, "status-100", "`supervisorctl status`, 100 programs", "status", 100, [Bar("wall", "<=", 1.8)])


def status_1000(bench):
    return whole_client(bench, "status-1000", "`supervisorctl status`, 1,000 programs", "status", bench.pick(200, 1000),
                        [Bar("wall", "<=", 3)])


def status_name(bench):
    return whole_client(bench, "status-name", "`supervisorctl status NAME` beside 1,000", "status-one", bench.pick(200, 1000),
                        [Bar("wall", "<=", 1.8)])


def restart_name(bench):
    return whole_client(bench, "restart-name", "`supervisorctl restart NAME` beside 1,000", "restart-one",
                        bench.pick(200, 1000), [])


def upgrade_gap(bench):
    """The longest gap between answers during an upgrade of the daemon. Its programs keep running."""
    count, seconds = bench.pick(20, 100), 2
    metric = Metric("upgrade-gap", f"longest gap between answers during an upgrade in place, {count} programs", "ms", "lower", "",
                    [], "one client calls getState without a pause meanwhile; others have no such upgrade")
    with running(bench, metric, "rpc", count) as lineup:
        for who in [who for who in lineup.running if who != "ours"]:
            metric.skipped[who] = "cannot: upgrade in place"
        daemon = lineup.running["ours"]

        def turn():
            daemon.thaw()
            client = bench.work.start(bench.work.client, "gap", daemon.socket(), seconds)
            time.sleep(0.2)
            bench.work.run(bench.work.limit, "execute", 1, daemon.control(), "-c", daemon.conf, "upgrade")
            longest, answered = map(int, client.communicate(timeout=60)[0].split())
            if answered < 100:
                raise Failed(f"only {answered} answers")
            return [longest / 1e6], None

        bench.in_turn(metric, {"ours": turn})
    return [metric]

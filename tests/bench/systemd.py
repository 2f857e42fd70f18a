"""Measures under our unit in a machine with a real systemd, where cgroups, the fd holder and the checkpoint add costs.

SYSTEMD_HOST names a program that makes such machines; tests/support/machine.rs says which verbs it has.
"""
import os
import subprocess
import time

from metric import Bar, Metric
from metrics.restarts import KILLING_SECONDS, LIVED_SECONDS, VICTIMS
from peers import Ours
from work import ROOT, Failed

UNIT = "supervisord.service"
FILES = {"systemd/supervisord.service": "/etc/systemd/system/supervisord.service",
         "packaging/supervisord.sysusers": "/etc/sysusers.d/supervisord.conf",
         "packaging/supervisord.tmpfiles": "/etc/tmpfiles.d/supervisord.conf"}


class Machine:
    """A machine with systemd, in which the directory of the bench is /bench."""

    def __init__(self, work):
        self.host = os.environ.get("SYSTEMD_HOST")
        if not self.host:
            raise Failed("SYSTEMD_HOST names no program that makes machines with systemd")
        self.name = f"supervisord-bench-{os.getpid()}"
        binaries = os.path.dirname(os.path.realpath(Ours.program()))
        self.call("boot", "-n", self.name, "--bind", f"{work.directory}:/bench", "--bind-ro", f"{binaries}:/opt/supervisord")

    def call(self, *words, text=None):
        done = subprocess.run([self.host, *words], input=text, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                              check=False)
        if done.returncode != 0:
            raise Failed(f"machine: {words[0]}: exit status {done.returncode}: {done.stderr.strip()[-200:]}")
        return done.stdout

    def run(self, *command, text=None):
        return self.call("run", "-n", self.name, "--", *map(str, command), text=text)

    def shell(self, script):
        return self.run("/bin/sh", "-ec", script)

    def write(self, path, text):
        self.run("/bin/sh", "-ec", f"mkdir -p $(dirname {path}) && cat > {path}", text=text)

    def background(self, *command):
        return subprocess.Popen([self.host, "run", "-n", self.name, "--", *map(str, command)], stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)

    def down(self):
        subprocess.run([self.host, "down", "-n", self.name], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)


def install(machine, fifo, count):
    """Installs our unit and its files, and programs that write stamps: programs to be killed, and others."""
    machine.shell("ln -sf /opt/supervisord/supervisord /opt/supervisord/supervisorctl /usr/bin/")
    for source, target in FILES.items():
        with open(os.path.join(ROOT, source)) as file:
            machine.write(target, file.read())

    def section(name, number):
        return (f"[program:{name}]\ncommand=/bench/child stamp {fifo}\nnumprocs={number}\nprocess_name={name}%(process_num)d\n"
                "autorestart=true\nstartsecs=0\nstdout_logfile=NONE\nredirect_stderr=true\n")
    machine.write("/etc/supervisor/supervisord.conf",
                  f"[supervisord]\nlogfile=/var/log/supervisord.log\nminfds={3 * count + 200}\n"
                  "[unix_http_server]\nfile=/run/supervisor.sock\n"
                  "[rpcinterface:supervisor]\nsupervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface\n"
                  "[supervisorctl]\nserverurl=unix:///run/supervisor.sock\n"
                  + section("v", VICTIMS) + section("s", count - VICTIMS))
    machine.shell("systemd-sysusers; systemd-tmpfiles --create; systemctl daemon-reload")


def measure(bench):
    count = bench.pick(100, 1000)
    start = Metric(f"systemd-start-{count}", f"{count:,} programs up under our unit", "ms", "lower", "CPU ms",
                   [Bar("wall", "<=", 1.4, "limit"), Bar("cpu", "<=", 80)],
                   "from the fork of the daemon by systemd to the first instruction of the last program; cgroups, fd holder and "
                   "checkpoint as the unit has them; limit: the C loop inside of the machine")
    kill = Metric(f"systemd-restart-{count}", f"kill → exec under our unit, {VICTIMS} of {count:,} programs", "ms", "lower",
                  "CPU µs/restart", [Bar("wall", "<=", 1.1)], "as restart-1000")
    fifo = bench.work.fifo()
    inside = f"/bench/{os.path.basename(fifo.path)}"
    machine = Machine(bench.work)

    def clean():
        machine.shell(f"systemctl stop {UNIT}; pkill -KILL -x limit || true; pkill -KILL -x child || true")
        fifo.drain()

    def cpu():
        text = machine.shell(f"cat /proc/$(systemctl show -p MainPID --value {UNIT})/task/*/schedstat")
        return sum(int(line.split()[0]) for line in text.splitlines())

    def kills(pids):
        rows = machine.run("/bench/client", "kill", inside, KILLING_SECONDS, *pids).splitlines()
        return [int(row.split()[0]) / 1e6 for row in rows]

    def ours():
        machine.shell(f"systemctl start {UNIT}")
        stamps = fifo.stamps(count)
        began = int(machine.shell(f"systemctl show -p ExecMainStartTimestampMonotonic --value {UNIT}")) * 1000
        time.sleep(LIVED_SECONDS)
        used = cpu()
        start.add("ours", [(max(ns for ns, _ in stamps) - began) / 1e6], used / 1e6)
        times = kills(machine.shell("supervisorctl pid " + " ".join(f"v:v{number}" for number in range(VICTIMS))).split())
        time.sleep(0.1)
        kill.add("ours", times, (cpu() - used) / len(times) / 1e3)
        clean()

    def limit():
        process = machine.background("/bench/limit", "start", "/bench/child", inside, count)
        stamps = fifo.stamps(count)
        began, used = map(int, process.stdout.readline().split())
        start.add("limit", [(max(ns for ns, _ in stamps) - began) / 1e6], used / 1e6)
        clean()
        process.wait(60)
        process = machine.background("/bench/limit", "hold", "/bench/child", inside, VICTIMS, count - VICTIMS)
        pids = [pid for _, pid in fifo.stamps(VICTIMS)]
        time.sleep(LIVED_SECONDS)
        kill.add("limit", kills(pids))
        clean()
        process.wait(60)

    try:
        install(machine, inside, count)
        for repetition in range(bench.repetitions):
            for turn in (ours, limit) if repetition % 2 == 0 else (limit, ours):
                turn()
    finally:
        machine.down()
    return [start, kill]

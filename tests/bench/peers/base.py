"""What every adapter of a supervisor has: how it is configured, started, asked and taken away."""
import os
import shutil
import signal
import time
from dataclasses import dataclass, field

import machine
from work import wait_for


@dataclass
class Log:
    """Where standard output goes: files in `directory`, the first called `name`."""
    directory: str
    name: str = "current"
    max_bytes: int = 0
    backups: int = 0

    @property
    def path(self):
        return os.path.join(self.directory, self.name)


@dataclass
class Program:
    """`count` processes of one command, started at once and after each end."""
    name: str
    command: list
    count: int = 1
    log: Log | None = None
    #: Seconds that a process is to have lived before it is started again; `None`: the supervisor's own default.
    floor: float | None = None

    def names(self):
        return [self.name] if self.count == 1 else [f"{self.name}{number}" for number in range(self.count)]


@dataclass
class Fleet:
    """What a supervisor is to run, and in which form its configuration is written."""
    programs: list = field(default_factory=list)
    #: One file for each process, where the supervisor has another form too.
    separate: bool = False

    @property
    def size(self):
        return sum(program.count for program in self.programs)


class Peer:
    """One supervisor. A subclass says how; an instance is one started daemon."""

    name = "?"
    #: How many programs it is asked to run at most, and why no more.
    most = 6000
    most_reason = ""
    #: What it can do: log, rotate, crash0 (no pause between restarts), crash (its own pause), rpc, status, status-one,
    #: restart-one, restart-all.
    can = frozenset()
    #: Files whose sizes count as its own.
    files = ()

    def __init__(self, work):
        self.work = work
        self.pid = None
        self.pids = []

    @classmethod
    def missing(cls):
        """Why it cannot be measured here; empty: it can."""
        return next((f"no {name} in PATH" for name in cls.files if not shutil.which(name)), "")

    @classmethod
    def version(cls):
        return ""

    # --- for a subclass ---------------------------------------------------------------------------------------------
    def configure(self, fleet):
        """Writes the configuration below `self.directory`."""
        raise NotImplementedError

    def command(self):
        raise NotImplementedError

    def environment(self):
        return dict(os.environ)

    def socket(self):
        """The socket of its XML-RPC server."""
        return None

    def client(self, action, name=""):
        """The command line for `status`, `status-one`, `restart-one` or `restart-all`; `None`: it has none."""
        return None

    # --- the same for all -------------------------------------------------------------------------------------------
    def prepare(self, fleet):
        self.directory = self.work.fresh()
        self.fleet = fleet
        self.configure(fleet)
        return self

    def write(self, name, text, mode=0o644):
        path = os.path.join(self.directory, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as file:
            file.write(text)
        os.chmod(path, mode)
        return path

    def start(self):
        """Starts the daemon; CLOCK_MONOTONIC in ns before its exec."""
        null = os.open(os.devnull, os.O_RDWR)
        output = os.open(os.path.join(self.directory, "output"), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        actions = [(os.POSIX_SPAWN_DUP2, null, 0), (os.POSIX_SPAWN_DUP2, output, 1), (os.POSIX_SPAWN_DUP2, output, 2)]
        command = [str(word) for word in self.command()]
        environment = self.environment()
        began = time.monotonic_ns()
        self.pid = os.posix_spawn(shutil.which(command[0]), command, environment, file_actions=actions)
        os.close(null)
        os.close(output)
        return began

    def is_daemon(self, pid):
        return machine.executable(pid) not in ("", self.work.child)

    def daemons(self):
        """The processes of the supervisor itself, its logging programs among them; not what it supervises."""
        self.pids = [pid for pid in machine.descendants(self.pid) if self.is_daemon(pid)]
        return self.pids

    def cpu_ns(self):
        return machine.cpu_ns(self.pids or self.daemons())

    def freeze(self):
        """Stops its processes, so that they do not run while another supervisor is measured."""
        machine.send(self.daemons(), signal.SIGSTOP)

    def thaw(self):
        machine.send(self.pids, signal.SIGCONT)

    def wait_socket(self):
        wait_for(lambda: os.path.exists(self.socket()), f"the socket of {self.name}")

    def stop(self):
        """Kills it and all that it started; its directory goes too."""
        if self.pid:
            machine.kill_trees([self.pid])
            self.pid, self.pids = None, []
        shutil.rmtree(self.directory, ignore_errors=True)


class ServiceDirectories(Peer):
    """Supervisors that run one directory for each service, with an executable `run` in it."""

    most = 1000

    def configure(self, fleet):
        os.mkdir(self.scan)
        for program in fleet.programs:
            for name in program.names():
                directory = os.path.join(self.scan, name)
                os.mkdir(directory)
                # The program itself is `run`: no shell starts between. It reads its arguments from a file.
                os.symlink(program.command[0], os.path.join(directory, "run"))
                self.write(f"scan/{name}/args", "\n".join(map(str, program.command[1:])) + "\n")
                if program.log:
                    self.write(f"scan/{name}/log/run", f"#!/bin/sh\nexec {self.logger(program.log)}\n", 0o755)

    @property
    def scan(self):
        return os.path.join(self.directory, "scan")

    def logger(self, log):
        """The command line that writes standard input to `log`."""
        raise NotImplementedError

    def services(self):
        return [os.path.join(self.scan, name) for program in self.fleet.programs for name in program.names()]

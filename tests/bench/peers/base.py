"""The base of all adapters of supervisors: configuration, start, requests and removal."""
import os
import shutil
import signal
import time
from dataclasses import dataclass, field

import machine
from work import wait_for


@dataclass
class Log:
    """The log files of standard output in `directory`. The first is `name`."""
    directory: str
    name: str = "current"
    max_bytes: int = 0
    backups: int = 0

    @property
    def path(self):
        return os.path.join(self.directory, self.name)


@dataclass
class Program:
    """`count` processes of one command, started at once and restarted after each exit."""
    name: str
    command: list
    count: int = 1
    log: Log | None = None
    #: Minimum run time in seconds before an immediate restart; `None`: the supervisor's default.
    floor: float | None = None
    #: The name of a program that must be up first. Empty: none. Only our adapter supports it.
    depends_on: str = ""
    #: The form of the lines in the log. Empty: as the program writes them. Only our adapter supports others.
    log_format: str = ""
    #: Whether it starts with the supervisor. Only our adapter supports False.
    autostart: bool = True

    def names(self):
        return [self.name] if self.count == 1 else [f"{self.name}{number}" for number in range(self.count)]


@dataclass
class Fleet:
    """The programs of a supervisor, and the form of its configuration."""
    programs: list = field(default_factory=list)
    #: One file for each process, if the supervisor supports both forms.
    separate: bool = False

    @property
    def size(self):
        """The number of processes that are started."""
        return sum(program.count for program in self.programs if program.autostart)


class Peer:
    """One supervisor. A subclass implements it; an instance is one daemon."""

    name = "?"
    #: The largest number of programs, and the reason for this bound.
    most = 6000
    most_reason = ""
    #: Abilities: log, rotate, crash0 (no pause between restarts), crash (its own pause), rpc, status, status-one,
    #: restart-one, restart-all.
    can = frozenset()
    #: Files whose sizes count as the supervisor's.
    files = ()

    def __init__(self, work):
        self.work = work
        self.pid = None
        self.pids = []

    @classmethod
    def missing(cls):
        """Why it cannot be measured here. Empty: it can."""
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
        """The command line for `status`, `status-one`, `restart-one` or `restart-all`. `None`: not supported."""
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
        """Starts the daemon. Returns CLOCK_MONOTONIC before its exec, in ns."""
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
        """The processes of the supervisor itself, including its loggers, without supervised programs."""
        self.pids = [pid for pid in machine.descendants(self.pid) if self.is_daemon(pid)]
        return self.pids

    def cpu_ns(self):
        return machine.cpu_ns(self.pids or self.daemons())

    def freeze(self):
        """Sends SIGSTOP to its processes, so that they do not run while another supervisor is measured."""
        machine.send(self.daemons(), signal.SIGSTOP)

    def thaw(self):
        machine.send(self.pids, signal.SIGCONT)

    def wait_socket(self):
        wait_for(lambda: os.path.exists(self.socket()), f"the socket of {self.name}")

    def stop(self):
        """Kills its processes and removes its directory."""
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
                # The program itself is `run`, without a shell. It reads its arguments from a file.
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

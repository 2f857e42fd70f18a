"""Our daemon and Supervisor 4.3.0: the same configuration for both."""
import os
import subprocess

from peers.base import Peer
from work import ROOT


class Configured(Peer):
    """A daemon that reads supervisord.conf."""

    can = frozenset({"log", "rotate", "crash0", "crash", "rpc", "status", "status-one", "restart-one", "restart-all"})
    keys = ""

    def socket(self):
        return os.path.join(self.directory, "s")

    def configure(self, fleet):
        # Supervisor closes minfds descriptors in each child, so the limit is small: three for each process, and a
        # reserve.
        head = (f"[supervisord]\nnodaemon=true\nsilent=true\nlogfile={self.directory}/log\npidfile={self.directory}/pid\n"
                f"minfds={3 * fleet.size + 200}\nuser=root\n{self.keys}"
                f"[unix_http_server]\nfile={self.socket()}\n"
                "[rpcinterface:supervisor]\nsupervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface\n"
                f"[supervisorctl]\nserverurl=unix://{self.socket()}\n")
        if fleet.separate:
            head += f"[include]\nfiles={self.directory}/conf.d/*.conf\n"
            for program in fleet.programs:
                for name in program.names():
                    self.write(f"conf.d/{name}.conf", self.section(program, name, 1))
        else:
            head += "".join(self.section(program, program.name, program.count) for program in fleet.programs)
        self.conf = self.write("conf", head)

    def section(self, program, name, count):
        log = "NONE"
        if program.log:
            log = f"{program.log.path}\nstdout_logfile_maxbytes={program.log.max_bytes}\n" \
                  f"stdout_logfile_backups={program.log.backups}"
        many = f"numprocs={count}\nprocess_name={name}%(process_num)d\n" if count > 1 else ""
        return (f"[program:{name}]\ncommand={' '.join(map(str, program.command))}\n{many}autorestart=true\nstartsecs=0\n"
                f"stdout_logfile={log}\nredirect_stderr=true\n{self.more_keys(program)}")

    def more_keys(self, program):
        """Lines that only our daemon understands."""
        return ""

    def one(self):
        """The full name of the first process."""
        program = self.fleet.programs[0]
        name = program.names()[0]
        return name if program.count == 1 or self.fleet.separate else f"{program.name}:{name}"

    def client(self, action, name=""):
        words = {"status": ["status"], "status-one": ["status", self.one()], "restart-one": ["restart", self.one()],
                 "restart-all": ["restart", "all"], "plan": ["plan"]}[action]
        return [self.control(), "-c", self.conf, *words]


class Ours(Configured):
    """The daemon of this repository."""

    name = "ours"

    @staticmethod
    def program():
        return os.environ.get("SUPERVISORD") or os.path.join(ROOT, "target", "release", "supervisord")

    @staticmethod
    def control():
        return os.environ.get("SUPERVISORCTL") or os.path.join(os.path.dirname(Ours.program()), "supervisorctl")

    @classmethod
    def missing(cls):
        return "" if os.access(cls.program(), os.X_OK) else "no release binary: cargo build --release --bins"

    @classmethod
    def version(cls):
        return subprocess.run([cls.program(), "-v"], stdout=subprocess.PIPE, check=True).stdout.decode().strip()

    def command(self):
        return [self.program(), "-c", self.conf]

    def more_keys(self, program):
        keys = "" if program.floor is None else f"restart_floor={program.floor:g}\n"
        keys += f"depends_on={program.depends_on}\n" if program.depends_on else ""
        keys += f"log_format={program.log_format}\n" if program.log_format else ""
        return keys + ("" if program.autostart else "autostart=false\n")


class Supervisor(Configured):
    """Supervisor 4.3.0 of a venv."""

    name = "supervisor"
    most = 3000
    most_reason = "a minute and more to start 5,000"

    @staticmethod
    def venv(name):
        return os.path.join(os.environ.get("SUPERVISOR_ORACLE", ""), "bin", name)

    @classmethod
    def program(cls):
        return cls.venv("supervisord")

    @classmethod
    def control(cls):
        return cls.venv("supervisorctl")

    @classmethod
    def missing(cls):
        if not os.environ.get("SUPERVISOR_ORACLE"):
            return "SUPERVISOR_ORACLE names no venv with it"
        return "" if os.access(cls.program(), os.X_OK) else "SUPERVISOR_ORACLE has no bin/supervisord"

    @classmethod
    def version(cls):
        return subprocess.run([cls.program(), "-v"], stdout=subprocess.PIPE, check=True).stdout.decode().strip()

    def command(self):
        return [self.program(), "-c", self.conf]

"""The directory of one run with compiled helpers, FIFOs and directories of supervisors, and functions that wait."""
import os
import select
import shutil
import struct
import subprocess
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
STAMP = struct.Struct("qq")
HANG_SECONDS = 60


class Failed(Exception):
    """A failed measurement. The message has the reason."""


def wait_for(condition, what, seconds=HANG_SECONDS, pause=0.005):
    """Waits until `condition()` is true and returns its value."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise Failed(f"{what}: not within {seconds} s")
        time.sleep(pause)


def default_directory():
    """/dev/shm if it has enough space, so that no disk is measured; else the system's temporary directory."""
    try:
        room = os.statvfs("/dev/shm")
        if room.f_bavail * room.f_frsize > 2 << 30:
            return "/dev/shm"
    except OSError:
        pass
    return tempfile.gettempdir()


class Fifo:
    """A FIFO that children write stamps to."""

    def __init__(self, path):
        os.mkfifo(path)
        self.path = path
        self.fd = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        self.rest = b""

    def stamps(self, count, seconds=HANG_SECONDS):
        """The next `count` stamps as (ns, pid). It polls every 2 ms, because a wake-up for each stamp would cost CPU time."""
        found = []
        end = time.monotonic() + seconds
        while len(found) < count:
            if not select.select([self.fd], [], [], 0.2)[0]:
                if time.monotonic() > end:
                    raise Failed(f"{len(found)} of {count} programs wrote their stamp within {seconds} s")
                continue
            wanted = STAMP.size * (count - len(found))
            data = self.rest + os.read(self.fd, min(wanted - len(self.rest), 65536))
            whole = len(data) - len(data) % STAMP.size
            self.rest = data[whole:]
            found += STAMP.iter_unpack(data[:whole])
            if len(found) < count:
                time.sleep(0.002)
        return found

    def drain(self):
        """Drops all unread stamps."""
        self.rest = b""
        while select.select([self.fd], [], [], 0)[0]:
            os.read(self.fd, 65536)

    def close(self):
        os.close(self.fd)


class Work:
    """The directory of one run, and the C helpers compiled into it."""

    def __init__(self, parent):
        self.directory = tempfile.mkdtemp(prefix="supervisord-bench-", dir=parent or default_directory())
        os.chmod(self.directory, 0o755)
        self.count = 0
        for name in ("child", "limit", "client"):
            path = os.path.join(self.directory, name)
            source = os.path.join(HERE, "c", f"{name}.c")
            subprocess.check_call(["cc", "-O2", "-static", "-Wall", "-o", path, source])
            setattr(self, name, path)

    def fresh(self):
        """A new empty directory."""
        self.count += 1
        path = os.path.join(self.directory, f"d{self.count}")
        os.mkdir(path)
        return path

    def fifo(self):
        self.count += 1
        return Fifo(os.path.join(self.directory, f"f{self.count}"))

    def run(self, *command):
        """Runs a helper until it exits. Returns its output: a list of numbers for each line."""
        done = subprocess.run([str(word) for word in command], stdout=subprocess.PIPE, check=False)
        if done.returncode != 0:
            raise Failed(f"{os.path.basename(command[0])} {command[1]}: exit status {done.returncode}")
        return [[int(word) for word in line.split()] for line in done.stdout.splitlines()]

    def start(self, *command):
        """Starts a helper whose output is read later."""
        return subprocess.Popen([str(word) for word in command], stdout=subprocess.PIPE)

    def remove(self):
        shutil.rmtree(self.directory, ignore_errors=True)

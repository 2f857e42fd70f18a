"""The machine and its processes: information from /proc, and the scheduling class of the bench."""
import ctypes
import os
import signal
import time

PR_SET_CHILD_SUBREAPER = 36
REALTIME_PRIORITY = 10


def become_subreaper():
    """Makes orphans of the supervisors children of the bench, so that no run leaves a process behind."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def enter_realtime_class():
    """Puts the bench and all its processes into SCHED_RR. `False`: the kernel does not permit it."""
    try:
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(REALTIME_PRIORITY))
    except OSError:
        return False
    return True


def busy_cores(seconds=1.0):
    """Cores in use now, measured over `seconds`. The load average would cover minutes."""
    def read():
        with open("/proc/stat") as stat:
            values = [int(word) for word in stat.readline().split()[1:9]]
        return sum(values), values[3] + values[4]
    total, idle = read()
    time.sleep(seconds)
    total_then, idle_then = read()
    spent = total_then - total
    return os.cpu_count() * (1 - (idle_then - idle) / spent) if spent else 0.0


def stolen_seconds():
    """CPU time that the hypervisor gave to others while a core of this machine had work, in seconds since boot."""
    with open("/proc/stat") as stat:
        return int(stat.readline().split()[8]) / os.sysconf("SC_CLK_TCK")


def describe(directory):
    """The machine as a value for JSON, without names of hosts or paths."""
    def first(path, key):
        with open(path) as lines:
            return next((line.split(":", 1)[1].strip() for line in lines if line.startswith(key)), "?")
    return {
        "cpus": os.cpu_count(),
        "model": first("/proc/cpuinfo", "model name"),
        "memory_mib": int(first("/proc/meminfo", "MemTotal").split()[0]) // 1024,
        "kernel": os.uname().release,
        "architecture": os.uname().machine,
        "python": ".".join(map(str, os.sys.version_info[:3])),
        "file_system": file_system(directory),
    }


def file_system(directory):
    """The type of the file system that holds `directory`."""
    best, kind = "", "?"
    path = os.path.realpath(directory)
    with open("/proc/mounts") as mounts:
        for line in mounts:
            point, name = line.split()[1:3]
            inside = path == point or path.startswith(point.rstrip("/") + "/")
            if inside and len(point) >= len(best):
                best, kind = point, name
    return kind


def parents():
    """Each process and its parent."""
    found = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat") as stat:
                    found[int(name)] = int(stat.read().rsplit(") ", 1)[1].split()[1])
            except (FileNotFoundError, ProcessLookupError):
                pass
    return found


def descendants(*roots):
    """`roots` and all their descendants, parents first."""
    children = {}
    for pid, parent in parents().items():
        children.setdefault(parent, []).append(pid)
    found, todo = [], list(roots)
    while todo:
        pid = todo.pop()
        found.append(pid)
        todo.extend(children.get(pid, ()))
    return found


def executable(pid):
    """The path of the program that a process runs. Empty: the process has exited."""
    try:
        return os.readlink(f"/proc/{pid}/exe")
    except OSError:
        return ""


def cpu_ns(pids):
    """CPU time of the running threads of processes, in nanoseconds.

    schedstat counts nanoseconds; user and system time in /proc/PID/stat are its sum rounded to ticks of 10 ms.
    """
    total = 0
    for pid in pids:
        try:
            for task in os.listdir(f"/proc/{pid}/task"):
                with open(f"/proc/{pid}/task/{task}/schedstat") as stat:
                    total += int(stat.read().split()[0])
        except (FileNotFoundError, ProcessLookupError):
            pass
    return total


def voluntary_switches(pids):
    """Voluntary context switches of each thread of the processes, by thread ID."""
    switches = {}
    for pid in pids:
        try:
            for task in os.listdir(f"/proc/{pid}/task"):
                with open(f"/proc/{pid}/task/{task}/status") as status:
                    switches[task] = next(int(line.split()[1]) for line in status if line.startswith("voluntary"))
        except (FileNotFoundError, ProcessLookupError):
            pass
    return switches


def switches_since(pids, before):
    """Voluntary context switches of the processes since `before`, a result of voluntary_switches."""
    return sum(count - before.get(task, 0) for task, count in voluntary_switches(pids).items())


def memory_kib(pids, field="Pss"):
    """Proportional (`Pss`) or resident (`Rss`) memory of processes."""
    total = 0
    for pid in pids:
        with open(f"/proc/{pid}/smaps_rollup") as rollup:
            total += next(int(line.split()[1]) for line in rollup if line.startswith(f"{field}:"))
    return total


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def send(pids, number):
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            pass


def kill_trees(roots):
    """Kills and reaps processes and their descendants. The bench is a subreaper, so orphans become its children."""
    send(roots, signal.SIGSTOP)
    tree = set(descendants(*roots))
    send(tree, signal.SIGSTOP)
    # Again, because one of them may have started another process before it was stopped.
    tree |= set(descendants(*roots))
    send(tree, signal.SIGKILL)
    end = time.monotonic() + 10
    while tree and time.monotonic() < end:
        for pid in list(tree):
            try:
                reaped = os.waitpid(pid, os.WNOHANG)[0]
            except ChildProcessError:
                reaped = not os.path.exists(f"/proc/{pid}")
            if reaped:
                tree.discard(pid)
        time.sleep(0.002)


def kill_children():
    """Kills and reaps all remaining processes of the bench."""
    while True:
        mine = [pid for pid in descendants(os.getpid()) if pid != os.getpid()]
        if not mine:
            return
        kill_trees(mine)

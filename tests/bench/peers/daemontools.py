"""daemontools: svscan, one supervise for each service, multilog."""
from peers.base import ServiceDirectories


class Daemontools(ServiceDirectories):
    name = "daemontools"
    files = ("svscan", "supervise", "multilog", "svc")
    can = frozenset({"log", "rotate", "crash", "status", "status-one", "restart-all"})
    most_reason = "svscan takes 1,000 services"

    def command(self):
        return ["svscan", self.scan]

    def logger(self, log):
        # multilog allows at most 16,777,215 bytes a file, so it gets more and smaller files with the same total size.
        size = min(log.max_bytes or 16777215, 16777215)
        count = (log.backups + 1) * log.max_bytes // size if log.max_bytes else 200
        return f"multilog n{count} s{size} {log.directory}"

    def client(self, action, name=""):
        services = self.services()
        return {"status": ["svstat", *services], "status-one": ["svstat", services[0]],
                "restart-all": ["svc", "-t", *services]}.get(action)

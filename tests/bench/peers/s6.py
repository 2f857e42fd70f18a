"""s6: s6-svscan, one s6-supervise for each service, s6-log."""
from peers.base import ServiceDirectories


class S6(ServiceDirectories):
    name = "s6"
    files = ("s6-svscan", "s6-supervise", "s6-log")
    can = frozenset({"log", "rotate", "crash", "status-one", "restart-one"})
    most = 3000
    most_reason = "two processes for each service"

    def command(self):
        return ["s6-svscan", "-c", str(2 * self.fleet.size + 8), self.scan]

    def logger(self, log):
        # s6-log does not accept a size of zero; the largest is 268,435,455 bytes.
        size = log.max_bytes or 268435455
        return f"s6-log n{log.backups or 100} s{size} {log.directory}"

    def client(self, action, name=""):
        service = self.services()[0]
        return {"status-one": ["s6-svstat", service], "restart-one": ["s6-svc", "-wr", "-r", service]}.get(action)

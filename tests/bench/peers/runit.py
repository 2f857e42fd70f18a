"""runit: runsvdir, one runsv for each service, svlogd."""
import os

from peers.base import ServiceDirectories


class Runit(ServiceDirectories):
    name = "runit"
    files = ("runsvdir", "runsv", "svlogd", "sv")
    can = frozenset({"log", "rotate", "crash", "status", "status-one", "restart-all"})
    most_reason = "runsvdir takes 1,000 services"

    def command(self):
        return ["runsvdir", self.scan]

    def logger(self, log):
        os.makedirs(log.directory, exist_ok=True)
        with open(os.path.join(log.directory, "config"), "w") as config:
            config.write(f"s{log.max_bytes}\nn{log.backups or 0}\n")
        return f"svlogd -b 65536 {log.directory}"

    def client(self, action, name=""):
        services = self.services()
        return {"status": ["sv", "status", *services], "status-one": ["sv", "status", services[0]],
                "restart-all": ["sv", "term", *services]}.get(action)

"""dinit: one service file for each process, all started by the service `boot`."""
import os

from peers.base import Peer


class Dinit(Peer):
    name = "dinit"
    files = ("dinit", "dinitctl")
    can = frozenset({"log", "crash0", "crash", "status", "status-one", "restart-one"})

    def configure(self, fleet):
        services = "services"
        names = []
        for program in fleet.programs:
            for name in program.names():
                names.append(name)
                log = f"logfile = {program.log.path}\n" if program.log else ""
                delay = "" if program.floor is None else f"restart-delay = {program.floor:g}\n"
                self.write(f"{services}/{name}", f"type = process\ncommand = {' '.join(map(str, program.command))}\n"
                           f"restart = true\nrestart-limit-count = 0\nsmooth-recovery = true\n{delay}{log}")
        self.write(f"{services}/boot", "type = internal\n" + "".join(f"waits-for = {name}\n" for name in names))

    def control_socket(self):
        return os.path.join(self.directory, "s")

    def command(self):
        return ["dinit", "--user", "-d", os.path.join(self.directory, "services"), "-p", self.control_socket(), "boot"]

    def client(self, action, name=""):
        one = self.fleet.programs[0].names()[0]
        words = {"status": ["list"], "status-one": ["status", one], "restart-one": ["restart", one]}.get(action)
        return words and ["dinitctl", "-p", self.control_socket(), *words]

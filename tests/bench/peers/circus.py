"""circus: one watcher for each program."""
from peers.base import Peer


class Circus(Peer):
    name = "circus"
    files = ("circusd", "circusctl")
    can = frozenset({"log", "rotate", "status", "status-one", "restart-one", "restart-all"})
    most = 300
    most_reason = "slow: minutes for 1,000"

    def configure(self, fleet):
        text = (f"[circus]\nendpoint = ipc://{self.directory}/endpoint\npubsub_endpoint = ipc://{self.directory}/pubsub\n"
                "statsd = False\nwarmup_delay = 0\n")
        for program in fleet.programs:
            text += (f"[watcher:{program.name}]\ncmd = {' '.join(map(str, program.command))}\n"
                     f"numprocesses = {program.count}\nwarmup_delay = 0\ncopy_env = True\nmax_retry = -1\n")
            if program.log:
                text += (f"stdout_stream.class = FileStream\nstdout_stream.filename = {program.log.path}\n"
                         f"stdout_stream.max_bytes = {program.log.max_bytes}\n"
                         f"stdout_stream.backup_count = {program.log.backups}\n")
        self.conf = self.write("conf.ini", text)

    def command(self):
        return ["circusd", self.conf]

    def client(self, action, name=""):
        one = self.fleet.programs[0].name
        words = {"status": ["status"], "status-one": ["status", one], "restart-one": ["restart", one, "--waiting"],
                 "restart-all": ["restart"]}[action]
        return ["circusctl", "--endpoint", f"ipc://{self.directory}/endpoint", *words]

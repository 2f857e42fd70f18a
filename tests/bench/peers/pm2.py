"""pm2: its daemon in the foreground (pm2-runtime), one application for each program."""
import json
import os

from peers.base import Peer


class Pm2(Peer):
    name = "pm2"
    files = ("pm2-runtime", "pm2")
    # Rotation needs a separate module.
    can = frozenset({"log", "status", "status-one", "restart-one", "restart-all"})
    most = 100
    most_reason = "slow: about 20 ms a program"

    def configure(self, fleet):
        apps = [{"name": program.name, "script": program.command[0], "args": [str(word) for word in program.command[1:]],
                 "interpreter": "none", "exec_mode": "fork", "instances": program.count, "min_uptime": 0,
                 "max_restarts": 1 << 30, "out_file": program.log.path if program.log else "/dev/null",
                 "error_file": "/dev/null", "merge_logs": True} for program in fleet.programs]
        self.conf = self.write("ecosystem.json", json.dumps({"apps": apps}))

    def environment(self):
        return {**os.environ, "PM2_HOME": os.path.join(self.directory, "home"), "PM2_DISCRETE_MODE": "true"}

    def command(self):
        return ["pm2-runtime", "start", self.conf]

    def client(self, action, name=""):
        one = self.fleet.programs[0].name
        words = {"status": ["jlist"], "status-one": ["describe", one], "restart-one": ["restart", one],
                 "restart-all": ["restart", "all"]}[action]
        return ["env", f"PM2_HOME={self.directory}/home", "pm2", *words]

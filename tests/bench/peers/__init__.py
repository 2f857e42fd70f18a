"""The supervisors that are compared: a module for each."""
from peers.circus import Circus
from peers.daemontools import Daemontools
from peers.dinit import Dinit
from peers.limit import Limit
from peers.pm2 import Pm2
from peers.runit import Runit
from peers.s6 import S6
from peers.supervisor import Ours, Supervisor

#: All supervisors. The limit is not one of them, because every metric has it.
SUPERVISORS = (Ours, Supervisor, S6, Runit, Daemontools, Dinit, Circus, Pm2)

__all__ = ["SUPERVISORS", "Limit", "Ours", "Supervisor"]

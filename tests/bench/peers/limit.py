"""The limit as a contender: c/limit.c instead of a supervisor."""
from peers.base import Peer


class Limit(Peer):
    """Starts and reaps processes, and does nothing else."""

    name = "limit"
    most = 10000

    def configure(self, fleet):
        self.words = []

    def with_words(self, *words):
        self.words = words
        return self

    def command(self):
        return [self.work.limit, *self.words]

"""Redis Clusters as nodes of the quorum: what happens inside of one of them must not be noticed by candidates."""
import contextlib
import signal
import threading
import time

import pytest

from harness import history
from harness.agent import SLOW, wait_for
from harness.redis import RedisError
from test_crash import Crowd
from test_redis import campaign, extend, leader_of, make_cluster, names_of, on, resign, says, servers, walk_through  # noqa: F401


def urls_of(clusters):
    """Every cluster by all of its servers."""
    rest = [[f"addr=127.0.0.1:{node.port}" for node in nodes[1:]] for nodes in clusters]
    return [nodes[0].url + ("?" + "&".join(more) if more else "") for nodes, more in zip(clusters, rest)]


def on_clusters(clusters, **settings):
    return on(urls_of(clusters), REDIS_MODE="cluster", **settings)


def is_master(node):
    return "role:master" in node.call("INFO", "replication")


def slot_of(node, election):
    return node.call("CLUSTER", "KEYSLOT", f"ela/{{{election}}}")


def owner_of(nodes, slot):
    """The master that owns the slot, as the first one of them sees it."""
    for first, last, master, *_ in nodes[0].call("CLUSTER", "SLOTS"):
        if first <= slot <= last:
            return next(node for node in nodes if node.port == master[1])
    return None


def agreed_owner(nodes, slot):
    """The same when all servers see it so."""
    def agree():
        owners = {owner_of([node, *nodes], slot) for node in nodes}
        return owners.pop() if len(owners) == 1 else None

    return wait_for(agree, f"all servers to agree on slot {slot}")


def move_slot(nodes, slot, source, target):
    """As redis-cli --cluster reshard does it."""
    ids = {node: node.call("CLUSTER", "MYID") for node in (source, target)}
    target.call("CLUSTER", "SETSLOT", slot, "IMPORTING", ids[source])
    source.call("CLUSTER", "SETSLOT", slot, "MIGRATING", ids[target])
    while keys := source.call("CLUSTER", "GETKEYSINSLOT", slot, 100):
        source.call("MIGRATE", "127.0.0.1", target.port, "", 0, 5000, "KEYS", *keys)
    for node in [target, source, *(n for n in nodes if n not in (source, target))]:
        node.call("CLUSTER", "SETSLOT", slot, "NODE", ids[target])


def fail_over(replica):
    replica.call("CLUSTER", "FAILOVER")
    wait_for(lambda: is_master(replica), "the replica to take over")


class Leader:
    """Extends without a pause; keeps every answer, and how long it was valid by its own reckoning."""

    def __init__(self, agent, election, name, term):
        self.agent, self.election, self.name, self.term = agent, election, name, term
        self.sent = time.monotonic()
        _, self.won = campaign(agent, election, name, term)
        assert self.won["elected"], self.won
        self.valid_until = self.sent + self.won["expires_in"] / 1000
        self.answers = []
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.lead)

    def lead(self):
        while not self.over.is_set():
            sent = time.monotonic()
            status, answer = extend(self.agent, self.election, self.name, self.term)
            self.answers.append((status, answer))
            if status == 200:
                self.valid_until = sent + answer["expires_in"] / 1000

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()

    def has_led(self):
        """Each answer was that it leads, with the token of the start."""
        assert {(status, answer.get("token")) for status, answer in self.answers} == {(200, self.won["token"])}, self.answers[-20:]


# --- one cluster of three ---

def test_every_promise_holds_while_one_cluster_fails_over_is_resharded_and_loses_its_memory(agents, servers, tmp_path):  # noqa: F811
    nodes = make_cluster(servers, 3, spares=3)
    masters, spares = nodes[:3], nodes[3:]
    settings = on_clusters([nodes, make_cluster(servers, 1), make_cluster(servers, 1)], LEASE_MAX_TERM="2s", THREADS=2)
    two = [agents("one", **settings).start(), agents("two", **settings).start()]
    with Crowd(two, tmp_path, 6, term=1500, elections=6) as crowd:
        wait_for(crowd.began, "the first operations")
        for spare in spares:
            fail_over(spare)
        for slot in range(0, 16384, 4000):
            source = agreed_owner(nodes, slot)
            move_slot(spares, slot, source, next(n for n in spares if n is not source))
        victim = spares[0]
        victim.kill()
        wait_for(lambda: is_master(masters[0]), "its replica to be promoted", 20)
        victim.start()
        for node in nodes:
            with contextlib.suppress(RedisError):  # a replica
                node.call("FLUSHALL")
        wait_for(crowd.competed, "the crowd to compete", 30)
        operations = crowd.finish()
    assert history.judge(operations, bound=2.5 * SLOW) == []


def take_out(nodes, gone):
    """The slots of `gone` go to the others' first, those with keys one by one; then it is forgotten, and forgets."""
    heir, *others = [node for node in nodes if node is not gone]
    ranges = [(first, last) for first, last, master, *_ in gone.call("CLUSTER", "SLOTS") if master[1] == gone.port]
    for first, last in ranges:
        for slot in range(first, last + 1):
            if gone.call("CLUSTER", "COUNTKEYSINSLOT", slot):
                move_slot(nodes, slot, gone, heir)
    left = [(first, last) for first, last, master, *_ in gone.call("CLUSTER", "SLOTS") if master[1] == gone.port]
    for node in nodes:
        for first, last in left:
            node.call("CLUSTER", "DELSLOTSRANGE", first, last)
    for first, last in left:
        heir.call("CLUSTER", "ADDSLOTSRANGE", first, last)
    heir.call("CLUSTER", "BUMPEPOCH")
    wait_for(lambda: all(owner_of([node, *nodes], left[0][0]) is heir for node in others), "the slots' new owner")
    identity = gone.call("CLUSTER", "MYID")
    for node in [heir, *others]:
        node.call("CLUSTER", "FORGET", identity)
    gone.call("FLUSHALL")
    gone.call("CLUSTER", "RESET", "HARD")


def maps_drawn(node):
    """How often it was asked for the map of its cluster."""
    stats = [line for line in node.call("INFO", "commandstats").split("\r\n") if line.startswith("cmdstat_cluster|slots:calls=")]
    return int(stats[0].split("=")[1].split(",")[0]) if stats else 0


def test_a_server_that_is_taken_out_of_its_cluster_does_not_draw_the_map(agents, servers):  # noqa: F811
    nodes = make_cluster(servers, 3)
    settings = on_clusters([nodes], LEASE_MAX_TERM="2s")  # the one that is taken out is the first seed
    before = agents("before", **settings).start()
    for i in range(20):
        assert campaign(before, f"e{i}", "x", 2000)[1]["elected"]
    take_out(nodes, nodes[0])
    after = agents("after", **settings).start()
    for agent in (before, after):
        for i in range(20):
            wait_for(lambda i=i: campaign(agent, f"e{i}", "x", 2000)[1].get("elected"), f"election {i}", 20)
    drawn = [maps_drawn(node) for node in nodes[1:]]
    wait_for(lambda: [maps_drawn(node) for node in nodes[1:]] > drawn, "another look at the map", 20)
    assert before.ready() and after.ready()
    assert campaign(after, "next", "x", 2000)[1]["elected"]

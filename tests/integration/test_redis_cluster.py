"""Redis Clusters as nodes of the quorum: what happens inside of one of them must not be noticed by candidates."""
import contextlib
import threading
import time

from harness import history
from harness.agent import SLOW, wait_for
from harness.redis import RedisError
from test_crash import Crowd
from test_redis import ACL, campaign, extend, make_cluster, names_of, on, resign, says, servers, walk_through, watching  # noqa: F401


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


def fail_over(nodes, replica):
    """Its master lets a replica that it does not know yet ask in vain, for five seconds: so it asks again."""
    asked = 0.0

    def takes_over():
        nonlocal asked
        if not is_master(replica) and time.monotonic() > asked + SLOW:
            replica.call("CLUSTER", "FAILOVER")
            asked = time.monotonic()
        return all(replica.port in [row[2][1] for row in node.call("CLUSTER", "SLOTS")] for node in nodes)

    wait_for(lambda: "master_link_status:up" in replica.call("INFO", "replication"), "the replica to follow", 20)
    wait_for(takes_over, "the replica to take over", 20)


class Rival:
    """Campaigns without a pause, until it is elected."""

    def __init__(self, agent, election, name, term):
        self.agent, self.election, self.name, self.term = agent, election, name, term
        self.answers = []
        self.elected_at = None
        self.token = None
        self.thread = threading.Thread(target=self.strive)
        self.thread.start()

    def strive(self):
        end = time.monotonic() + 60 * SLOW
        while self.elected_at is None and time.monotonic() < end:
            status, answer = campaign(self.agent, self.election, self.name, self.term)
            self.answers.append((status, answer))
            if answer.get("elected"):
                self.elected_at, self.token = time.monotonic(), int(answer["token"])

    def wait(self):
        self.thread.join()
        assert self.elected_at is not None, self.answers[-5:]


# --- one cluster of three ---

def test_every_promise_holds_while_one_cluster_fails_over_is_resharded_and_loses_its_memory(agents, servers, tmp_path):  # noqa: F811
    nodes = make_cluster(servers, 3, spares=3)
    masters, spares = nodes[:3], nodes[3:]
    clusters = [nodes, make_cluster(servers, 1), make_cluster(servers, 1)]
    settings = on_clusters(clusters, LEASE_MAX_TERM="2s", THREADS=2)
    two = [agents("one", **settings).start(), agents("two", **settings).start()]
    with Crowd(two, tmp_path, 6, term=1500, elections=6) as crowd:
        wait_for(crowd.began, "the first operations")
        for spare in spares:
            fail_over(nodes, spare)
        for slot in range(0, 16384, 4000):
            source = agreed_owner(nodes, slot)
            move_slot(spares, slot, source, next(n for n in spares if n is not source))
        for master in masters:
            fail_over(nodes, master)  # back: to servers that the agents know as something else
        victim = masters[0]
        victim.kill()
        wait_for(lambda: is_master(spares[0]), "its replica to be promoted", 20)
        victim.start()
        for node in nodes:
            with contextlib.suppress(RedisError):  # a replica
                node.call("FLUSHALL")
        wait_for(crowd.competed, "the crowd to compete", 30)
        operations = crowd.finish()
    assert history.judge(operations, bound=2.5 * SLOW) == []
    # All that served to show that one cluster may do what it likes. But it has come back, too: now it is needed.
    clusters[1][0].kill()
    for agent in two:
        for i in range(12):
            wait_for(lambda i=i: campaign(agent, f"after-{i}", "x", 1000)[1].get("elected"), f"election {i}", 20)


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


def calls_of(node, command):
    """How often it has carried out a command."""
    stats = [line for line in node.call("INFO", "commandstats").split("\r\n") if line.startswith(f"cmdstat_{command}:calls=")]
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
    assert before.ready() and after.ready()


# --- a majority ---

def test_a_replica_that_lacks_the_last_writes_elects_nobody_before_the_longest_term_is_over(agents, servers):  # noqa: F811
    """A quorum of one cluster: whatever its replica has not seen is lost with the master."""
    nodes = make_cluster(servers, 3, "--cluster-node-timeout", "500", spares=1)
    master, spare = nodes[0], nodes[3]
    agent = agents(**on_clusters([nodes], LEASE_MAX_TERM="4s", THREADS=2)).start()
    election = next(f"e{i}" for i in range(100) if owner_of(nodes, slot_of(master, f"e{i}")) is master)
    assert campaign(agent, election, "first", 4000)[1]["elected"]
    assert resign(agent, election, "first")[0] == 200
    wait_for(lambda: spare.call("DBSIZE") == master.call("DBSIZE"), "the replica to follow")
    spare.pause()
    assert master.call("CLIENT", "KILL", "TYPE", "replica") == 1
    sent = time.monotonic()
    _, won = campaign(agent, election, "x", 4000)
    valid_until = sent + won["expires_in"] / 1000
    assert won["elected"]
    master.kill()
    spare.go_on()
    rival = Rival(agent, election, "y", 4000)
    wait_for(lambda: is_master(spare), "the promotion", 20)
    assert spare.call("GET", f"ela/{{{election}}}") is None, "the promoted one has not heard of x"
    rival.wait()
    assert rival.elected_at > valid_until
    assert rival.token > int(won["token"])


def test_a_slot_that_moves_in_two_clusters_of_three_never_has_two_leaders(agents, servers):  # noqa: F811
    clusters = [make_cluster(servers, 3), make_cluster(servers, 3), make_cluster(servers, 1)]
    agent = agents(**on_clusters(clusters, LEASE_MAX_TERM="3s", THREADS=2)).start()
    sent = time.monotonic()
    _, won = campaign(agent, "e0", "x", 3000)
    assert won["elected"]
    valid_until = sent + won["expires_in"] / 1000
    slot = slot_of(clusters[0][0], "e0")
    rival = Rival(agent, "e0", "y", 3000)
    for nodes in clusters[:2]:
        source = owner_of(nodes, slot)
        move_slot(nodes, slot, source, nodes[(nodes.index(source) + 1) % 3])
    answers = []
    for _ in range(20):
        sent = time.monotonic()
        answers.append(extend(agent, "e0", "x", 3000, token=won["token"]))
        if answers[-1][0] != 200:
            break  # MIGRATE may have parted the expiries of lease and tenure, in both clusters
        valid_until = sent + answers[-1][1]["expires_in"] / 1000
    rival.wait()
    assert {status for status, _ in answers} <= {200, 412}, answers
    assert rival.elected_at > valid_until, answers[-5:]
    assert rival.token > int(won["token"])


# --- rights ---

CLUSTER_ACL = [*ACL, "+asking", "+cluster|slots"]


def test_the_documented_rights_are_enough_for_clusters_too(agents, servers):  # noqa: F811
    """Also for a slot that moves, and after it."""
    clusters = [make_cluster(servers, 3), make_cluster(servers, 1), make_cluster(servers, 1)]
    for node in sum(clusters, []):
        node.call("ACL", "SETUSER", "ela", "on", ">pw", "resetkeys", "~ela/*", "resetchannels", "&ela/events", "-@all", *CLUSTER_ACL)
    urls = [url.replace("redis://", "redis://ela:pw@") for url in urls_of(clusters)]
    agent = watching(agents, "agent", **on(urls, REDIS_MODE="cluster")).start()
    walk_through(agent)
    nodes = clusters[0]
    slot = slot_of(nodes[0], "e0")
    source = owner_of(nodes, slot)
    target = nodes[(nodes.index(source) + 1) % 3]
    assert campaign(agent, "e0", "x", 60000)[1]["elected"]
    target.call("CLUSTER", "SETSLOT", slot, "IMPORTING", source.call("CLUSTER", "MYID"))
    source.call("CLUSTER", "SETSLOT", slot, "MIGRATING", target.call("CLUSTER", "MYID"))
    for key in source.call("CLUSTER", "GETKEYSINSLOT", slot, 100):
        source.call("MIGRATE", "127.0.0.1", target.port, key, 0, 5000)
    asked = calls_of(target, "asking")
    wait_for(lambda: extend(agent, "e0", "x", 60000)[0] == 200 and calls_of(target, "asking") > asked, "an extension by ASK")
    move_slot(nodes, slot, source, target)
    assert extend(agent, "e0", "x", 60000)[0] == 200
    assert names_of(agent)["leaders"]
    assert not says(agent, "NOPERM"), [line for line in agent.log if "NOPERM" in line]
    for node in nodes:
        node.call("ACL", "SETUSER", "ela", "-cluster|slots")
    other = agents("other", **on([urls[0]], REDIS_MODE="cluster")).spawn()
    wait_for(lambda: says(other, "NOPERM", "docs/redis.md"), "the missing right to be named")
    assert not other.ready()

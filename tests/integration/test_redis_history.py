"""What elections remember on the Redis store: candidates and events, whoever asks, and what that costs."""
import grpc

from harness import proto
from harness.agent import wait_for
from test_redis import ACL, campaign, extend, on, resign, servers  # noqa: F401

pb, pb_grpc = proto.load()


def info_of(agent, election="job"):
    with grpc.insecure_channel(agent.grpc_target) as channel:
        return pb_grpc.ElectionStub(channel).GetElection(pb.GetElectionRequest(election=election), timeout=10)


def candidates(info):
    return {candidate.name: (candidate.priority, candidate.leading) for candidate in info.candidates}


def events(info):
    return [(event.action, event.leader) for event in info.events]


def calls(nodes, command):
    """How often each server has run it, whoever asked for it."""
    key = f"cmdstat_{command}"
    counts = []
    for node in nodes:
        lines = node.call("INFO", "commandstats").splitlines()
        rows = dict(line.split(":", 1) for line in lines if line.startswith(key + ":"))
        counts.append(int(rows[key].split(",")[0].split("=")[1]) if rows else 0)
    return counts


def users(nodes):
    for node in nodes:
        node.call("ACL", "SETUSER", "ela", "on", ">pw", "resetkeys", "~ela/*", "resetchannels", "&ela/events", "-@all", *ACL)
    return [f"redis://ela:pw@127.0.0.1:{node.port}" for node in nodes]


def test_every_agent_tells_who_stood_and_what_happened(agents, servers):  # noqa: F811
    nodes = servers(3)
    one = agents("one", **on(users(nodes))).start()
    two = agents("two", **on(users(nodes), THREADS=2)).start()
    assert campaign(one, "job", "a", 1000, priority=4)[1]["elected"]
    assert not campaign(two, "job", "b", priority=7)[1]["elected"]
    for agent in (one, two):
        info = wait_for(lambda agent=agent: candidates(info_of(agent)).get("b") and info_of(agent), "the loser")
        assert candidates(info) == {"a": (4, True), "b": (7, False)}
        assert events(info) == [("elected", "a")]
    wait_for(lambda: events(info_of(two))[1:] == [("expired", "a")], "the expiry")
    assert candidates(info_of(one)) == {"a": (4, False), "b": (7, False)}
    assert campaign(two, "job", "b", 5000, priority=7)[1]["elected"]
    assert campaign(one, "job", "c", 5000)[1]["leader"] == "b"
    status, moved = one.json("PUT", "/election/job", {"leader": "c", "term": 5000, "from": "b"})
    assert status == 200, moved
    assert resign(two, "job", "c")[0] == 200
    for agent in (one, two):
        assert events(info_of(agent)) == [("elected", "a"), ("expired", "a"), ("elected", "b"), ("handed_over", "c"), ("resigned", "c")]
    assert [node.call("ACL", "LOG") for node in nodes] == [[], [], []], "what is only for display fails silently"
    times = [event.at for event in info_of(one).events]
    assert times == sorted(times)


def test_losing_goes_on_to_cost_two_native_commands(agents, servers):  # noqa: F811
    nodes = servers(3)
    agent = agents(**on(nodes)).start()
    assert campaign(agent, "job", "leader", 50000)[1]["elected"]
    before = calls(nodes, "evalsha"), calls(nodes, "zadd")
    for i in range(300):
        assert not campaign(agent, "job", f"loser-{i % 3}")[1]["elected"]
    after = calls(nodes, "evalsha"), calls(nodes, "zadd")
    assert all(3 <= now - then <= 6 for then, now in zip(before[1], after[1])), (before, after)
    assert all(now - then <= 10 for then, now in zip(before[0], after[0])), (before, after)
    assert set(candidates(info_of(agent))) == {"leader", "loser-0", "loser-1", "loser-2"}
    for node in nodes:
        assert 0 < node.call("PTTL", "ela/candidates/default/job") <= 60000


def test_a_crowd_of_candidates_is_bounded_on_the_servers_and_in_the_answer(agents, servers):  # noqa: F811
    nodes = servers(3)
    agent = agents(**on(nodes)).start()
    assert campaign(agent, "job", "leader", 50000)[1]["elected"]
    for i in range(200):
        assert not campaign(agent, "job", f"loser-{i}")[1]["elected"]
    wait_for(lambda: all(node.call("ZCARD", "ela/candidates/default/job") == 128 for node in nodes), "the last ones")
    shown = candidates(info_of(agent))
    assert len(shown) == 65 and shown["leader"][1] and "loser-199" in shown


def test_what_single_nodes_missed_is_no_gap(agents, servers):  # noqa: F811
    nodes = servers(3)
    agent = agents(**on(nodes)).start()
    expected = []

    def noted():  # an answer needs two nodes; what comes next must not overtake the third
        return all(node.call("HGET", "ela/meta/default/job", "n") == str(len(expected)) for node in nodes)

    for i in range(3):
        assert campaign(agent, "job", f"x{i}", 20000)[1]["elected"]
        expected.append(("elected", f"x{i}"))
        wait_for(noted, "what goes on after the answer")
        assert resign(agent, "job", f"x{i}")[0] == 200
        expected.append(("resigned", f"x{i}"))
        wait_for(noted, "what goes on after the answer")
    for i, node in enumerate(nodes):
        assert node.call("HDEL", "ela/meta/default/job", f"e{2 * i}", f"e{2 * i + 1}") == 2
    assert events(info_of(agent)) == expected


def test_what_only_a_minority_has_committed_is_not_shown(agents, servers):  # noqa: F811
    nodes = servers(3)
    agent = agents(**on(nodes)).start()
    assert campaign(agent, "job", "a", 20000)[1]["elected"]
    wait_for(lambda: all(node.call("HGET", "ela/meta/default/job", "n") == "1" for node in nodes), "the third node")
    assert resign(agent, "job", "a")[0] == 200
    wait_for(lambda: all(node.call("HGET", "ela/meta/default/job", "n") == "2" for node in nodes), "the third node")
    at = nodes[0].call("HGET", "ela/meta/default/job", "elected_at")
    nodes[0].call("HSET", "ela/meta/default/job", "n", 3, "e2", f"{at}\telected\t8000000000000000\tghost\t")
    assert events(info_of(agent)) == [("elected", "a"), ("resigned", "a")]
    nodes[1].call("DEL", "ela/meta/default/job")
    assert ("elected", "ghost") in events(info_of(agent)), "one that forgot may have had it"


def test_a_leader_for_longer_than_a_week_keeps_its_history(agents, servers):  # noqa: F811
    """An extension refreshes what is remembered now and then; one for so long a term does each time."""
    nodes = servers(3)
    agent = agents(**on(nodes, LEASE_MAX_TERM="6h")).start()
    assert campaign(agent, "job", "a", 21600000)[1]["elected"]
    for node in nodes:
        node.call("PEXPIRE", "ela/meta/default/job", 60000)
    assert extend(agent, "job", "a", 21600000)[0] == 200
    wait_for(lambda: all(node.call("PTTL", "ela/meta/default/job") > 604800000 for node in nodes), "the refreshed expiry")

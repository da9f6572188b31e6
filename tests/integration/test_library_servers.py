"""libelection and what its Redis servers may be: behind TLS, in groups, clusters, gone, and back with nothing."""
import pytest

from harness.agent import SLOW, wait_for
from test_library import TTL, node, overlap, servers  # noqa: F401: fixtures
from test_redis import make_cluster
from test_redis_tls import pki, secure  # noqa: F401: fixtures


def trusting(pki, **more):
    return {"ca": pki / "ca.crt", "cert": pki / "client.crt", "key": pki / "client.key", "host": "redis.test", **more}


def token_of(node, after=0):
    return int(node.wait("start", after, seconds=30)[2].split()[1])


def test_it_leads_over_tls_with_user_and_database(node, secure, pki):
    nodes = secure(3, "--requirepass", "s3cret")
    urls = ",".join(server.secure_url(":s3cret@") + "/3" for server in nodes)
    a = node(urls, "a", **trusting(pki))
    a.wait("start")
    b = node(urls, "b", **trusting(pki))
    b.wait("change a ")
    for server in nodes:
        client = server.client()
        assert client.call("AUTH", "s3cret") == "OK"
        assert client.call("SELECT", 3) == "OK" and client.call("EXISTS", "billing/billing") == 1
        assert client.call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes") >= 2
        client.close()
    a.ask("close", "closed 0")
    assert not overlap(a, b)
    assert not any("s3cret" in text for _, text in a.lines + b.lines)


@pytest.mark.parametrize("change, words", [
    ({"ca": "other-ca.crt"}, ["TLS", "certificate"]),
    ({"host": "elsewhere.test"}, ["TLS", "hostname mismatch"]),
    ({"host": None}, ["TLS", "mismatch"]),
    ({"cert": None, "key": None}, ["TLS", "certificate"]),
    ({"cert": "stranger.crt", "key": "stranger.key"}, ["TLS"]),
], ids=["another CA", "another name", "no name of the certificate", "no client certificate", "a stranger's certificate"])
def test_who_is_not_trusted_is_told_and_nobody_leads(node, secure, pki, change, words):
    [server] = secure(1)
    paths = {name: pki / value if value and name != "host" else value for name, value in change.items()}
    settings = {name: value for name, value in trusting(pki, **paths).items() if value is not None}
    a = node(server.secure_url(), "a", **settings)
    wait_for(lambda: any(all(word in text for word in [str(server.tls_port), *words]) for _, text in list(a.lines)), f"{words} in {a.lines}")
    assert " up=0 " in a.ask("stats", "stats 0")
    assert not a.leads() and a.find("start") is None


@pytest.mark.parametrize("change, word", [({"ca": "nowhere.crt"}, "nowhere.crt"), ({"key": "server.key"}, "redis")])
def test_files_that_are_of_no_use_are_refused(node, pki, change, word):
    a = node("rediss://127.0.0.1:1", "a", **trusting(pki, **{name: pki / value for name, value in change.items()}))
    assert word in a.wait("refused 1 ")[2]
    assert a.process.wait(10 * SLOW) == 1


@pytest.mark.parametrize("mode", ["sharding", "cluster"])
def test_groups_and_clusters_are_led_on_and_handed_over_by_priority(servers, node, mode):
    if mode == "cluster":
        urls, number = make_cluster(servers)[1].url, 2
    else:
        urls, number = ",".join(f"{a.url}?addr=127.0.0.1:{b.port}" for a, b in zip(*[iter(servers(6))] * 2)), 1
    low = node(urls, "low", mode=number, priority=5)
    token = token_of(low)
    high = node(urls, "high", mode=number, priority=1)
    assert token_of(high) > token
    assert not overlap(low, high)
    assert low.find("log 1 election: handed_over")
    after = low.find("stopped")[0]
    high.ask("close", "closed 0")
    assert token_of(low, after) > token


def test_a_name_of_the_kind_layout_is_led_in_its_place(servers, node):
    [server] = servers(1)
    a = node([server], "a", project="tenure/x", layout=1, prefix="p")
    a.wait("start")
    assert server.call("EXISTS", "p/lease/default/tenure/x") == 1
    assert all(key.startswith("p/") for key in server.call("KEYS", "*"))


def test_servers_that_all_restart_empty_are_led_on_again_by_a_greater_token(servers, node):
    nodes = servers(3)
    a = node(nodes, "a", ttl=TTL / 2)
    token = token_of(a)
    b = node(nodes, "b", ttl=TTL / 2)
    b.wait("change a ")
    for server in nodes:
        server.kill()
    a.wait("over")
    assert not a.leads()
    after = a.wait("stopped")[0]
    for server in nodes:
        server.start()
    # Whoever it is: only those two know the old token.
    [leader] = wait_for(lambda: [one for one, begin in ((a, after), (b, 0)) if one.find("start", begin)], "a leader", 30)
    assert token_of(leader, after if leader is a else 0) > token

"""Redis servers that misbehave: what no real server can be made to say on demand is said by a fake one. One of three nodes misbehaves, the
other two go on; the log names it and the cure; and when it is well again it is taken back."""
import socket
import threading
import time

import pytest

from harness.agent import wait_for
from harness.fake_redis import FakeRedis, bulk, hello, info
from harness.redis import RedisError
from test_redis import campaign, extend, on, ready_at_last, says, servers, walk_through  # noqa: F401


@pytest.fixture
def fakes():
    made = []

    def make(*args, **options):
        made.append(FakeRedis(*args, **options))
        return made[-1]

    yield make
    for fake in made:
        fake.close()


def named(agent, fake, *words):
    return says(agent, f"127.0.0.1:{fake.port}", *words)


# --- refusals in words ---

@pytest.mark.parametrize("error, cure", [
    ("LOADING Redis is loading the dataset in memory", "comes back by itself"),
    ("MASTERDOWN Link with MASTER is down", "name the master"),
    ("BUSY Redis is busy running a script", "SCRIPT KILL"),
    ("NOPERM this user has no permissions", "docs/redis.md"),
    ("DENIED Redis is running in protected mode", "protected mode"),
    ("ERR max number of clients reached", "docs/redis.md"),
    ("ERR \x1b[31m evil \n", "docs/redis.md"),
])
def test_a_refused_greeting_is_told_with_its_cure(agents, servers, fakes, error, cure):  # noqa: F811
    fake = fakes(lambda words: b"-" + error.replace("\n", " ").encode() + b"\r\n")
    agent = agents(**on([*servers(2), fake])).start()
    wait_for(lambda: named(agent, fake, error.split()[0], cure), f"{error} in the log")
    assert campaign(agent, "job", "a")[1]["elected"]
    assert not any("\x1b" in line for line in agent.log)


def test_a_server_that_runs_somebodys_script_comes_back_when_that_is_killed(agents, servers):  # noqa: F811
    nodes = servers(3, "--busy-reply-threshold", "50")
    agent = agents(**on(nodes)).start()
    assert campaign(agent, "job", "a", 60000)[1]["elected"]
    wait_for(lambda: all(node.call("KEYS", "*tenure*") for node in nodes), "the third node to have it as well")
    busy = nodes[1].client()
    busy.send("EVAL", "while true do end", 0)

    def is_named():
        assert extend(agent, "job", "a", 60000)[0] == 200
        return says(agent, str(nodes[1].port), "BUSY", "SCRIPT KILL")

    wait_for(is_named, "the busy server to be named")
    assert nodes[1].call("SCRIPT", "KILL") == "OK"
    with pytest.raises(RedisError):
        busy.receive()
    busy.close()

    def is_back():
        assert extend(agent, "job", "a", 60000)[0] == 200
        return ready_at_last(agent, nodes[1]) or says(agent, str(nodes[1].port), "takes commands again")

    wait_for(is_back, "its return")


def test_a_node_that_becomes_a_replica_is_named_and_does_not_count_until_it_is_a_master_again(agents, servers):  # noqa: F811
    nodes = servers(3)
    agent = agents(**on(nodes)).start()
    nodes[0].call("REPLICAOF", "127.0.0.1", nodes[1].port)

    def is_named():
        assert campaign(agent, f"e{time.monotonic_ns()}", "a")[1].get("elected")
        return says(agent, str(nodes[0].port), "replica")

    wait_for(is_named, "the replica to be named")
    nodes[0].call("REPLICAOF", "NO", "ONE")
    assert campaign(agent, "after", "a")[1]["elected"]


def test_a_node_that_loses_its_master_is_named_and_comes_back_when_it_is_a_master_again(agents, servers):  # noqa: F811
    nodes = servers(3, "--replica-serve-stale-data", "no")
    agent = agents(**on(nodes, LEASE_MAX_TERM="2s")).start()
    assert campaign(agent, "job", "a", 2000)[1]["elected"]
    nodes[0].call("REPLICAOF", "127.0.0.1", 1)

    def is_named():
        assert extend(agent, "job", "a", 2000)[0] == 200
        return says(agent, str(nodes[0].port), "does not count", "MASTERDOWN", "name the master")

    wait_for(is_named, "the lost master to be named")
    nodes[0].call("REPLICAOF", "NO", "ONE")

    def is_back():
        assert extend(agent, "job", "a", 2000)[0] == 200
        return ready_at_last(agent, nodes[0])

    wait_for(is_back, "its return", 20)


def test_a_node_that_loads_its_data_is_named_and_comes_back_by_itself(agents, servers):  # noqa: F811
    nodes = servers(3)
    agent = agents(**on(nodes, LEASE_MAX_TERM="2s")).start()
    assert campaign(agent, "job", "a", 2000)[1]["elected"]
    loading = nodes[0]
    loading.call("EVAL", "for i = 1, 2000 do redis.call('SET', 'other/' .. i, 'x') end", 0)
    loading.call("SAVE")
    loading.kill()
    # Half a millisecond a key, and clients are heard in between.
    loading.options += ("--key-load-delay", "500", "--loading-process-events-interval-bytes", "1024")
    loading.start()

    def is_named():
        assert extend(agent, "job", "a", 2000)[0] == 200
        return says(agent, str(loading.port), "LOADING", "comes back by itself")

    wait_for(is_named, "what it does to be named")

    def is_back():
        assert extend(agent, "job", "a", 2000)[0] == 200
        return ready_at_last(agent, loading)

    wait_for(is_back, "its return", 30)
    assert loading.call("EXISTS", "other/1") == 1


# --- replies that are none ---

@pytest.mark.parametrize("reply", [
    b"HTTP/1.1 400 Bad Request\r\n\r\n",
    b"SSH-2.0-OpenSSH_9.2\r\n",
    b"\x00\x01\x02\x03\r\n",
    b"*-7\r\n",
    b"*1000000000\r\n",
    b"$1000000000\r\n",
    b"*1\r\n" * 1000,
    b"+" + b"x" * 3000000 + b"\r\n",
    b":notanumber\r\n",
    b"*0\r\n",
    b"+OK\r\n",
    b"$-1\r\n",
    b"%1\r\n+id\r\n:7\r\n",
], ids=["http", "ssh", "bytes", "negative", "huge-array", "huge-string", "deep", "long-line", "number", "empty", "ok", "nil", "resp3"])
def test_what_is_no_reply_ends_the_connection_and_is_never_trusted(agents, servers, fakes, reply):  # noqa: F811
    fake = fakes(lambda words: reply)
    agent = agents(**on([*servers(2), fake])).start()
    wait_for(lambda: named(agent, fake, "does not count") and not named(agent, fake, "not connected yet") and fake.connections > 1,
             "the complaint and another try")
    assert campaign(agent, "job", "a")[1]["elected"]
    assert agent.memory() < 200 * 1024 * 1024
    states = [agent.metric("election_agent_store_node_state", node=f"127.0.0.1:{fake.port}", state=state) for state in ("down", "up")]
    assert states == [1, 0]


def test_a_server_that_accepts_and_never_answers_holds_nobody_up(agents, servers, fakes):  # noqa: F811
    fake = fakes(lambda words: None)
    agent = agents(**on([*servers(2), fake])).start()
    began = time.monotonic()
    assert campaign(agent, "job", "a")[1]["elected"]
    assert time.monotonic() - began < 5
    wait_for(lambda: named(agent, fake, "does not answer", "is it a Redis?"), "the complaint")


def test_replies_may_arrive_byte_by_byte(agents, servers):  # noqa: F811
    [node] = servers(1)
    listener = socket.create_server(("127.0.0.1", 0))

    def pump(source, target, piece):
        try:
            while data := source.recv(65536):
                for i in range(0, len(data), piece):
                    target.sendall(data[i:i + piece])
        except OSError:
            pass
        finally:
            for end in (source, target):
                try:
                    end.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass

    def serve():
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", node.port))
            for end in (client, server):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=pump, args=(client, server, 65536), daemon=True).start()
            threading.Thread(target=pump, args=(server, client, 1), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    agent = agents(**on([f"redis://127.0.0.1:{listener.getsockname()[1]}"])).start()
    walk_through(agent)
    assert not says(agent, "no reply of a Redis") and not says(agent, "does not fit")
    agent.stop()
    listener.close()


# --- other editions ---

def greeted(fake):
    return any(words[:2] == ["SCRIPT", "LOAD"] for words in list(fake.commands))


@pytest.mark.parametrize("hello_reply, info_reply", [
    (hello("redis", "8.0.1"), info(redis_version="8.0.1")),
    (hello("valkey", "8.1.0"), info(redis_version="7.2.4", server_name="valkey", valkey_version="8.1.0", server_mode="standalone")),
    (hello("redis", "6.2.14"), info(redis_version="6.2.14")),
    (hello() .replace(b"*14", b"*16", 1) + bulk("availability_zone") + bulk(""), info(redis_version="8.4.0-rc1", unknown="x" * 5000)),
], ids=["redis 8", "valkey 8", "redis 6.2", "more fields"])
def test_newer_and_other_servers_are_understood(agents, servers, fakes, hello_reply, info_reply):  # noqa: F811
    # It leaves when it has said who it is: a third node that is there but cannot tell what it remembers would
    # keep the others from beginning afresh.
    fake = fakes(lambda words: b"-ERR enough\r\n" if words[0] == "GET" else FakeRedis.greet(words, hello_reply, info_reply))
    agent = agents(**on([*servers(2), fake])).start()
    wait_for(lambda: greeted(fake), "the scripts to be loaded")
    assert not named(agent, fake, "too old") and not named(agent, fake, "no answer of a Redis")
    assert campaign(agent, "job", "a")[1]["elected"]


@pytest.mark.parametrize("facts, words", [
    ({"redis_version": "6.0.16"}, ["too old", "6.2"]),
    ({"redis_version": "x"}, ["redis_version"]),
    ({"run_id": ""}, ["run_id"]),
    ({"run_id": "y" * 500}, ["run_id"]),
    ({"redis_mode": "sentinel"}, ["Sentinel"]),
    ({"role": "slave"}, ["unfit", "replica"]),
    ({"maxmemory": "1000", "maxmemory_policy": "allkeys-lru"}, ["unfit", "evict"]),
], ids=str)
def test_a_server_that_is_of_no_use_is_told_why(agents, servers, fakes, facts, words):  # noqa: F811
    fake = fakes(lambda command: FakeRedis.greet(command, info_reply=info(**facts)))
    agent = agents(**on([*servers(2), fake])).start()
    wait_for(lambda: named(agent, fake, *words), f"{words} in the log")
    assert campaign(agent, "job", "a")[1]["elected"]


@pytest.mark.parametrize("mode, urls, words", [
    ("sharding", "redis://a?addr=b,redis://c?addr=d&addr=e,redis://f?addr=g", ["size"]),
    ("single", "redis://a?addr=b", ["sharding"]),
    ("cluster", "redis://a/3", ["redis://a/3", "database 0 only"]),
    ("single", "redis://a,redis://b,redis://c,redis://d", ["4 nodes", "odd"]),
])
def test_urls_that_do_not_fit_the_mode_are_refused_at_the_start(agents, mode, urls, words):
    agent = agents(DRIVER="redis", REDIS_URLS=urls, REDIS_MODE=mode).spawn()
    assert agent.process.wait(20) == 78
    agent.reader.join()
    assert says(agent, *words), agent.log
    agent.process = None

"""libelection: when leadership ends by itself, when it is handed over, and that nothing of it lasts too long or too short."""
import os
import subprocess

import pytest

from harness.agent import BUILD, SLOW
from test_library import TTL, node, overlap, pair, servers  # noqa: F401: fixtures

LINE_US = 50_000 * SLOW  # so much later a line may be written than what it tells has happened


@pytest.mark.parametrize("how", ["the library's thread stands still", "the program does not dispatch"])
def test_a_leader_whose_loop_alone_stands_still_leads_no_more_at_its_deadline(servers, node, how):
    nodes = servers(1)
    stalls = "library" in how
    a = node(nodes, "a", ttl=TTL / 2, **({"stall": "joined node=b"} if stalls else {"loop": 1}))
    a.wait("start")
    assert a.leads()
    b = node(nodes, "b", ttl=TTL / 2)
    if stalls:
        still = a.wait("stalls")[1]
    else:
        b.wait("change a ")
        a.ask("idle", "idles")
        still = a.find("idles")[1]
    assert a.ask("lost", "lost ") == "lost 0"  # by the clock alone: nobody was there to tell
    over = a.wait("over")[1]
    assert over < still + TTL / 2 * 1000 + LINE_US
    assert a.ask("leader?", "leader ") == "leader 0 0"
    assert a.ask("down", "down ") == "down 7"
    assert b.wait("start")[1] > over - LINE_US
    assert a.find("stop ") is None
    a.tell("go")
    a.wait("stopped")
    a.wait("change b ")
    assert a.leads() is False and b.leads()


@pytest.mark.parametrize("setting", ["back", "tenure"])
def test_a_leader_hands_over_no_sooner_than_it_was_told(servers, node, setting):
    nodes = servers(1)
    wait_ms = 600 * SLOW
    low = node(nodes, "low", priority=5, **{setting: wait_ms})
    led = low.wait("start")[1]
    high = node(nodes, "high", priority=1)
    joined = low.wait("log 1 election: joined node=high")[1]
    started = high.wait("start")[1]
    since = {"back": joined, "tenure": led}[setting]
    assert started >= since + wait_ms * 1000 - LINE_US
    assert low.find("log 1 election: handed_over")


def test_nobody_can_come_between_who_hands_over_and_the_heir(servers, node):
    """The tenure's keys change hands, and are never away."""
    [server] = servers(1)
    low = node([server], "low", priority=5)
    low.wait("start")
    watcher = server.client()
    watcher.call("CONFIG", "SET", "notify-keyspace-events", "KA")
    watcher.send("PSUBSCRIBE", "__keyspace@0__:*")
    watcher.receive()
    high = node([server], "high", priority=1)
    high.wait("start")
    assert not overlap(low, high)
    server.call("PUBLISH", "__keyspace@0__:end", "end")
    seen = []
    while ("__keyspace@0__:end", "end") not in seen:
        seen.append(tuple(watcher.receive()[2:]))
    watcher.close()
    tenure = [event for channel, event in seen if "tenure" in channel or channel.endswith(":billing/billing")]
    assert "set" in tenure and not {"del", "expired", "expire-del", "unlink"} & set(tenure), seen
    low.wait("change high ")
    assert low.find("change - ")[0] < low.find("change high ")[0]


def test_the_token_told_is_that_of_the_work(servers, node):
    a = node(servers(1), "a")
    token = a.wait("start")[2].split()[1]
    assert a.ask("leader?", "leader ") == f"leader 1 {token}"
    assert f"token={token} " in a.ask("stats", "stats 0")
    assert a.wait("stats-end")[2] == f"stats-end revision {token}"
    assert a.wait("change a ")[2] == f"change a {token}"
    a.ask("close", "closed 0")
    assert a.ask("stats", "stats 0").startswith("stats 0 leader= token=0 self=0 state=over up=0 ")


def test_the_last_hundred_events_are_kept(servers, node):
    """One that fails to start makes four of them each time."""
    a = node(servers(1), "a", ttl=100, tick=10, start=1)

    def events():
        before = len(a.lines)
        a.ask("events", "events-end")
        return [text.split() for _, text in a.lines[before:] if text.startswith("event ")]

    while len(rows := events()) < 100:
        pass
    times = [int(row[1]) for row in rows]
    assert len(rows) == 100 and times == sorted(times)
    acts = [row[3] for row in rows if row[3] in ("elected", "start_failed", "stepped_down", "resigned")]
    first = acts.index("elected")
    assert acts[first:first + 8] == ["elected", "start_failed", "stepped_down", "resigned"] * 2
    tokens = [int(row[4]) for row in rows if row[3] == "elected"]
    assert tokens == sorted(set(tokens)) and len(tokens) > 10


@pytest.mark.parametrize("scene", ["quiet", "instances", "threads", "abandoned", "fork", "slow"])
def test_the_program_that_has_it_inside_is_left_alone(servers, scene):
    """election_guest.c tells what is looked at."""
    [server] = servers(1)
    tsan = os.environ.get("TSAN_OPTIONS", "") + ":die_after_fork=0"  # the child makes threads of its own
    done = subprocess.run([BUILD / "tests/unit/client/election_guest", scene, str(server.port), str(SLOW)], capture_output=True, text=True,
                          timeout=60, env={**os.environ, "TSAN_OPTIONS": tsan})
    assert done.returncode == 0, done.stdout + done.stderr

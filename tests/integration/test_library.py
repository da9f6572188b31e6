"""libelection on real Redis servers: leadership, and every way in which nodes and servers go wrong."""
import os
import pathlib
import re
import subprocess

import pytest

from harness.agent import BUILD, SLOW, VARIANT, free_port, wait_for
from harness.election import Node, boot_us
from harness.redis import Server
from test_redis import ACL
from test_redis_tls import pki  # noqa: F401: a fixture

TTL = 1000 * SLOW


@pytest.fixture
def servers(tmp_path):
    made = []

    def make(count=1, *options):
        fresh = [Server(tmp_path / f"redis-{len(made) + i}", *options).start() for i in range(count)]
        made.extend(fresh)
        return fresh

    yield make
    for server in made:
        server.stop()


@pytest.fixture
def node():
    made = []

    def make(servers, name, **settings):
        fresh = Node(servers, name, **{"ttl": TTL, **settings})
        made.append(fresh)
        return fresh

    yield make
    for one in made:
        one.end()


def pair(servers, node, **settings):
    """The first leads, the second follows and knows it."""
    nodes = servers(3)
    a = node(nodes, "a", **settings)
    a.wait("start")
    b = node(nodes, "b", **settings)
    b.wait("change a ")
    return nodes, a, b


def wait_for_renewals(server, count=3):
    """Each sets back the time that the tenure has left there."""
    def left():
        keys = server.call("KEYS", "*tenure*")
        return server.call("PTTL", keys[0]) if keys else -1

    for _ in range(count):
        lowest = left()

        def renewed():
            nonlocal lowest
            now = left()
            lowest = min(lowest, now)
            return now > lowest + TTL / 20

        wait_for(renewed, "a renewal", 20)


def overlap(old, new):
    """Whether the new leader began before the old one's context was over."""
    return new.wait("start")[1] < old.wait("over")[1]


def test_close_moves_leadership_at_once(servers, node):
    _, a, b = pair(servers, node)
    token = int(a.find("start")[2].split()[1])
    assert a.ask("close", "closed") == "closed 0 0 leader 0"
    assert not overlap(a, b)
    assert int(b.find("start")[2].split()[1]) > token
    assert a.callbacks() == [f"{word} {token}{extra}" for word, extra in (("start", ""), ("over", " 0"), ("returns", ""), ("stop", ""), ("stopped", ""))]


def test_a_killed_leader_is_replaced_within_its_lease(servers, node):
    _, a, b = pair(servers, node)
    a.kill()
    b.wait("start", seconds=TTL / 1000 + 3)


def test_step_down_lets_another_come_first(servers, node):
    _, a, b = pair(servers, node)
    assert b.ask("down", "down ") == "down 7"
    assert a.ask("down", "down ") == "down 0"
    assert not overlap(a, b)
    a.wait("change b ")
    assert not a.leads()


def test_a_stopped_process_is_no_leader_when_it_comes_back(servers, node):
    _, a, b = pair(servers, node)
    a.pause()
    started = b.wait("start")[1]
    after = len(a.lines)
    a.go_on()
    assert a.ask("leader?", "leader ") == "leader 0 0"
    assert a.wait("over", after)[1] > started  # it slept when it ended; the first thing it saw
    a.wait("stopped", after)
    assert b.leads()


def test_a_leader_without_servers_steps_down_before_its_lease_is_over(servers, node):
    nodes, a, b = pair(servers, node)
    for server in nodes:
        server.pause()
    renewed_by = boot_us()
    assert a.wait("over")[1] < renewed_by + TTL * 1000
    assert not a.leads()
    after = a.wait("stopped")[0]
    token = a.find("start")[2].split()[1]
    for server in nodes:
        server.go_on()
    started = wait_for(lambda: a.find("start", after) or b.find("start"), "a leader", 30)
    assert int(started[2].split()[1]) > int(token)


def test_a_minority_of_servers_may_vanish_and_return_empty(servers, node):
    nodes, a, _ = pair(servers, node)
    nodes[0].kill()
    wait_for_renewals(nodes[2])
    nodes[0].start()
    wait_for_renewals(nodes[0])  # it counts again, and is given the lease
    nodes[1].pause()
    wait_for_renewals(nodes[2])
    nodes[1].go_on()
    wait_for_renewals(nodes[1])
    assert a.leads()
    assert a.find("over") is None


def test_a_server_that_restarts_empty_is_used_again(servers, node):
    one = servers(1)
    a = node(one, "a")
    a.wait("start")
    one[0].kill()
    a.wait("over")
    one[0].start()
    after = a.wait("stopped")[0]
    a.wait("start", after, seconds=30)


def test_the_documented_rights_are_enough(servers, node):
    nodes = servers(3)
    for server in nodes:
        server.call("ACL", "SETUSER", "ela", "on", ">pw", "resetkeys", "~billing/*", "resetchannels", "&billing/events", "-@all", *ACL,
                    "+zrem")
    urls = ",".join(f"redis://ela:pw@127.0.0.1:{server.port}" for server in nodes)
    a = node(urls, "a", priority=2)
    a.wait("start")
    better = node(urls, "better", priority=1)
    better.wait("start")
    better.ask("close", "closed")
    for one in (a, better):
        assert not any("NOPERM" in text for _, text in one.lines), one.lines


def test_a_failing_on_start_steps_down_and_stands_again(servers, node):
    a = node(servers(1), "a", start=3)
    after = 0
    for _ in range(2):
        after = a.wait("start", after)[0] + 1
        after = a.wait("stopped", after)[0] + 1
    assert a.find("log 2 election: start_failed")


def test_an_on_start_that_returned_leads_on(servers, node):
    a = node(servers(1), "a", start=0)
    a.wait("start")
    assert a.leads()
    assert a.find("stop") is None
    a.ask("close", "closed")
    assert [text.split()[0] for text in a.callbacks()] == ["start", "stop", "stopped"]


def test_on_stop_is_abandoned_after_a_second(servers, node):
    _, a, b = pair(servers, node, stop=2500)
    a.tell("down")
    stop = a.wait("stop ")[1]
    started = b.wait("start")[1]
    assert stop + 1_000_000 <= started
    assert started < a.wait("stopped")[1]
    assert a.find("log 2 election: stop_late")


def test_close_abandons_what_does_not_return(servers, node):
    a = node(servers(1), "a", ignore=700 * SLOW, close=100)
    a.wait("start")
    assert a.ask("close", "closed") == "closed 9 9 leader 0"
    assert a.find("returns") is None
    a.wait("stopped")  # all the same


@pytest.mark.parametrize("loop", [0, 1])
def test_inside_a_callback_it_cannot_be_closed(servers, node, loop):
    a = node(servers(1), "a", inside=1, **({"loop": 1} if loop else {}))
    a.wait("start")
    a.ask("close", "closed 0 0")
    said = [text for _, text in a.lines if text.startswith("inside")]
    assert len(said) >= 2 and set(said) == {"inside 5 5 5"}


def test_a_child_of_fork_is_never_leader(servers, node):
    a = node(servers(1), "a")
    a.wait("start")
    assert a.ask("fork", "parent ") == "parent 1"
    assert a.find("child leader ")[2] == "child leader 0 0 html 0"
    assert a.find("child refuses ")[2] == "child refuses 8 8 8 8 10 8 8"


def test_the_programs_loop_does_the_same(servers, node):
    _, a, b = pair(servers, node, loop=1)
    assert a.ask("close", "closed") == "closed 0 0 leader 0"
    assert not overlap(a, b)
    b.tell("down")
    b.wait("stopped")


def test_the_more_wanted_node_gets_leadership_without_a_gap(servers, node):
    nodes = servers(3)
    low = node(nodes, "low", priority=5)
    low.wait("start")
    high = node(nodes, "high", priority=1)
    assert not overlap(low, high)
    assert low.find("log 1 election: handed_over")
    low.wait("change high ")
    high.kill()
    after = low.find("stopped")[0]
    low.wait("start", after, seconds=TTL / 1000 + 5)


def test_stats_and_html_show_the_nodes_with_every_value_escaped(servers, node):
    nodes = servers(1)
    a = node(nodes, "<a&'\">", project="<b>")
    a.wait("start")
    b = node(nodes, "b", project="<b>")
    b.wait("log 1 election: joined node=<a&")
    a.wait("log 1 election: joined node=b")
    assert "leader=<a&'\"> " in a.ask("stats", "stats 0") and "self=1 state=leading up=1 nodes=2" in a.find("stats 0")[2]
    a.ask("html", "html-end")
    page = [text for _, text in a.lines if text.startswith("html ")]
    assert page[0] == "html <b>&lt;b&gt;</b>"
    assert page[1].startswith("html Leader: <b>&lt;a&amp;&#39;&quot;&gt;</b>")


def test_a_wrong_configuration_is_refused_in_words(servers, node):
    rig = BUILD / "tests/unit/client/election_rig"
    for urls, words in (("http://x", "redis"), ("redis://a,redis://b", "odd")):
        done = subprocess.run([rig, urls, "p", "n"], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30)
        assert done.returncode == 1 and " refused 1 " in done.stdout and words in done.stdout, done.stdout


def test_every_allocation_may_fail(servers):
    program = BUILD / "tests/unit/client/election_oom"
    if not program.exists():
        assert VARIANT != "release"  # a sanitizer's malloc() cannot be replaced
        return
    done = subprocess.run([program, servers(1)[0].url], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    swept = int(done.stdout.split()[1])
    assert swept >= 4, done.stdout  # a sweep that fails nothing proves nothing


def test_every_allocation_of_tls_may_fail(pki):
    """Many OpenSSL can do without; the others are an error of their own, never a wrong file."""
    program = BUILD / "tests/unit/client/election_oom"
    if not program.exists():
        assert VARIANT != "release"
        return
    parts = [subprocess.Popen([program, f"rediss://127.0.0.1:{free_port()}", pki / "ca.crt", str(i), "8"], stdout=subprocess.PIPE, text=True)
             for i in range(8)]
    said = [part.communicate(timeout=120)[0] for part in parts]
    assert all(part.returncode == 0 for part in parts), said
    assert sum(int(words.split()[3]) for words in said) > 200, said


def test_only_its_own_names_can_be_seen():
    library = os.path.realpath(BUILD / "src/client/libelection.so")
    names = subprocess.run(["nm", "-D", "--defined-only", library], capture_output=True, text=True, check=True).stdout.splitlines()
    functions = {line.split()[2] for line in names if line.split()[1] == "T"}
    header = (pathlib.Path(__file__).parents[2] / "include/election.h").read_text()
    declared = set(re.findall(r"^ELECTION_API [^(;]*?\b(\w+)\(", header, re.MULTILINE))
    assert len(declared) >= 20 and all(name.startswith("election_") for name in declared)
    assert functions == {f"{name}@@ELECTION_0" for name in declared}  # no more, no less, in one version
    assert [line for line in names if line.split()[1] not in ("T", "A")] == []  # and no variable
    dynamic = subprocess.run(["readelf", "-d", library], capture_output=True, text=True, check=True).stdout
    assert "Library soname: [libelection.so.0]" in dynamic and "NODELETE" in dynamic


def test_what_would_change_the_process_is_not_even_called():
    """In our own code; libuv's parts for signals, programs and terminals come with it, and nothing of ours asks for them."""
    archives = [BUILD / f"src/{path}" for path in ("client/libclient.a", "store/redis/libstore_redis.a", "net/libnet.a", "core/libcore.a",
                                                   "base/libbase.a")]
    assert all(path.exists() for path in archives)
    names = subprocess.run(["nm", "-A", "--undefined-only", *archives], capture_output=True, text=True, check=True).stdout.splitlines()
    calls = {(os.path.basename(line.split(":")[-2]).removesuffix(".o"), line.split()[-1]) for line in names if " U " in line}
    called = {name for _, name in calls}
    assert {"pthread_create", "epoll_ctl", "uv_run"} <= called
    # The flight recorder's handlers are what a daemon asks for, by flight_install().
    assert {file for file, name in calls if name == "sigaction"} <= {"flight.c"}
    assert not called & {"exit", "_exit", "_Exit", "quick_exit", "atexit", "signal", "bsd_signal", "flight_install", "printf", "puts", "putchar", "perror",
                         "vprintf", "setenv", "putenv", "unsetenv", "setlocale", "chdir", "umask", "srand", "rand", "strtok", "localtime",
                         "uv_signal_start", "uv_spawn", "uv_tty_init", "uv_queue_work", "uv_getaddrinfo"}


def test_a_program_can_be_linked_statically(tmp_path):
    """Also one that has functions of the names that the library uses inside."""
    source = tmp_path / "program.c"
    source.write_text("#include <election.h>\nint uv_run(void);\nint uv_run(void) { return 1; }\nvoid *mem_alloc(void);\n"
                      "void *mem_alloc(void) { return 0; }\nint main(void)\n{\n    struct election *e;\n"
                      "    struct election_config c;\n    election_config_init(&c);\n"
                      "    return election_run(&e, &c, 0, 0) == ELECTION_CONFIG && uv_run() ? 0 : 1;\n}\n")
    include = os.path.join(os.path.dirname(__file__), "..", "..", "include")
    sanitizer = {"asan": ["clang", "-fsanitize=address,undefined"], "tsan": ["clang", "-fsanitize=thread"]}.get(VARIANT, ["cc"])
    program = tmp_path / "program"
    subprocess.run([*sanitizer, "-I", include, "-o", program, source, BUILD / "src/client/libelection.a", "-lssl", "-lcrypto",
                    "-lhiredis", "-lpthread", "-ldl", "-lrt"], check=True)
    subprocess.run([program], check=True, timeout=30)


def test_the_header_is_clean_in_cplusplus(tmp_path):
    source = tmp_path / "program.cc"
    source.write_text("#include <election.h>\nint main()\n{\n    election_config config;\n    election_config_init(&config);\n"
                      "    return election_is_leader(nullptr) ? 1 : 0;\n}\n")
    include = os.path.join(os.path.dirname(__file__), "..", "..", "include")
    subprocess.run(["g++", "-std=c++11", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-fsyntax-only", "-I", include, source], check=True)

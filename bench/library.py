"""libelection on three Redis servers that keep nothing on disk: how long an election has no leader, and what a node costs that does nothing.

Failover is measured in groups of three programs each with an election of its own, several groups at the same time, every time taken by the
programs themselves (CLOCK_BOOTTIME). A row is the time without a leader:

    step down         from election_step_down() to the next on_start
    kill -9           from the kill to the next on_start; it must be within lease_ttl and a tick
    handover, gap     priority: from the end of the old leader's context to the more wanted one's on_start
    handover, in all  from the more wanted one's election_run() to its on_start

Cost is that of examples/c/minimal.c with its defaults: commands per second to all three servers together, those that were sent (as MONITOR
shows them) and those that were counted (by the servers: those inside of scripts too); processor time; memory of its own (RssAnon).
"""
import concurrent.futures
import pathlib
import random
import statistics
import subprocess
import threading
import time

from common import BUILD, cpu_seconds, resident, wait_for
from harness.election import Node, boot_us
from harness.redis import Server
from redis_store import Counters

NODES = 3
GROUPS = 8
TTL_MS = 1000
TICK_MS = TTL_MS // 6  # the default: a third of max_drift, which is half of the lease
TICK_LONGEST_MS = TICK_MS * 1.2
ANON_MOST_MIB = 2.0
SETTLE_S = 3
COST_S = 20
MONITOR_S = 10


class Group:
    """Programs of one election, and who leads it."""

    def __init__(self, servers, number, **settings):
        self.servers, self.project = servers, f"bench-{number}"
        self.settings = {"ttl": TTL_MS, **settings}
        self.chance = random.Random(number)
        self.nodes = {}

    def add(self, name, **more):
        self.nodes[name] = Node(self.servers, name, self.project, **self.settings, **more)
        return self.nodes[name]

    def lines(self):
        return {name: len(node.lines) for name, node in self.nodes.items()}

    def started(self, after):
        """The node that began to lead after those lines, and when (µs)."""
        def look():
            for name, node in self.nodes.items():
                found = node.find("start", after.get(name, 0))
                if found:
                    return node, found[1]
            return None
        return wait_for(look, "a leader", 20)

    def steady(self, ms=0):
        """So much and some renewals later, at no particular moment of a tick."""
        time.sleep((ms + self.chance.uniform(2, 4) * TICK_MS) / 1000)

    def end(self):
        for node in self.nodes.values():
            node.end()


def step_downs(group, runs):
    names = ("a", "b", "c")
    for name in names:
        group.add(name)
    leader, _ = group.started({})
    for _ in range(runs):
        group.steady(TTL_MS)  # so long who stepped down does not stand
        after = group.lines()
        leader.tell("down")
        begin = leader.wait("down 0", after[leader.name])[1]
        leader, start = group.started(after)
        yield {"step down": start - begin}


def kills(group, runs):
    for name in ("a", "b", "c"):
        group.add(name)
    leader, _ = group.started({})
    for _ in range(runs):
        group.steady()
        after = group.lines()
        begin = boot_us()
        leader.kill()
        killed = group.nodes.pop(leader.name)
        killed.end()
        leader, start = group.started(after)
        group.add(killed.name).wait(f"change {leader.name} ")
        yield {"kill -9": start - begin}


def handovers(group, runs):
    group.settings["priority"] = 2
    low = group.add("low")
    low.wait("start")
    for _ in range(runs):
        group.steady()
        after = len(low.lines)
        group.settings["priority"] = 1
        high = group.add("high")
        start = high.wait("start")[1]
        over = low.wait("over", after)
        yield {"handover, gap": start - over[1], "handover, in all": start - high.wait("run")[1]}
        group.nodes.pop("high").end()
        low.wait("start", over[0])


def measure_failover(servers, runs):
    times, lock = {}, threading.Lock()

    def measure(number, way, share):
        group = Group(servers, number)
        try:
            for result in way(group, share):
                with lock:
                    for name, us in result.items():
                        times.setdefault(name, []).append(us / 1000)
        finally:
            group.end()

    for first, way in enumerate((step_downs, kills, handovers)):
        with concurrent.futures.ThreadPoolExecutor(GROUPS) as groups:
            shares = [runs // GROUPS + (i < runs % GROUPS) for i in range(GROUPS)]
            for done in [groups.submit(measure, first * GROUPS + i, way, share) for i, share in enumerate(shares) if share]:
                done.result()
    return times


def bench_failover(servers, options):
    print(f"{f'libelection, lease_ttl {TTL_MS} ms, tick {TICK_MS} ms':44} {'runs':>9} {'p50 ms':>8} {'p99 ms':>8} {'max ms':>8}")
    times = measure_failover(servers, options.runs)
    for name, taken in times.items():
        taken.sort()
        print(f"{name:44} {len(taken):9} {statistics.median(taken):8.1f} {taken[int(len(taken) * 0.99)]:8.1f} {taken[-1]:8.1f}", flush=True)
    most = TTL_MS + TICK_LONGEST_MS
    if times["kill -9"][-1] > most:
        raise SystemExit(f"a killed leader was replaced after {times['kill -9'][-1]:.0f} ms: more than lease_ttl and the longest tick, {most:.0f} ms")


def count_sent(servers):
    """Commands per second that clients sent: MONITOR marks those of scripts."""
    clients = [server.client() for server in servers]
    for client in clients:
        client.call("MONITOR")
    time.sleep(MONITOR_S)
    lines = 0
    for client in clients:
        client.send("QUIT")
        lines += sum(1 for line in client.file if b" lua] " not in line) - 2  # QUIT and its answer
        client.close()
    return lines / MONITOR_S


def cost_row(name, sent, commands, cpu, anon):
    print(f"{name:36} {sent:8.1f} {sum(commands.values()) / COST_S:9.1f} {cpu / COST_S * 60 * 1000:10.1f} {anon:11.2f}")
    print("    counted: " + ", ".join(f"{command} {n / COST_S:.1f}" for command, n in sorted(commands.items(), key=lambda item: -item[1])), flush=True)


def bench_cost(servers, options):
    programs = []

    def spend():
        """What all programs together made the servers do, and the processor time of each."""
        time.sleep(SETTLE_S)
        counters = Counters(programs[0].pid, servers)
        before = [cpu_seconds(program.pid) for program in programs]
        counters.begin()
        time.sleep(COST_S)
        commands = counters.end()["commands"]
        counters.close()
        return count_sent(servers), commands, [cpu_seconds(program.pid) - spent for program, spent in zip(programs, before)]

    def start(name):
        programs.append(subprocess.Popen([BUILD / "example-minimal", name, ",".join(server.url for server in servers)], stdout=subprocess.PIPE))

    try:
        start("leader")
        programs[0].stdout.readline()  # it leads
        sent, alone, cpu = spend()
        print(f"{'libelection, lease_ttl 3 s, tick 500 ms':36} {'sent/s':>8} {'counted/s':>9} {'cpu ms/min':>10} {'RssAnon MiB':>11}")
        cost_row("a leader that does nothing", sent, alone, cpu[0], resident(programs[0].pid)[1])
        start("follower")
        of_both, both, cpu = spend()
        more = {name: n - alone.get(name, 0) for name, n in both.items() if n > alone.get(name, 0)}
        anon = resident(programs[1].pid)[1]
        cost_row("a follower", of_both - sent, more, cpu[1], anon)
    finally:
        for program in programs:
            program.kill()
            program.wait()
    if anon > ANON_MOST_MIB:
        raise SystemExit(f"a program that does nothing else has {anon:.2f} MiB of its own: more than {ANON_MOST_MIB}")


def bench(options, tmp):
    servers = [Server(pathlib.Path(tmp) / f"library-redis-{i}") for i in range(NODES)]
    try:
        for server in servers:
            server.start()
        bench_cost(servers, options)
        bench_failover(servers, options)
    finally:
        for server in servers:
            server.stop()

"""The Redis nodes of a round, their faults, and what every kind of round does: carry a plan out, watch the history grow."""
import heapq
import json
import re
import shutil
import time

from harness import history
from harness.agent import SLOW
from harness.redis import Client, RedisError, Server
from weather import NODES, now

# What a fault leaves behind: reconnecting waits at most 2 s between attempts and 1 s in one, then a greeting and a census.
SETTLE_S = 4.0 * SLOW


class Nodes:
    """Servers whose memory outlives kill -9, and which of them are not trusted yet."""

    def __init__(self, directory, prefix, weather):
        self.prefix, self.weather = prefix, weather
        self.servers = [Server(directory / f"node-{i}", "--appendonly", "yes", "--appendfsync", "no",  # kill -9 does not lose the page cache
                               "--auto-aof-rewrite-percentage", "0") for i in range(NODES)]
        self.waiting = {}  # node -> its trouble, until it is ready again
        self.emptied = set()

    def __getitem__(self, i):
        return self.servers[i]

    @property
    def urls(self):
        return ",".join(server.url for server in self.servers)

    def start(self):
        for server in self.servers:
            server.start()

    def stop(self):
        for server in self.servers:
            server.stop()

    def look(self):
        """Now and then: who is kept waiting, and who is ready again."""
        for i, server in enumerate(self.servers):
            if server.process.poll() is None:
                self.weather.lag.sample(f"node {i}", server.process.pid)
        for i in list(self.waiting):
            if self.readmitted(self.servers[i]):
                self.emptied.discard(i)
                self.waiting.pop(i).over(SETTLE_S)

    def readmitted(self, server):
        """The node has the final marker: its own run id, and no nonce of a recovery."""
        try:
            client = Client(server.port, timeout=0.3)
        except OSError:
            return False
        try:
            run_id = re.search(r"run_id:(\S+)", client.call("INFO", "server"))[1]
            marker = (client.call("HGET", f"{self.prefix}/info/node", "marker") or "").split(" ")
            return marker[0] == run_id and marker[2] == "0"
        except (OSError, RedisError):
            return False
        finally:
            client.close()

    def sabotage(self, keys, seconds):
        """A foreign program deletes leases on a majority: what the judge must notice."""
        end = now() + seconds
        while now() < end:
            for server in self.servers[:NODES // 2 + 1]:
                for key in keys:
                    server.call("DEL", key)
            time.sleep(0.3)


class NodeFaults:
    """Each begins a fault and returns what ends it, or None if it must not happen now."""

    def __init__(self, stage):
        self.stage, self.weather, self.nodes = stage, stage.weather, stage.nodes
        self.down = set()  # what is killed or stopped

    def stop_node(self, fault):
        if ("node", fault.where) in self.down:
            return None
        node = self.nodes[fault.where]
        self.down.add(("node", fault.where))
        trouble = self.weather.trouble(f"stop node {fault.where}", node=fault.where)
        node.pause()

        def end():
            node.go_on()
            self.down.discard(("node", fault.where))
            trouble.over(SETTLE_S)
        return end

    def kill_node(self, fault, empty=False):
        """The memory of a majority must not be lost: a node that was emptied comes back before another is killed, and a node is emptied only
        while the others are proven."""
        others = set(range(NODES)) - {fault.where}
        if ("node", fault.where) in self.down or others & self.nodes.emptied or empty and others & set(self.nodes.waiting):
            return None
        node = self.nodes[fault.where]
        self.down.add(("node", fault.where))
        before = self.nodes.waiting.pop(fault.where, None)
        trouble = before or self.weather.trouble(f"{fault.what} {fault.where}", node=fault.where)
        if empty:
            self.nodes.emptied.add(fault.where)
        node.kill()
        if empty:
            shutil.rmtree(node.directory / "appendonlydir")

        def end():
            node.start()
            self.down.discard(("node", fault.where))
            self.nodes.waiting[fault.where] = trouble
        return end

    def empty_node(self, fault):
        return self.kill_node(fault, empty=True)


def rage(stage, plan, faults, log):
    """Carries the plan out. All faults are over when it returns."""
    began = now()
    events = [(fault.at, i, "begin", fault) for i, fault in enumerate(plan.faults)]
    heapq.heapify(events)
    number = len(events)
    while events:
        at, _, what, thing = heapq.heappop(events)
        time.sleep(max(0, began + at - now()))
        stage.check_alive()
        if what == "end":
            thing()
            continue
        end = getattr(faults, thing.what)(thing)
        log.append(f"{now():.3f} {thing}" + ("" if end else " - not now"))
        if end:
            number += 1
            heapq.heappush(events, (now() - began + thing.length, number, "end", end))


def all_led(history_file, elections, since):
    """A condition: so many elections were granted or extended by something sent since then. Reads on in the history at every call."""
    led = set()
    file = open(history_file, "rb", buffering=0)
    rest = b""

    def condition():
        nonlocal rest
        *lines, rest = (rest + file.read()).split(b"\n")
        for note in map(json.loads, lines):
            if "op" in note and note["sent"] > since and history.grants(note):
                led.add(note["election"])
        return len(led) == elections
    return condition

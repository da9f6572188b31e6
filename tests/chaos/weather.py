"""What troubled whom, and when: the seeded plan of faults, and the record of those that happened, which the judge asks."""
import collections
import os
import pathlib
import random
import threading
import time

NODES, AGENTS = 3, 2
MAJORITY = NODES // 2 + 1


def now():
    return time.clock_gettime(time.CLOCK_BOOTTIME)


# --- The plan ---

class Fault:
    """`at` and `length` in seconds from the start. `what` names a method of run.Faults; `where` is a node, an agent, or a link (agent, node)."""

    def __init__(self, at, what, where, length, **more):
        self.at, self.what, self.where, self.length, self.more = at, what, where, length, more

    def __str__(self):
        more = "".join(f" {k}={v}" for k, v in self.more.items())
        return f"{self.at:7.2f} {self.what} {self.where} for {self.length:.2f} s{more}"


class Plan:
    """Acts, one after the other, with calm between them. What is in an act overlaps as it likes."""

    ACTS = (("minority", 45), ("agents", 20), ("anything", 20), ("together", 10), ("calm", 5))

    def __init__(self, seed, seconds):
        self.chance = random.Random(f"weather-{seed}")
        self.faults = []
        at = 1.5
        names, weights = zip(*self.ACTS)
        while at < seconds - 2:
            length = min(self.chance.uniform(3, 7), seconds - at)
            getattr(self, self.chance.choices(names, weights)[0])(at, length)
            at += length + self.chance.uniform(0.2, 1.5)
        self.faults.sort(key=lambda fault: fault.at)

    def add(self, begin, end, what, where, **more):
        at = self.chance.uniform(begin, end)
        self.faults.append(Fault(at, what, where, self.chance.uniform(0.1, max(0.2, min(3.0, end - at))), **more))

    def trouble_link(self, begin, end, agent, node):
        kind = self.chance.choice(("cut", "half_cut", "slow", "flap", "refuse"))
        more = {}
        if kind in ("half_cut", "slow"):
            more["way"] = self.chance.randrange(2)
        if kind == "slow":
            more["ms"] = self.chance.choice(([1, 20], [20, 80], [100, 100], [50, 400], [300, 900]))
        if kind in ("cut", "half_cut", "flap"):
            more["after"] = self.chance.choice(("deliver", "reset", "late"))
        self.add(begin, end, kind, (agent, node), **more)

    def trouble_node(self, begin, end, node, may_empty):
        kinds = ["stop_node", "kill_node", "link", "link", "link"] + (["empty_node"] if may_empty else [])
        kind = self.chance.choice(kinds)
        if kind == "link":
            self.trouble_link(begin, end, self.chance.randrange(AGENTS), node)
        else:
            self.add(begin, end, kind, node)

    def minority(self, begin, length):
        """One node has it all: what the promises must bear without anybody losing an election."""
        node = self.chance.randrange(NODES)
        for _ in range(self.chance.randint(3, 8)):
            self.trouble_node(begin, begin + length, node, may_empty=True)

    def agents(self, begin, length):
        agent, node = self.chance.randrange(AGENTS), self.chance.randrange(NODES)
        for _ in range(self.chance.randint(1, 3)):
            self.add(begin, begin + length, self.chance.choice(("stop_agent", "kill_agent")), agent)
        for _ in range(self.chance.randint(0, 2)):
            self.trouble_node(begin, begin + length, node, may_empty=False)

    def anything(self, begin, length):
        """Majorities are cut off and stand still: nobody may be elected, but nothing may be broken either."""
        for _ in range(self.chance.randint(3, 8)):
            if self.chance.random() < 0.2:
                self.add(begin, begin + length, self.chance.choice(("stop_agent", "kill_agent")), self.chance.randrange(AGENTS))
            else:
                self.trouble_node(begin, begin + length, self.chance.randrange(NODES), may_empty=False)

    def together(self, begin, length):
        """All nodes, or two, restart with their memory."""
        for node in self.chance.sample(range(NODES), self.chance.randint(MAJORITY, NODES)):
            self.add(begin, begin + 0.4, "kill_node", node)

    def calm(self, begin, length):
        pass


# --- The record ---

class Trouble:
    """An interval of time with a fault, the time until it is forgotten included."""

    def __init__(self, words, agent=None, node=None):
        self.words, self.agent, self.node, self.begin, self.end = words, agent, node, now(), float("inf")

    def over(self, settled_after=0.0):
        self.end = now() + settled_after

    def touches(self, begin, end):
        return self.begin < end and begin < self.end


class Lag:
    """How long processes waited for a processor though they could have run: of each, samples of the running total."""

    def __init__(self):
        self.samples = collections.defaultdict(list)
        self.totals, self.last = collections.defaultdict(float), {}

    def sample_machine(self):
        """A virtual machine's processors may be taken away from all of them together: no process's account shows that."""
        stolen = int(pathlib.Path("/proc/stat").read_text().split("\n", 1)[0].split()[8])
        self.samples["machine"].append((now(), stolen / os.sysconf("SC_CLK_TCK")))
        self.totals["machine"] = self.samples["machine"][-1][1] - self.samples["machine"][0][1]

    def sample(self, name, pid):
        waited = 0
        for file in pathlib.Path(f"/proc/{pid}/task").glob("*/schedstat"):
            try:
                waited += int(file.read_text().split()[1])
            except (OSError, IndexError):
                pass
        before = self.last.get(name, (pid, 0))
        self.totals[name] += max(0, waited - (before[1] if before[0] == pid else 0)) / 1e9
        self.last[name] = (pid, waited)
        self.samples[name].append((now(), self.totals[name]))

    def between(self, name, begin, end):
        """Rather too much than too little: from the last sample before to the first one after."""
        samples = self.samples.get(name)
        if not samples:
            return 0.0
        first = max((s for s in self.around(samples, begin) if s[0] <= begin), default=samples[0])
        last = min((s for s in self.around(samples, end) if s[0] >= end), default=samples[-1])
        return max(0.0, last[1] - first[1])

    @staticmethod
    def around(samples, when):
        low, high = 0, len(samples)
        while low < high:
            middle = (low + high) // 2
            low, high = (middle + 1, high) if samples[middle][0] < when else (low, middle)
        return samples[max(0, low - 1):low + 1]


class Weather:
    """What the judge asks: see history.Calm for the meaning of the answers."""

    def __init__(self):
        self.troubles, self.lag, self.stalls = [], Lag(), []
        self.lock = threading.Lock()

    def trouble(self, words, agent=None, node=None):
        trouble = Trouble(words, agent, node)
        with self.lock:
            self.troubles.append(trouble)
        return trouble

    def clean(self, agent, begin, end):
        touching = [t for t in self.troubles if t.touches(begin, end)]
        if any(t.agent == agent and t.node is None for t in touching):
            return False
        return NODES - len({t.node for t in touching if t.node is not None}) >= MAJORITY

    def alive(self, agent, begin, end):
        return not any(t.agent == agent and t.node is None and t.touches(begin, end) for t in self.troubles)

    def slack(self, agent, begin, end, to_nodes=False):
        stalled = sum(b - a for a, b in self.stalls if a < end and begin < b)
        names = ["machine", f"agent {agent}", "clients"] + (["links", *(f"node {i}" for i in range(NODES))] if to_nodes else [])
        return stalled + sum(self.lag.between(name, begin, end) for name in names)

    def around(self, begin, end):
        return [f"{t.begin:.3f}..{t.end:.3f} {t.words}" for t in self.troubles if t.touches(begin, end)]

#!/usr/bin/python3
"""Chaos on real processes: 3 redis-servers, 2 agents, 50 clients, and faults from a seed. The judge (tests/integration/harness/history.py)
decides over everything the clients saw.

    run.py [--seconds 60] [--seed N]       rounds of a minute, each with servers of its own and the next seed
    run.py --seed N --round-seconds S      as a failing round printed it

Of a failing round the schedule of faults, what went wrong, the history around it, and the last words of the processes are printed. The last line is
`N passed, N failed, N skipped`, in rounds. EA_TEST_BUILD and EA_TEST_VARIANT are those of the integration tests.
"""
import argparse
import json
import pathlib
import random
import re
import subprocess
import sys
import tempfile
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "integration"), str(HERE)]
from harness import history  # noqa: E402
from harness.agent import SANITIZER, Agent, wait_for  # noqa: E402
from nodes import SETTLE_S, NodeFaults, Nodes, all_led, rage  # noqa: E402
from weather import AGENTS, Plan, Weather, now  # noqa: E402

ROUND_S = 60
TIMEOUT_S = 1.0  # redis.operation_timeout
MAX_TERM_S = 2.0
# After the last fault: a reconnection, the longest term twice (a node's readmission, a foreign lease), and candidates that sleep.
LED_AGAIN_S = 15
SAMPLE_S = 0.1
ELECTIONS = 5


class Links:
    """The proxy, told what to do; returns when it has been done."""

    def __init__(self, nodes):
        self.process = subprocess.Popen([sys.executable, str(HERE / "links.py"), *map(str, nodes), "--agents", str(AGENTS)],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
        self.ports = json.loads(self.process.stdout.readline())

    def tell(self, link, do, **more):
        self.process.stdin.write(json.dumps({"link": link, "do": do, **more}) + "\n")
        answer = self.process.stdout.readline()
        assert answer == "ok\n", f"the proxy ended: {answer!r}"

    def stop(self):
        self.process.stdin.close()
        self.process.wait(10)


class Stage:
    """All processes of a round, and the record of what was done to them."""

    def __init__(self, directory, seed):
        self.weather = Weather()
        self.nodes = Nodes(directory, "ela", self.weather)
        self.links = self.clients = None
        self.agents = []
        self.directory, self.seed = directory, seed
        self.history_file = directory / "history.jsonl"
        self.watching = True
        self.watcher = threading.Thread(target=self.watch, daemon=True)

    def start(self):
        self.nodes.start()
        self.links = Links([node.port for node in self.nodes])
        for i in range(AGENTS):
            urls = ",".join(f"redis://127.0.0.1:{port}" for port in self.links.ports[i])
            self.agents.append(Agent(self.directory / f"agent-{i}", DRIVER="redis", REDIS_URLS=urls, THREADS=i + 1, LEASE_MIN_TERM="300ms",
                                     LEASE_MAX_TERM=f"{MAX_TERM_S:.0f}s", REDIS_OPERATION_TIMEOUT=f"{TIMEOUT_S * 1000:.0f}ms"))
            self.agents[i].spawn()
        for agent in self.agents:
            wait_for(agent.ready, "the agents to be ready", 20)
        self.clients = subprocess.Popen(
            [sys.executable, str(HERE / "clients.py"), "--out", str(self.history_file), "--seed", str(self.seed), "--timeout",
             str(TIMEOUT_S), "--elections", str(ELECTIONS), "--agents", ",".join(f"{a.grpc_port}:{a.http_port}" for a in self.agents)], stdin=subprocess.PIPE)
        self.watcher.start()
        wait_for(self.history_file.exists, "the clients to begin", 20)
        wait_for(all_led(self.history_file, ELECTIONS, 0), "every election to be led", 20)

    def watch(self):
        """Beside everything: how long processes are kept waiting, and which nodes are ready again."""
        while self.watching:
            for i, agent in enumerate(self.agents):
                if agent.process is not None and agent.process.poll() is None:
                    self.weather.lag.sample(f"agent {i}", agent.process.pid)
            self.weather.lag.sample_machine()
            self.weather.lag.sample("links", self.links.process.pid)
            self.weather.lag.sample("clients", self.clients.pid)
            self.nodes.look()
            time.sleep(SAMPLE_S)

    def check_alive(self):
        for i, agent in enumerate(self.agents):
            if not any(t.agent == i and t.node is None and t.end == float("inf") for t in self.weather.troubles):
                assert agent.process.poll() is None, f"agent {i} ended with {agent.process.returncode}:\n" + "\n".join(agent.log[-60:])
        assert self.clients.poll() is None, "the clients ended"

    def finish_clients(self):
        self.clients.stdin.close()
        assert self.clients.wait(30) == 0, "the clients failed"

    def operations(self):
        notes = [json.loads(line) for line in self.history_file.read_text().splitlines()]
        self.weather.stalls = [tuple(n["stall"]) for n in notes if "stall" in n]
        return sorted((n for n in notes if "op" in n), key=lambda o: o["sent"])

    def stop(self):
        self.watching = False
        if self.watcher.ident:
            self.watcher.join()
        if self.clients is not None and self.clients.poll() is None:
            self.clients.kill()
            self.clients.wait()
        for agent in self.agents:
            if agent.process.poll() is None:
                agent.process.kill()
            agent.process.wait()
        if self.links is not None:
            self.links.stop()
        self.nodes.stop()


class Faults(NodeFaults):
    """Those of links and agents besides."""

    def __init__(self, stage):
        super().__init__(stage)
        self.links = stage.links

    # Links.

    def held(self, fault, ways):
        trouble = self.weather.trouble(f"{fault.what} {fault.where}", *fault.where)
        for way in ways:
            self.links.tell(fault.where, "hold", way=way, on=True)

        def end():
            if fault.more["after"] != "deliver":
                self.links.tell(fault.where, "reset", late=fault.more["after"] == "late")
            for way in ways:
                self.links.tell(fault.where, "hold", way=way, on=False)
            trouble.over(SETTLE_S)
        return end

    def cut(self, fault):
        return self.held(fault, (0, 1))

    def half_cut(self, fault):
        return self.held(fault, (fault.more["way"],))

    def slow(self, fault):
        trouble = self.weather.trouble(f"slow {fault.where}", *fault.where)
        self.links.tell(fault.where, "delay", way=fault.more["way"], ms=fault.more["ms"])

        def end():
            self.links.tell(fault.where, "delay", way=fault.more["way"], ms=[0, 0])
            trouble.over(SETTLE_S)
        return end

    def flap(self, fault):
        """One reset; the length only says when."""
        trouble = self.weather.trouble(f"flap {fault.where}", *fault.where)
        self.links.tell(fault.where, "reset", late=fault.more["after"] == "late")
        return lambda: trouble.over(SETTLE_S)

    def refuse(self, fault):
        trouble = self.weather.trouble(f"refuse {fault.where}", *fault.where)
        self.links.tell(fault.where, "refuse", on=True)
        self.links.tell(fault.where, "reset", late=False)

        def end():
            self.links.tell(fault.where, "refuse", on=False)
            trouble.over(SETTLE_S)
        return end

    # Agents.

    def stop_agent(self, fault):
        if ("agent", fault.where) in self.down:
            return None
        agent = self.stage.agents[fault.where]
        self.down.add(("agent", fault.where))
        trouble = self.weather.trouble(f"stop agent {fault.where}", agent=fault.where)
        agent.process.send_signal(19)

        def end():
            agent.process.send_signal(18)
            self.down.discard(("agent", fault.where))
            trouble.over(SETTLE_S)
        return end

    def kill_agent(self, fault):
        if ("agent", fault.where) in self.down:
            return None
        agent = self.stage.agents[fault.where]
        self.down.add(("agent", fault.where))
        trouble = self.weather.trouble(f"kill agent {fault.where}", agent=fault.where)
        agent.kill()

        def end():
            agent.spawn()
            self.down.discard(("agent", fault.where))
            trouble.over(SETTLE_S)
        return end


class Outcome:
    def __init__(self, seed):
        self.seed, self.found, self.log, self.operations, self.weather, self.words, self.led_again_s = seed, [], [], [], None, [], 0.0
        self.judged = 0  # extends that had to succeed

    def count(self, op, status):
        return sum(1 for o in self.operations if o["op"] == op and o["status"] == status)

    def figures(self):
        extended = self.count("extend", "ok")
        took = sorted(o["received"] - o["sent"] for o in self.operations if o["received"] is not None)
        return (f"seed {self.seed}: {len(self.operations)} operations, {len(took)} answered (p50 {took[len(took) // 2] * 1000:.1f} ms, longest "
                f"{took[-1]:.2f} s), {sum(1 for o in self.operations if o['op'] == 'campaign' and history.grants(o))} elected, {extended} extended, "
                f"{self.judged} of all extends in calm, "
                f"{len(self.weather.troubles)} faults, all led again after {self.led_again_s:.1f} s; kept waiting: " +
                ", ".join(f"{name} {total:.1f} s" for name, total in sorted(self.weather.lag.totals.items())) +
                f", {sum(b - a for a, b in self.weather.stalls):.1f} s of stalls")

    def report(self):
        lines = [f"--- seed {self.seed}: {len(self.found)} violations", "schedule:", *self.log, "violations:", *self.found[:20]]
        for words in self.found[:3]:
            lines += [f"around: {words}", *self.around(words)]
        return "\n".join(lines + ["last words:", *self.words, "---"])

    def around(self, words):
        """The history of the election within three seconds of the first moment that the words name, and the faults then."""
        moments = [float(m) for m in re.findall(r"\b\d+\.\d{3,4}\b", words) if float(m) > 1000]
        tokens = {int(t) for t in re.findall(r"token (\d+)", words)}
        moments = moments or [o["sent"] for o in self.operations if o["token"] in tokens][-1:] or [0]
        election = words.split(":")[0]
        near = [o for o in self.operations if o["election"] == election and moments[0] - 3 < o["sent"] < moments[-1] + 1]
        return [json.dumps(o) for o in near if o["op"] != "campaign" or o["elected"] or abs(o["sent"] - moments[0]) < 0.5] + \
            self.weather.around(moments[0] - 3, moments[-1] + 1)


def run_round(seed, seconds, break_it=False):
    """One round: a fresh set-up, its faults, its judgement."""
    outcome = Outcome(seed)
    memory = pathlib.Path("/dev/shm")  # a slow disk is no fault of this plan
    with tempfile.TemporaryDirectory(prefix="chaos-", dir=memory if memory.is_dir() else None) as directory:
        stage = Stage(pathlib.Path(directory), seed)
        outcome.weather = stage.weather
        try:
            stage.start()
            if break_it:
                stage.nodes.sabotage([f"ela/e{i}" for i in range(ELECTIONS)], seconds)
            else:
                rage(stage, Plan(seed, seconds), Faults(stage), outcome.log)
            healed = now()
            wait_for(all_led(stage.history_file, ELECTIONS, healed), "every election to be led again", LED_AGAIN_S)
            outcome.led_again_s = now() - healed
            stage.check_alive()
            stage.finish_clients()
        except (AssertionError, subprocess.TimeoutExpired) as error:
            outcome.found.append(str(error))
        finally:
            stage.stop()
        outcome.words = [line for agent in stage.agents for line in agent.log[-30:]]
        outcome.found += [f"agent {i}: {line}" for i, agent in enumerate(stage.agents) for line in agent.log if SANITIZER.search(line)]
        outcome.operations = stage.operations()
    outcome.found += history.judge(outcome.operations, TIMEOUT_S, outcome.weather)
    outcome.judged = sum(1 for _ in history.extends_in_calm(outcome.operations, outcome.weather))
    return outcome


def repeat(name, one_round, words):
    """Rounds with a seed each, until the time is over: the programs run.py and crowd.py."""
    parser = argparse.ArgumentParser(description=words, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=ROUND_S)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--round-seconds", type=float, default=ROUND_S)
    options = parser.parse_args()
    seed = options.seed if options.seed is not None else random.randrange(1 << 31)
    passed = failed = 0
    print(f"{name}: {name.upper()}_SEED={seed}", flush=True)
    end = time.monotonic() + options.seconds
    while passed + failed == 0 or time.monotonic() < end:
        outcome = one_round(seed, min(options.round_seconds, options.seconds))
        print(outcome.figures(), flush=True)
        if outcome.found:
            failed += 1
            print(outcome.report(), flush=True)
        else:
            passed += 1
        seed += 1
    print(f"{passed} passed, {failed} failed, 0 skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(repeat("chaos", run_round, __doc__))

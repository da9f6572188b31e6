"""The agent on three Redis servers, beside those servers alone and beside nginx.

One agent with one loop, three redis-servers that keep nothing on disk, 100 connections with one request in flight each, all on this
machine. The columns:

    req/s, p50, p99   at the highest load; `paced p99` at half of it, where a delay counts from the moment at which the request was due
    cpu us            user and system time of the agent per request
    redis us          the same of the three servers together
    commands          what the servers counted per request, all three together, commands inside of scripts included

References, in the same rounds: redis-benchmark sends the native command of the case to each of the three servers in turn, with as many
connections (its rate is the median of the three; a request of the agent costs such a command on each of them), nginx answers
`return 200`. The last columns are the agent's rate divided by theirs.
"""
import csv
import io
import pathlib
import re
import statistics
import subprocess
import time

from common import BUILD, CONNECTIONS, Nginx, cpu_seconds, h2load, resident, wrk
from harness.redis import Server

TERM_MS = 600000
# What a fresh election lives: short, so that the servers' memory stays small.
FRESH_MS = 10000
NODES = 3


class Counters:
    """Differences of what the servers count, and of processor time."""

    def __init__(self, agent_pid, servers):
        self.pid, self.servers = agent_pid, servers
        self.clients = [server.client() for server in servers]
        self.values = None

    def read(self):
        commands = {}
        cpu, redis = cpu_seconds(self.pid), sum(cpu_seconds(server.process.pid) for server in self.servers)
        for client in self.clients:
            for name, calls in re.findall(r"cmdstat_(\S+?):calls=(\d+)", client.call("INFO", "commandstats")):
                commands[name] = commands.get(name, 0) + int(calls)
        return cpu, redis, commands

    def begin(self):
        self.values = self.read()

    def end(self):
        cpu, redis, commands = self.values
        cpu_now, redis_now, commands_now = self.read()
        counted = {name: n - commands.get(name, 0) for name, n in commands_now.items() if not name.startswith("info")}
        return {"cpu": cpu_now - cpu, "redis": redis_now - redis, "commands": {k: n for k, n in counted.items() if n > 0}}

    def close(self):
        for client in self.clients:
            client.close()


def with_costs(result, counted):
    n = result["requests"]
    result["rate"] = n / result["seconds"]
    result["cpu_us"], result["redis_us"] = counted["cpu"] * 1e6 / n, counted["redis"] * 1e6 / n
    result["commands"] = {name: calls / n for name, calls in counted["commands"].items()}
    return result


class GrpcCase:
    def __init__(self, name, method, election, candidate=None, term=TERM_MS, fresh=False, elected=False, reference="set", spread=False):
        self.name, self.election, self.fresh, self.elected, self.reference = f"gRPC {name}", election, fresh, elected, reference
        self.arguments = ["--method", method, *(["--fresh"] if fresh else []), *(["--spread"] if spread else [])]
        self.arguments += ["--candidate", candidate, "--term", str(term)] if candidate else []
        self.runs = 0

    def run(self, agent, counters, seconds, rate=0):
        self.runs += 1
        election = f"{self.election}{self.runs}" if self.fresh else self.election
        command = [str(BUILD / "bench" / "grpc_load"), "--port", str(agent.grpc_port), "--election", election, "--connections", str(CONNECTIONS),
                   "--seconds", str(seconds), "--rate", str(int(rate)), *self.arguments]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as load:
            for line in load.stdout:
                if line == "BEGIN\n":
                    counters.begin()
                elif line == "END\n":
                    counted = counters.end()
                else:
                    n, took, p50, p99, longest, failed, elected = line.split()
        if load.returncode != 0:
            raise SystemExit(f"{self.name}: grpc_load failed")
        n, failed, elected = int(n), int(failed), int(elected)
        if failed or elected != (n if self.elected else 0):
            raise SystemExit(f"{self.name}: of {n} requests {failed} failed, {elected} were elected")
        return with_costs({"requests": n, "seconds": float(took), "p50": int(p50) / 1000, "p99": int(p99) / 1000}, counted)


class HttpCase:
    def __init__(self, name, method, election, body=None, reference="set", fresh=False):
        self.name, self.method, self.election, self.body, self.fresh, self.reference = f"HTTP/1.1 {name}", method, election, body, fresh, reference
        self.runs = 0

    def run(self, agent, counters, seconds, rate=0):
        self.runs += 1
        counters.begin()
        if self.fresh:
            result = wrk_fresh(f"{agent.url}/election/{self.election}{self.runs}", seconds, self.body, counters.directory)
        else:
            result = wrk(f"{agent.url}/election/{self.election}", seconds, self.body, self.method, directory=counters.directory)
        return with_costs(result, counters.end())


FRESH_LUA = """
local n, path = 0, nil
local headers = {{ ["Content-Type"] = "application/json" }}
function init() path = wrk.path end
function request()
    n = n + 1
    return wrk.format("POST", path .. "-" .. n, headers, '{body}')
end
done = function(summary, latency, requests)
    io.write(string.format("RESULT %d %d %d %d %d\\n", summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
        summary.errors.status + summary.errors.read + summary.errors.write + summary.errors.timeout))
end
"""


def wrk_fresh(url, seconds, body, directory):
    """A campaign for an election of its own in each request."""
    script = pathlib.Path(directory) / "fresh.lua"
    script.write_text(FRESH_LUA.format(body=body))
    out = subprocess.run(["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "-s", str(script), url], check=True, capture_output=True, text=True).stdout
    n, microseconds, p50, p99, errors = map(int, re.search(r"RESULT (\d+) (\d+) (\d+) (\d+) (\d+)", out).groups())
    if errors:
        raise SystemExit(f"wrk counted {errors} errors at {url}")
    return {"requests": n, "seconds": microseconds / 1e6, "p50": p50 / 1000, "p99": p99 / 1000}


LOOK_LIKE = """
local v = redis.call('MGET', KEYS[1], KEYS[2], KEYS[3])
if v[1] == ARGV[1] then
  local at = redis.call('PEXPIRETIME', KEYS[1])
  if at == redis.call('PEXPIRETIME', KEYS[2]) then
    redis.call('SET', KEYS[1], v[1], 'PXAT', ARGV[2])
    redis.call('SET', KEYS[2], v[2], 'PXAT', ARGV[2])
    redis.call('PEXPIRE', KEYS[3], 604800000)
  end
end
return v
"""


class RedisReference:
    """redis-benchmark against each server in turn, on keys of its own."""

    def __init__(self, servers, seconds):
        self.servers, self.requests = servers, max(2000, 20000 * seconds)
        at = str(int(time.time() * 1000) + 3600000)
        for server in servers:
            client = server.client()
            client.call("SET", "{b}lease", "candidate-0", "PXAT", at)
            client.call("SET", "{b}tenure", "1 0000000000000001.0000000000000001 candidate-0", "PXAT", at)
            client.call("SET", "{b}fence", "1")
            sha = client.call("SCRIPT", "LOAD", LOOK_LIKE)
            client.close()
        self.commands = {
            "set": ["SET", "{b}lease", "candidate-1", "PX", "10000", "NX", "GET"],
            "get": ["MGET", "{b}lease", "{b}tenure"],
            "script": ["EVALSHA", sha, "3", "{b}lease", "{b}tenure", "{b}fence", "candidate-0", at],
            "new": ["SET", "{b}new:__rand_int__", "candidate-0", "PX", "10000", "NX", "GET"],
        }
        self.names = {"set": "SET NX GET", "get": "MGET", "script": "a script like an extend", "new": "SET NX GET, new keys"}

    def run(self, which):
        rows = []
        for server in self.servers:
            before = cpu_seconds(server.process.pid)
            out = subprocess.run(["redis-benchmark", "-p", str(server.port), "-c", str(CONNECTIONS), "-n", str(self.requests), "-r", "100000000", "--csv",
                                  *self.commands[which]], check=True, capture_output=True, text=True).stdout
            row = list(csv.DictReader(io.StringIO(out)))[-1]
            rows.append({"rate": float(row["rps"]), "p50": float(row["p50_latency_ms"]), "p99": float(row["p99_latency_ms"]),
                         "redis_us": (cpu_seconds(server.process.pid) - before) * 1e6 / self.requests})
        return {key: statistics.median(r[key] for r in rows) for key in rows[0]}


def median(results):
    out = {key: statistics.median(r[key] for r in results) for key in results[0] if key != "commands"}
    names = {name for r in results for name in r.get("commands", {})}
    out["commands"] = {name: statistics.median(r["commands"].get(name, 0) for r in results) for name in names}
    return out


def number(value, form):
    return "-" if value is None else format(value, form)


def head():
    print(f"{'':41} {'req/s':>8} {'p50 ms':>7} {'p99 ms':>7} {'cpu us':>7} {'redis us':>8} {'commands':>8} {'paced p99':>9} {'/redis':>7} {'/nginx':>7}")


def row(name, r, paced=None, redis=None, nginx=None):
    commands = sum(r["commands"].values()) if r.get("commands") else None
    print(f"{name:41} {r['rate']:8.0f} {r['p50']:7.2f} {r['p99']:7.2f} {number(r.get('cpu_us'), '.1f'):>7} {number(r.get('redis_us'), '.1f'):>8} "
          f"{number(commands, '.2f'):>8} {number(paced, '.2f'):>9} {number(redis and r['rate'] / redis, '.2f'):>7} "
          f"{number(nginx and r['rate'] / nginx, '.2f'):>7}", flush=True)


def said(commands):
    return ", ".join(f"{name} {n:.2f}" for name, n in sorted(commands.items(), key=lambda item: -item[1]) if n >= 0.005)


def lead(agent, election):
    status, _, text = agent.http("POST", f"/election/{election}", '{"candidate":"candidate-0","term":%d}' % TERM_MS)
    if status != 200:
        raise SystemExit(f"no leader for {election}: {status} {text}")


def cases(agent):
    """Elections of their own, so that no case meets what another left behind: one for all connections, or one for each."""
    for election in ("lost", "get", "extend", "own"):
        lead(agent, election)
        for i in range(CONNECTIONS):
            lead(agent, f"{election}-{i}")
    own = '{"candidate":"candidate-0","term":%d}' % TERM_MS
    lost = own.replace("candidate-0", "candidate-1")
    return [
        GrpcCase("losing campaign, 100 elections", "Campaign", "lost", "candidate-1", spread=True),
        GrpcCase("get leader, 100 elections", "GetLeader", "get", reference="get", spread=True),
        GrpcCase("extend, 100 elections", "ExtendElectedTerm", "extend", "candidate-0", elected=True, reference="script", spread=True),
        GrpcCase("campaign by leader, 100 elections", "Campaign", "own", "candidate-0", elected=True, reference="script", spread=True),
        GrpcCase("campaign won, new elections", "Campaign", "new", "candidate-0", FRESH_MS, fresh=True, elected=True, reference="new"),
        GrpcCase("losing campaign, one election", "Campaign", "lost", "candidate-1"),
        GrpcCase("get leader, one election", "GetLeader", "get", reference="get"),
        GrpcCase("extend, one election", "ExtendElectedTerm", "extend", "candidate-0", elected=True, reference="script"),
        GrpcCase("campaign by leader, one election", "Campaign", "own", "candidate-0", elected=True, reference="script"),
        HttpCase("losing campaign, one election", "POST", "lost", lost),
        HttpCase("get leader, one election", "GET", "get", reference="get"),
        HttpCase("extend, one election", "PATCH", "extend", own.replace("candidate", "leader", 1), reference="script"),
        HttpCase("campaign by leader, one election", "POST", "own", own, reference="script"),
        HttpCase("campaign won, new elections", "POST", "fresh", own.replace(str(TERM_MS), str(FRESH_MS)), "new", True),
    ]


def bench_speed(agent, servers, nginx, options, tmp):
    counters = Counters(agent.pid, servers)
    counters.directory = tmp
    reference = RedisReference(servers, options.seconds)
    listed = [case for case in cases(agent) if options.cases in case.name]
    results, paced, alone = {}, {}, {}
    web = {"gRPC": [], "HTTP": []}
    for _ in range(options.rounds):
        for case in listed:
            results.setdefault(case.name, []).append(case.run(agent, counters, options.seconds))
        for case in listed:
            if isinstance(case, GrpcCase):
                half = statistics.median(r["rate"] for r in results[case.name]) / 2
                paced.setdefault(case.name, []).append(case.run(agent, counters, options.seconds, half)["p99"])
        for which in reference.commands:
            alone.setdefault(which, []).append(reference.run(which))
        web["HTTP"].append(wrk(f"http://127.0.0.1:{nginx.http_port}/", options.seconds, directory=tmp))
        web["gRPC"].append(h2load(f"http://127.0.0.1:{nginx.h2_port}/", options.seconds, directory=tmp))
    counters.close()
    for r in web["gRPC"] + web["HTTP"]:
        r["rate"] = r["requests"] / r["seconds"]
    alone = {which: median(r) for which, r in alone.items()}
    web = {which: median(r) for which, r in web.items()}
    head()
    for case in listed:
        row(case.name, median(results[case.name]), statistics.median(paced[case.name]) if case.name in paced else None,
            alone[case.reference]["rate"], web[case.name[:4]]["rate"])
    for which, r in alone.items():
        row(f"redis-benchmark {reference.names[which]}", r)
    row("nginx return 200, HTTP/1.1 (wrk)", web["HTTP"])
    row("nginx return 200, HTTP/2 (h2load)", web["gRPC"])
    print("commands per request, as the three servers counted them together (those inside of scripts too):")
    for case in listed:
        print(f"  {case.name}: {said(median(results[case.name])['commands'])}", flush=True)


def bench_crowd(agent, clients):
    """Resident memory with so many gRPC clients, each of which made a losing campaign and stays."""
    agent.http("POST", "/election/crowd", '{"candidate":"candidate-0","term":%d}' % TERM_MS)
    before = resident(agent.pid)[0]
    command = [str(BUILD / "bench" / "grpc_load"), "--port", str(agent.grpc_port), "--method", "Campaign", "--election", "crowd",
               "--candidate", "candidate-1", "--term", str(TERM_MS), "--connections", str(clients), "--hold"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as load:
        if load.stdout.readline() != "HOLDING\n":
            raise SystemExit("grpc_load could not open its connections")
        time.sleep(1)
        print(f"memory with {clients} gRPC clients: {resident(agent.pid)[0]:.1f} MiB resident ({before:.1f} without)", flush=True)


def bench(make_agent, options, tmp):
    servers = [Server(pathlib.Path(tmp) / f"redis-{i}") for i in range(NODES)]
    nginx = None
    try:
        for server in servers:
            server.start()
        nginx = Nginx(tmp)
        settings = {"DRIVER": "redis", "REDIS_URLS": ",".join(server.url for server in servers)}
        agent = make_agent("redis", **settings)
        bench_speed(agent, servers, nginx, options, tmp)
        agent.stop()
        agent = make_agent("redis-crowd", **settings)
        bench_crowd(agent, 6000)
        agent.stop()
    finally:
        if nginx:
            nginx.stop()
        for server in servers:
            server.stop()

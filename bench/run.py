#!/usr/bin/python3
"""One table: the agent beside nginx, measured in turn in the same run.

    bench/run.py                      everything, about a quarter of an hour
    bench/run.py --seconds 5 --rounds 3 --only http,grpc,memory,loops,leases,redis,library

nginx answers `return 200` with one worker: about the least that a server can do for a request. Each case runs in rounds, ours and
nginx's in turn, and the medians are printed, so that a machine whose speed drifts does not favour one of them. CPU is user + system time
of the server process, from the kernel, divided by the requests it answered. `redis` is explained in bench/redis_store.py, `library` in bench/library.py.
"""
import argparse
import os
import pathlib
import re
import selectors
import shutil
import signal
import socket
import statistics
import subprocess
import tempfile
import time

import library
import redis_store
from common import CONNECTIONS, Agent, Nginx, cpu_seconds, h2load, resident, wait_for, wrk


def varint(n):
    out = bytearray()
    while n > 127:
        out.append(n & 127 | 128)
        n >>= 7
    out.append(n)
    return bytes(out)


def campaign_message(election, candidate, term):
    """CampaignRequest by hand: election = 1, candidate = 2, term = 3."""
    return b"".join((b"\x0a", varint(len(election)), election.encode(), b"\x12", varint(len(candidate)), candidate.encode(), b"\x18", varint(term)))


def measure(pid, load):
    before, started = cpu_seconds(pid), time.monotonic()
    result = load()
    result["rate"] = result["requests"] / result["seconds"]
    # h2load's warm-up second answers requests that it does not count; the share of time corrects for it.
    share = min(1, result["seconds"] / (time.monotonic() - started))
    result["cpu_us"] = (cpu_seconds(pid) - before) * share * 1e6 / result["requests"]
    return result


def median(results):
    return {key: statistics.median(r[key] for r in results) for key in ("rate", "p50", "p99", "cpu_us")}


def row(name, ours, theirs=None):
    text = f"{name:44} {ours['rate']:9.0f} {ours['p50']:8.3f} {ours['p99']:8.3f} {ours['cpu_us']:8.2f}"
    if theirs:
        text += f" {ours['rate'] / theirs['rate']:8.2f} {ours['cpu_us'] / theirs['cpu_us']:8.2f}"
    print(text, flush=True)


def head():
    print(f"{'':44} {'req/s':>9} {'p50 ms':>8} {'p99 ms':>8} {'cpu us':>8} {'rate/ngx':>8} {'cpu/ngx':>8}")


def in_turn(options, cases):
    """cases: (name, pid, load); the last one is the reference. Prints a row each."""
    results = {name: [] for name, _, _ in cases}
    for _ in range(options.rounds):
        for name, pid, load in cases:
            results[name].append(measure(pid, load))
    reference = median(results[cases[-1][0]])
    for name, _, _ in cases:
        row(name, median(results[name]), reference)


def bench_http(agent, nginx, options, tmp):
    leader, loser = '{"candidate":"candidate-0","term":600000}', '{"candidate":"candidate-1","term":600000}'
    agent.http("POST", "/election/bench", leader)
    url = f"{agent.url}/election/bench"
    head()
    in_turn(options, [
        ("HTTP/1.1 campaign by the leader", agent.pid, lambda: wrk(url, options.seconds, leader, "POST", directory=tmp)),
        ("HTTP/1.1 losing campaign", agent.pid, lambda: wrk(url, options.seconds, loser, "POST", directory=tmp)),
        ("HTTP/1.1 get leader", agent.pid, lambda: wrk(url, options.seconds, directory=tmp)),
        ("HTTP/1.1 nginx return 200", nginx.pid, lambda: wrk(f"http://127.0.0.1:{nginx.http_port}/", options.seconds, directory=tmp)),
    ])


def bench_grpc(agent, nginx, options, tmp):
    agent.http("POST", "/election/bench", '{"candidate":"candidate-0","term":600000}')
    url = f"http://127.0.0.1:{agent.grpc_port}/grpc.election_agent.v1.Election/"
    win, lose = campaign_message("bench", "candidate-0", 600000), campaign_message("bench", "candidate-1", 600000)
    head()
    in_turn(options, [
        ("gRPC campaign by the leader", agent.pid, lambda: h2load(url + "Campaign", options.seconds, win, directory=tmp)),
        ("gRPC losing campaign", agent.pid, lambda: h2load(url + "Campaign", options.seconds, lose, directory=tmp)),
        ("gRPC get leader", agent.pid, lambda: h2load(url + "GetLeader", options.seconds, b"\x0a\x05bench", directory=tmp)),
        ("HTTP/2 nginx return 200", nginx.pid, lambda: h2load(f"http://127.0.0.1:{nginx.h2_port}/", options.seconds, directory=tmp)),
    ])


def literal(name, value):
    return b"\x00" + bytes([len(name)]) + name + bytes([len(value)]) + value


def frame(kind, flags, stream, payload):
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


class Crowd:
    """Connections that each made one request and stay. Answers the server's pings, as a client does."""

    def __init__(self, port, grpc):
        self.port, self.grpc = port, grpc
        self.selector = selectors.DefaultSelector()
        self.answered = set()
        self.sockets = []
        if grpc:
            message = campaign_message("bench", "candidate-1", 600000)
            fields = b"".join(literal(n, v) for n, v in (
                (b":method", b"POST"), (b":scheme", b"http"), (b":path", b"/grpc.election_agent.v1.Election/Campaign"),
                (b":authority", b"localhost"), (b"content-type", b"application/grpc"), (b"te", b"trailers")))
            self.request = (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0, b"") + frame(1, 4, 1, fields) +
                            frame(0, 1, 1, b"\0" + len(message).to_bytes(4, "big") + message))
        else:
            body = b'{"candidate":"candidate-1","term":600000}'
            self.request = (b"POST /election/bench HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: " +
                            str(len(body)).encode() + b"\r\n\r\n" + body)

    def grow(self, to):
        while len(self.sockets) < to:
            s = socket.create_connection(("127.0.0.1", self.port))
            s.sendall(self.request)
            s.setblocking(False)
            self.sockets.append(s)
            self.selector.register(s, selectors.EVENT_READ, bytearray())
            if len(self.sockets) % 50 == 0:
                self.read(0)

    def read(self, timeout):
        for key, _ in self.selector.select(timeout):
            try:
                data = key.fileobj.recv(65536)
            except BlockingIOError:
                continue
            if not data:
                raise SystemExit("the server closed a connection that was to stay")
            if self.grpc:
                self.frames(key.fileobj, key.data, data)
            elif b"\r\n\r\n" in data:
                self.answered.add(key.fileobj)

    def frames(self, s, pending, data):
        pending += data
        while len(pending) >= 9:
            length = int.from_bytes(pending[:3], "big")
            if len(pending) < 9 + length:
                return
            kind, flags, payload = pending[3], pending[4], bytes(pending[9:9 + length])
            del pending[:9 + length]
            if kind == 4 and not flags & 1:
                s.sendall(frame(4, 1, 0, b""))
            elif kind == 6 and not flags & 1:
                s.sendall(frame(6, 1, 0, payload))
            elif kind == 1 and flags & 1:
                self.answered.add(s)

    def settle(self, seconds):
        """Until all have their answer, and then so long."""
        end = None
        while end is None or time.monotonic() < end:
            self.read(0.05)
            if end is None and len(self.answered) == len(self.sockets):
                end = time.monotonic() + seconds

    def close(self):
        for s in self.sockets:
            s.close()


def bench_memory(make_agent, options, tmp):
    print(f"{'resident memory, MiB':44} {'RSS':>9} {'RssAnon':>8} {'B/conn':>8}")
    for grpc, name in ((False, "HTTP/1.1"), (True, "gRPC")):
        agent = make_agent("memory-grpc" if grpc else "memory-http")
        agent.http("POST", "/election/bench", '{"candidate":"candidate-0","term":600000}')
        rss, base = resident(agent.pid)
        print(f"{'no connection':44} {rss:9.1f} {base:8.2f}", flush=True)
        crowd = Crowd(agent.grpc_port if grpc else agent.http_port, grpc)
        for n in (1000, 3000, 6000):
            crowd.grow(n)
            crowd.settle(6)
            rss, anon = resident(agent.pid)
            print(f"{f'{n} {name} connections':44} {rss:9.1f} {anon:8.2f} {(anon - base) * 1048576 / n:8.0f}", flush=True)
        crowd.close()
        agent.stop()


def bench_loops(make_agent, options, tmp):
    """One loop and two, as far as the machine lets it be seen."""
    cores = os.cpu_count()
    body = '{"candidate":"candidate-1","term":600000}'
    threads = 1 if cores < 4 else 2
    agents = {n: make_agent(f"loops-{n}", THREADS=n) for n in (1, 2)}
    rates = {n: [] for n in agents}
    cpu = {n: [] for n in agents}
    for agent in agents.values():
        agent.http("POST", "/election/bench", '{"candidate":"candidate-0","term":600000}')
    for _ in range(options.rounds):
        for n, agent in agents.items():
            result = measure(agent.pid, lambda: wrk(f"{agent.url}/election/bench", options.seconds, body, "POST", threads, tmp))
            rates[n].append(result["rate"])
            cpu[n].append(result["cpu_us"])
    ratio = statistics.median(rates[2]) / statistics.median(rates[1])
    print(f"two loops against one: {ratio:.2f} times the requests, {statistics.median(cpu[2]) / statistics.median(cpu[1]):.2f} times the CPU per request")
    if cores < 4:
        print(f"(this machine has {cores} cores and the load program needs one: two loops cannot be seen to their full here)")
    for agent in agents.values():
        agent.stop()


LEASES, CROWD = 1000000, 100000

# Takes leases one after the other and stops behind the last. `ends` (ms of the wall clock; 0: none) is when they are to end, spread
# over the second that follows: the term is what is left until then.
FILL_LUA = """
local ffi = require("ffi")
ffi.cdef[[ struct timespec {{ long s; long ns; }}; int clock_gettime(int id, struct timespec *t); ]]
local time = ffi.new("struct timespec")
local n, ends, prefix = 0, {ends}, "{prefix}"
local headers = {{ ["Content-Type"] = "application/json" }}
request = function()
    if n == {count} then
        wrk.thread:stop()
    end
    n = n + 1
    local term = 3600000
    if ends > 0 then
        ffi.C.clock_gettime(0, time)
        term = ends + n % 1000 - tonumber(time.s) * 1000 - math.floor(tonumber(time.ns) / 1000000)
    end
    local body = string.format('{{"candidate":"candidate-%022d","term":%d}}', n, term)
    return wrk.format("POST", string.format("/election/%s-%0{digits}d", prefix, n), headers, body)
end
"""

STREAM_LUA = """
wrk.method, wrk.body = "POST", '{"candidate":"candidate-1","term":3600000}'
wrk.headers["Content-Type"] = "application/json"
delay = function() return 1 end
done = function(summary, latency, requests)
    io.write(string.format("RESULT %d %d %d %d\\n", summary.requests, latency:percentile(50), latency:percentile(99), latency.max))
end
"""


def led(agent):
    """How many elections have a leader."""
    return sum(int(float(v)) for v in re.findall(r"^election_agent_elections{[^}]*} (\S+)$", agent.http("GET", "/metrics")[2], re.M))


def fill(agent, count, prefix, ends, tmp):
    """Names and candidates of 32 bytes."""
    script = pathlib.Path(tmp) / "fill.lua"
    script.write_text(FILL_LUA.format(count=count, prefix=prefix, ends=ends, digits=31 - len(prefix)))
    before, started = led(agent), time.monotonic()
    load = subprocess.Popen(["wrk", "-t1", f"-c{CONNECTIONS}", "-d600s", "-s", str(script), agent.url], stdout=subprocess.DEVNULL)
    tasks = pathlib.Path(f"/proc/{load.pid}/task")
    wait_for(lambda: len(list(tasks.iterdir())) > 1, "wrk to begin")
    # Its thread ends behind the last name; the main one would sleep on.
    wait_for(lambda: len(list(tasks.iterdir())) == 1, "the leases to be taken", 600)
    seconds = time.monotonic() - started
    load.send_signal(signal.SIGINT)
    load.wait()
    # wrk does not wait for the last answers: a few of the last requests may be missing.
    return led(agent) - before, seconds


def waited_for_cpu(pid):
    """Seconds for which the threads could run and had no processor."""
    return sum(int((task / "schedstat").read_text().split()[1]) for task in pathlib.Path(f"/proc/{pid}/task").iterdir()) / 1e9


def stream(agent, seconds, tmp):
    """A stream of losing campaigns, some of them every millisecond: delays in ms."""
    script = pathlib.Path(tmp) / "stream.lua"
    script.write_text(STREAM_LUA)
    before = waited_for_cpu(agent.pid)
    out = subprocess.run(["wrk", "-t1", "-c4", f"-d{seconds}s", "-s", str(script), f"{agent.url}/election/bench"], check=True,
                         capture_output=True, text=True).stdout
    n, p50, p99, longest = map(int, re.search(r"RESULT (\d+) (\d+) (\d+) (\d+)", out).groups())
    return {"rate": n / seconds, "p50": p50 / 1000, "p99": p99 / 1000, "max": longest / 1000, "waited": (waited_for_cpu(agent.pid) - before) * 1000}


def stream_row(name, result):
    print(f"{name:44} {result['rate']:9.0f} {result['p50']:8.3f} {result['p99']:8.3f} {result['max']:8.2f} {result['waited']:8.1f}", flush=True)


def crowd_ends(agent, options, tmp):
    """CROWD leases end within one second in the middle of a stream; the same stream without them shows the machine's own noise."""
    seconds = 6
    agent.http("POST", "/election/bench", '{"candidate":"candidate-0","term":3600000}')
    for i in range(options.rounds):
        stream_row("  nothing ends", stream(agent, seconds, tmp))
        lead = 10
        while True:
            ends = int(time.time() * 1000) + lead * 1000
            got, took = fill(agent, CROWD, f"crowd{i}", ends, tmp)
            if took < lead - 3 and got >= CROWD - CONNECTIONS:
                break
            lead = int(2 * took) + 4  # a slow machine: they began to end before all were there
            wait_for(lambda: led(agent) <= 1, "the leases to end", 60)
        time.sleep(max(0, ends / 1000 - 2 - time.time()))
        result = stream(agent, seconds, tmp)
        if led(agent) > 1:
            raise SystemExit(f"{led(agent) - 1} leases have not ended")
        stream_row(f"  {got} leases end within one second", result)


def bench_leases(make_agent, options, tmp):
    for name, settings in (("in memory", {}), ("with a file", {"EMBEDDED_PATH": pathlib.Path(tmp) / "leases"})):
        agent = make_agent(f"leases-{name.replace(' ', '-')}", **settings)
        base = resident(agent.pid)[1]
        got, took = fill(agent, LEASES, "lease", 0, tmp)
        if got < LEASES - CONNECTIONS:
            raise SystemExit(f"{got} leases of {LEASES} were taken")
        time.sleep(3)
        anon = resident(agent.pid)[1]
        print(f"{name}: {got} leases in {took:.0f} s, {(anon - base) * 1048576 / got:.0f} bytes each (names of 32 bytes, RssAnon)", flush=True)
        agent.stop(120)  # the whole file goes to the disk
        agent = make_agent(f"ends-{name.replace(' ', '-')}", **({k: f"{v}-ends" for k, v in settings.items()}))
        print(f"{'delay of a losing campaign, ' + name:44} {'req/s':>9} {'p50 ms':>8} {'p99 ms':>8} {'max ms':>8} {'no cpu':>8}")
        crowd_ends(agent, options, tmp)
        agent.stop()
    print("(no cpu: milliseconds for which the agent's threads could run and the machine had no processor for them)")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=4, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=3, help="measurements of each case")
    parser.add_argument("--runs", type=int, default=200, help="library: failovers of each kind")
    parser.add_argument("--cases", default="", help="redis: only cases with this in their name")
    parser.add_argument("--only", default="http,grpc,memory,loops,leases,redis,library")
    options = parser.parse_args()
    wanted = options.only.split(",")
    tmp = tempfile.mkdtemp(prefix="election-agent-bench-")
    running = []

    def make_agent(name, **settings):
        settings = {"THREADS": 1, "EMBEDDED_PATH": ":memory:", "GRPC_MAX_CONNECTION_AGE": "1h", "GRPC_MAX_CONNECTION_IDLE": "1h", **settings}
        agent = Agent(pathlib.Path(tmp) / name, **settings).start()
        running.append(agent)
        return agent

    nginx = None
    try:
        if {"http", "grpc"} & set(wanted):
            nginx = Nginx(tmp)
            agent = make_agent("agent")
            if "http" in wanted:
                bench_http(agent, nginx, options, tmp)
            if "grpc" in wanted:
                bench_grpc(agent, nginx, options, tmp)
            agent.stop()
        if "memory" in wanted:
            bench_memory(make_agent, options, tmp)
        if "loops" in wanted:
            bench_loops(make_agent, options, tmp)
        if "leases" in wanted:
            bench_leases(make_agent, options, tmp)
        if "redis" in wanted:
            redis_store.bench(make_agent, options, tmp)
        if "library" in wanted:
            library.bench(options, tmp)
    finally:
        for agent in running:
            if agent.process is not None and agent.process.poll() is None:
                agent.stop()
        if nginx:
            nginx.stop()
        shutil.rmtree(tmp, ignore_errors=True)


if __name__ == "__main__":
    main()

"""kill -9 in the middle of load, and a judge over everything that every client saw."""
import os
import random
import subprocess
import sys
import time

import pytest

from harness import history
from harness.agent import SLOW, VARIANT, wait_for

CLIENT = os.path.join(os.path.dirname(__file__), "harness", "client.py")


class Crowd:
    """Client processes over gRPC and HTTP at once, of one agent or shared by several. They go on until finish(): what has to have
    happened is waited for."""

    def __init__(self, agent, directory, processes, **options):
        agents = agent if isinstance(agent, list) else [agent]
        self.stop = directory / "stop"
        self.running, self.files = [], []
        for i in range(processes):
            agent = agents[i % len(agents)]
            out = directory / f"history-{i}.jsonl"
            command = [sys.executable, CLIENT, "--out", str(out), "--seed", str(i + 1), "--until", str(self.stop)]
            if i % 3 != 1:
                command += ["--grpc", str(agent.grpc_port)]
            if i % 3 != 0:
                command += ["--http", str(agent.http_port)]
            for key, value in options.items():
                command += ["--" + key.replace("_", "-"), str(value)]
            self.running.append(subprocess.Popen(command))
            self.files.append(out)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop.touch()  # also when the test has failed
        for process in self.running:
            process.wait(120)

    def began(self):
        return all(f.exists() and f.stat().st_size for f in self.files)

    def competed(self):
        """Whether what was seen so far is worth judging: elections were won and lost."""
        campaigns = [o for o in history.load(self.files) if o["op"] == "campaign" and o["status"] == "ok"]
        won = sum(1 for o in campaigns if o["elected"])
        return won > 10 and len(campaigns) - won > 10

    def finish(self):
        """All that was seen."""
        self.stop.touch()
        for process in self.running:
            assert process.wait(120) == 0
        return history.load(self.files)


@pytest.mark.parametrize("threads", [1, 3])
def test_every_promise_holds_for_a_crowd_of_processes(agents, tmp_path, threads):
    agent = agents(THREADS=threads).start()
    with Crowd(agent, tmp_path, 6) as crowd:
        wait_for(crowd.began, "the crowd to begin", 60)
        end = time.monotonic() + 4
        wait_for(lambda: time.monotonic() > end and crowd.competed(), "the crowd to compete", 60)
        operations = crowd.finish()
    assert history.judge(operations, bound=3.5 * SLOW) == []


@pytest.mark.parametrize("threads, sync", [(1, "process"), (3, "process"), (1, "power")])
def test_kill_9_in_the_middle_of_load_loses_no_lease_and_makes_no_second_leader(agents, tmp_path, threads, sync):
    agent = agents(THREADS=threads, EMBEDDED_SYNC=sync).start()
    chance = random.Random(threads)
    with Crowd(agent, tmp_path, 6, term=1500) as crowd:
        wait_for(crowd.began, "the crowd to begin", 60)
        end = time.monotonic() + (6 if VARIANT == "release" else 10)
        kills = 0
        while kills < 2 or time.monotonic() < end:
            # The moment of a kill is chance on purpose: the judge decides, whatever it hits.
            time.sleep(0.3 + chance.random())
            agent.kill()
            kills += 1
            agent.start()
        # Every restart lengthens the leases, so most elections are won when it is calm again.
        wait_for(crowd.competed, "the crowd to compete", 60)
        operations = crowd.finish()
    assert any(o["received"] is None for o in operations), "no operation was hit by a kill"
    assert history.judge(operations, bound=5.5 * SLOW) == []


def test_a_lease_runs_for_its_full_term_from_the_restart(agents):
    agent = agents().start()
    status, won = agent.json("POST", "/election/job", {"candidate": "a", "term": 60000})
    assert (status, won["elected"]) == (200, True)
    agent.kill()
    agent.start()
    status, lost = agent.json("POST", "/election/job", {"candidate": "b", "term": 60000})
    assert (status, lost["elected"], lost["leader"]) == (200, False, "a")
    assert lost["token"] == won["token"]
    assert lost["expires_in"] > 55000
    status, extended = agent.json("PATCH", "/election/job", {"leader": "a", "term": 60000})
    assert (status, extended["token"]) == (200, won["token"])


def test_tokens_grow_over_restarts(agents):
    agent = agents().start()
    tokens = []
    for round in range(4):
        status, won = agent.json("POST", "/election/job", {"candidate": f"c{round}", "term": 60000})
        assert won["elected"], won
        tokens.append(int(won["token"]))
        assert agent.json("DELETE", "/election/job", {"leader": f"c{round}", "token": won["token"]})[0] == 200
        agent.kill() if round % 2 else agent.stop()
        agent.start()
    assert tokens == sorted(set(tokens))


def test_a_second_agent_on_the_same_database_says_who_holds_it(agents, tmp_path):
    first = agents("first").start()
    second = agents("second", EMBEDDED_PATH=first.settings["EMBEDDED_PATH"]).spawn()
    assert second.process.wait(20 * SLOW) not in (0, None)
    second.reader.join()
    assert any(str(first.pid) in line for line in second.log), second.log
    assert first.ready()
    second.process = None


def test_a_damaged_database_is_named_and_never_overwritten(agents):
    agent = agents().start()
    agent.json("POST", "/election/job", {"candidate": "a", "term": 60000})
    agent.stop()
    [file] = [f for f in (agent.directory / "db").rglob("*") if f.is_file() and f.stat().st_size > 4096]
    damaged = bytearray(file.read_bytes())
    for offset in range(0, len(damaged), 97):
        damaged[offset] ^= 0xFF
    file.write_bytes(damaged)
    agent.spawn()
    assert agent.process.wait(20 * SLOW) == 65
    agent.reader.join()
    assert any(file.name in line and "damaged" in line for line in agent.log), agent.log
    assert file.read_bytes() == bytes(damaged)
    agent.process = None


def test_an_agent_that_was_paused_for_longer_than_a_term_lets_the_lease_go(agents):
    import signal
    agent = agents().start()
    _, won = agent.json("POST", "/election/job", {"candidate": "a", "term": 1000})
    assert won["elected"]
    agent.process.send_signal(signal.SIGSTOP)
    time.sleep(1.3)  # the pause itself is what is tested
    agent.process.send_signal(signal.SIGCONT)
    status, next_one = agent.json("POST", "/election/job", {"candidate": "b", "term": 1000})
    assert (status, next_one["elected"]) == (200, True)
    assert int(next_one["token"]) > int(won["token"])


def test_every_answer_of_a_burst_that_was_given_before_the_kill_is_kept(agents):
    """Grants over HTTP/1.1 keep-alive until the kill: each that was answered is still there after the restart."""
    import http.client
    import threading
    agent = agents().start()
    answered = {}

    def work(worker):
        connection = http.client.HTTPConnection("127.0.0.1", agent.http_port, timeout=5)
        i = 0
        try:
            while True:
                name = f"w{worker}-{i}"
                connection.request("POST", f"/election/{name}", '{"candidate":"x","term":600000}')
                answer = connection.getresponse()
                answer.read()
                if answer.status == 200:
                    answered[name] = True
                i += 1
        except (OSError, http.client.HTTPException):
            return

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    wait_for(lambda: len(answered) > 300, "300 grants", 20)
    agent.kill()
    for thread in threads:
        thread.join()
    agent.start()
    missing = [name for name in answered if agent.json("GET", f"/election/{name}")[0] != 200]
    assert missing == []

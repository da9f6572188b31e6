#!/usr/bin/python3
"""A crowd: 50 processes with libelection (member.c) compete for one election on 3 redis-servers, while from a seed they are killed, stopped
and started again, and the servers too, some of them empty. Each leader appends its token to a file that all share, guarded by a token check.

    crowd.py [--seconds 60] [--seed N]     rounds of a minute, each with servers of its own and the next seed
    crowd.py --seed N --round-seconds S    as a failing round printed it

Judged are the file (its tokens never go down), what every member saw of its own leadership (tests/integration/harness/history.py: no two
are valid at the same moment), and what must never be inside of a member. Of an even seed all are equal, of an odd one they have priorities.
The last line is `N passed, N failed, N skipped`, in rounds. EA_TEST_BUILD and EA_TEST_VARIANT are those of the integration tests.
"""
import json
import pathlib
import signal
import subprocess
import sys
import tempfile
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "integration"), str(HERE)]
from harness import history  # noqa: E402
from harness.agent import BUILD, SANITIZER, SLOW, wait_for  # noqa: E402
from nodes import NodeFaults, Nodes, all_led, rage  # noqa: E402
from run import Outcome, repeat  # noqa: E402
from weather import NODES, Plan, Weather, now  # noqa: E402

MEMBERS = 50
TTL_MS = 1000 if SLOW == 1 else 2000
TICK_MS = TTL_MS // 6
MIN_TENURE_MS = 1500  # with priorities: or leadership would only go back to the best
LED_AGAIN_S = 15
END_S = 30
RECORD_BYTES = 48  # member.c
SAMPLE_S = 0.1


class CrowdPlan(Plan):
    """Servers and members, and no links: every member has its own way to a server."""

    ACTS = (("members", 45), ("minority", 25), ("anything", 15), ("together", 10), ("calm", 5))

    def trouble_node(self, begin, end, node, may_empty):
        self.add(begin, end, self.chance.choice(["stop_node", "kill_node"] + (["empty_node"] if may_empty else [])), node)

    def trouble_member(self, begin, end):
        where = "leader" if self.chance.random() < 0.7 else self.chance.randrange(MEMBERS)
        self.add(begin, end, self.chance.choice(("stop_member", "kill_member")), where)

    def members(self, begin, length):
        for _ in range(self.chance.randint(3, 8)):
            self.trouble_member(begin, begin + length)

    def anything(self, begin, length):
        for _ in range(self.chance.randint(2, 4)):
            self.trouble_member(begin, begin + length)
            self.trouble_node(begin, begin + length, self.chance.randrange(NODES), may_empty=False)


class Member:
    def __init__(self, stage, number, **settings):
        self.name = f"m{number}"
        self.log = stage.directory / f"{self.name}.log"
        self.command = [BUILD / "tests/chaos/crowd_member", stage.nodes.urls, self.name, stage.file, stage.history_file,
                        f"ttl={TTL_MS}", f"tick={TICK_MS}", *(f"{k}={v}" for k, v in settings.items())]
        self.seed, self.lives = (stage.seed * 1000 + number) % (1 << 30), 0
        self.process = None
        self.killed = False

    def spawn(self):
        self.lives += 1
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen([*self.command, f"seed={self.seed + self.lives}"], stdin=subprocess.PIPE, stdout=log, stderr=log)
        self.killed = False

    def kill(self):
        self.killed = True
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()

    def check_alive(self):
        assert self.killed or self.process.poll() is None, f"{self.name} ended with {self.process.returncode}:\n{self.log.read_text()[-4000:]}"


class Crowd:
    """All processes of a round."""

    def __init__(self, directory, seed, members=MEMBERS, **settings):
        self.directory, self.seed = directory, seed
        self.weather = Weather()
        self.nodes = Nodes(directory, "crowd", self.weather)
        self.file, self.history_file = directory / "file", directory / "history.jsonl"
        self.members = []
        for number in range(members):
            wanted = {"priority": 1 + number % 4, "tenure": MIN_TENURE_MS} if seed % 2 else {}
            self.members.append(Member(self, number, **wanted, **settings))
        self.watching = True
        self.watcher = threading.Thread(target=self.watch, daemon=True)

    def start(self):
        self.nodes.start()
        for member in self.members:
            member.spawn()
        self.watcher.start()
        wait_for(self.file.exists, "the first member to begin")
        wait_for(all_led(self.history_file, 1, 0), "a leader", 20)

    def watch(self):
        while self.watching:
            self.nodes.look()
            time.sleep(SAMPLE_S)

    def check_alive(self):
        for member in self.members:
            member.check_alive()

    def records(self):
        """What the file says: (token, name)."""
        data = self.file.read_bytes() if self.file.exists() else b""
        assert len(data) % RECORD_BYTES == 0, "the file has half a record"
        for at in range(0, len(data), RECORD_BYTES):
            token, name = data[at:at + RECORD_BYTES].split()
            yield int(token), name.decode()

    def leader(self):
        """The member that wrote last."""
        *_, (_, name) = self.records()
        return int(name[1:])

    def finish(self):
        for member in self.members:
            member.process.stdin.close()
        for member in self.members:
            assert member.process.wait(END_S * SLOW) == 0, f"{member.name}: {member.process.returncode}\n{member.log.read_text()[-4000:]}"

    def stop(self):
        self.watching = False
        if self.watcher.ident:
            self.watcher.join()
        for member in self.members:
            if member.process is not None and member.process.poll() is None:
                member.kill()
        self.nodes.stop()

    def notes(self):
        return [json.loads(line) for line in self.history_file.read_text().splitlines()]


class CrowdFaults(NodeFaults):
    def find(self, fault):
        number = self.stage.leader() if fault.where == "leader" else fault.where
        return (None, None) if ("member", number) in self.down else (number, self.stage.members[number])

    def stop_member(self, fault):
        number, member = self.find(fault)
        if member is None:
            return None
        self.down.add(("member", number))
        trouble = self.weather.trouble(f"stop {member.name}", agent=number)
        member.process.send_signal(signal.SIGSTOP)

        def end():
            member.process.send_signal(signal.SIGCONT)
            self.down.discard(("member", number))
            trouble.over()
        return end

    def kill_member(self, fault):
        number, member = self.find(fault)
        if member is None:
            return None
        self.down.add(("member", number))
        trouble = self.weather.trouble(f"kill {member.name}", agent=number)
        member.kill()

        def end():
            member.spawn()
            self.down.discard(("member", number))
            trouble.over()
        return end


def judge_file(records, operations):
    """The tokens never go down, each is of one member, which led with it."""
    found = []
    granted = {(o["token"], o["candidate"]) for o in operations if history.grants(o)}
    highest = 0
    for i, (token, name) in enumerate(records):
        if token < highest:
            found.append(f"crowd: record {i} of the file is token {token} of {name}, after token {highest}")
        if (token, name) not in granted:
            found.append(f"crowd: record {i} of the file is token {token} of {name}, which never led with it")
        highest = max(highest, token)
    return found


class CrowdOutcome(Outcome):
    def __init__(self, seed):
        super().__init__(seed)
        self.appended = self.refused = 0

    def take(self, records, notes):
        """Everything there is to judge. Nothing here is answered late: a member only asks itself."""
        self.operations = sorted((n for n in notes if "op" in n), key=lambda o: o["sent"])
        self.appended, self.refused = len(records), sum(1 for n in notes if "refused" in n)
        self.found += [f"crowd: {n['fault']}" for n in notes if "fault" in n]
        self.found += judge_file(records, self.operations)
        self.found += history.judge(self.operations, float("inf"))

    @property
    def tenures(self):
        return self.count("campaign", "ok")

    def happened(self, what):
        return sum(1 for t in self.weather.troubles if t.words.startswith(what))

    def figures(self):
        kinds = ("kill m", "stop m", "kill_node", "empty_node", "stop node")
        return (f"seed {self.seed}: {self.tenures} tenures, {self.count('extend', 'ok')} renewals seen, {self.appended} tokens appended, "
                f"{self.refused} refused; {', '.join(f'{self.happened(kind)} {kind}' for kind in kinds)}; led again after {self.led_again_s:.1f} s")


def run_round(seed, seconds, break_it=None, **settings):
    """One round: a fresh set-up, its faults or what `break_it(stage)` does, its judgement."""
    outcome = CrowdOutcome(seed)
    memory = pathlib.Path("/dev/shm")  # a slow disk is no fault of this plan
    with tempfile.TemporaryDirectory(prefix="crowd-", dir=memory if memory.is_dir() else None) as directory:
        stage = Crowd(pathlib.Path(directory), seed, **settings)
        outcome.weather = stage.weather
        try:
            stage.start()
            if break_it:
                break_it(stage)
            else:
                rage(stage, CrowdPlan(seed, seconds), CrowdFaults(stage), outcome.log)
            healed = now()
            wait_for(all_led(stage.history_file, 1, healed), "the election to be led again", LED_AGAIN_S)
            outcome.led_again_s = now() - healed
            stage.check_alive()
            stage.finish()
        except (AssertionError, subprocess.TimeoutExpired) as error:
            outcome.found.append(str(error))
        finally:
            stage.stop()
        for member in stage.members:
            words = member.log.read_text(errors="replace")
            outcome.found += [f"{member.name}: {line}" for line in words.splitlines() if SANITIZER.search(line)]
            outcome.words += [f"{member.name}: {line}" for line in words.splitlines()[-10:]]
        outcome.take(list(stage.records()), stage.notes())
    return outcome


if __name__ == "__main__":
    sys.exit(repeat("crowd", run_round, __doc__))

"""The documents tell the truth: the README's two minutes, word for word, and every example."""
import os
import pathlib
import re
import signal
import subprocess
import sys
import threading

import pytest

from harness.agent import SLOW, wait_for

ROOT = pathlib.Path(__file__).resolve().parents[2]


def transcripts(document):
    """(command, expected answer) pairs of a document's ```console blocks."""
    for block in re.findall(r"^```console\n(.*?)^```", (ROOT / document).read_text(), re.M | re.S):
        for step in re.split(r"^\$ ", block, flags=re.M)[1:]:
            command, _, answer = step.partition("\n")
            yield command, answer.strip()


def loosely(text):
    """Numbers of three digits and more are whatever they are."""
    return re.sub(r"\d{3,}", "N", text)


def test_the_two_minutes_of_the_readme_work_word_for_word(agent):
    steps = list(transcripts("README.md"))
    assert len(steps) >= 6
    tokens = []
    for command, expected in steps:
        command = command.replace("localhost:8080", f"127.0.0.1:{agent.http_port}")
        answer = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=10 * SLOW, check=True).stdout.strip()
        assert loosely(answer) == loosely(expected), command
        tokens += [int(t) for t in re.findall(r'"elected":true.*"token":"(\d+)"', answer)]
    assert tokens == sorted(set(tokens)) and len(tokens) == 2


def test_the_documents_link_only_to_what_is_there():
    broken = []
    for document in [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("src/**/*.md")]:
        for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", document.read_text()):
            if "://" not in target and not (document.parent / target).exists():
                broken.append(f"{document.relative_to(ROOT)}: {target}")
    assert broken == []


class Program:
    def __init__(self, *command, **env):
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                        env={**os.environ, **env}, cwd=ROOT)
        self.output = ""
        self.reader = threading.Thread(target=self.read)
        self.reader.start()

    def read(self):
        for line in self.process.stdout:
            self.output += line

    def says(self, words):
        wait_for(lambda: words in self.output, f"{words!r}", 30)

    def interrupt(self):
        self.process.send_signal(signal.SIGINT)
        assert self.process.wait(20 * SLOW) == 0
        self.reader.join()


@pytest.mark.parametrize("command", [
    [sys.executable, "examples/python/leader.py"],
    ["node", "examples/javascript/leader.mjs"],
], ids=["python", "javascript"])
def test_two_candidates_compete_and_the_second_takes_over_when_the_first_is_interrupted(agent, command, tmp_path):
    env = {}
    if command[0] == "node":
        # The example finds its packages where its user installed them; here, those of the tests.
        script = tmp_path / "examples" / "javascript" / "leader.mjs"
        script.parent.mkdir(parents=True)
        script.write_text((ROOT / command[1]).read_text())
        (tmp_path / "node_modules").symlink_to(ROOT / "tests/integration/js/node_modules")
        (tmp_path / "api").symlink_to(ROOT / "api")
        command = ["node", str(script)]
    alice = Program(*command, "alice", "tour", agent.grpc_target, **env)
    alice.says("I, alice, lead")
    bob = Program(*command, "bob", "tour", agent.grpc_target, **env)
    bob.says("alice leads")
    alice.interrupt()
    bob.says("I, bob, lead")
    bob.interrupt()
    assert "resigned" in alice.output
    assert agent.json("GET", "/election/tour")[0] == 404


def test_the_shell_example_runs_its_command_on_one_machine_only(agent):
    script = [str(ROOT / "examples/shell/only-leader.sh"), "nightly", "5000", "--"]
    env = {**os.environ, "AGENT": agent.url}
    first = subprocess.Popen([*script, "bash", "-c", "echo token=$ELECTION_TOKEN; read; exit 3"], env={**env, "CANDIDATE": "one"},
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    wait_for(lambda: agent.json("GET", "/election/nightly")[0] == 200, "the first to lead")
    second = subprocess.run([*script, "echo", "must not run"], env={**env, "CANDIDATE": "two"}, capture_output=True, text=True,
                            timeout=20 * SLOW)
    assert (second.returncode, second.stdout) == (0, "")
    assert "one leads nightly" in second.stderr
    out, _ = first.communicate("\n", timeout=30 * SLOW)
    assert first.returncode == 3, out
    assert re.fullmatch(r"token=\d+\n", out)
    assert agent.json("GET", "/election/nightly")[0] == 404


def test_prometheus_accepts_the_alert_rules_and_the_dashboard_asks_for_metrics_that_exist(agent):
    subprocess.run(["promtool", "check", "rules", str(ROOT / "deploy/prometheus/alerts.yaml")], check=True, capture_output=True)
    agent.json("POST", "/election/job", {"candidate": "a", "term": 5000})
    page = agent.http("GET", "/metrics")[2]
    have = set(re.findall(r"^# TYPE (\S+)", page, re.M))
    text = (ROOT / "deploy/grafana/election-agent.json").read_text() + (ROOT / "deploy/prometheus/alerts.yaml").read_text()
    asked = set(re.findall(r"\b((?:election_agent|process)_[a-z_]+)", text))
    missing = {name for name in asked if name not in have and re.sub(r"_(bucket|count|sum)$", "", name) not in have}
    assert missing == set()

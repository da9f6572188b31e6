"""The documents tell the truth: the README's two minutes, word for word, and every example."""
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import threading

import pytest

from harness.agent import SLOW, VARIANT, wait_for

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


def anchors(document):
    """What `#...` may name, as GitHub makes it from the headings."""
    text = re.sub(r"^```.*?^```", "", document.read_text(), flags=re.M | re.S)
    return {re.sub(r"[^\w\- ]", "", re.sub(r"\[(.*?)\]\(.*?\)", r"\1", heading).lower()).replace(" ", "-")
            for heading in re.findall(r"^#+ (.*)$", text, re.M)}


def test_the_documents_link_only_to_what_is_there():
    broken = []
    for document in [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("src/**/*.md")]:
        for target, anchor in re.findall(r"\]\(([^)#\s]*)(?:#([^)]*))?\)", document.read_text()):
            there = document.parent / target if target else document
            if "://" not in target and (not there.exists() or anchor and anchor not in anchors(there)):
                broken.append(f"{document.relative_to(ROOT)}: {target}#{anchor}")
    assert broken == []


def test_the_types_for_typescript_are_made_as_the_document_says(tmp_path):
    command = re.search(r"^npx (proto-loader-gen-types .*) --outDir=types (\S+)$", (ROOT / "docs/use.md").read_text(), re.M)
    tool, *options = command[1].split()
    subprocess.run([ROOT / "tests/integration/js/node_modules/.bin" / tool, *options, f"--outDir={tmp_path}", command[2]], cwd=ROOT, check=True,
                   capture_output=True)
    result = (tmp_path / "grpc/election_agent/v1/CampaignResult.ts").read_text()
    assert re.search(r"CampaignResult__Output \{[^}]*'token': \(string\)", result)


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


CANDIDATES = {
    "python": [sys.executable, "examples/python/leader.py"],
    "javascript": ["node", "examples/javascript/leader.mjs"],
    "java": ["java", "examples/java/Leader.java"],
    "go": ["go", "run", "examples/go/leader.go"],
}
# Java and Go are large: a machine that tests need not have them, and once is enough.
HERE = [language for language in CANDIDATES
        if language in ("python", "javascript") or VARIANT == "release" and shutil.which(CANDIDATES[language][0])]


@pytest.fixture
def candidate(request, tmp_path):
    """The command that starts the example in a language."""
    command = CANDIDATES[request.param]
    if request.param == "javascript":
        # The example finds its packages where its user installed them; here, those of the tests.
        script = tmp_path / "examples" / "javascript" / "leader.mjs"
        script.parent.mkdir(parents=True)
        script.write_text((ROOT / command[1]).read_text())
        (tmp_path / "node_modules").symlink_to(ROOT / "tests/integration/js/node_modules")
        (tmp_path / "api").symlink_to(ROOT / "api")
        return ["node", str(script)]
    if request.param == "java":
        subprocess.run(["javac", "-Xlint:all", "-Werror", "-d", tmp_path, ROOT / command[1]], check=True)
        return ["java", "-cp", str(tmp_path), "Leader"]
    if request.param == "go":
        subprocess.run(["go", "vet", command[2]], cwd=ROOT, check=True)
        subprocess.run(["go", "build", "-o", tmp_path / "leader", command[2]], cwd=ROOT, check=True)
        return [str(tmp_path / "leader")]
    return command


@pytest.mark.parametrize("candidate", HERE, indirect=True)
def test_a_candidate_extends_learns_that_it_has_lost_and_hands_on_when_it_is_interrupted(agent, candidate):
    target = agent.grpc_target if "python" in candidate[0] or "node" in candidate[0] else agent.url
    path = "/election/the%20tour%2F1"

    def tokens(program):
        return [int(token) for token in re.findall(r"^I, \w+, lead, with token (\d+)$", program.output, re.M)]

    alice = Program(*candidate, "alice", "the tour/1", target)
    alice.says("I, alice, lead")
    left = agent.json("GET", path)[1]["expires_in"]
    wait_for(lambda: agent.json("GET", path)[1]["expires_in"] > left, "an extension")
    assert agent.json("PUT", path, {"leader": "carol", "term": 1500})[0] == 200
    alice.says("carol leads")
    assert "I lead no more" in alice.output
    wait_for(lambda: len(tokens(alice)) == 2, "alice to lead again")
    bob = Program(*candidate, "bob", "the tour/1", target)
    bob.says("alice leads")
    alice.interrupt()
    bob.says("I, bob, lead")
    bob.interrupt()
    assert "resigned" in alice.output
    assert agent.json("GET", path)[0] == 404
    all_tokens = tokens(alice) + tokens(bob)
    assert all_tokens == sorted(set(all_tokens)) and len(all_tokens) == 3


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

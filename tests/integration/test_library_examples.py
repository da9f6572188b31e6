"""The examples of libelection, as a reader starts them: several of them against one redis-server."""
import fcntl
import pathlib
import re
import signal
import socket
import subprocess
import time

import pytest

from harness.agent import BUILD, SLOW, wait_for
from harness.terminal import Terminal
from test_tour import ROOT

LEASE_TTL = 3.0  # seconds; the library's defaults, which the minimal example leaves alone
TICK = 0.5 * 1.2
MACHINE = 0.5  # what a busy machine may add
LEADING = r"leading with token (\d+)"
REFUSED = r"token (\d+): refused, a later leader has written"


@pytest.fixture
def start():
    made = []

    def make(example, *arguments, **env):
        terminal = Terminal(BUILD / f"example-{example}", *map(str, arguments), **env)
        made.append(terminal)
        return terminal

    yield make
    for terminal in made:
        terminal.end()


def token(terminal):
    """Of the leadership that it has begun and not ended; 0: it does not lead."""
    lines = re.findall(rf"^(?:{LEADING}|leading no more)$", terminal.output, re.M)
    return int(lines[-1]) if lines and lines[-1] and terminal.running() else 0


def the_leader(terminals):
    """Waits until somebody leads; never two."""
    def leaders():
        return [terminal for terminal in terminals if token(terminal)]

    found = wait_for(leaders, "a leader: " + repr([terminal.output for terminal in terminals]))
    assert len(found) == 1, [terminal.output for terminal in terminals]
    return found[0]


def test_leadership_moves_at_once_on_ctrl_c_and_within_the_lease_on_kill_9(redis, start):
    nodes = [start("minimal", name, redis.url) for name in ("a", "b", "c")]
    first = the_leader(nodes)
    first_token = token(first)
    began = time.monotonic()
    assert first.ctrl_c() == 0, first.output
    assert first.output.endswith("leading no more\n")
    second = the_leader(nodes)
    assert time.monotonic() - began < LEASE_TTL / 2 * SLOW  # it did not wait for the lease to lapse
    second_token = token(second)
    assert second_token > first_token

    began = time.monotonic()
    second.kill()
    third = the_leader(nodes)
    assert time.monotonic() - began < (LEASE_TTL + TICK + MACHINE) * SLOW
    assert token(third) > second_token


def test_a_wrong_setting_is_named():
    said = subprocess.run([BUILD / "example-minimal", "a", "http://127.0.0.1"], capture_output=True, text=True, timeout=10 * SLOW)
    assert said.returncode == 1
    assert "http" in said.stderr and "redis" in said.stderr


def test_the_readme_shows_the_minimal_example_and_it_is_short():
    code = (ROOT / "examples/c/minimal.c").read_text()
    assert f"```c\n{code}```\n" in (ROOT / "README.md").read_text()
    body = re.sub(r"/\*.*?\*/", "", code, flags=re.S)
    assert len(re.findall(r"[;{](?= *$)", re.sub(r"#.*", "", body), re.M)) <= 27


def test_of_a_pair_the_better_one_leads_while_it_lives(redis, start):
    spare = start("priority", "spare", 2, redis.url)
    tokens = [int(spare.says(LEADING)[1])]
    main = start("priority", "main", 1, redis.url)
    tokens.append(int(main.says(LEADING)[1]))
    assert f"stopped, token {tokens[0]}\n" in spare.output  # its work had ended when the other's began
    spare.says("main leads")
    after = len(spare.output)
    main.kill()
    tokens.append(int(spare.says(LEADING, after)[1]))
    main = start("priority", "main", 1, redis.url)
    tokens.append(int(main.says(LEADING)[1]))
    assert main.ctrl_c() == 0
    assert main.output.endswith(f"stopped, token {tokens[3]}\n") or f"stopped, token {tokens[3]}\n" in main.output
    assert tokens == sorted(set(tokens))


def test_a_fenced_file_refuses_a_leader_that_was_stopped_in_the_middle_of_a_write(redis, start, tmp_path):
    file = tmp_path / "file"
    nodes = {name: start("fenced", name, file, redis.url) for name in ("a", "b")}
    first, first_token = next(iter(wait_for(lambda: written(file), "a line").items()))
    second = "b" if first == "a" else "a"
    with open(file) as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        wait_for(lambda: waits_for_a_lock(nodes[first].process.pid), "the leader to be in the middle of its write")
        nodes[first].stop()
    wait_for(lambda: written(file).get(second), "the other's line", 20)
    nodes[first].signal(signal.SIGCONT)
    assert int(nodes[first].says(REFUSED)[1]) == first_token
    tokens = [int(line.split()[0]) for line in file.read_text().splitlines()]
    assert tokens == sorted(tokens) and set(tokens) == {first_token, written(file)[second]}
    assert all(node.ctrl_c() == 0 for node in nodes.values())


def test_a_leader_that_is_refused_steps_down_and_half_a_line_is_left_behind(redis, start, tmp_path):
    file = tmp_path / "file"
    node = start("fenced", "a", file, redis.url)
    late = wait_for(lambda: written(file), "a line")["a"] + 10**9
    with open(file, "a") as out:
        out.write(f"{late} somebody\n12")
    first = node.says(REFUSED)
    assert int(node.says(REFUSED, first.end())[1]) > int(first[1])  # it stood again
    assert file.read_text().endswith(f"{late} somebody\n12")
    file.write_text("12")
    wait_for(lambda: re.fullmatch(r"12\n(\d{16} a\n)+", file.read_text()), "lines behind the half one")


def waits_for_a_lock(pid):
    return re.search(rf"-> FLOCK .* {pid} ", pathlib.Path("/proc/locks").read_text())


def written(file):
    """{name: token} of the lines of the file."""
    text = file.read_text() if file.exists() else ""
    return {line.split()[1]: int(line.split()[0]) for line in text.splitlines(keepends=True) if line.endswith("\n")}


class Manager:
    """The side of systemd: a socket, and what the service said there."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(path)
        self.socket.settimeout(20 * SLOW)

    def hears(self, *wanted):
        """Waits for these, in this order; what comes between is no matter."""
        heard = []
        for pattern in wanted:
            while True:
                heard.append(self.socket.recv(4096).decode())
                if re.fullmatch(pattern, heard[-1]):
                    break
        return heard


@pytest.mark.parametrize("name_space", ["path", "abstract"])
def test_a_service_tells_systemd_when_it_is_ready_and_who_leads(redis, start, tmp_path, name_space):
    a, b = Manager(str(tmp_path / "a")), Manager(f"\0{tmp_path}/b" if name_space == "abstract" else str(tmp_path / "b"))
    first = start("service", "alpha", redis.url, NOTIFY_SOCKET=str(tmp_path / "a"))
    a.hears("STATUS=standing by, nobody is known to lead", "READY=1")
    a.hears(r"STATUS=leading with token \d+")
    second = start("service", "beta", redis.url, NOTIFY_SOCKET=("@" if name_space == "abstract" else "") + str(tmp_path / "b"))
    heard = b.hears("STATUS=standing by, alpha leads")
    assert "READY=1" in heard  # a stand-by is ready, too
    first.signal(signal.SIGTERM)
    a.hears("STOPPING=1")
    assert first.ended() == 0
    b.hears(r"STATUS=leading with token \d+")
    redis.kill()
    b.hears("STATUS=standing by, nobody leads")
    assert second.running()


def test_a_service_works_without_systemd_and_says_when_it_cannot_be_told(redis, start, tmp_path):
    assert start("service", "alpha", redis.url, NOTIFY_SOCKET="").says(r".*elected.*")
    assert start("service", "beta", redis.url, NOTIFY_SOCKET=str(tmp_path / "nobody")).says(r".*/nobody: No such file or directory")


def test_the_unit_starts_the_service_as_its_head_says():
    unit = dict(line.split("=", 1) for line in (ROOT / "examples/c/election-service.service").read_text().splitlines() if "=" in line and line[0] != "#")
    assert unit["Type"] == "notify"
    program, node, urls = unit["ExecStart"].split()
    assert program.endswith("/election-service") and node == "%H" and urls.count("redis://") == 3
    assert "-o election-service " in (ROOT / "examples/c/service.c").read_text()

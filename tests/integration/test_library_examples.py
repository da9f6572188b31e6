"""The examples of libelection, as a reader starts them: several of them against one redis-server."""
import re
import signal
import subprocess
import time

import pytest

from harness.agent import BUILD, SANITIZER, SLOW, wait_for
from harness.redis import Server

LEASE_TTL = 3.0  # seconds; the library's defaults, which the example leaves alone
TICK = 0.5 * 1.2
MACHINE = 0.5  # what a busy machine may add


class Node:
    """A minimal example in a terminal of its own; what it writes goes to a file."""

    def __init__(self, directory, name, url):
        self.output = directory / name
        with open(self.output, "wb") as output:
            self.process = subprocess.Popen([BUILD / "example-minimal", name, url], stdin=subprocess.DEVNULL, stdout=output, stderr=output)

    def text(self):
        return self.output.read_text()

    def token(self):
        """Of the leadership that it has begun and not ended."""
        lines = re.findall(r"^leading (?:with token (\d+)|no more)$", self.text(), re.MULTILINE)
        return int(lines[-1]) if lines and lines[-1] else 0

    def end(self, number):
        self.process.send_signal(number)
        return self.process.wait(10 * SLOW)


@pytest.fixture
def nodes(tmp_path):
    server = Server(tmp_path / "redis").start()
    made = [Node(tmp_path, name, server.url) for name in ("a", "b", "c")]
    yield made
    for node in made:
        if node.process.poll() is None:
            node.end(signal.SIGKILL)
    server.stop()
    for node in made:
        assert not SANITIZER.search(node.text()), node.text()


def leaders(nodes):
    return [node for node in nodes if node.process.poll() is None and node.token()]


def the_leader(nodes):
    """Waits until somebody leads; never two."""
    found = wait_for(lambda: leaders(nodes), "a leader: " + repr([node.text() for node in nodes]))
    assert len(found) == 1, [node.text() for node in nodes]
    return found[0]


def test_leadership_moves_at_once_on_ctrl_c_and_within_the_lease_on_kill_9(nodes):
    first = the_leader(nodes)
    began = time.monotonic()
    assert first.end(signal.SIGINT) == 0, first.text()
    assert first.text().endswith("leading no more\n")
    second = the_leader(nodes)
    assert time.monotonic() - began < LEASE_TTL / 2 * SLOW  # it did not wait for the lease to lapse
    assert second.token() > first_token(first)

    token = second.token()
    began = time.monotonic()
    second.end(signal.SIGKILL)
    third = the_leader(nodes)
    assert time.monotonic() - began < (LEASE_TTL + TICK + MACHINE) * SLOW
    assert third.token() > token
    assert third.end(signal.SIGTERM) == 0, third.text()


def first_token(node):
    return int(re.search(r"^leading with token (\d+)$", node.text(), re.MULTILINE)[1])


def test_a_wrong_setting_is_named(tmp_path):
    said = subprocess.run([BUILD / "example-minimal", "a", "http://127.0.0.1"], capture_output=True, text=True, timeout=10 * SLOW)
    assert said.returncode == 1
    assert "http" in said.stderr and "redis" in said.stderr

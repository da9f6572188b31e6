"""A program that uses libelection (election_rig.c): its events as lines, its commands on its standard input."""
import signal
import subprocess
import threading
import time

from harness.agent import BUILD, SANITIZER, SLOW, wait_for


class Node:
    def __init__(self, servers, name, project="billing", **settings):
        urls = servers if isinstance(servers, str) else ",".join(server.url for server in servers)
        self.name = name
        self.lines = []  # (microseconds of CLOCK_BOOTTIME, text)
        self.process = subprocess.Popen(
            [BUILD / "tests/unit/client/election_rig", urls, project, name, *(f"{k}={v}" for k, v in settings.items())],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.errors = ""
        self.threads = [threading.Thread(target=self.read, daemon=True), threading.Thread(target=self.read_errors, daemon=True)]
        for thread in self.threads:
            thread.start()

    def read(self):
        for line in self.process.stdout:
            at, _, text = line.rstrip("\n").partition(" ")
            self.lines.append((int(at), text))

    def read_errors(self):
        self.errors = self.process.stderr.read()

    def find(self, begins, after=0):
        """The first line from number `after` on that begins so: (its number, time, text)."""
        for number, (at, text) in enumerate(list(self.lines)[after:], after):
            if text.startswith(begins):
                return number, at, text
        return None

    def wait(self, begins, after=0, seconds=15):
        try:
            return wait_for(lambda: self.find(begins, after), f"{self.name} to say: {begins}", seconds)
        except AssertionError:
            raise AssertionError("\n".join(f"{at} {text}" for at, text in self.lines) + f"\n{self.errors}\nwaited for: {begins}") from None

    def tell(self, command):
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()

    def ask(self, command, answer, seconds=15):
        after = len(self.lines)
        self.tell(command)
        return self.wait(answer, after, seconds)[2]

    def leads(self):
        return self.ask("leader?", "leader ").split()[1] == "1"

    def pause(self):
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self):
        self.process.send_signal(signal.SIGCONT)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def callbacks(self):
        return [text for _, text in self.lines if text.split()[0] in ("start", "over", "returns", "stop", "stopped")]

    def end(self):
        """Asks it to end, if it still runs, and sees that it did so cleanly."""
        if self.process.poll() is None:
            self.go_on()
            self.tell("quit")
            try:
                self.process.wait(20 * SLOW)
            except subprocess.TimeoutExpired:
                self.kill()
                raise AssertionError(f"{self.name} does not end: {self.lines[-10:]}") from None
            for thread in self.threads:
                thread.join()
            assert self.process.returncode == 0, (self.process.returncode, self.errors)
        assert not SANITIZER.search(self.errors), self.errors
        check_alternation(self)


def check_alternation(node):
    """start, (over), stop, start... with one token each."""
    running = None
    for text in node.callbacks():
        word, token = text.split()[:2]
        if word == "start":
            assert running is None, node.callbacks()
            running = token
        else:
            assert token == running, node.callbacks()
            if word == "stopped":
                running = None


def boot_us():
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1000

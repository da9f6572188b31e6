"""An election-agent process: started on free ports, stopped by its pid, its words kept."""
import itertools
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request

BUILD = pathlib.Path(os.environ.get("EA_TEST_BUILD", pathlib.Path(__file__).resolve().parents[3] / "build"))
VARIANT = os.environ.get("EA_TEST_VARIANT", "release")
# Sanitizers make everything slower; bounds that tests put on time are stretched by this.
SLOW = {"release": 1, "asan": 4, "tsan": 8}.get(VARIANT, 1)

SANITIZER = re.compile(r"(AddressSanitizer|LeakSanitizer|ThreadSanitizer|UndefinedBehaviorSanitizer|runtime error:|Assertion .* failed)")


def port_range():
    """Ports of this process alone, below those that the kernel hands out. Agents share a port without a word (SO_REUSEPORT), so two tests
    that run at the same time must never be given the same one, not even between asking and binding."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "")
    first = 10000 + 1000 * (int(worker[2:]) % 19 if worker.startswith("gw") else int(os.environ.get("EA_TEST_PORTS", 20)))
    start = os.getpid() * 61 % 1000
    return itertools.cycle([*range(first + start, first + 1000), *range(first, first + start)])


PORTS = port_range()


def free_port():
    for port in itertools.islice(PORTS, 1000):
        with socket.socket() as s:
            try:
                s.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue
    raise AssertionError("no port is free")


def wait_for(condition, what, seconds=10):
    """Waits for a condition, not for a time. Returns its truthy value."""
    end = time.monotonic() + seconds * SLOW
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"waited {seconds * SLOW} s for: {what}")
        time.sleep(0.01)


class Agent:
    def __init__(self, directory, **settings):
        """settings: configuration variables without EA_, e.g. THREADS=2. PATH='...' is not special."""
        self.directory = pathlib.Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.grpc_port = settings.pop("GRPC_PORT", None) or free_port()
        self.http_port = settings.pop("HTTP_PORT", None) or free_port()
        self.settings = {
            "ENV": "test",
            "LOG_FORMAT": "json",
            "BIND": "127.0.0.1",
            "KUBE_ENABLE": "false",
            "GRPC_PORT": self.grpc_port,
            "HTTP_PORT": self.http_port,
            "THREADS": 1,
            "DRIVER": os.environ.get("EA_TEST_DRIVER", "embedded"),
            "EMBEDDED_PATH": self.directory / "db",
            **settings,
        }
        self.process = None
        self.log = []
        self.args = []
        self.program = "election-agent"

    @property
    def grpc_target(self):
        return f"127.0.0.1:{self.grpc_port}"

    @property
    def url(self):
        return f"http://127.0.0.1:{self.http_port}"

    def environment(self):
        env = {k: v for k, v in os.environ.items() if not k.startswith("EA_")}
        env.update({f"EA_{k}": str(v) for k, v in self.settings.items() if v is not None})
        return env

    def rig(self, seam):
        """From now on the program with this seam (tests/integration/agent_rig.c) runs instead."""
        self.program = "tests/agent-rig"
        self.args.insert(0, seam)
        return self

    def spawn(self, *args):
        """Starts the process without waiting for it to be ready."""
        self.process = subprocess.Popen(
            [str(BUILD / self.program), *self.args, *args], cwd=self.directory, env=self.environment(),
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
        process = self.process
        log = self.log

        def read():
            for line in process.stdout:
                log.append(line.rstrip("\n"))

        self.reader = threading.Thread(target=read, daemon=True)
        self.reader.start()
        return self

    def start(self, *args):
        self.spawn(*args)
        wait_for(lambda: self.ready() or self.process.poll() is not None, "the agent to be ready")
        assert self.process.poll() is None, f"the agent ended with {self.process.returncode}:\n" + "\n".join(self.log)
        return self

    def ready(self):
        try:
            return self.http("GET", "/readyz")[0] == 200
        except OSError:
            return False

    @property
    def pid(self):
        return self.process.pid

    def kill(self):
        """kill -9, in the middle of whatever it does."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.reader.join()

    def stop(self, seconds=20):
        """SIGTERM; it must end by itself, cleanly."""
        if self.process is None:
            return
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(seconds * SLOW)
            except subprocess.TimeoutExpired:
                self.process.send_signal(signal.SIGABRT)
                self.process.wait()
                raise AssertionError("the agent did not end on SIGTERM:\n" + "\n".join(self.log[-50:])) from None
        self.reader.join()
        self.check()

    def check(self):
        text = "\n".join(self.log)
        assert not SANITIZER.search(text), text
        assert self.process.returncode in (0, -signal.SIGKILL), f"exit {self.process.returncode}\n{text}"

    def events(self):
        """The log as objects."""
        return [json.loads(line) for line in self.log if line.startswith("{")]

    def http(self, method, path, body=None, headers=None, timeout=10):
        """One request over HTTP/1.1: (status, headers, body as text)."""
        data = json.dumps(body).encode() if isinstance(body, (dict, list)) else body.encode() if isinstance(body, str) else body
        request = urllib.request.Request(self.url + path, data=data, method=method, headers=headers or {})
        try:
            with urllib.request.urlopen(request, timeout=timeout * SLOW) as answer:
                return answer.status, answer.headers, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.headers, error.read().decode()

    def json(self, method, path, body=None):
        status, _, text = self.http(method, path, body)
        return status, json.loads(text) if text else None

    def metric(self, name, **labels):
        """The sum of a metric's samples whose labels include these."""
        total = None
        for line in self.http("GET", "/metrics")[2].splitlines():
            match = re.match(r"^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)$", line)
            if match and match[1] == name:
                have = dict(re.findall(r'([a-z_]+)="((?:[^"\\]|\\.)*)"', match[2] or ""))
                if all(have.get(k) == str(v) for k, v in labels.items()):
                    total = (total or 0) + float(match[3])
        return total

    def memory(self):
        """RssAnon in bytes."""
        for line in pathlib.Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("RssAnon:"):
                return int(line.split()[1]) * 1024
        raise AssertionError("no RssAnon")

"""An elector process: started on ports the kernel chose, stopped by its pid, its words kept; and subscribers of its events."""
import http.client
import json
import os
import pathlib
import signal
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request

from harness.agent import BUILD, SANITIZER, SLOW, wait_for

NAMESPACE = "default"


def pod(name, **spec):
    return {"kind": "Pod", "apiVersion": "v1", "metadata": {"name": name, "namespace": NAMESPACE},
            "spec": {"containers": [{"name": "app", "image": "app"}], **spec}}


class Elector:
    def __init__(self, directory, name, config, election="the-election", **flags):
        """config: path of a kubeconfig. flags: lease_duration="3s" becomes --lease-duration=3s."""
        self.name = name
        self.directory = pathlib.Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.flags = {"election": election, "election_namespace": NAMESPACE, "pod_name": name, "kubeconfig": config, "log_format": "json",
                      "log_level": "debug", "http": "127.0.0.1:0", "metrics_address": "127.0.0.1:0", "probe_address": "127.0.0.1:0", **flags}
        self.process = None
        self.log = []
        self.ports = {}

    def start(self):
        command = [str(BUILD / "elector")] + [f"--{k.replace('_', '-')}={v}" for k, v in self.flags.items() if v is not None]
        env = {k: v for k, v in os.environ.items() if not k.startswith(("ELECTOR_", "KUBECONFIG"))}
        self.process = subprocess.Popen(command, cwd=self.directory, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT, text=True, errors="replace")
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()
        wait_for(lambda: len(self.ports) == 3 or self.process.poll() is not None, "the elector listens")
        assert self.process.poll() is None, self.log
        return self

    def read(self):
        for line in self.process.stdout:
            self.log.append(line)
            try:
                fields = json.loads(line)
            except ValueError:
                continue
            if fields.get("message") == "listening":
                self.ports[fields["pages"]] = fields["port"]

    def get(self, path="/", pages="leader", headers=None):
        """(status, body, headers)."""
        request = urllib.request.Request(f"http://127.0.0.1:{self.ports[pages]}{path}", headers=headers or {})
        try:
            with urllib.request.urlopen(request, timeout=5 * SLOW) as answer:
                return answer.status, answer.read().decode(), answer.headers
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode(), error.headers

    @property
    def url(self):
        return f"http://127.0.0.1:{self.ports['leader']}/"

    @property
    def leader(self):
        """The name it shows; None before the first result."""
        status, body, _ = self.get()
        return json.loads(body)["name"] if status == 200 else None

    def leads(self):
        return self.leader == self.name

    def metric(self, name):
        for line in self.get("/metrics", "metrics")[1].splitlines():
            if line.startswith(name + " "):
                return int(line.split()[1])
        raise AssertionError(f"no metric {name}")

    def memory_kib(self, field="RssAnon"):
        text = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(next(line.split()[1] for line in text.splitlines() if line.startswith(field + ":")))

    def kill(self, number=signal.SIGKILL):
        self.process.send_signal(number)
        self.process.wait(20)

    def stop(self, expected=0):
        """Ends it by SIGTERM, and looks that it ended well."""
        if self.process is None:
            return
        killed = self.process.poll() == -signal.SIGKILL
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.terminate()
            try:
                self.process.wait(20 * SLOW)
            except subprocess.TimeoutExpired:
                self.process.kill()
                raise AssertionError(f"{self.name} does not stop: {''.join(self.log[-20:])}") from None
        self.reader.join(5)
        text = "".join(self.log)
        assert not SANITIZER.search(text), text[-8000:]
        assert killed or self.process.returncode == expected, f"{self.name} ended with {self.process.returncode}: {text[-4000:]}"


class Subscriber:
    """Reads /sse in a thread; events: [(when, id, object)]."""

    def __init__(self, elector, last_id=None):
        self.events, self.comments = [], 0
        self.over = False
        self.connection = http.client.HTTPConnection("127.0.0.1", elector.ports["leader"], timeout=60)
        self.connection.request("GET", "/sse", headers={"Last-Event-ID": last_id} if last_id else {})
        self.answer = self.connection.getresponse()
        self.thread = threading.Thread(target=self.read, daemon=True)
        self.thread.start()

    def read(self):
        event = {}
        try:
            while line := self.answer.readline():
                line = line.decode().rstrip("\n")
                if line.startswith(":"):
                    self.comments += 1
                elif line:
                    field, _, value = line.partition(": ")
                    event[field] = value
                elif event:
                    self.events.append((time.monotonic(), event.get("id"), json.loads(event["data"])))
                    event = {}
        except (OSError, ValueError, http.client.HTTPException, AttributeError):
            pass
        self.over = True

    @property
    def names(self):
        return [event[2]["name"] for event in self.events]

    def close(self):
        try:
            self.connection.sock.shutdown(socket.SHUT_RDWR)
        except (OSError, AttributeError):
            pass
        self.thread.join(5)
        self.connection.close()

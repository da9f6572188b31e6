"""Real Redis servers on free ports, and a client for their protocol that is just enough for tests."""
import os
import pathlib
import signal
import socket
import subprocess

from harness.agent import free_port, wait_for


class RedisError(Exception):
    pass


class Client:
    """One connection. call("GET", "x") returns str, int, None or a list; an error reply is raised."""

    def __init__(self, port, host="127.0.0.1", timeout=10):
        self.socket = socket.create_connection((host, port), timeout=timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.file = self.socket.makefile("rb")

    def close(self):
        self.file.close()
        self.socket.close()

    def send(self, *words):
        parts = [f"*{len(words)}\r\n".encode()]
        for word in words:
            data = word if isinstance(word, bytes) else str(word).encode()
            parts += [f"${len(data)}\r\n".encode(), data, b"\r\n"]
        self.socket.sendall(b"".join(parts))

    def receive(self):
        line = self.file.readline()
        if not line.endswith(b"\r\n"):
            raise ConnectionError("the server closed the connection")
        kind, text = line[:1], line[1:-2].decode(errors="replace")
        if kind == b"+":
            return text
        if kind == b"-":
            raise RedisError(text)
        if kind == b":":
            return int(text)
        if kind == b"$":
            return None if text == "-1" else self.file.read(int(text) + 2)[:-2].decode(errors="replace")
        if kind == b"*":
            return None if text == "-1" else [self.receive() for _ in range(int(text))]
        raise RedisError(f"no reply: {line!r}")

    def call(self, *words):
        self.send(*words)
        return self.receive()


class Server:
    """A redis-server that keeps nothing on disk, in a directory of its own."""

    def __init__(self, directory, *options, port=None):
        self.directory = pathlib.Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.options = options
        self.port = port or self.pick_port()
        self.process = None

    def pick_port(self):
        """A member of a cluster also listens 10000 ports higher."""
        while True:
            port = free_port()
            if "--cluster-enabled" not in self.options:
                return port
            if port < 55000:
                try:
                    with socket.create_server(("127.0.0.1", port + 10000)):
                        return port
                except OSError:
                    continue

    @property
    def url(self):
        return f"redis://127.0.0.1:{self.port}"

    def start(self):
        log = open(self.directory / "log", "ab")
        self.process = subprocess.Popen(
            ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no",
             "--daemonize", "no", "--dir", str(self.directory), *self.options],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.directory)
        log.close()
        wait_for(self.answers, f"redis-server on port {self.port}")
        return self

    def answers(self):
        if self.process.poll() is not None:
            raise AssertionError(f"redis-server ended:\n{(self.directory / 'log').read_text()[-2000:]}")
        try:
            client = Client(self.port)
        except OSError:
            return False
        try:
            client.call("PING")
        except RedisError:
            pass  # it wants a password: it answers
        except OSError:
            return False
        finally:
            client.close()
        return True

    def client(self):
        return Client(self.port)

    def call(self, *words):
        client = self.client()
        try:
            return client.call(*words)
        finally:
            client.close()

    def signal(self, number):
        self.process.send_signal(number)

    def kill(self):
        """kill -9: what it remembered is gone."""
        self.signal(signal.SIGKILL)
        self.process.wait()

    def stop(self):
        if self.process is not None and self.process.poll() is None:
            self.signal(signal.SIGCONT)
            self.signal(signal.SIGKILL)
            self.process.wait()

    def pause(self):
        self.signal(signal.SIGSTOP)
        wait_for(lambda: os.path.exists(f"/proc/{self.process.pid}/stat") and
                 pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().split(")")[1].split()[0] == "T", "the server to stop")

    def go_on(self):
        self.signal(signal.SIGCONT)

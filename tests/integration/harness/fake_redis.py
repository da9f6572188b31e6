"""A server that speaks just enough of the Redis protocol to be greeted, and then does what a test wants."""
import socket
import threading

RUN_ID = "0" * 39 + "1"
REPLICATION_ID = "0" * 39 + "2"


def bulk(text):
    data = text.encode()
    return b"$%d\r\n%s\r\n" % (len(data), data)


def info(**facts):
    """What INFO says. facts override: redis_version="8.0.1", role="slave"."""
    all_facts = {"redis_version": "7.2.4", "redis_mode": "standalone", "run_id": RUN_ID, "role": "master", "master_replid": REPLICATION_ID,
                 "maxmemory": "0", "maxmemory_policy": "noeviction", **facts}
    return "# Server\r\n" + "".join(f"{name}:{value}\r\n" for name, value in all_facts.items())


def hello(server="redis", version="7.2.4"):
    fields = [("server", bulk(server)), ("version", bulk(version)), ("proto", b":2\r\n"), ("id", b":7\r\n"), ("mode", bulk("standalone")),
              ("role", bulk("master")), ("modules", b"*0\r\n")]
    return b"*%d\r\n" % (2 * len(fields)) + b"".join(bulk(name) + value for name, value in fields)


class FakeRedis:
    """answer(words) -> bytes, or None to stay silent; called for every command on every connection, in threads."""

    def __init__(self, answer=None, send=None):
        self.answer = answer or self.greet
        self.send = send or (lambda connection, data: connection.sendall(data))
        self.commands = []
        self.connections = 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    @property
    def url(self):
        return f"redis://127.0.0.1:{self.port}"

    def accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        with connection, connection.makefile("rb") as file:
            try:
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                while line := file.readline():
                    words = []
                    for _ in range(int(line[1:])):
                        length = int(file.readline()[1:])
                        words.append(file.read(length + 2)[:-2].decode(errors="replace"))
                    self.commands.append(words)
                    data = self.answer(words)
                    if data is not None:
                        self.send(connection, data)
            except (OSError, ValueError):
                pass

    def close(self):
        self.listener.close()

    @staticmethod
    def greet(words, hello_reply=hello(), info_reply=info()):
        """A greeting that succeeds; every other command is refused."""
        if words[0] == "HELLO":
            return hello_reply
        if words[0] == "INFO":
            return bulk(info_reply)
        if words[:2] == ["SCRIPT", "LOAD"]:
            return bulk("0" * 40)
        if words[0] == "GET":
            return b"$-1\r\n"
        if words[0] in ("SELECT", "PING", "CLIENT", "SET"):
            return b"+OK\r\n"
        return b"-ERR not here\r\n"

"""HTTP/2 by hand, for what no honest client would send."""
import socket
import struct

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM, ACK, END_HEADERS = 1, 1, 4
NO_ERROR, PROTOCOL_ERROR, FLOW_CONTROL_ERROR, ENHANCE_YOUR_CALM = 0, 1, 3, 11


def frame(kind, flags=0, stream=0, payload=b""):
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


def length(n, bits, first=0):
    limit = (1 << bits) - 1
    if n < limit:
        return bytes([first | n])
    out = bytearray([first | limit])
    n -= limit
    while n > 127:
        out.append(n & 127 | 128)
        n >>= 7
    out.append(n)
    return bytes(out)


def literal(name, value):
    return b"\x00" + length(len(name), 7) + name + length(len(value), 7) + value


def request(path=b"/livez", method=b"GET", extra=()):
    return b"".join(literal(n, v) for n, v in (
        (b":method", method), (b":scheme", b"http"), (b":path", path), (b":authority", b"x"), *extra))


GRPC = ((b"content-type", b"application/grpc"), (b"te", b"trailers"))


class Connection:
    def __init__(self, port, settings=b"", timeout=20):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout)
        self.pending = b""
        self.send(PREFACE + frame(SETTINGS, 0, 0, settings))

    def send(self, data):
        """False when the server has closed."""
        try:
            self.socket.sendall(data)
            return True
        except OSError:
            return False

    def frames(self):
        """Frames until the server closes; acknowledges settings."""
        while True:
            while len(self.pending) < 9 or len(self.pending) < 9 + int.from_bytes(self.pending[:3], "big"):
                try:
                    piece = self.socket.recv(65536)
                except ConnectionError:
                    return
                if not piece:
                    return
                self.pending += piece
            size = int.from_bytes(self.pending[:3], "big")
            kind, flags, stream = self.pending[3], self.pending[4], struct.unpack(">I", self.pending[5:9])[0]
            payload, self.pending = self.pending[9:9 + size], self.pending[9 + size:]
            if kind == SETTINGS and not flags & ACK:
                self.send(frame(SETTINGS, ACK))
            yield kind, flags, stream, payload

    def until(self, wanted):
        for kind, flags, stream, payload in self.frames():
            if wanted(kind, flags, stream, payload):
                return kind, flags, stream, payload
        return None

    def goaway(self):
        """The error code of GOAWAY, or None if the connection just ended."""
        found = self.until(lambda kind, *_: kind == GOAWAY)
        return struct.unpack(">I", found[3][4:8])[0] if found else None

    def close(self):
        self.socket.close()

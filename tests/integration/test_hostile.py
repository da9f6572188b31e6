"""What nobody honest sends: each ends its connection, none the agent, and others are answered all the while."""
import os
import random
import resource
import socket
import threading
import time

import pytest

from harness import h2
from harness.agent import SLOW, wait_for


def talk(agent, data, timeout=10):
    """Sends bytes over a fresh connection and reads until the agent closes it."""
    with socket.create_connection(("127.0.0.1", agent.http_port), timeout * SLOW) as s:
        out = b""
        try:
            s.sendall(data)
            while True:
                piece = s.recv(65536)
                if not piece:
                    break
                out += piece
        except ConnectionError:
            pass
        return out


@pytest.fixture
def bystander(agent):
    """Asks all the while; every question must be answered."""
    stop = threading.Event()
    failures = []

    def ask():
        while not stop.is_set():
            try:
                if agent.http("GET", "/livez", timeout=5)[0] != 200:
                    failures.append("not 200")
            except OSError as error:
                failures.append(repr(error))
            stop.wait(0.02)
    thread = threading.Thread(target=ask)
    thread.start()
    yield agent
    stop.set()
    thread.join()
    assert failures == []


@pytest.mark.parametrize("data, status", [
    (b"GET /livez HTTP/1.1\r\n\r\n", b"400"),
    (b"GET  /livez HTTP/1.1\r\nHost: x\r\n\r\n", b"400"),
    (b"GET /livez HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", b"400"),
    (b"GET /livez HTTP/3.7\r\nHost: x\r\n\r\n", b"505"),
    (b"G\x00T /livez HTTP/1.1\r\nHost: x\r\n\r\n", b"400"),
    (b"GET /livez HTTP/1.1\r\nHost : x\r\n\r\n", b"400"),
    (b"GET /livez HTTP/1.1\r\nHost: x\r\nA: b\r\n c\r\n\r\n", b"400"),
    (b"GET /livez HTTP/1.1\r\nHost: x\r\nA: b\x00c\r\n\r\n", b"400"),
    (b"POST /election/e HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", b"400"),
    (b"POST /election/e HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello", b"400"),
    (b"POST /election/e HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", b"400"),
    (b"POST /election/e HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n", b"4"),
    (b"POST /election/e HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n", b"501"),
    (b"POST /election/e HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", b"400"),
    (b"POST /election/e HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n", b"4"),
    (b"CONNECT x:80 HTTP/1.1\r\nHost: x\r\n\r\n", b"501"),
    (b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", b"414"),
    (b"GET /livez HTTP/1.1\r\nHost: x\r\nA: " + b"b" * 17000 + b"\r\n\r\n", b"431"),
    (b"GET /livez HTTP/1.1\r\nHost: x\r\n" + b"a: b\r\n" * 150 + b"\r\n", b"431"),
    (b"POST /election/e HTTP/1.1\r\nHost: x\r\nContent-Length: 70000\r\n\r\n", b"413"),
    (b"POST /election/e HTTP/1.1\r\nHost: x\r\nExpect: 200-maybe\r\nContent-Length: 1\r\n\r\n", b"417"),
    (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"400"),
])
def test_a_malformed_request_gets_its_4xx_and_a_closed_connection(agent, data, status):
    answer = talk(agent, data)
    assert answer.startswith(b"HTTP/1.1 " + status), answer[:300]
    assert b'{"message":"' in answer and b"onnection: close" in answer


def test_a_client_that_sends_only_empty_lines_is_closed_like_an_idle_one(agents):
    agent = agents(GRPC_MAX_CONNECTION_IDLE="1s").start()
    assert talk(agent, b"\r\n" * 20000) == b""


def test_a_slow_head_is_told_408_after_two_seconds(bystander):
    began = time.monotonic()
    answer = talk(bystander, b"GET /livez HTTP/1.1\r\nHost: x\r\n")
    assert b" 408 " in answer
    assert 1.5 < time.monotonic() - began < 4 * SLOW


def test_a_head_that_drips_does_not_live_longer(bystander):
    with socket.create_connection(("127.0.0.1", bystander.http_port), 10 * SLOW) as s:
        began = time.monotonic()
        s.settimeout(0.1)
        data = b""
        while time.monotonic() - began < 10 * SLOW:
            try:
                s.sendall(b"X")
                data = s.recv(1000)
                break
            except TimeoutError:
                continue
            except ConnectionError:
                break
        assert time.monotonic() - began < 5 * SLOW, data


def test_random_bytes_harm_nobody(bystander):
    chance = random.Random(7)
    for _ in range(60):
        prefix = chance.choice([b"", b"GET / HTTP/1.1\r\n", b"POST /election/e HTTP/1.1\r\nHost: x\r\n", h2.PREFACE])
        with socket.create_connection(("127.0.0.1", bystander.http_port), 5) as s:
            try:
                s.sendall(prefix + chance.randbytes(chance.randrange(1, 3000)))
            except ConnectionError:
                pass


def test_connections_that_vanish_at_any_moment_are_forgotten(bystander):
    before = bystander.metric("process_open_fds")
    request = b'POST /election/e HTTP/1.1\r\nHost: x\r\nContent-Length: 30\r\n\r\n{"candidate":"a","term":10000}'
    for cut in range(0, len(request), 3):
        s = socket.create_connection(("127.0.0.1", bystander.http_port))
        s.sendall(request[:cut])
        if cut % 2:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # a reset instead of an end
        s.close()
    wait_for(lambda: bystander.metric("process_open_fds") <= before + 3, "the connections to be gone")


def test_a_client_that_never_reads_is_cut_off_and_costs_little(bystander):
    before = bystander.memory()
    with socket.create_connection(("127.0.0.1", bystander.http_port), 5) as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        try:
            for _ in range(3000):
                s.sendall(b"GET /openapi.yaml HTTP/1.1\r\nHost: x\r\n\r\n" * 10)
        except OSError:
            pass
        assert bystander.memory() - before < 8e6 * SLOW


def ends_within(seconds, send):
    """The server closes: what is sent after that fails. It may read on for a moment, so that its last words arrive."""
    end = time.monotonic() + seconds * SLOW
    while send():
        assert time.monotonic() < end, "it is taken without end"


def flood(agent, piece, times=3000, after=b""):
    """Sends a frame over and over; returns the code of the GOAWAY that ended it."""
    connection = h2.Connection(agent.grpc_port, timeout=20 * SLOW)
    for _ in range(times):
        if not connection.send(piece() if callable(piece) else piece):
            break
    connection.send(after)
    code = connection.goaway()
    connection.close()
    return code


def test_a_ping_flood_ends_the_connection(bystander):
    assert flood(bystander, h2.frame(h2.PING, 0, 0, b"12345678")) == h2.ENHANCE_YOUR_CALM


def test_a_settings_flood_ends_the_connection(bystander):
    assert flood(bystander, h2.frame(h2.SETTINGS, 0, 0, b"\0\3\0\0\0\x64"), 20000) in (h2.ENHANCE_YOUR_CALM, None)


def test_rapid_reset_ends_the_connection(bystander):
    stream = iter(range(1, 2**31, 2))

    def open_and_reset():
        i = next(stream)
        return h2.frame(h2.HEADERS, h2.END_HEADERS, i, h2.request(b"/grpc.election_agent.v1.Election/Campaign", b"POST", h2.GRPC)) + \
            h2.frame(h2.RST_STREAM, 0, i, b"\0\0\0\x08")
    assert flood(bystander, open_and_reset, 20000) in (h2.ENHANCE_YOUR_CALM, None)


def test_an_endless_header_block_ends_the_connection(bystander):
    connection = h2.Connection(bystander.grpc_port, timeout=20 * SLOW)
    connection.send(h2.frame(h2.HEADERS, 0, 1, h2.request()))
    before = bystander.memory()
    ends_within(10, lambda: connection.send(h2.frame(h2.CONTINUATION, 0, 1, h2.literal(b"x-more", b"y" * 1000))))
    assert bystander.memory() - before < 8e6 * SLOW
    connection.close()


def test_a_header_bomb_is_refused(bystander):
    connection = h2.Connection(bystander.grpc_port, timeout=20 * SLOW)
    # One 4000-byte field goes into the dynamic table; each later byte 0xbe names it again.
    bomb = h2.request() + b"\x40" + h2.length(6, 7) + b"x-bomb" + h2.length(4000, 7) + b"y" * 4000 + b"\xbe" * 10000
    connection.send(h2.frame(h2.HEADERS, h2.END_STREAM | h2.END_HEADERS, 1, bomb[:16000]))
    kind, _, _, payload = connection.until(lambda kind, flags, stream, payload: kind in (h2.GOAWAY, h2.RST_STREAM) or kind == h2.HEADERS)
    assert kind in (h2.GOAWAY, h2.RST_STREAM) or b"431" in payload or payload
    connection.close()


def test_empty_data_frames_without_end_are_cut_off(bystander):
    connection = h2.Connection(bystander.grpc_port, timeout=20 * SLOW)
    connection.send(h2.frame(h2.HEADERS, h2.END_HEADERS, 1, h2.request(b"/grpc.election_agent.v1.Election/Campaign", b"POST", h2.GRPC)))
    ends_within(10, lambda: connection.send(h2.frame(h2.DATA, 0, 1) * 50))
    connection.close()


def test_answers_that_nobody_reads_do_not_pile_up(bystander):
    """A window of zero, and a thousand requests whose answers cannot be sent."""
    connection = h2.Connection(bystander.grpc_port, settings=b"\0\4\0\0\0\0", timeout=20 * SLOW)
    before = bystander.memory()
    for i in range(1, 4000, 2):
        if not connection.send(h2.frame(h2.HEADERS, h2.END_STREAM | h2.END_HEADERS, i, h2.request(b"/openapi.yaml"))):
            break
    assert bystander.memory() - before < 48e6 * SLOW
    connection.close()


def test_bodies_cost_no_multiple_of_what_was_sent(bystander):
    """JSON of empty lists, a value for three bytes, in requests whose answers cannot be sent."""
    connection = h2.Connection(bystander.grpc_port, settings=b"\0\4\0\0\0\0", timeout=20 * SLOW)
    before = bystander.memory()
    body = b'{"x":[' + b"[]," * 21000 + b"[]]}"
    for i in range(1, 400, 2):
        frames = h2.frame(h2.HEADERS, h2.END_HEADERS, i, h2.request(b"/election/e", b"POST"))
        for at in range(0, len(body), 16384):
            last = at + 16384 >= len(body)
            frames += h2.frame(h2.DATA, h2.END_STREAM if last else 0, i, body[at:at + 16384])
        if not connection.send(frames):
            break
    # The address sanitizer keeps 256 MB of what was freed.
    assert bystander.memory() - before < (24e6 if SLOW == 1 else 450e6)
    connection.close()


def test_header_fields_out_of_the_table_do_not_pile_up(bystander):
    """A large field in HPACK's table, and requests that name it eight times, a byte each, and never end."""
    connection = h2.Connection(bystander.grpc_port, timeout=20 * SLOW)
    before = bystander.memory()
    name, value = b"authorization", b"v" * 1900
    post = h2.request(b"/election/e", b"POST")
    indexed = b"\x40" + h2.length(len(name), 7) + name + h2.length(len(value), 7) + value
    connection.send(h2.frame(h2.HEADERS, h2.END_HEADERS, 1, post + indexed))
    connection.send(b"".join(h2.frame(h2.HEADERS, h2.END_HEADERS, i, post + b"\xbe" * 8) for i in range(3, 1900, 2)))
    answers = 0
    for kind, flags, stream, payload in connection.frames():
        answers += kind == h2.HEADERS
        if answers > 900:
            break
    assert answers > 900
    assert bystander.memory() - before < 16e6 * SLOW
    connection.close()


def reads_to_the_end(s):
    data = b""
    try:
        while piece := s.recv(1000):
            data += piece
    except ConnectionResetError:
        pass
    return data


def test_a_connection_that_never_says_anything_is_closed(bystander):
    for port in (bystander.grpc_port, bystander.http_port):
        with socket.create_connection(("127.0.0.1", port), 30 * SLOW) as s:
            assert reads_to_the_end(s) == b""


def test_silent_connections_count_against_the_limit(agents):
    agent = agents(LIMIT_CONNECTIONS=20).start()
    sockets = [socket.create_connection(("127.0.0.1", agent.http_port), 20 * SLOW) for _ in range(60)]
    # Over the limit, the end comes at once; those within it have two seconds to speak.
    ended = 0
    for s in sockets:
        s.settimeout(0.02)
        try:
            ended += s.recv(1) == b""
        except ConnectionError:
            ended += 1
        except TimeoutError:
            pass
        s.close()
    assert ended >= 40
    wait_for(agent.ready, "the silent ones to be gone")


def test_a_preface_without_settings_is_closed(bystander):
    with socket.create_connection(("127.0.0.1", bystander.grpc_port), 60 * SLOW) as s:
        s.sendall(h2.PREFACE[:10])
        reads_to_the_end(s)


@pytest.mark.skipif(SLOW != 1, reason="sanitizers have a heap of their own")
def test_the_memory_of_connections_that_went_comes_back(agent):
    hello = h2.PREFACE + h2.frame(h2.SETTINGS) + h2.frame(h2.HEADERS, h2.END_STREAM | h2.END_HEADERS, 1, h2.request())
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4096), hard))
    sockets = []
    for i in range(1500):
        sockets.append(socket.create_connection(("127.0.0.1", agent.grpc_port)))
        sockets[-1].sendall(hello)
    time.sleep(11)  # the agent looks every ten seconds
    most = agent.memory()
    for s in sockets:
        s.close()
    wait_for(lambda: agent.memory() < most / 2, "the heap to shrink", seconds=20)


def test_many_attackers_at_once(bystander):
    """All of it at the same time, from several threads, and the memory comes back."""
    before = bystander.memory()

    def attack(seed):
        chance = random.Random(seed)
        for _ in range(10):
            try:
                match chance.randrange(4):
                    case 0:
                        flood(bystander, h2.frame(h2.PING, 0, 0, os.urandom(8)), 200)
                    case 1:
                        talk(bystander, chance.randbytes(2000))
                    case 2:
                        talk(bystander, b"GET /livez HTTP/1.1\r\nHost: x\r\nA: " + b"b" * 17000 + b"\r\n\r\n")
                    case 3:
                        h2.Connection(bystander.grpc_port).close()
            except OSError:
                pass
    threads = [threading.Thread(target=attack, args=(seed,)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    wait_for(lambda: bystander.memory() - before < 4e6 * SLOW, "the memory to come back")

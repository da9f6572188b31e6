"""The HTTP/JSON API as curl sees it, over HTTP/1.1 and HTTP/2: every route, every status, bad input with the exact answer."""
import json
import re
import subprocess

import pytest

from harness.agent import SLOW


class Answer:
    def __init__(self, raw):
        head, _, self.body = raw.partition("\r\n\r\n")
        self.continued = False
        while head.startswith(("HTTP/1.1 100", "HTTP/2 100")):
            self.continued = True
            head, _, self.body = self.body.partition("\r\n\r\n")
        lines = head.split("\r\n")
        self.version, status = lines[0].split(" ")[:2]
        self.status = int(status)
        self.headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines[1:] if ": " in line)}

    @property
    def json(self):
        return json.loads(self.body)


@pytest.fixture(params=["--http1.1", "--http2-prior-knowledge"])
def curl(agent, request):
    def run(method, path, body=None, *more):
        command = ["curl", "-sS", "-i", "--path-as-is", "--max-time", str(10 * SLOW), request.param, "-X", method]
        if method == "HEAD":
            command = ["curl", "-sS", "-I", "--path-as-is", "--max-time", str(10 * SLOW), request.param]
        if body is not None:
            command += ["--data-binary", body if isinstance(body, (str, bytes)) else json.dumps(body)]
        out = subprocess.run([*command, *more, agent.url + path], capture_output=True, check=True).stdout
        return Answer(out.decode())
    run.version = request.param
    return run


def test_campaign_extend_resign(curl):
    won = curl("POST", "/election/job", {"candidate": "a", "term": 10000})
    assert won.status == 200
    assert won.headers["content-type"] == "application/json; charset=utf-8"
    assert won.version == ("HTTP/1.1" if curl.version == "--http1.1" else "HTTP/2")
    assert won.json["elected"] is True and won.json["leader"] == "a" and won.json["kind"] == "default"
    assert re.fullmatch(r"\d{10,16}", won.json["token"])
    assert 9000 < won.json["expires_in"] <= 9898
    lost = curl("POST", "/election/job", {"candidate": "b", "term": 10000})
    assert (lost.status, lost.json["elected"], lost.json["leader"], lost.json["token"]) == (200, False, "a", won.json["token"])
    extended = curl("PATCH", "/election/job", {"leader": "a", "term": 10000, "retries": 2, "retry_interval": 5})
    assert (extended.status, extended.json["token"]) == (200, won.json["token"])
    assert curl("PATCH", "/election/job", {"leader": "b", "term": 10000}).status == 409
    assert curl("DELETE", "/election/job", {"leader": "b"}).status == 404
    gone = curl("DELETE", "/election/job", {"leader": "a", "token": won.json["token"]})
    assert (gone.status, gone.json) == (200, {})
    assert curl("PATCH", "/election/job", {"leader": "a", "term": 10000}).status == 404


def test_who_leads(curl):
    nobody = curl("GET", "/election/job")
    assert nobody.status == 404 and nobody.json["leader"] == "" and nobody.json["message"]
    won = curl("POST", "/election/job", {"candidate": "a", "term": 10000})
    somebody = curl("GET", "/election/default/job")
    assert (somebody.status, somebody.json["leader"], somebody.json["token"]) == (200, "a", won.json["token"])
    assert 0 < somebody.json["expires_in"] <= 10000


def test_handover(curl):
    curl("POST", "/election/job", {"candidate": "a", "term": 10000})
    assert curl("PUT", "/election/job", {"leader": "b", "term": 10000, "from": "c"}).status == 409
    moved = curl("PUT", "/election/job", {"leader": "b", "term": 10000, "from": "a"})
    assert moved.status == 200 and int(moved.json["token"]) > 0
    assert curl("GET", "/election/job").json["leader"] == "b"
    assert curl("PUT", "/election/job", {"leader": "c", "term": 10000, "drain": 500}).status == 501


def test_leaders_of_a_kind_in_pages(curl):
    for i in range(5):
        curl("POST", f"/election/many/e{i}", {"candidate": f"c{i}", "term": 60000})
    first = curl("GET", "/elections/many?page_size=3").json
    assert [leader["election"] for leader in first["leaders"]] == ["e0", "e1", "e2"]
    second = curl("GET", f"/elections/many?page_size=3&page_token={first['next_page_token']}").json
    assert [(leader["election"], leader["name"]) for leader in second["leaders"]] == [("e3", "c3"), ("e4", "c4")]
    assert not second["next_page_token"]
    assert curl("GET", "/elections/none").json["leaders"] == []


def test_names_are_percent_decoded_path_segments(curl):
    curl("POST", "/election/shards/a%2Fb%20%C3%BC", {"candidate": "x\u00fc\"\\", "term": 10000})
    answer = curl("GET", "/election/shards/a%2Fb%20%C3%BC")
    assert (answer.status, answer.json["leader"]) == (200, 'xü"\\')
    assert curl("GET", "/elections/shards").json["leaders"][0]["election"] == "a/b ü"


@pytest.mark.parametrize("body, words", [
    ("", ["body"]),
    ("{", ["body"]),
    ("[]", ["object"]),
    ("null", ["object"]),
    ('{"candidate":"a","term":10000} x', ["body"]),
    ('{"candidate":"a","term":10000}{}', ["body"]),
    ('{"candidate":"a","candidate":"b","term":10000}', ["duplicate"]),
    ('{"candidate":"a","term":"10000"}', ["term"]),
    ('{"candidate":"a","term":1.5}', ["term"]),
    ('{"candidate":"a","term":1e3}', ["term"]),
    ('{"candidate":"a","term":NaN}', ["body"]),
    ('{"candidate":"a","term":99999999999}', ["term"]),
    ('{"candidate":"a","term":true}', ["term"]),
    ('{"candidate":"a","term":null}', ["term"]),
    ('{"candidate":7,"term":10000}', ["candidate"]),
    ('{"candidate":["a"],"term":10000}', ["candidate"]),
    ('{"candidate":"\\ud800","term":10000}', ["body"]),
    ('{"candidate":"a\\u0000b","term":10000}', ["body"]),
    ('{"candidate":"a\\nb","term":10000}', ["candidate", "control"]),
    ('{"term":10000}', ["candidate"]),
    ('{"candidate":"a"}', ["term"]),
    ('{"candidate":"","term":10000}', ["candidate"]),
    ('{"candidate":"a","term":10}', ["term", "1000"]),
    ('{"candidate":"a","term":10000,"past":"x"}', ["past"]),
    ('{"candidate":"a","term":10000,"past":-1}', ["past"]),
    ('{"candidate":"' + "a" * 254 + '","term":10000}', ["candidate", "253"]),
    (b'{"candidate":"\xff\xfe","term":10000}', ["body"]),
    ("[" * 5000 + "]" * 5000, ["body"]),
])
def test_a_bad_body_is_refused_with_what_is_wrong_and_where(curl, body, words):
    answer = curl("POST", "/election/job", body)
    assert answer.status == 400, answer.body
    for word in words:
        assert word in answer.json["message"].lower(), answer.body
    assert curl("GET", "/election/job").status == 404


@pytest.mark.parametrize("method, path, status", [
    ("GET", "/nonsense", 404),
    ("GET", "/election", 404),
    ("GET", "/election/a/b/c", 404),
    ("GET", "/election/job/", 404),
    ("GET", "/election/%zz", 400),
    ("GET", "/election/%00", 400),
    ("GET", "/election/no%2Fkind/job", 400),
    ("GET", "/election/" + "x" * 254, 400),
    ("TRACE", "/election/job", 405),
    ("PURGE", "/election/job", 405),
    ("POST", "/livez", 405),
    ("GET", "/kube/ns/deployment/pods", 501),
])
def test_a_wrong_path_or_method_is_told(curl, method, path, status):
    answer = curl(method, path)
    assert answer.status == status, answer.body
    assert answer.json["message"]
    if status == 405:
        assert "GET" in answer.headers["allow"]


def test_head_has_the_length_and_no_body_and_options_tell_the_methods(curl):
    curl("POST", "/election/job", {"candidate": "a", "term": 10000})
    head = curl("HEAD", "/election/job")
    assert head.status == 200 and head.body == "" and int(head.headers["content-length"]) > 20
    options = curl("OPTIONS", "/election/job")
    assert options.status in (200, 204)
    for method in ("GET", "HEAD", "POST", "PATCH", "PUT", "DELETE", "OPTIONS"):
        assert method in options.headers["allow"]


def test_chunked_bodies_and_expect_work(curl):
    chunked = curl("POST", "/election/job", {"candidate": "a", "term": 10000}, "-H", "Transfer-Encoding: chunked")
    assert chunked.status == 200, chunked.body
    expected = curl("POST", "/election/job", {"candidate": "a", "term": 10000}, "-H", "Expect: 100-continue")
    assert expected.status == 200, expected.body
    assert expected.continued


def test_a_body_over_64_kib_is_refused(curl):
    answer = curl("POST", "/election/job", '{"candidate":"a","term":10000,"metadata":"' + "x" * 70000 + '"}', "-H", "Expect:")
    assert answer.status == 413


def test_long_heads_are_refused(curl, agent):
    if curl.version != "--http1.1":
        assert curl("GET", "/livez", None, "-H", "X-Long: " + "y" * 17000).status == 431
        return
    assert curl("GET", "/" + "x" * 9000).status == 414
    assert curl("GET", "/livez", None, "-H", "X-Long: " + "y" * 17000).status == 431
    assert curl("GET", "/livez", None, *[a for i in range(120) for a in ("-H", f"X-{i}: y")]).status == 431


def test_probes_and_pages(curl):
    assert curl("GET", "/livez").json == {"status": "ok"}
    assert curl("GET", "/readyz").json == {"status": "ok"}
    page = curl("GET", "/metrics")
    assert page.status == 200 and page.headers["content-type"].startswith("text/plain; version=0.0.4")
    openmetrics = curl("GET", "/metrics", None, "-H", "Accept: application/openmetrics-text; version=1.0.0")
    assert openmetrics.headers["content-type"].startswith("application/openmetrics-text")
    assert openmetrics.body.endswith("# EOF\n")
    description = curl("GET", "/openapi.yaml")
    assert description.status == 200 and description.body.startswith("openapi: 3.")


def test_pipelined_requests_are_answered_in_order(agent):
    import socket
    with socket.create_connection(("127.0.0.1", agent.http_port)) as s:
        requests = b"".join(b"GET /election/e%d HTTP/1.1\r\nHost: x\r\n\r\nGET /livez HTTP/1.1\r\nHost: x\r\n\r\n" % i for i in range(100))
        s.sendall(requests + b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        answers = b""
        while True:
            piece = s.recv(65536)
            if not piece:
                break
            answers += piece
    statuses = re.findall(rb"HTTP/1\.1 (\d+)", answers)
    assert statuses == [b"404", b"200"] * 100 + [b"200"]


def test_a_thousand_keep_alive_requests_on_one_connection(agent):
    import http.client
    connection = http.client.HTTPConnection("127.0.0.1", agent.http_port, timeout=10 * SLOW)
    for i in range(1000):
        connection.request("POST", f"/election/e{i % 10}", '{"candidate":"a","term":60000}')
        answer = connection.getresponse()
        assert answer.status == 200 and json.loads(answer.read())["elected"]
    connection.close()

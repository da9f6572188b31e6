"""rediss://: who is trusted, who must show what, and that each refusal names its server and the cure."""
import subprocess

import pytest

from harness.agent import wait_for
from harness.redis import Server
from test_redis import campaign, leader_of, on, ready_at_last, says


@pytest.fixture(scope="session")
def pki(tmp_path_factory):
    """ca, server (DNS:redis.test alone), client, other-ca, stranger (a client of other-ca): .crt and .key each."""
    home = tmp_path_factory.mktemp("redis-pki")

    def openssl(*args):
        subprocess.run(["openssl", *args], cwd=home, check=True, capture_output=True)

    def new_key(name):
        return "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", f"{name}.key"

    def signed(name, ca, extension):
        openssl("req", *new_key(name), "-subj", f"/CN={name}", "-out", f"{name}.csr")
        (home / f"{name}.ext").write_text(extension)
        openssl("x509", "-req", "-in", f"{name}.csr", "-CA", f"{ca}.crt", "-CAkey", f"{ca}.key", "-CAcreateserial", "-days", "2",
                "-extfile", f"{name}.ext", "-out", f"{name}.crt")

    for ca in ("ca", "other-ca"):
        openssl("req", "-x509", *new_key(ca), "-days", "2", "-subj", f"/CN={ca}", "-out", f"{ca}.crt")
    signed("server", "ca", "subjectAltName=DNS:redis.test\n")
    signed("client", "ca", "extendedKeyUsage=clientAuth\n")
    signed("stranger", "other-ca", "extendedKeyUsage=clientAuth\n")
    return home


class TlsServer(Server):
    """On TLS; tests reach it by a plain port beside, which is what `port` is."""

    def __init__(self, directory, pki, *options):
        super().__init__(directory, *options)
        self.tls_port = self.pick_port()
        self.options = (*options, "--tls-port", str(self.tls_port), "--tls-cert-file", str(pki / "server.crt"), "--tls-key-file",
                        str(pki / "server.key"), "--tls-ca-cert-file", str(pki / "ca.crt"), "--tls-auth-clients", "yes")

    def secure_url(self, user=""):
        return f"rediss://{user}127.0.0.1:{self.tls_port}"


@pytest.fixture
def secure(tmp_path, pki):
    made = []

    def make(count, *options):
        fresh = [TlsServer(tmp_path / f"tls-{len(made) + i}", pki, *options) for i in range(count)]
        made.extend(fresh)
        return [server.start() for server in fresh]

    yield make
    for server in made:
        server.stop()


def trusting(pki, **more):
    return {"REDIS_TLS_CA": pki / "ca.crt", "REDIS_TLS_CERT": pki / "client.crt", "REDIS_TLS_KEY": pki / "client.key",
            "REDIS_TLS_SERVER_NAME": "redis.test", **more}


def test_elections_go_over_tls_with_user_and_database_also_after_a_reconnect(agents, secure, pki):
    nodes = secure(3, "--requirepass", "s3cret")
    urls = [node.secure_url(":s3cret@") + "/3" for node in nodes]
    agent = agents(**on(urls), **trusting(pki)).start()
    assert campaign(agent, "job", "a", 60000)[1]["elected"]
    for node in nodes:
        client = node.client()
        assert client.call("AUTH", "s3cret") == "OK"
        assert client.call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes") >= 1
        client.close()
    wait_for(lambda: leader_of(agent, "job") == "a", "the connections to come back")
    assert campaign(agent, "after", "b", 60000)[1]["elected"]
    client = nodes[0].client()
    client.call("AUTH", "s3cret")
    assert "db3:" in client.call("INFO", "keyspace") and "db0:" not in client.call("INFO", "keyspace")
    client.close()
    assert not says(agent, "s3cret")


@pytest.mark.parametrize("change, words", [
    ({"REDIS_TLS_CA": "other-ca.crt"}, ["TLS", "certificate", "redis.tls.ca"]),
    ({"REDIS_TLS_SERVER_NAME": "elsewhere.test"}, ["TLS", "hostname mismatch", "redis.tls.server_name"]),
    ({"REDIS_TLS_SERVER_NAME": None}, ["TLS", "mismatch", "redis.tls.server_name"]),
    ({"REDIS_TLS_CERT": None, "REDIS_TLS_KEY": None}, ["TLS", "certificate", "redis.tls.cert"]),
    ({"REDIS_TLS_CERT": "stranger.crt", "REDIS_TLS_KEY": "stranger.key"}, ["TLS", "redis.tls.cert"]),
], ids=["another CA", "another name", "no name of the certificate", "no client certificate", "a stranger's certificate"])
def test_who_is_not_trusted_is_named_with_the_reason(agents, secure, pki, change, words):
    nodes = secure(1)
    paths = {name: pki / value if value and name != "REDIS_TLS_SERVER_NAME" else value for name, value in change.items()}
    agent = agents(**on([nodes[0].secure_url(":pass-word@")]), **{**trusting(pki), **paths}).spawn()
    wait_for(lambda: says(agent, f"127.0.0.1:{nodes[0].tls_port}", *words), f"the log to say {words}")
    assert not agent.ready()
    assert not says(agent, "pass-word")


def test_a_plain_server_and_a_plain_url_are_told_apart(agents, secure, pki):
    [node] = secure(1)
    plain = agents("plain", **on([f"redis://127.0.0.1:{node.tls_port}"])).spawn()
    wait_for(lambda: says(plain, str(node.tls_port), "for TLS write rediss://"), "the refusal")
    assert not plain.ready()
    tls = agents("tls", **on([f"rediss://127.0.0.1:{node.port}"]), **trusting(pki)).spawn()
    wait_for(lambda: says(tls, str(node.port), "does it speak TLS?"), "the refusal")
    assert not tls.ready()


def test_a_majority_over_tls_serves_while_one_node_shows_a_wrong_certificate_and_takes_it_back_when_mended(agents, secure, pki):
    nodes = secure(3)
    right = nodes[2].client()
    right.call("CONFIG", "SET", "tls-cert-file", str(pki / "stranger.crt"), "tls-key-file", str(pki / "stranger.key"))
    agent = agents(**on([node.secure_url() for node in nodes]), **trusting(pki)).start()
    wait_for(lambda: says(agent, str(nodes[2].tls_port), "TLS"), "the refusal")
    assert campaign(agent, "job", "a", 60000)[1]["elected"]
    right.call("CONFIG", "SET", "tls-cert-file", str(pki / "server.crt"), "tls-key-file", str(pki / "server.key"))
    right.close()
    wait_for(lambda: any(str(nodes[2].tls_port) in line and "recovering" in line for line in list(agent.log)) or
             ready_at_last(agent, type("Node", (), {"port": nodes[2].tls_port})), "the node to be looked at")


@pytest.mark.parametrize("change, words", [
    ({"REDIS_TLS_CA": "nowhere.crt"}, ["nowhere.crt"]),
    ({"REDIS_TLS_CERT": "client.crt", "REDIS_TLS_KEY": "server.key"}, ["redis.tls"]),
])
def test_files_that_are_of_no_use_end_the_start(agents, pki, change, words):
    paths = {name: pki / value for name, value in change.items()}
    agent = agents(DRIVER="redis", REDIS_URLS="rediss://127.0.0.1:1", **{**trusting(pki), **paths}).spawn()
    assert agent.process.wait(20) != 0
    agent.reader.join()
    assert says(agent, *words), agent.log
    agent.process = None

"""Elector and agent as in a pod: the service account's files, TLS to the API server, the Roles of deploy/, a proxy on the way."""
import copy
import json
import os
import socket
import threading

import pytest
import yaml

from elector import Elector, wait_for
from harness.agent import Agent
from manifests import DEPLOY, chart, kustomized
from test_agent_pods import ALL_RIGHTS, LEAST_RIGHTS, names, rolling_update

USER = "system:serviceaccount:default:app"


class Account:
    """A service account's directory, and an API server that knows its token."""

    def __init__(self, directory, api, ca):
        self.directory, self.api = directory, api
        directory.mkdir()
        (directory / "namespace").write_text("default")
        (directory / "ca.crt").write_bytes(ca.read_bytes())
        self.rotate("first")

    def rotate(self, token):
        """As the kubelet does: the whole file at once."""
        (self.directory / "new").write_text(token + "\n")
        os.replace(self.directory / "new", self.directory / "token")


@pytest.fixture
def account(kube_servers, pki, tmp_path, monkeypatch):
    api = kube_servers(cert=pki / "server.crt", key=pki / "server.key", tokens={"first": USER})
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", str(api.port))
    monkeypatch.setenv("KUBERNETES_SERVICE_ACCOUNT_DIR", str(tmp_path / "account"))
    return Account(tmp_path / "account", api, pki / "ca.crt")


def test_the_elector_stands_with_the_account_of_its_pod(account, electors):
    elector = electors(account.api, "pod-0", kubeconfig=None)
    wait_for(elector.leads, "it leads")
    assert account.api.get("Lease", "the-election")["spec"]["holderIdentity"] == "pod-0"


def test_another_authority_is_not_believed(account, electors, pki):
    (account.directory / "ca.crt").write_bytes((pki / "other-ca.crt").read_bytes())
    elector = electors(account.api, "pod-0", kubeconfig=None)
    wait_for(lambda: any("certificate" in line for line in elector.log), "why, in the log")
    assert elector.leader is None and account.api.requests == []


def test_the_agent_reads_a_rotated_token_again(account, tmp_path):
    rolling_update(account.api)
    agent = Agent(tmp_path / "agent", KUBE_ENABLE="true").start()
    try:
        assert len(names(agent.json("GET", "/kube/default/web/pods")[1])) == 3
        account.api.tokens.clear()
        account.api.tokens["second"] = USER
        assert agent.json("GET", "/kube/default/web/pods") == (403, {"message": "get deployments: Unauthorized"})
        account.rotate("second")
        assert len(names(agent.json("GET", "/kube/default/web/pods")[1])) == 3
    finally:
        agent.stop()


# --- the Roles of deploy/ ---

def rules_of(objects):
    return next(o for o in objects if o["kind"] == "Role")["rules"]


def rights(rules):
    return {(group, resource, verb) for rule in rules for group in rule["apiGroups"] for resource in rule["resources"]
            for verb in rule["verbs"]}


def without(rules, resource, verb):
    """The same rules but for this one right."""
    kept = [{"apiGroups": [g], "resources": [r], "verbs": [v]} for g, r, v in sorted(rights(rules)) if (r, v) != (resource, verb)]
    assert len(kept) == len(rights(rules)) - 1
    return kept


def test_the_agents_roles_are_what_getpods_is_tested_with():
    assert rights(rules_of(kustomized(DEPLOY / "kustomize/base"))) == rights(LEAST_RIGHTS)
    assert rights(rules_of(chart())) == rights(LEAST_RIGHTS)
    assert rights(rules_of(chart({"kube": {"cache": True}}))) == rights(ALL_RIGHTS)


@pytest.mark.parametrize("strategy", ["owner", "renew"])
def test_every_right_of_the_sidecars_role_is_used_and_no_other(kube_servers, electors, strategy):
    rules = copy.deepcopy(rules_of(yaml.safe_load_all((DEPLOY / "examples/elector-sidecar.yaml").read_text())))
    if strategy == "renew":  # the manifest says so in a comment
        rules[0]["verbs"].append("update")
        rules = [rule for rule in rules if rule["resources"] != ["pods"]]
    api = kube_servers(tokens={"t": USER})
    api.rbac.bind(USER, rules, "default")
    elector = electors(api, "pod-0", token="t", strategy=strategy, lease_duration="2s")
    wait_for(lambda: {(r["verb"], r["resource"]) for r in api.requests} >= {(v, r) for _, r, v in rights(rules)}, "each right to be used")
    assert elector.leads() and all(r["code"] != 403 for r in api.requests)


@pytest.mark.parametrize("resource, verb", [("leases", "get"), ("leases", "list"), ("leases", "watch"), ("leases", "create"), ("pods", "get")])
def test_a_right_that_is_missing_is_named(kube_servers, electors, resource, verb):
    rules = rules_of(yaml.safe_load_all((DEPLOY / "examples/elector-sidecar.yaml").read_text()))
    api = kube_servers(tokens={"t": USER})
    api.rbac.bind(USER, without(rules, resource, verb), "default")
    elector = electors(api, "pod-0", token="t")
    wait_for(lambda: any(f'cannot {verb} resource \\"{resource}\\"' in line for line in elector.log), "the missing right in the log")


# --- a proxy ---

class Tunnel:
    """A proxy that knows CONNECT, and leads everywhere to one port."""

    def __init__(self, port):
        self.port, self.asked = port, []
        self.sock = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self.accept, daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.sock.getsockname()[1]}"

    def accept(self):
        while True:
            try:
                client, _ = self.sock.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(client,), daemon=True).start()

    def serve(self, client):
        head = b""
        while b"\r\n\r\n" not in head:
            piece = client.recv(4096)
            if not piece:
                return
            head += piece
        self.asked.append(head.split(b"\r\n")[0].decode())
        server = socket.create_connection(("127.0.0.1", self.port))
        client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        threading.Thread(target=self.pump, args=(server, client), daemon=True).start()
        self.pump(client, server)

    @staticmethod
    def pump(source, sink):
        try:
            while piece := source.recv(65536):
                sink.sendall(piece)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def close(self):
        self.sock.close()


@pytest.mark.parametrize("how", ["environment", "kubeconfig"])
def test_the_api_server_is_reached_through_a_proxy(account, tmp_path, pki, monkeypatch, how):
    tunnel = Tunnel(account.api.port)
    cluster = {"server": "https://kube-apiserver.test:6443", "certificate-authority": str(pki / "ca.crt")}
    if how == "environment":
        monkeypatch.setenv("HTTPS_PROXY", tunnel.url)
    else:
        cluster["proxy-url"] = tunnel.url
    config = tmp_path / "config"
    config.write_text(json.dumps({
        "current-context": "c", "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}],
        "clusters": [{"name": "k", "cluster": cluster}], "users": [{"name": "u", "user": {"token": "first"}}]}))
    elector = Elector(tmp_path / "elector", "pod-0", config, strategy="renew").start()
    try:
        wait_for(elector.leads, "it leads")
        assert set(tunnel.asked) == {"CONNECT kube-apiserver.test:6443 HTTP/1.1"}
    finally:
        elector.stop()
        tunnel.close()

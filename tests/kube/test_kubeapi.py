"""The test API server itself, over plain HTTP: what a client written in any language sees."""
import http.client
import json
import socket
import ssl
import subprocess
import sys
import threading
import time
import pathlib

import pytest

LEASES = "/apis/coordination.k8s.io/v1/namespaces/default/leases"
PODS = "/api/v1/namespaces/default/pods"


def lease(name, holder="a", **more):
    return {"kind": "Lease", "apiVersion": "coordination.k8s.io/v1", "metadata": {"name": name, **more.pop("metadata", {})},
            "spec": {"holderIdentity": holder, **more}}


def pod(name, labels=None, node=None, **meta):
    spec = {"containers": [{"name": "c", "image": "i"}]}
    if node:
        spec["nodeName"] = node
    return {"kind": "Pod", "apiVersion": "v1", "metadata": {"name": name, "labels": labels or {}, **meta}, "spec": spec}


class Client:
    def __init__(self, api, token=None, context=None):
        self.api, self.context = api, context
        self.headers = {"Authorization": f"Bearer {token}"} if token else {}

    def __call__(self, method, path, body=None, headers=None):
        cls = http.client.HTTPSConnection if self.context else http.client.HTTPConnection
        options = {"context": self.context} if self.context else {}
        connection = cls("127.0.0.1", self.api.port, timeout=5, **options)
        try:
            data = json.dumps(body) if body is not None else None
            connection.request(method, path, data, {"Content-Type": "application/json", **self.headers, **(headers or {})})
            answer = connection.getresponse()
            text = answer.read()
            self.answer = answer
            return answer.status, json.loads(text) if answer.getheader("Content-Type") == "application/json" else text
        finally:
            connection.close()

    def watch(self, path, **query):
        query = "&".join(f"{k}={v}" for k, v in {"watch": "true", **query}.items())
        connection = http.client.HTTPConnection("127.0.0.1", self.api.port, timeout=5)
        connection.request("GET", f"{path}?{query}", headers=self.headers)
        answer = connection.getresponse()
        assert answer.status == 200
        try:
            for line in answer:
                yield json.loads(line)
        finally:
            connection.close()


@pytest.fixture
def ask(kube):
    return Client(kube)


# --- versions and conflicts ---

def test_every_write_gets_a_greater_version(ask):
    versions = [int(ask("POST", LEASES, lease(f"l{i}"))[1]["metadata"]["resourceVersion"]) for i in range(3)]
    assert versions == sorted(set(versions))


def test_a_second_create_is_already_exists(ask):
    assert ask("POST", LEASES, lease("x"))[0] == 201
    status, said = ask("POST", LEASES, lease("x"))
    assert (status, said["reason"], said["code"]) == (409, "AlreadyExists", 409)
    assert said["message"] == 'leases.coordination.k8s.io "x" already exists'
    assert said["details"] == {"name": "x", "group": "coordination.k8s.io", "kind": "leases"}


def test_a_dry_run_is_answered_like_a_create_and_makes_nothing(ask):
    status, made = ask("POST", LEASES + "?dryRun=All", lease("x"))
    assert (status, made["metadata"]["name"]) == (201, "x")
    assert ask("GET", LEASES + "/x")[0] == 404
    assert ask("POST", LEASES, lease("x"))[0] == 201
    assert ask("POST", LEASES + "?dryRun=All", lease("x"))[0] == 409
    assert ask("POST", LEASES + "?dryRun=Some", lease("y"))[0] == 422
    assert ask("POST", LEASES.replace("default", "nowhere") + "?dryRun=All", lease("x"))[0] == 404


def test_an_update_of_an_old_version_is_a_conflict(ask):
    made = ask("POST", LEASES, lease("x"))[1]
    made["spec"]["holderIdentity"] = "b"
    assert ask("PUT", LEASES + "/x", made)[0] == 200
    made["spec"]["holderIdentity"] = "c"
    status, said = ask("PUT", LEASES + "/x", made)
    assert (status, said["reason"]) == (409, "Conflict")
    assert "please apply your changes to the latest version and try again" in said["message"]
    assert ask("GET", LEASES + "/x")[1]["spec"]["holderIdentity"] == "b"


def test_a_lease_is_not_updated_without_a_version(ask):
    made = ask("POST", LEASES, lease("x"))[1]
    del made["metadata"]["resourceVersion"]
    assert ask("PUT", LEASES + "/x", made)[0] == 422


def test_an_update_that_changes_nothing_is_no_new_version(ask):
    made = ask("POST", LEASES, lease("x"))[1]
    again = ask("PUT", LEASES + "/x", made)[1]
    assert again["metadata"]["resourceVersion"] == made["metadata"]["resourceVersion"]


def test_who_updates_an_object_made_anew_with_the_old_uid_conflicts(ask):
    made = ask("POST", LEASES, lease("x"))[1]
    ask("DELETE", LEASES + "/x")
    new = ask("POST", LEASES, lease("x"))[1]
    made["metadata"]["resourceVersion"] = new["metadata"]["resourceVersion"]
    status, said = ask("PUT", LEASES + "/x", made)
    assert (status, said["reason"]) == (409, "Conflict") and "UID in precondition" in said["message"]


def test_a_delete_with_preconditions_holds_them(ask):
    made = ask("POST", LEASES, lease("x"))[1]
    assert ask("DELETE", LEASES + "/x", {"preconditions": {"resourceVersion": "1"}})[0] == 409
    assert ask("DELETE", LEASES + "/x", {"preconditions": {"uid": made["metadata"]["uid"]}})[0] == 200
    assert ask("DELETE", LEASES + "/x")[0] == 404


def test_one_of_twenty_creates_at_once_wins(kube):
    results = []

    def create():
        results.append(Client(kube)("POST", LEASES, lease("x"))[0])

    threads = [threading.Thread(target=create) for _ in range(20)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    assert sorted(results) == [201] + [409] * 19


@pytest.mark.parametrize("body, code, words", [
    ({**lease("x"), "spec": {"renewTime": "2026-11-24T13:10:09Z"}}, 400, "cannot be handled as a Lease"),
    ({**lease("x"), "spec": {"leaseDurationSeconds": "3"}}, 400, "leaseDurationSeconds"),
    ({**lease("x"), "spec": {"leaseDurationSeconds": 0}}, 422, "must be greater than 0"),
    ({**lease("x"), "spec": {"leaseTransitions": 2**31}}, 400, "int32"),
    (lease("Not_A_Name"), 422, "RFC 1123 subdomain"),
    (lease("n" * 254), 422, "no more than 253"),
    (lease("x", metadata={"labels": {"a": "b" * 64}}), 422, "valid label"),
    (lease("x", metadata={"ownerReferences": [{"kind": "Pod", "name": "p", "apiVersion": "v1"}]}), 422, "uid must not be empty"),
    (pod("x"), 400, "cannot be handled as a Lease"),
])
def test_what_is_wrong_is_refused_with_words(ask, body, code, words):
    status, said = ask("POST", LEASES, body)
    assert status == code and words in said["message"]


def test_nothing_is_made_in_a_namespace_that_is_not_there(ask):
    status, said = ask("POST", LEASES.replace("default", "nowhere"), lease("x"))
    assert (status, said["message"]) == (404, 'namespaces "nowhere" not found')


def test_a_merge_patch_changes_what_it_names(ask):
    ask("POST", LEASES, lease("x", leaseTransitions=4))
    status, patched = ask("PATCH", LEASES + "/x", {"spec": {"holderIdentity": None}}, {"Content-Type": "application/merge-patch+json"})
    assert (status, patched["spec"]) == (200, {"leaseTransitions": 4})
    assert ask("PATCH", LEASES + "/x", [], {"Content-Type": "text/plain"})[0] == 415


def test_status_and_spec_are_written_apart(ask):
    made = ask("POST", PODS, pod("p"))[1]
    made["status"] = {"phase": "Running"}
    assert "status" not in ask("PUT", PODS + "/p", made)[1]
    assert ask("PUT", PODS + "/p/status", made)[1]["status"] == {"phase": "Running"}


# --- lists ---

def test_pages_are_one_snapshot(ask):
    for i in range(7):
        ask("POST", PODS, pod(f"p{i}"))
    status, page = ask("GET", PODS + "?limit=3")
    assert [p["metadata"]["name"] for p in page["items"]] == ["p0", "p1", "p2"]
    assert page["metadata"]["remainingItemCount"] == 4 and "kind" not in page["items"][0]
    ask("DELETE", PODS + "/p5")
    ask("POST", PODS, pod("p33"))
    names = []
    while page["metadata"].get("continue"):
        page = ask("GET", f"{PODS}?limit=3&continue={page['metadata']['continue']}")[1]
        names += [p["metadata"]["name"] for p in page["items"]]
    assert names == ["p3", "p4", "p5", "p6"]


def test_a_page_after_compaction_is_gone(ask, kube):
    for i in range(3):
        ask("POST", PODS, pod(f"p{i}"))
    page = ask("GET", PODS + "?limit=1")[1]
    ask("POST", PODS, pod("later"))
    kube.store.compact()
    status, said = ask("GET", f"{PODS}?limit=1&continue={page['metadata']['continue']}")
    assert (status, said["reason"]) == (410, "Expired")


@pytest.mark.parametrize("selector, names", [
    ("app=a", ["p1"]), ("app==a,tier", []), ("app!=a", ["p2", "p3"]), ("app in (a,b)", ["p1", "p2"]), ("app notin (a)", ["p2", "p3"]),
    ("!app", ["p3"]), ("tier,app in (b)", ["p2"]), ("tier in ()", []),
])
def test_label_selectors_select(ask, selector, names):
    ask("POST", PODS, pod("p1", {"app": "a"}))
    ask("POST", PODS, pod("p2", {"app": "b", "tier": "x"}))
    ask("POST", PODS, pod("p3"))
    quoted = selector.replace(" ", "%20").replace("=", "%3D").replace("!", "%21")
    listed = ask("GET", f"{PODS}?labelSelector={quoted}")[1]
    assert [p["metadata"]["name"] for p in listed["items"]] == names


def test_broken_selectors_are_refused(ask):
    assert ask("GET", PODS + "?labelSelector=a%20b%20c")[0] == 400
    assert "field label not supported: spec.x" in ask("GET", PODS + "?fieldSelector=spec.x%3D1")[1]["message"]
    assert ask("GET", PODS + "?limit=many")[0] == 400


# --- watches ---

def test_a_watch_tells_what_comes_after_its_version(ask):
    version = ask("GET", LEASES)[1]["metadata"]["resourceVersion"]
    made = ask("POST", LEASES, lease("x"))[1]
    made["spec"]["holderIdentity"] = "b"
    ask("PUT", LEASES + "/x", made)
    ask("DELETE", LEASES + "/x")
    events = list(ask.watch(LEASES, resourceVersion=version, timeoutSeconds=1))
    assert [e["type"] for e in events] == ["ADDED", "MODIFIED", "DELETED"]
    versions = [int(e["object"]["metadata"]["resourceVersion"]) for e in events]
    assert versions == sorted(set(versions)) and versions[0] > int(version)


def test_a_watch_without_version_begins_with_what_is_there(ask):
    ask("POST", LEASES, lease("x"))
    assert [e["type"] for e in ask.watch(LEASES, timeoutSeconds=1)] == ["ADDED"]


def test_a_watch_wakes_at_once(ask, kube):
    threading.Timer(0.1, lambda: kube.put(lease("x"))).start()
    began = time.monotonic()
    assert next(ask.watch(LEASES))["type"] == "ADDED"
    assert time.monotonic() - began < 0.5


def test_objects_that_enter_or_leave_a_selection_are_added_or_deleted(ask, kube):
    version = kube.store.version
    for labels in ({"app": "other"}, {"app": "a"}, {"app": "other"}):
        kube.put(pod("p", labels))
    events = list(ask.watch(PODS, resourceVersion=version, labelSelector="app%3Da", timeoutSeconds=1))
    assert [(e["type"], e["object"]["metadata"]["labels"]) for e in events] == [("ADDED", {"app": "a"}), ("DELETED", {"app": "a"})]
    assert int(events[1]["object"]["metadata"]["resourceVersion"]) == kube.store.version


def test_a_watch_of_one_name_hears_of_no_other(ask, kube):
    version = kube.store.version
    kube.put(lease("x"))
    kube.put(lease("y"))
    events = list(ask.watch(LEASES, resourceVersion=version, fieldSelector="metadata.name%3Dy", timeoutSeconds=1))
    assert [e["object"]["metadata"]["name"] for e in events] == ["y"]


def test_bookmarks_come_to_who_asks(ask, kube):
    kube.bookmark_seconds = 0.05
    kube.put(lease("x"))
    events = list(ask.watch(PODS, resourceVersion=1001, allowWatchBookmarks="true", timeoutSeconds=1))
    assert events and {e["type"] for e in events} == {"BOOKMARK"}
    assert events[-1]["object"]["kind"] == "Pod" and int(events[-1]["object"]["metadata"]["resourceVersion"]) == kube.store.version
    assert not list(ask.watch(PODS, resourceVersion=1001, timeoutSeconds=1))


def test_a_watch_from_a_forgotten_version_is_gone(ask, kube):
    kube.put(lease("x"))
    kube.store.compact()
    event, = ask.watch(LEASES, resourceVersion=1001)
    assert event["type"] == "ERROR" and (event["object"]["code"], event["object"]["reason"]) == (410, "Expired")
    kube.gone_as_status = True
    status, said = ask("GET", LEASES + "?watch=1&resourceVersion=1001")
    assert (status, said["code"]) == (410, 410)


def test_running_watches_can_be_ended(ask, kube):
    threading.Timer(0.1, lambda: kube.end_watches("expire")).start()
    assert [e["type"] for e in ask.watch(LEASES)] == ["ERROR"]
    threading.Timer(0.1, kube.end_watches).start()
    assert not raw_watch(kube, LEASES + "?watch=1").endswith(b"0\r\n\r\n")


# --- deletion ---

def owned(name, owner):
    ref = {"apiVersion": "v1", "kind": owner["kind"], "name": owner["metadata"]["name"], "uid": owner["metadata"]["uid"]}
    return lease(name, metadata={"ownerReferences": [ref]})


def until(condition, seconds=3):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


def test_what_a_deleted_object_owned_is_collected(ask, kube):
    p = kube.put(pod("p"))
    kube.put(owned("x", p))
    ask("DELETE", PODS + "/p")
    until(lambda: kube.get("Lease", "x") is None)


def test_what_is_owned_by_nobody_alive_is_collected(kube):
    kube.put(owned("x", {**pod("p"), "metadata": {"name": "p", "uid": "of-no-one"}}))
    until(lambda: kube.get("Lease", "x") is None)


def test_a_paused_collector_collects_later(ask, kube):
    p = kube.put(pod("p"))
    kube.put(owned("x", p))
    kube.store.pause_gc(True)
    ask("DELETE", PODS + "/p")
    time.sleep(0.1)
    assert kube.get("Lease", "x")
    kube.heal()
    until(lambda: kube.get("Lease", "x") is None)


def test_orphaned_objects_stay(ask, kube):
    p = kube.put(pod("p"))
    kube.put(owned("x", p))
    ask("DELETE", PODS + "/p?propagationPolicy=Orphan")
    time.sleep(0.1)
    assert kube.get("Lease", "x")["metadata"]["ownerReferences"] == []


def test_a_pod_on_a_node_terminates_before_it_goes(ask, kube):
    kube.store.kubelet_seconds = 0.2
    kube.put(pod("p", node="n"))
    status, answer = ask("DELETE", PODS + "/p")
    assert (status, answer["metadata"]["deletionGracePeriodSeconds"]) == (200, 30)
    assert ask("GET", PODS + "/p")[1]["metadata"]["deletionTimestamp"]
    until(lambda: kube.get("Pod", "p") is None)
    kube.put(pod("q", node="n"))
    ask("DELETE", PODS + "/q", {"gracePeriodSeconds": 0})
    assert kube.get("Pod", "q") is None


def test_finalizers_hold_an_object_until_they_are_gone(ask, kube):
    kube.put(lease("x", metadata={"finalizers": ["test/hold"]}))
    assert ask("DELETE", LEASES + "/x")[0] == 200
    held = ask("GET", LEASES + "/x")[1]
    assert held["metadata"]["deletionTimestamp"]
    held["metadata"]["finalizers"] = []
    ask("PUT", LEASES + "/x", held)
    assert kube.get("Lease", "x") is None


# --- who may ---

def test_tokens_name_users_and_rules_bind_them(kube_servers):
    api = kube_servers(tokens={"t": "system:serviceaccount:default:sa"})
    assert Client(api)("GET", PODS)[0] == 401
    assert Client(api, "wrong")("GET", PODS)[1]["reason"] == "Unauthorized"
    ask = Client(api, "t")
    assert ask("GET", PODS)[0] == 200
    api.rbac.bind("system:serviceaccount:default:sa", [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}], "default")
    assert ask("GET", PODS + "/p")[0] == 404
    status, said = ask("GET", PODS)
    assert (status, said["reason"]) == (403, "Forbidden")
    assert said["message"] == ('pods is forbidden: User "system:serviceaccount:default:sa" cannot list resource "pods" in API group "" in the '
                               'namespace "default"')
    said = ask("GET", LEASES + "/x")[1]
    assert said["message"].startswith('leases.coordination.k8s.io "x" is forbidden')
    assert 'API group "coordination.k8s.io"' in said["message"]
    assert ask("GET", "/api/v1/pods")[1]["message"].endswith("at the cluster scope")


def test_a_rule_for_a_name_does_not_allow_all_names(kube_servers):
    api = kube_servers(tokens={"t": "u"})
    api.rbac.bind("u", [{"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["*"], "resourceNames": ["x"]}])
    ask = Client(api, "t")
    assert ask("GET", LEASES + "/x")[0] == 404
    assert ask("GET", LEASES + "/y")[0] == 403
    assert ask("GET", LEASES)[0] == 403


def test_tls_and_client_certificates(kube_servers, pki):
    api = kube_servers(cert=pki / "server.crt", key=pki / "server.key", client_ca=pki / "ca.crt")
    context = ssl.create_default_context(cafile=pki / "ca.crt")
    assert Client(api, context=context)("GET", PODS)[0] == 401
    context.load_cert_chain(pki / "client.crt", pki / "client.key")
    api.rbac.bind("client", [{"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]}])
    assert Client(api, context=context)("GET", PODS)[0] == 200
    assert 'User "client"' in Client(api, context=context)("GET", LEASES)[1]["message"]


# --- faults ---

def test_every_second_write_can_conflict(ask, kube):
    made = ask("POST", LEASES, lease("x"))[1]
    kube.fault(verb="update", conflict=True, every=2)
    codes = []
    for i in range(4):
        made["spec"]["holderIdentity"] = f"h{i}"
        code, answer = ask("PUT", LEASES + "/x", made)
        codes.append(code)
        made = answer if code == 200 else made
    assert codes == [200, 409, 200, 409]


def test_errors_delays_and_lost_answers_can_be_ordered(ask, kube):
    kube.fault(verb="list", status=429, retry_after=3, times=1)
    status, said = ask("GET", PODS)
    assert (status, ask.answer.getheader("Retry-After"), said["details"]["retryAfterSeconds"]) == (429, "3", 3)
    assert ask("GET", PODS)[0] == 200
    kube.fault(verb="create", lose_answer=True, times=1)
    with pytest.raises((http.client.HTTPException, OSError)):
        ask("POST", LEASES, lease("x"))
    assert kube.get("Lease", "x"), "it was done"
    kube.fault(verb="create", close=True, times=1)
    with pytest.raises((http.client.HTTPException, OSError)):
        ask("POST", LEASES, lease("y"))
    assert not kube.get("Lease", "y")
    kube.fault(delay=0.2, times=1)
    began = time.monotonic()
    ask("GET", PODS)
    assert time.monotonic() - began >= 0.2
    assert kube.asked(verb="create", resource="leases") == 2


def raw_watch(api, path="/apis/coordination.k8s.io/v1/leases?watch=1&timeoutSeconds=1"):
    got = b""
    with socket.create_connection(("127.0.0.1", api.port), timeout=5) as sock:
        sock.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        try:
            while piece := sock.recv(65536):
                got += piece
        except ConnectionResetError:
            pass
    return got


def test_a_watch_is_cut_at_exactly_that_byte(kube):
    kube.put(lease("x"))
    whole = raw_watch(kube)
    assert whole.endswith(b"0\r\n\r\n")
    for n in range(1, len(whole), 37):
        kube.fault(verb="watch", cut_after=n, times=1)
        assert len(raw_watch(kube)) == n
    kube.fault(verb="watch", pieces=1, times=1)
    assert len(raw_watch(kube)) == len(whole)


def test_the_clock_can_be_wrong_in_answers_and_objects(ask, kube):
    kube.store.clock_offset = -3600
    made = ask("POST", LEASES, lease("x"))[1]
    hour_ago = time.gmtime(time.time() - 3600)
    assert made["metadata"]["creationTimestamp"].startswith(time.strftime("%Y-%m-%dT%H:", hour_ago))
    assert time.strftime(" %H:", hour_ago) in ask.answer.getheader("Date")


def test_the_server_can_be_down_and_come_back(ask, kube):
    kube.go_down()
    with pytest.raises((OSError, http.client.HTTPException)):
        ask("GET", PODS)
    kube.heal()
    assert ask("GET", PODS)[0] == 200
    kube.stop_listening()
    with pytest.raises(ConnectionRefusedError):
        ask("GET", PODS)
    kube.listen()
    assert ask("GET", PODS)[0] == 200


def test_a_fault_with_an_unknown_word_is_refused(ask, kube):
    with pytest.raises(ValueError):
        kube.fault(staus=500)
    assert ask("POST", "/_control", {"what": "fault", "staus": 500})[0] == 400
    assert ask("POST", "/_control", {"what": "dance"})[0] == 400


# --- as a program ---

def test_it_runs_from_the_command_line_and_takes_orders(tmp_path):
    (tmp_path / "pods.json").write_text(json.dumps([pod("p"), pod("q")]))
    program = pathlib.Path(__file__).parent / "apiserver.py"
    process = subprocess.Popen([sys.executable, program, "--token", "t=me", "--kubeconfig", tmp_path / "config", "--load", tmp_path / "pods.json"],
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        where = json.loads(process.stdout.readline())
        ask = Client(type("Api", (), where), "t")
        assert [p["metadata"]["name"] for p in ask("GET", PODS)[1]["items"]] == ["p", "q"]
        assert json.loads((tmp_path / "config").read_text())["clusters"][0]["cluster"]["server"] == where["url"]
        for order in ({"what": "put", "object": lease("x")}, {"what": "remove", "kind": "Pod", "name": "q"}, {"what": "clock", "offset": 3600},
                      {"what": "fault", "verb": "get", "status": 500, "times": 1}):
            assert ask("POST", "/_control", order)[0] == 200
        assert ask("GET", LEASES + "/x")[0] == 500
        assert ask("GET", LEASES + "/x")[0] == 200
        assert [r["code"] for r in ask("GET", "/_control/requests")[1]][-2:] == [500, 200]
    finally:
        process.stdin.close()
        assert process.wait(10) == 0

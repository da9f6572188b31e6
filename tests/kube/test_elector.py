"""The elector against the test API server: real processes, real time."""
import json
import os
import signal
import socket
import subprocess
import threading
import time

import pytest

from elector import BUILD, SLOW, Subscriber, pod, wait_for
from harness.agent import VARIANT, free_port


def lease(kube, name="the-election"):
    return kube.get("Lease", name)


def holder(kube):
    found = lease(kube)
    return found["spec"].get("holderIdentity", "") if found else None


def one_leads(electors):
    """The one that leads, when all agree on it."""
    def agreed():
        names = {e.leader for e in electors}
        leaders = [e for e in electors if e.name in names]
        return leaders[0] if len(names) == 1 and len(leaders) == 1 else None
    return wait_for(agreed, "one leader that all know")


class Witness:
    """Asks all electors all the time, and keeps the moments at which two of them showed themselves."""

    def __init__(self, electors):
        self.electors, self.double, self.over = electors, [], False
        self.thread = threading.Thread(target=self.watch, daemon=True)
        self.thread.start()

    def shows_itself(self, elector):
        began = time.monotonic()
        try:
            return elector.leader == elector.name and (began, time.monotonic())
        except OSError:
            return False

    def watch(self):
        while not self.over:
            claims = [c for c in map(self.shows_itself, self.electors) if c]
            # Two answers count only if both are true of one moment: each of the first is asked for again after the last.
            if len(claims) > 1 and sum(bool(self.shows_itself(e)) for e in self.electors) > 1:
                self.double.append(claims)
            time.sleep(0.01)

    def end(self):
        self.over = True
        self.thread.join()
        assert not self.double


# --- owner ---

def test_when_the_leaders_pod_is_deleted_another_leads_within_a_second_and_every_subscriber_hears_it_once(kube, electors):
    three = [electors(kube, f"pod-{i}") for i in range(3)]
    leader = one_leads(three)
    subscribers = [(e, Subscriber(e)) for e in three for _ in range(2)]
    wait_for(lambda: all(s.names == [leader.name] for _, s in subscribers), "the present leader")
    kube.remove("Pod", leader.name)
    deleted = time.monotonic()
    wait_for(lambda: all(s.names[-1] not in (leader.name, "") for _, s in subscribers), "the next leader")
    for elector, subscriber in subscribers:
        # Who led shows at once that it does not; the others hear of the change alone.
        between = [""] if elector is leader else []
        assert subscriber.names == [leader.name, *between, holder(kube)]
        assert subscriber.events[-1][0] - deleted < 1 * SLOW
        subscriber.close()


def test_the_lease_is_owned_by_the_pod_and_never_written_again(kube, electors):
    elector = electors(kube, "pod-0")
    wait_for(elector.leads, "it leads")
    made = lease(kube)
    owner, = made["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["name"], owner["uid"]) == ("Pod", "pod-0", kube.get("Pod", "pod-0")["metadata"]["uid"])
    assert made["spec"]["holderIdentity"] == "pod-0" and "renewTime" not in made["spec"] and made["spec"]["acquireTime"]
    time.sleep(1)
    assert lease(kube) is made
    assert kube.asked(verb="update") == 0 and elector.metric("elector_kubernetes_resources_written") == 1


@pytest.mark.parametrize("strategy", ["owner", "renew"])
def test_of_twenty_that_race_one_wins(kube, electors, strategy):
    kube.fault(verb="create", resource="leases", delay=0.05)
    racers = [electors(kube, f"pod-{i}", strategy=strategy) for i in range(20 if VARIANT == "release" else 8)]
    leader = one_leads(racers)
    assert holder(kube) == leader.name
    assert sum(e.metric("elector_is_leader") for e in racers) == 1
    assert sum(r["verb"] == "create" and r["code"] == 201 for r in kube.requests) == 1
    for race in range(2, 5):  # again, now that all are ready for it
        before = lease(kube)
        if strategy == "owner":
            kube.remove("Lease", "the-election")
        else:
            kube.put({**before, "spec": {**before["spec"], "holderIdentity": ""}})
        wait_for(lambda old=before: (now := lease(kube)) and now["spec"].get("holderIdentity") and now["spec"]["acquireTime"]
                 != old["spec"]["acquireTime"], "a new tenure")
        leader = one_leads(racers)
        assert holder(kube) == leader.name
        assert sum(e.metric("elector_is_leader") for e in racers) == 1
        if strategy == "owner":
            assert sum(r["verb"] == "create" and r["code"] == 201 for r in kube.requests) == race
        else:
            assert lease(kube)["spec"]["leaseTransitions"] == race


def test_an_owner_stays_the_leader_while_the_api_server_is_away(kube, electors):
    two = [electors(kube, f"pod-{i}") for i in range(2)]
    leader = one_leads(two)
    kube.stop_listening()
    time.sleep(4)
    assert [e.leader for e in two] == [leader.name] * 2
    kube.listen()
    kube.remove("Pod", leader.name)
    other = next(e for e in two if e is not leader)
    wait_for(other.leads, "the other leads")


def test_a_lease_of_a_former_pod_of_the_same_name_makes_no_leader(kube, electors):
    kube.store.pause_gc(True)
    kube.put({"kind": "Lease", "metadata": {"name": "the-election", "ownerReferences": [
        {"apiVersion": "v1", "kind": "Pod", "name": "pod-0", "uid": "of-the-former-one"}]}, "spec": {"holderIdentity": "pod-0"}})
    elector = electors(kube, "pod-0")
    wait_for(lambda: kube.asked(verb="get", resource="pods"), "it looks for its pod")
    time.sleep(0.3)
    assert elector.leader is None and elector.get("/readyz", "probes")[0] == 503
    kube.store.pause_gc(False)
    wait_for(elector.leads, "it leads with a Lease of its own")


def test_a_restarted_owner_leads_on(kube, electors):
    elector = electors(kube, "pod-0")
    wait_for(elector.leads, "it leads")
    elector.kill()
    again = electors(kube, "pod-0", with_pod=False)
    wait_for(again.leads, "it leads again")
    assert kube.asked(verb="create", resource="leases") == 1


# --- renew ---

def test_a_renewing_leader_that_dies_is_replaced_after_the_duration(kube, electors):
    two = [electors(kube, f"pod-{i}", strategy="renew", lease_duration="3s") for i in range(2)]
    leader = one_leads(two)
    first = lease(kube)["spec"]
    assert first["leaseDurationSeconds"] == 3 and first["leaseTransitions"] == 1
    leader.kill()
    died = time.monotonic()
    other = next(e for e in two if e is not leader)
    wait_for(other.leads, "the other leads")
    assert 1.5 < time.monotonic() - died < 4 * SLOW
    assert lease(kube)["spec"]["leaseTransitions"] == 2


def test_a_terminated_leader_releases_at_once(kube, electors):
    two = [electors(kube, f"pod-{i}", strategy="renew", lease_duration="60s") for i in range(2)]
    leader = one_leads(two)
    subscriber = Subscriber(leader)
    leader.process.terminate()
    began = time.monotonic()
    other = next(e for e in two if e is not leader)
    wait_for(other.leads, "the other leads")
    assert time.monotonic() - began < 1 * SLOW
    wait_for(lambda: subscriber.over, "the subscription ends")
    assert subscriber.names[:2] == [leader.name, ""]
    leader.stop()


def test_a_renewer_stops_claiming_before_the_lease_can_be_anothers_when_the_api_server_is_away(kube, electors):
    two = [electors(kube, f"pod-{i}", strategy="renew", lease_duration="3s") for i in range(2)]
    leader = one_leads(two)
    witness = Witness(two)
    version = lease(kube)["metadata"]["resourceVersion"]
    wait_for(lambda: lease(kube)["metadata"]["resourceVersion"] != version, "a renewal")
    renewed = time.monotonic()
    kube.stop_listening()
    wait_for(lambda: not leader.leads(), "it stops")
    assert time.monotonic() - renewed < 3.1 * SLOW
    time.sleep(2)
    assert not any(e.leads() for e in two)
    kube.listen()
    one_leads(two)
    witness.end()


def test_a_conflict_on_every_second_write_unseats_nobody(kube, electors):
    two = [electors(kube, f"pod-{i}", strategy="renew", lease_duration="3s") for i in range(2)]
    leader = one_leads(two)
    subscriber = Subscriber(leader)
    kube.fault(verb="update", resource="leases", conflict=True, every=2)
    wait_for(lambda: sum(r["verb"] == "update" and r["code"] == 409 for r in kube.requests) >= 4, "four conflicts, longer than a lease")
    assert subscriber.names == [leader.name] and lease(kube)["spec"]["leaseTransitions"] == 1
    subscriber.close()


def test_a_write_whose_answer_is_lost_is_found_again(kube, electors):
    kube.fault(verb="create", resource="leases", lose_answer=True, times=1)
    elector = electors(kube, "pod-0", strategy="renew", lease_duration="3s")
    wait_for(elector.leads, "it leads")
    kube.fault(verb="update", resource="leases", lose_answer=True, every=2)
    subscriber = Subscriber(elector)
    wait_for(lambda: kube.asked(verb="update", resource="leases") >= 6, "renewals for longer than a lease")
    assert subscriber.names == ["pod-0"] and lease(kube)["spec"]["leaseTransitions"] == 1
    subscriber.close()


def test_the_clock_of_the_api_server_does_not_matter(kube, electors):
    kube.store.clock_offset = 3600
    two = [electors(kube, f"pod-{i}", strategy="renew", lease_duration="2s") for i in range(2)]
    leader = one_leads(two)
    subscriber = Subscriber(leader)
    time.sleep(2.5)
    kube.store.clock_offset = -3600
    time.sleep(2.5)
    assert subscriber.names == [leader.name]
    subscriber.close()


def test_a_paused_leader_does_not_claim_when_it_goes_on(kube, electors):
    two = [electors(kube, f"pod-{i}", strategy="renew", lease_duration="2s") for i in range(2)]
    leader = one_leads(two)
    other = next(e for e in two if e is not leader)
    leader.process.send_signal(signal.SIGSTOP)
    wait_for(other.leads, "the other leads")
    asked = []
    with socket.create_connection(("127.0.0.1", leader.ports["leader"])) as sock:  # waits for it before it goes on
        sock.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        leader.process.send_signal(signal.SIGCONT)
        while piece := sock.recv(4096):
            asked.append(piece)
    answer = json.loads(b"".join(asked).split(b"\r\n\r\n")[1])
    assert answer["name"] != leader.name
    assert one_leads(two) is other


def test_a_sick_leader_lets_go(kube, electors, tmp_path):
    sign = tmp_path / "well"
    sign.write_text("")
    first = electors(kube, "pod-0", strategy="renew", lease_duration="60s", health_file=sign)
    wait_for(first.leads, "it leads")
    second = electors(kube, "pod-1", strategy="renew", lease_duration="60s")
    sign.unlink()
    wait_for(second.leads, "the healthy one leads", 10)
    assert not first.leads() and lease(kube)["spec"]["leaseTransitions"] == 2
    sign.write_text("")
    second.stop()
    wait_for(first.leads, "it is well again and leads")


def test_the_health_page_decides(kube, electors):
    import http.server
    status = {"code": 503}

    class Page(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            assert self.path == "/well?x=1"
            self.send_response(status["code"])
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        elector = electors(kube, "pod-0", strategy="renew", health_url=f"http://127.0.0.1:{server.server_port}/well?x=1")
        time.sleep(1.5)
        assert lease(kube) is None, "it is not known to be well"
        status["code"] = 204
        wait_for(elector.leads, "it is well and leads")
        server.shutdown()
        server.server_close()
        wait_for(lambda: holder(kube) == "", "it lets go")
        assert not elector.leads()
    finally:
        server.server_close()


# --- the watch ---

def test_a_watch_that_breaks_at_any_byte_loses_nothing(kube, electors):
    elector = electors(kube, "pod-0")
    wait_for(elector.leads, "it leads")
    follower = electors(kube, "pod-1")
    assert wait_for(lambda: follower.leader, "a leader") == "pod-0"
    for i, cut in enumerate(range(1, 1200, 61 if VARIANT == "release" else 241)):
        kube.fault(verb="watch", cut_after=cut, times=1)
        kube.end_watches()
        kube.put({"kind": "Lease", "apiVersion": "coordination.k8s.io/v1", "metadata": {
            **{k: lease(kube)["metadata"][k] for k in ("name", "namespace", "ownerReferences")}}, "spec": {"holderIdentity": f"other-{i}"}})
        wait_for(lambda n=f"other-{i}": follower.leader == n, f"the change told through a watch cut at byte {cut}", 30)


def test_a_watch_that_is_gone_is_begun_again(kube, electors):
    elector = electors(kube, "pod-0")
    wait_for(elector.leads, "it leads")
    subscriber = Subscriber(elector)
    kube.end_watches("expire")
    kube.store.compact()
    wait_for(lambda: kube.asked(verb="list", resource="leases") >= 2, "it lists again")
    time.sleep(0.2)
    assert subscriber.names == ["pod-0"]
    subscriber.close()


def test_missing_rights_are_named_in_the_log_and_cured(kube_servers, electors):
    kube = kube_servers(tokens={"t": "system:serviceaccount:default:app"})
    rights = [{"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["get", "list", "watch"]},
              {"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]
    kube.rbac.bind("system:serviceaccount:default:app", rights, "default")
    elector = electors(kube, "pod-0", token="t")
    wait_for(lambda: any('cannot create resource \\"leases\\"' in line for line in elector.log), "the missing right in the log")
    assert elector.get()[0] == 503 and elector.get("/healthz", "probes")[0] == 200
    rights[0]["verbs"].append("create")
    wait_for(elector.leads, "it leads")


# --- pages ---

def test_before_the_first_result_there_is_none(kube, electors):
    kube.fault(status=503)
    elector = electors(kube, "pod-0")
    status, body, headers = elector.get()
    assert (status, body, headers["Cache-Control"]) == (503, "{}", "no-cache")
    assert elector.get("/readyz", "probes")[0] == 503
    subscriber = Subscriber(elector)
    kube.heal()
    wait_for(lambda: subscriber.names == ["pod-0"], "the result")
    status, body, headers = elector.get()
    assert status == 200 and headers["Content-Type"] == "application/json" and set(json.loads(body)) == {"name", "last_update"}
    assert elector.get("/readyz", "probes")[0] == 200
    subscriber.close()


def test_who_comes_back_with_the_last_id_does_not_hear_it_twice(kube, electors):
    elector = electors(kube, "pod-0")
    wait_for(elector.leads, "it leads")
    first = Subscriber(elector)
    wait_for(lambda: first.events, "the state")
    back, other = Subscriber(elector, first.events[0][1]), Subscriber(elector, "1")
    wait_for(lambda: other.events and back.comments, "answers")
    assert not back.events
    kube.remove("Lease", "the-election")
    wait_for(lambda: back.events, "the change")
    for subscriber in (first, back, other):
        subscriber.close()


def test_hundreds_of_subscribers_hear_a_change_once_and_those_that_stall_disturb_nobody(kube, electors):
    elector = electors(kube, "pod-0")
    wait_for(elector.leads, "it leads")
    stalled = []
    for _ in range(50):
        sock = socket.create_connection(("127.0.0.1", elector.ports["leader"]))
        sock.sendall(b"GET /sse HTTP/1.1\r\nHost: x\r\n\r\n")
        stalled.append(sock)
    subscribers = [Subscriber(elector) for _ in range(300)]
    wait_for(lambda: all(s.names == ["pod-0"] for s in subscribers), "the state")
    before = elector.memory_kib()
    for i in range(20):
        kube.put({"kind": "Lease", "apiVersion": "coordination.k8s.io/v1", "metadata": {"name": "the-election", "namespace": "default"},
                  "spec": {"holderIdentity": f"leader-{i}"}})
    wait_for(lambda: all(s.names[-1] == "leader-19" for s in subscribers), "the last change")
    for s in subscribers:
        assert len(s.names) == len(set(s.names)), "each once"
        assert s.names == subscribers[0].names
    if VARIANT == "release":
        assert elector.memory_kib() - before < 2048
    for s in subscribers:
        s.close()
    for sock in stalled:
        sock.close()
    assert elector.leader == "leader-19"


def test_proxies_are_kept_awake(kube, electors):
    elector = electors(kube, "pod-0")
    wait_for(elector.leads, "it leads")
    subscriber = Subscriber(elector)
    wait_for(lambda: subscriber.names, "the state")
    wait_for(lambda: subscriber.comments, "a comment", 17)
    subscriber.close()


def test_other_pages_and_methods_are_refused(kube, electors):
    elector = electors(kube, "pod-0")
    assert elector.get("/nothing")[0] == 404
    assert elector.get("/metrics")[0] == 404
    assert elector.get("/", "probes")[0] == 404
    import urllib.error
    import urllib.request
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(urllib.request.Request(elector.url, method="POST", data=b""))
    assert (caught.value.code, caught.value.headers["Allow"]) == (405, "GET, HEAD")


# --- the program ---

def run(*args, env=None):
    return subprocess.run([BUILD / "elector", *args], env=env or {"PATH": os.environ["PATH"], "HOME": "/nowhere"}, capture_output=True,
                          text=True, timeout=20 * SLOW)


@pytest.mark.parametrize("args, words", [
    (["--backend=agent", "--election=e", "--election-namespace=n"], "--backend=kubernetes"),
    (["--election=e"], "--election-namespace"),
    (["--elecion=e"], "did you mean --election?"),
    (["--election=e", "--election-namespace=n"], "kube"),
])
def test_a_wrong_configuration_is_exit_78_with_words(args, words):
    result = run(*args)
    assert result.returncode == 78 and words in result.stderr and result.stderr.startswith("elector: ")


def test_a_port_in_use_is_exit_75(kube, electors):
    elector = electors(kube, "pod-0")
    args = [f"--{k.replace('_', '-')}={v}" for k, v in elector.flags.items()]
    result = run(*args, f"--http=127.0.0.1:{elector.ports['leader']}")
    assert result.returncode == 75 and "in use" in result.stderr


def test_help_names_every_flag_and_variable():
    result = run("--help")
    assert result.returncode == 0 and "--election-namespace" in result.stdout and "ELECTOR_PROBE_ADDRESS" in result.stdout
    assert run("--version").stdout.startswith("elector ")


def test_it_serves_over_tls_with_the_service_account_of_its_pod(kube_servers, pki, tmp_path):
    kube = kube_servers(cert=pki / "server.crt", key=pki / "server.key", tokens={"secret": "system:serviceaccount:default:app"})
    from elector import Elector
    kube.put(pod("pod-0"))
    config = tmp_path / "config"
    import apiserver
    config.write_text(json.dumps(apiserver.kubeconfig(kube, "secret", str(pki / "ca.crt"))))
    elector = Elector(tmp_path / "e", "pod-0", config).start()
    wait_for(elector.leads, "it leads")
    if VARIANT == "release":
        assert elector.memory_kib() <= 3 * 1024, f"{elector.memory_kib()} KiB of its own"
    elector.stop()


@pytest.mark.skipif(VARIANT != "release", reason="sanitizers make it large and slow")
def test_it_is_small_and_quick(kube, tmp_path):
    import apiserver
    from elector import Elector
    stripped = tmp_path / "elector"
    subprocess.run(["strip", "-o", stripped, BUILD / "elector"], check=True)
    assert stripped.stat().st_size <= 2 * 1024 * 1024
    kube.put(pod("pod-0"))
    config = tmp_path / "config"
    config.write_text(json.dumps(apiserver.kubeconfig(kube, None, None)))
    times = []
    for i in range(5):
        port = free_port()
        elector = Elector(tmp_path / str(i), "pod-0", config, http=f"127.0.0.1:{port}")
        began = time.monotonic()
        elector.start()
        wait_for(lambda: elector.leader == "pod-0", "the first answer")
        times.append(time.monotonic() - began)
        assert elector.memory_kib() <= 3 * 1024, f"{elector.memory_kib()} KiB of its own"
        elector.stop()
    assert min(times) <= 0.2, times

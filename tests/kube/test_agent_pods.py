"""GetPods of a real agent against the test API server: rolling updates as they are, over HTTP and gRPC."""
import json
import re
import threading
import time

import grpc
import pytest

from harness import proto
from harness.agent import SLOW, VARIANT, Agent, wait_for

REVISION = "deployment.kubernetes.io/"
CONDITIONS = ("PodScheduled", "Initialized", "Ready", "ContainersReady")
ALL_RIGHTS = [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list", "watch"]},
              {"apiGroups": ["apps"], "resources": ["deployments", "replicasets"], "verbs": ["get", "list", "watch"]}]
LEAST_RIGHTS = [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]},
                {"apiGroups": ["apps"], "resources": ["deployments", "replicasets"], "verbs": ["get"]}]


@pytest.fixture
def agents(tmp_path):
    made = []

    def make(api, token=None, **settings):
        config = tmp_path / f"config-{len(made)}"
        config.write_text(json.dumps({
            "current-context": "c", "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}],
            "clusters": [{"name": "k", "cluster": {"server": api.url}}],
            "users": [{"name": "u", "user": {"token": token} if token else {}}]}))
        agent = Agent(tmp_path / f"agent-{len(made)}", KUBE_ENABLE="true", KUBE_IN_CLUSTER="false", KUBE_CONFIG=config, **settings)
        made.append(agent)
        return agent.start()

    yield make
    for agent in made:
        agent.stop()


def deployment(name="web", selector=None, namespace="default"):
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "namespace": namespace},
            "spec": {"replicas": 2, "selector": selector or {"matchLabels": {"app": name}},
                     "template": {"metadata": {"labels": {"app": name}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}}}


def replica_set(name, revision, owner="web", desired=2, maximum=3, **status):
    meta = {"name": name, "namespace": "default",
            "annotations": {REVISION + "revision": str(revision), REVISION + "desired-replicas": str(desired),
                            REVISION + "max-replicas": str(maximum)}}
    if owner:
        meta["ownerReferences"] = [{"apiVersion": "apps/v1", "kind": "Deployment", "name": owner, "uid": "d", "controller": True}]
    return {"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": meta,
            "spec": {"replicas": desired, "selector": {"matchLabels": {"app": "web"}}}, "status": status}


def pod(name, owner="web-1", labels=None, phase="Running", ip="10.0.0.1", true=CONDITIONS, **more):
    meta = {"name": name, "namespace": "default", "labels": labels or {"app": "web"}, **more.pop("meta", {})}
    if owner:
        meta["ownerReferences"] = [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": owner, "uid": "r", "controller": True}]
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": {"containers": [{"name": "c", "image": "i"}], "nodeName": "n"},
            "status": {"phase": phase, "podIP": ip, "conditions": [{"type": c, "status": "True" if c in true else "False"} for c in CONDITIONS],
                       **more}}


def alone(api):
    """The owners of the objects below are made up; nobody is to collect them for that, and no kubelet ends its pods."""
    api.store.pause_gc(True)
    api.store.kubelet_seconds = 3600
    return api


def rolling_update(api):
    alone(api).put(deployment())
    api.put(replica_set("web-1", 1, replicas=1, readyReplicas=1, availableReplicas=1, fullyLabeledReplicas=1))
    api.put(replica_set("web-2", 2, replicas=2, readyReplicas=1, availableReplicas=1, fullyLabeledReplicas=2))
    api.put(pod("web-1-a", "web-1", ip="10.0.0.1"))
    api.put(pod("web-2-a", "web-2", ip="10.0.0.2"))
    api.put(pod("web-2-b", "web-2", ip="", phase="Pending", true=("PodScheduled",)))


def names(answer):
    return [item["name"] for item in answer["items"]]


@pytest.mark.parametrize("threads", [1, 3])
def test_a_rolling_update_shows_as_it_is(kube, agents, threads):
    rolling_update(kube)
    agent = agents(kube, THREADS=threads)
    for _ in range(2 * threads):  # connections go to any of the threads
        status, answer = agent.json("GET", "/kube/default/web/pods")
        assert status == 200
        assert names(answer) == ["web-1-a", "web-2-a", "web-2-b"]
    assert answer["items"][0] == {
        "name": "web-1-a", "deployment": "web", "ip": "10.0.0.1",
        "status": {"phase": "Running", "reason": "", "terminating": False, "podScheduled": True, "podInitialized": True, "podReady": True,
                   "containersReady": True},
        "replicaSet": {"name": "web-1", "revision": 1, "availableReplicas": 1, "fullyLabeledReplicas": 1, "readyReplicas": 1, "replicas": 1,
                       "desiredReplicas": 2, "maxReplicas": 3}}
    assert answer["items"][2]["status"] == {
        "phase": "Pending", "reason": "", "terminating": False, "podScheduled": True, "podInitialized": False, "podReady": False,
        "containersReady": False}
    assert answer["items"][2]["replicaSet"]["revision"] == 2


def test_grpc_gives_the_same(kube, agents, monkeypatch):
    rolling_update(kube)
    agent = agents(kube)
    pb, services = proto.load()
    with grpc.insecure_channel(agent.grpc_target) as channel:
        stub = services.ElectionStub(channel)
        pods = stub.GetPods(pb.GetPodsRequest(namespace="default", deployment="web"))
        assert [(p.name, p.deployment, p.replicaSet.revision, p.status.podReady) for p in pods.items] == [
            ("web-1-a", "web", 1, True), ("web-2-a", "web", 2, True), ("web-2-b", "web", 2, False)]
        by_pod = stub.GetPods(pb.GetPodsRequest(namespace="default", deployment="other", pod_name="web-2-b"))
        assert by_pod == pods  # pod_name wins


@pytest.mark.parametrize("cache", ["false", "true"])
def test_terminating_lost_and_foreign_pods(kube, agents, cache):
    rolling_update(kube)
    kube.put(pod("web-1-dying", "web-1"))
    kube.put(pod("web-1-lost", "web-1", reason="NodeLost"))
    kube.remove("Pod", "web-1-dying")
    kube.remove("Pod", "web-1-lost")
    kube.put(pod("web-alone", None))
    kube.put(pod("other", "web-1", labels={"app": "other"}))
    agent = agents(kube, KUBE_CACHE=cache)
    if cache == "true":
        agent.json("GET", "/kube/default/web/pods")
        wait_for(lambda: costs_nothing(kube, agent), "the cache to be whole")
    answer = agent.json("GET", "/kube/default/web/pods")[1]
    status = {item["name"]: item["status"] for item in answer["items"]}
    assert sorted(status) == ["web-1-a", "web-1-dying", "web-1-lost", "web-2-a", "web-2-b"]
    assert status["web-1-dying"]["terminating"] and status["web-1-dying"]["phase"] == "Running"
    assert not status["web-1-lost"]["terminating"] and status["web-1-lost"]["reason"] == "NodeLost"


@pytest.mark.parametrize("selector, chosen", [
    ({"matchExpressions": [{"key": "app", "operator": "In", "values": ["web", "api"]}]}, ["a", "b"]),
    ({"matchLabels": {"app": "web"}, "matchExpressions": [{"key": "tier", "operator": "NotIn", "values": ["x"]}]}, ["b"]),
    ({"matchExpressions": [{"key": "tier", "operator": "Exists"}]}, ["a", "c"]),
    ({"matchExpressions": [{"key": "tier", "operator": "DoesNotExist"}, {"key": "app", "operator": "Exists"}]}, ["b"]),
])
@pytest.mark.parametrize("cache", ["false", "true"])
def test_expressions_choose(kube, agents, selector, chosen, cache):
    alone(kube).put(deployment(selector=selector))
    kube.put(replica_set("web-1", 1))
    kube.put(pod("a", labels={"app": "web", "tier": "x"}))
    kube.put(pod("b", labels={"app": "web"}))
    kube.put(pod("c", labels={"app": "other", "tier": "y"}))
    agent = agents(kube, KUBE_CACHE=cache)
    if cache == "true":
        agent.json("GET", "/kube/default/web/pods")
        wait_for(lambda: costs_nothing(kube, agent), "the cache to be whole")
    assert names(agent.json("GET", "/kube/default/web/pods")[1]) == chosen


def test_the_servers_words_come_through(kube_servers, agents):
    api = kube_servers(tokens={"t": "bob"})
    rolling_update(api)
    api.put(pod("alone", None))
    api.put(replica_set("orphan", 1, owner=None))
    api.put(pod("orphan-a", "orphan"))
    agent = agents(api, token="t")
    pb, services = proto.load()
    assert agent.json("GET", "/kube/default/none/pods") == (404, {"message": 'get deployments: deployments.apps "none" not found'})
    assert agent.json("GET", "/kube/nowhere/web/pods")[0] == 404
    assert agent.json("GET", "/kube/Not_a_name/web/pods")[0] == 400
    with grpc.insecure_channel(agent.grpc_target) as channel:
        stub = services.ElectionStub(channel)
        for name, words in (("none", 'pods "none" not found'), ("alone", "belongs to no ReplicaSet"), ("orphan-a", "belongs to no Deployment")):
            with pytest.raises(grpc.RpcError) as refused:
                stub.GetPods(pb.GetPodsRequest(namespace="default", pod_name=name))
            assert refused.value.code() == grpc.StatusCode.NOT_FOUND
            assert words in refused.value.details()
        with pytest.raises(grpc.RpcError) as refused:
            stub.GetPods(pb.GetPodsRequest(namespace="default"))
        assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT and "deployment" in refused.value.details()


def test_missing_rights_are_named(kube_servers, agents):
    api = kube_servers(tokens={"t": "bob"})
    rolling_update(api)
    agent = agents(api, token="t")
    for verb, resource in (("get", "deployments"), ("list", "pods"), ("get", "replicasets")):
        rules = json.loads(json.dumps(LEAST_RIGHTS))
        for rule in rules:
            if resource in rule["resources"]:
                rule["resources"].remove(resource)
        if verb == "list":
            rules.append({"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]})
        api.rbac.clear()
        api.rbac.bind("bob", rules, "default")
        status, answer = agent.json("GET", "/kube/default/web/pods")
        assert status == 403
        assert f'cannot {verb} resource "{resource}"' in answer["message"], answer
    api.rbac.clear()
    api.rbac.bind("bob", LEAST_RIGHTS, "default")
    assert agent.json("GET", "/kube/default/web/pods")[0] == 200


def test_a_busy_api_server_is_asked_again(kube, agents):
    rolling_update(kube)
    agent = agents(kube)
    kube.fault(verb="list", resource="pods", status=429, retry_after=1, times=1)
    kube.fault(verb="get", resource="replicasets", status=500, times=2)
    assert len(names(agent.json("GET", "/kube/default/web/pods")[1])) == 3


def test_an_api_server_that_is_gone_is_told_and_comes_back(kube, agents):
    rolling_update(kube)
    agent = agents(kube)
    kube.go_down()
    pb, services = proto.load()
    with grpc.insecure_channel(agent.grpc_target) as channel, pytest.raises(grpc.RpcError) as refused:
        services.ElectionStub(channel).GetPods(pb.GetPodsRequest(namespace="default", deployment="web"), timeout=1 * SLOW)
    assert refused.value.code() in (grpc.StatusCode.FAILED_PRECONDITION, grpc.StatusCode.DEADLINE_EXCEEDED)
    metrics = agent.http("GET", "/metrics")[2]
    assert re.search(r"^election_agent_unavailable_total\S* 0$", metrics, re.M), "the store was never unavailable"
    assert not re.search(r'^election_agent_request_duration_seconds_count{[^}]*action="get_pods"[^}]*status="fail"[^}]*} [1-9]', metrics, re.M)
    assert agent.http("GET", "/readyz")[0] == 200  # elections do not need it
    kube.heal()
    assert agent.json("GET", "/kube/default/web/pods")[0] == 200


def test_thousands_of_pods_come_in_pages_and_hold_nothing_up(kube, agents):
    number = 5000 if VARIANT == "release" else 1500  # within the time of a request
    alone(kube).put(deployment())
    kube.put(replica_set("web-1", 1))
    for i in range(number):
        kube.put(pod(f"web-1-{i:04}", meta={"annotations": {"filler": "x" * 9000}}))
    agent = agents(kube)
    found = []
    asking = threading.Thread(target=lambda: found.append(agent.json("GET", "/kube/default/web/pods")[1]))
    asking.start()
    longest = 0
    while asking.is_alive():
        began = time.monotonic()
        assert agent.http("POST", "/election/e", {"candidate": "a", "term": 5000})[0] == 200
        longest = max(longest, time.monotonic() - began)
        time.sleep(0.02)  # the API server shares this process
    assert len(found[0].get("items", [])) == number, found[0].get("message")
    assert kube.asked(verb="list", resource="pods") == number // 100
    assert longest < 0.5 * SLOW
    if VARIANT == "release":  # sanitizers keep what was freed
        assert agent.memory() < 40e6
    print(f"{number} pods; the longest campaign meanwhile took {longest * 1000:.1f} ms, memory {agent.memory() / 1e6:.1f} MB")


def costs_nothing(api, agent):
    before = len(api.requests)
    assert agent.json("GET", "/kube/default/web/pods")[0] == 200
    return len(api.requests) == before


def test_the_cache_answers_alone_and_follows(kube, agents):
    rolling_update(kube)
    agent = agents(kube, KUBE_CACHE="true", THREADS=2)
    agent.json("GET", "/kube/default/web/pods")
    wait_for(lambda: costs_nothing(kube, agent), "the cache to be whole")
    assert costs_nothing(kube, agent)
    kube.put(pod("web-2-c", "web-2"))
    wait_for(lambda: "web-2-c" in names(agent.json("GET", "/kube/default/web/pods")[1]), "the new pod")
    kube.remove("Pod", "web-1-a", gracePeriodSeconds=0)
    wait_for(lambda: "web-1-a" not in names(agent.json("GET", "/kube/default/web/pods")[1]), "the old pod to go")
    kube.end_watches("expire")  # 410: everything is listed again
    kube.put(pod("web-2-d", "web-2"))
    wait_for(lambda: "web-2-d" in names(agent.json("GET", "/kube/default/web/pods")[1]), "the pod after the 410")
    wait_for(lambda: costs_nothing(kube, agent), "the cache to be whole again")


def test_without_the_right_to_watch_the_server_is_asked_directly(kube_servers, agents):
    api = kube_servers(tokens={"t": "bob"})
    api.rbac.bind("bob", LEAST_RIGHTS, "default")
    rolling_update(api)
    agent = agents(api, token="t", KUBE_CACHE="true")
    for _ in range(3):
        assert len(names(agent.json("GET", "/kube/default/web/pods")[1])) == 3

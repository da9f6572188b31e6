"""The test API server against Kubernetes' own Python client: what this client makes of our answers is what it makes of a cluster's."""
import datetime
import threading

import pytest
from kubernetes import client, config, watch
from kubernetes.client.exceptions import ApiException


@pytest.fixture
def real(kube):
    options = client.Configuration(host=kube.url)
    options.retries = False
    with client.ApiClient(options) as made:
        yield type("Real", (), {"core": client.CoreV1Api(made), "apps": client.AppsV1Api(made), "leases": client.CoordinationV1Api(made)})


def pod(name, **labels):
    return client.V1Pod(metadata=client.V1ObjectMeta(name=name, labels=labels),
                        spec=client.V1PodSpec(containers=[client.V1Container(name="c", image="i")]))


def lease(name, holder, **meta):
    now = datetime.datetime.now(datetime.timezone.utc)
    return client.V1Lease(metadata=client.V1ObjectMeta(name=name, **meta), spec=client.V1LeaseSpec(
        holder_identity=holder, acquire_time=now, renew_time=now, lease_duration_seconds=15, lease_transitions=0))


def test_leases_are_made_read_changed_and_deleted(real):
    made = real.leases.create_namespaced_lease("default", lease("x", "a"))
    assert made.spec.holder_identity == "a" and made.spec.acquire_time.tzinfo
    made.spec.holder_identity = "b"
    changed = real.leases.replace_namespaced_lease("x", "default", made)
    with pytest.raises(ApiException) as caught:
        real.leases.replace_namespaced_lease("x", "default", made)
    assert (caught.value.status, caught.value.reason) == (409, "Conflict")
    assert real.leases.read_namespaced_lease("x", "default") == changed
    patched = real.leases.patch_namespaced_lease("x", "default", {"spec": {"leaseTransitions": 7}})
    assert patched.spec.lease_transitions == 7
    assert real.leases.delete_namespaced_lease("x", "default").status == "Success"
    with pytest.raises(ApiException) as caught:
        real.leases.read_namespaced_lease("x", "default")
    assert caught.value.status == 404


def test_pages_follow_each_other(real):
    for i in range(5):
        real.core.create_namespaced_pod("default", pod(f"p{i}", app="a"))
    names, token = [], None
    while True:
        page = real.core.list_namespaced_pod("default", limit=2, label_selector="app in (a)", **({"_continue": token} if token else {}))
        names += [p.metadata.name for p in page.items]
        token = page.metadata._continue
        if not token:
            break
    assert names == [f"p{i}" for i in range(5)]
    assert len(real.core.list_pod_for_all_namespaces().items) == 5


def test_deployments_and_replicasets_are_served(real, kube):
    selector = {"matchLabels": {"app": "a"}}
    template = {"metadata": {"labels": {"app": "a"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    kube.put({"kind": "Deployment", "apiVersion": "apps/v1", "metadata": {"name": "d"}, "spec": {"selector": selector, "template": template}})
    kube.put({"kind": "ReplicaSet", "apiVersion": "apps/v1", "metadata": {"name": "d-1"},
              "spec": {"selector": selector, "template": template}, "status": {"replicas": 2, "readyReplicas": 1}})
    assert real.apps.read_namespaced_deployment("d", "default").spec.selector.match_labels == {"app": "a"}
    assert real.apps.list_namespaced_replica_set("default").items[0].status.ready_replicas == 1


def test_watches_follow_and_survive_their_end(real, kube):
    real.leases.create_namespaced_lease("default", lease("x", "a"))
    listed = real.leases.list_namespaced_lease("default")
    made = listed.items[0]

    def write():
        made.spec.holder_identity = "b"
        real.leases.replace_namespaced_lease("x", "default", made)
        kube.end_watches()
        real.leases.delete_namespaced_lease("x", "default")

    threading.Timer(0.1, write).start()
    seen = []
    watcher = watch.Watch()
    version = listed.metadata.resource_version
    while len(seen) < 2:
        try:
            for event in watcher.stream(real.leases.list_namespaced_lease, "default", resource_version=version, timeout_seconds=5):
                seen.append((event["type"], event["object"].spec.holder_identity))
                version = event["object"].metadata.resource_version
                if len(seen) == 2:
                    break
        except Exception as broken:  # urllib3's ProtocolError: the cut
            assert "Connection broken" in str(broken) or "IncompleteRead" in str(broken)
    assert seen == [("MODIFIED", "b"), ("DELETED", "b")]


def test_a_watch_from_too_long_ago_is_410_to_the_client(real, kube):
    real.leases.create_namespaced_lease("default", lease("x", "a"))
    kube.store.compact()
    with pytest.raises(ApiException) as caught:
        for _ in watch.Watch().stream(real.leases.list_namespaced_lease, "default", resource_version="1001", timeout_seconds=1):
            pass
    assert caught.value.status == 410


def test_the_lease_of_a_deleted_pod_is_collected(real, kube):
    owner = real.core.create_namespaced_pod("default", pod("p"))
    reference = client.V1OwnerReference(api_version="v1", kind="Pod", name="p", uid=owner.metadata.uid)
    real.leases.create_namespaced_lease("default", lease("x", "p", owner_references=[reference]))
    threading.Timer(0.05, lambda: real.core.delete_namespaced_pod("p", "default")).start()
    types = []
    for event in watch.Watch().stream(real.leases.list_namespaced_lease, "default", timeout_seconds=3):
        types.append(event["type"])
        if event["type"] == "DELETED":
            break
    assert types == ["ADDED", "DELETED"]


def test_a_kubeconfig_of_the_program_is_good_for_the_client(kube_servers, pki, tmp_path):
    import json

    import apiserver
    api = kube_servers(tokens={"t": "me"}, cert=pki / "server.crt", key=pki / "server.key")
    (tmp_path / "config").write_text(json.dumps(apiserver.kubeconfig(api, "t", str(pki / "ca.crt"))))
    made = config.new_client_from_config(str(tmp_path / "config"))
    assert client.CoreV1Api(made).list_namespaced_pod("default").items == []
    api.rbac.bind("me", [])
    with pytest.raises(ApiException) as caught:
        client.CoreV1Api(made).list_namespaced_pod("default")
    assert caught.value.status == 403

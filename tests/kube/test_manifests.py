"""Every manifest under deploy/: its fields exist and have their types, what it refers to is there, and it runs with few rights."""
import re

import pytest
import yaml

from manifests import DEPLOY, chart, containers, kustomized

ROOT = DEPLOY.parent
SETS = {
    "base": lambda: kustomized(DEPLOY / "kustomize/base"),
    "development": lambda: kustomized(DEPLOY / "kustomize/overlays/development"),
    "production": lambda: kustomized(DEPLOY / "kustomize/overlays/production"),
    "leases": lambda: kustomized(DEPLOY / "kustomize/overlays/leases"),
    "sidecar": lambda: list(yaml.safe_load_all((DEPLOY / "examples/elector-sidecar.yaml").read_text())),
    "redis": lambda: list(yaml.safe_load_all((DEPLOY / "examples/agent-with-redis.yaml").read_text())),
    "chart": chart,
    "chart-all": lambda: chart({"kube": {"cache": True}, "serviceMonitor": {"enable": True}, "autoscaling": {"enable": True},
                                "env": {"EA_LOG_LEVEL": "debug"}, "nodeSelector": {"a": "b"}, "tolerations": [{"key": "k"}]}),
    "chart-leases": lambda: chart({"driver": "kubernetes", "kube": {"enable": False}}),
    "chart-least": lambda: chart({"driver": "embedded", "replicas": 1, "kube": {"enable": False}, "networkPolicy": {"enable": False},
                                  "podDisruptionBudget": {"enable": False}}),
}

# What the kinds used here may have (from Kubernetes' API reference); a value is a type, a list of one, or a table. MAP: any keys, texts.
MAP = "map"
ANY = "any"
INT_OR_TEXT = (int, str)
SELECTOR = {"matchLabels": MAP}
ENV = {"name": str, "value": str, "valueFrom": {"secretKeyRef": {"name": str, "key": str}, "fieldRef": {"fieldPath": str}}}
PROBE = {"grpc": {"port": int, "service": str}, "httpGet": {"path": str, "port": INT_OR_TEXT}, "tcpSocket": {"port": INT_OR_TEXT},
         "periodSeconds": int, "failureThreshold": int}
SECURITY = {"runAsNonRoot": bool, "runAsUser": int, "runAsGroup": int, "allowPrivilegeEscalation": bool, "readOnlyRootFilesystem": bool,
            "capabilities": {"drop": [str], "add": [str]}, "seccompProfile": {"type": str}}
CONTAINER = {"name": str, "image": str, "imagePullPolicy": str, "args": [str], "env": [ENV],
             "ports": [{"name": str, "containerPort": int, "protocol": str}], "livenessProbe": PROBE, "readinessProbe": PROBE,
             "resources": {"requests": MAP, "limits": MAP}, "securityContext": SECURITY}
POD = {"serviceAccountName": str, "automountServiceAccountToken": bool, "terminationGracePeriodSeconds": int,
       "securityContext": {k: SECURITY[k] for k in ("runAsNonRoot", "runAsUser", "runAsGroup", "seccompProfile")},
       "topologySpreadConstraints": [{"maxSkew": int, "topologyKey": str, "whenUnsatisfiable": str, "labelSelector": SELECTOR}],
       "affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [{"topologyKey": str, "labelSelector": SELECTOR}]}},
       "nodeSelector": MAP, "tolerations": [{"key": str, "operator": str, "value": str, "effect": str}], "containers": [CONTAINER]}
TEMPLATE = {"metadata": {"labels": MAP, "annotations": MAP}, "spec": POD}
PORTS = [{"port": INT_OR_TEXT, "protocol": str}]
KINDS = {
    ("v1", "ServiceAccount"): {},
    ("v1", "Secret"): {"type": str, "stringData": MAP},
    ("v1", "Service"): {"spec": {"clusterIP": str, "selector": MAP, "ports": [
        {"name": str, "port": int, "targetPort": INT_OR_TEXT, "appProtocol": str, "protocol": str}]}},
    ("apps/v1", "Deployment"): {"spec": {"replicas": int, "strategy": {"type": str}, "selector": SELECTOR, "template": TEMPLATE}},
    ("apps/v1", "StatefulSet"): {"spec": {"serviceName": str, "replicas": int, "selector": SELECTOR, "template": TEMPLATE}},
    ("rbac.authorization.k8s.io/v1", "Role"): {"rules": [{"apiGroups": [str], "resources": [str], "verbs": [str]}]},
    ("rbac.authorization.k8s.io/v1", "RoleBinding"): {"roleRef": {"apiGroup": str, "kind": str, "name": str},
                                                     "subjects": [{"kind": str, "name": str}]},
    ("policy/v1", "PodDisruptionBudget"): {"spec": {"maxUnavailable": INT_OR_TEXT, "selector": SELECTOR}},
    ("networking.k8s.io/v1", "NetworkPolicy"): {"spec": {"podSelector": SELECTOR, "policyTypes": [str],
                                                        "ingress": [{"from": [{"podSelector": SELECTOR}], "ports": PORTS}],
                                                        "egress": [{"ports": PORTS}]}},
    ("monitoring.coreos.com/v1", "ServiceMonitor"): {"spec": {"selector": SELECTOR, "endpoints": [
        {"port": str, "path": str, "interval": str}]}},
    ("autoscaling/v2", "HorizontalPodAutoscaler"): {"spec": {
        "scaleTargetRef": {"apiVersion": str, "kind": str, "name": str}, "minReplicas": int, "maxReplicas": int,
        "metrics": [{"type": str, "pods": {"metric": {"name": str}, "target": {"type": str, "averageValue": str}}}]}},
}


def check(value, shape, where):
    if shape == MAP:
        assert isinstance(value, dict) and all(isinstance(v, str) for v in value.values()), f"{where}: want texts, has {value!r}"
    elif isinstance(shape, dict):
        assert isinstance(value, dict), f"{where}: want an object, has {value!r}"
        for key, inner in value.items():
            assert key in shape, f"{where}: there is no field {key}"
            check(inner, shape[key], f"{where}.{key}")
    elif isinstance(shape, list):
        assert isinstance(value, list), f"{where}: want a list, has {value!r}"
        for i, inner in enumerate(value):
            check(inner, shape[0], f"{where}[{i}]")
    else:
        assert isinstance(value, shape) and (shape is bool or not isinstance(value, bool)), f"{where}: {value!r} is no {shape}"


def check_object(obj):
    kind = (obj["apiVersion"], obj["kind"])
    assert kind in KINDS, f"no such kind here: {kind}"
    where = f"{obj['kind']} {obj['metadata']['name']}"
    check(obj["metadata"], {"name": str, "labels": MAP, "annotations": MAP}, where + ".metadata")
    check({k: v for k, v in obj.items() if k not in ("apiVersion", "kind", "metadata")}, KINDS[kind], where)


@pytest.fixture(params=sorted(SETS))
def objects(request):
    return SETS[request.param]()


def of_kind(objects, *kinds):
    return [o for o in objects if o["kind"] in kinds]


def test_fields_exist_and_have_their_types(objects):
    assert objects
    for obj in objects:
        check_object(obj)
    names = [(o["kind"], o["metadata"]["name"]) for o in objects]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("broken", [
    {"replica": 2}, {"replicas": "2"}, {"template": {"spec": {"containers": [{"name": "c", "env": [{"name": "A", "value": 1}]}]}}}])
def test_the_check_bites(broken):
    with pytest.raises(AssertionError):
        check_object({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "x"}, "spec": broken})


def test_selectors_meet_their_pods_and_ports_their_names(objects):
    workloads = of_kind(objects, "Deployment", "StatefulSet")
    for workload in workloads:
        labels = workload["spec"]["template"]["metadata"]["labels"]
        assert workload["spec"]["selector"]["matchLabels"].items() <= labels.items()
    pods = [(w["spec"]["template"]["metadata"]["labels"], {p["name"] for c in containers(w) for p in c.get("ports", [])}) for w in workloads]
    for service in of_kind(objects, "Service"):
        meet = [ports for labels, ports in pods if service["spec"]["selector"].items() <= labels.items()]
        assert meet and all(p["targetPort"] in meet[0] for p in service["spec"]["ports"])
    for other in of_kind(objects, "PodDisruptionBudget"):
        assert any(other["spec"]["selector"]["matchLabels"].items() <= labels.items() for labels, _ in pods)
    for policy in of_kind(objects, "NetworkPolicy"):
        assert any(policy["spec"]["podSelector"]["matchLabels"].items() <= labels.items() for labels, _ in pods)
    for monitor in of_kind(objects, "ServiceMonitor"):
        services = [s for s in of_kind(objects, "Service") if monitor["spec"]["selector"]["matchLabels"].items() <= s["metadata"]["labels"].items()]
        ports = {p["name"] for s in services for p in s["spec"]["ports"]}
        assert all(e["port"] in ports for e in monitor["spec"]["endpoints"])


def test_references_are_kept(objects):
    names = {(o["kind"], o["metadata"]["name"]) for o in objects}
    for binding in of_kind(objects, "RoleBinding"):
        assert ("Role", binding["roleRef"]["name"]) in names
        assert all((s["kind"], s["name"]) in names for s in binding["subjects"])
    for workload in of_kind(objects, "Deployment"):
        assert ("ServiceAccount", workload["spec"]["template"]["spec"]["serviceAccountName"]) in names
    for scaler in of_kind(objects, "HorizontalPodAutoscaler"):
        assert ("Deployment", scaler["spec"]["scaleTargetRef"]["name"]) in names


def test_probes_name_ports_of_their_container(objects):
    for container in (c for o in objects for c in containers(o)):
        numbers = {p["containerPort"] for p in container.get("ports", [])}
        names = {p["name"] for p in container.get("ports", [])}
        for probe in filter(None, (container.get("livenessProbe"), container.get("readinessProbe"))):
            port = next(probe[k]["port"] for k in ("grpc", "httpGet", "tcpSocket") if k in probe)
            assert port in numbers | names


def test_everything_of_ours_runs_without_root_and_rights(objects):
    for obj in of_kind(objects, "Deployment", "StatefulSet"):
        pod = obj["spec"]["template"]["spec"]
        for container in containers(obj):
            if container["name"] == "my-app":
                continue
            both = {**pod.get("securityContext", {}), **container["securityContext"]}
            assert both["runAsNonRoot"] and both["runAsUser"] > 0 and both["seccompProfile"] == {"type": "RuntimeDefault"}
            assert both["readOnlyRootFilesystem"] and both["allowPrivilegeEscalation"] is False
            assert both["capabilities"]["drop"] == ["ALL"] and both["capabilities"].get("add", []) in ([], ["NET_BIND_SERVICE"])
            assert container["resources"]["limits"]["memory"] and container["resources"]["requests"]


def known_variables():
    agent = set(re.findall(r"\bEA_[A-Z_]+", (ROOT / "src/config/config.def").read_text()))
    flags = re.findall(r'^O\(\w+, \w+, "([a-z-]+)"', (ROOT / "src/elector/options.def").read_text(), re.M)
    elector = {"ELECTOR_" + f.upper().replace("-", "_") for f in flags}
    # The application's own, not the elector's.
    return agent | elector | {"ELECTOR_GET_URL", "ELECTOR_SSE_URL", "ELECTOR_PATH", "POD_NAME"}


def test_variables_that_are_named_exist(objects):
    known = known_variables()
    assert {"EA_REDIS_URLS", "ELECTOR_ELECTION"} <= known
    for container in (c for o in objects for c in containers(o)):
        names = [e["name"] for e in container.get("env", [])]
        assert set(names) <= known and len(names) == len(set(names))
        for entry in container.get("env", []):
            assert len(set(entry) & {"value", "valueFrom"}) == 1


def test_the_autoscaler_and_the_monitor_name_a_metric_and_a_page_that_exist():
    name = of_kind(SETS["production"](), "HorizontalPodAutoscaler")[0]["spec"]["metrics"][0]["pods"]["metric"]["name"]
    assert name in (ROOT / "docs/metrics.md").read_text()


def rules(objects):
    return {(g, r): set(rule["verbs"]) for o in of_kind(objects, "Role") for rule in o["rules"] or [] for g in rule["apiGroups"]
            for r in rule["resources"]}


def test_the_agent_has_exactly_the_rights_it_needs():
    lookup = {("", "pods"): {"get", "list"}, ("apps", "deployments"): {"get"}, ("apps", "replicasets"): {"get"}}
    cached = {key: {"get", "list", "watch"} for key in lookup}
    assert rules(SETS["base"]()) == rules(SETS["production"]()) == rules(SETS["chart"]()) == lookup
    assert rules(SETS["chart-all"]()) == cached
    assert rules(SETS["chart-least"]()) == {}


@pytest.mark.parametrize("strategy", ["owner", "renew"])
def test_the_elector_needs_exactly_the_rights_of_its_example(kube_servers, electors, strategy):
    from elector import wait_for
    user = "system:serviceaccount:default:my-app"
    kube = kube_servers(tokens={"t": user})
    role = of_kind(SETS["sidecar"](), "Role")[0]
    wanted = {(r, v) for (_, r), verbs in rules(SETS["sidecar"]()).items() for v in verbs}
    kube.rbac.bind(user, role["rules"], "default")
    if strategy == "renew":  # as the comment in the example says
        kube.rbac.bind(user, [{"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["update"]}], "default")
        wanted = wanted - {("pods", "get")} | {("leases", "update")}
    elector = electors(kube, "pod-0", token="t", strategy=strategy, lease_duration="2s")
    wait_for(elector.leads, "it leads")

    def used():
        return {(r["resource"], r["verb"]) for r in kube.requests if r["resource"]}
    wait_for(lambda: used() == wanted, "all rights used")
    assert not any(r["code"] == 403 for r in kube.requests)


def test_helm_and_kustomize_say_the_same():
    """The chart's Deployment with its defaults is the base's but for names, labels and what the chart sets besides."""
    ours, theirs = (containers(of_kind(SETS[s](), "Deployment")[0])[0] for s in ("base", "chart"))
    assert theirs["securityContext"] == ours["securityContext"] and theirs["livenessProbe"] == ours["livenessProbe"]
    assert theirs["readinessProbe"] == ours["readinessProbe"] and theirs["ports"] == ours["ports"] and theirs["resources"] == ours["resources"]
    assert {e["name"] for e in ours["env"]} <= {e["name"] for e in theirs["env"]}

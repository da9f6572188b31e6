"""A Kubernetes API server for tests: pods, ReplicaSets, Deployments, Leases and namespaces, as kube-apiserver serves them. See README.md."""
from .objects import BY_KIND, RESOURCES, ApiError
from .server import KubeApi

__all__ = ["BY_KIND", "RESOURCES", "ApiError", "KubeApi"]

"""The Kubernetes objects of a cluster file: secret, network policy and DaskCluster, as plain data."""

from pathlib import Path
from typing import Any

from lo2dask.execute.clusterfile import KubernetesFile
from lo2dask.execute.settings import settings_environ
from lo2dask.execute.tls import FILES
from lo2dask.memory import parse_bytes

SCHEDULER_PORT, HTTP_PORT = 8786, 8787
TLS_FOLDER, SCRATCH_FOLDER = "/etc/lo2dask-tls", "/scratch"
# Pods with this label may talk to the scheduler: the command itself, where it runs in a pod.
CLIENT_LABEL = {"app.kubernetes.io/part-of": "lo2dask"}
# A worker spills and pauses by Dask's limit, before the pod's own limit kills it.
_DASK_SHARE = 0.9
_SCHEDULER_MEMORY = "2Gi"


def objects(file: KubernetesFile, folder: Path) -> list[dict[str, Any]]:
    """Return the objects, in the order in which they are created; ``folder`` holds the certificates."""
    return [_secret(file, folder), _network_policy(file), _dask_cluster(file)]


def _secret(file: KubernetesFile, folder: Path) -> dict[str, Any]:
    content = {name: (folder / name).read_text() for name in FILES}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": _metadata(file, "-tls"), "stringData": content}


def _network_policy(file: KubernetesFile) -> dict[str, Any]:
    own = {"podSelector": {"matchLabels": {"dask.org/cluster-name": file.name}}}
    clients = {"podSelector": {"matchLabels": CLIENT_LABEL}}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": _metadata(file, "-own-pods-only"),
        "spec": {**own, "policyTypes": ["Ingress"], "ingress": [{"from": [own, clients]}]},
    }


def _dask_cluster(file: KubernetesFile) -> dict[str, Any]:
    selector = {"dask.org/cluster-name": file.name, "dask.org/component": "scheduler"}
    ports = [
        {"name": "tcp-comm", "protocol": "TCP", "port": SCHEDULER_PORT, "targetPort": "tcp-comm"},
        {"name": "http-dashboard", "protocol": "TCP", "port": HTTP_PORT, "targetPort": "http-dashboard"},
    ]
    service = {"type": "ClusterIP", "selector": selector, "ports": ports}
    return {
        "apiVersion": "kubernetes.dask.org/v1",
        "kind": "DaskCluster",
        "metadata": _metadata(file),
        "spec": {
            "worker": {"replicas": file.workers, "spec": _pod(file, _worker(file))},
            "scheduler": {"spec": _pod(file, _scheduler(file)), "service": service},
        },
    }


def _metadata(file: KubernetesFile, suffix: str = "") -> dict[str, Any]:
    return {"name": file.name + suffix, "namespace": file.namespace, "labels": dict(CLIENT_LABEL)}


def _pod(file: KubernetesFile, container: dict[str, Any]) -> dict[str, Any]:
    """Make a pod's specification; scheduler and workers see the same folders."""
    claims = [
        {"name": f"shared-{index}", "persistentVolumeClaim": {"claimName": volume.claim}}
        for index, volume in enumerate(file.volumes)
    ]
    mounts = [
        {"name": f"shared-{index}", "mountPath": volume.path, "readOnly": volume.read_only}
        for index, volume in enumerate(file.volumes)
    ]
    own = [
        {"name": "tls", "secret": {"secretName": f"{file.name}-tls", "defaultMode": 0o440}},
        {"name": "scratch", "emptyDir": {"sizeLimit": file.scratch}},
    ]
    mounts += [
        {"name": "tls", "mountPath": TLS_FOLDER, "readOnly": True},
        {"name": "scratch", "mountPath": SCRATCH_FOLDER},
    ]
    common = {
        "image": file.image,
        "imagePullPolicy": file.pull_policy,
        "env": [{"name": name, "value": value} for name, value in settings_environ().items()],
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        "volumeMounts": mounts,
    }
    return {
        "automountServiceAccountToken": False,
        "securityContext": {"runAsNonRoot": True, "runAsUser": file.user_id, "fsGroup": file.user_id},
        "containers": [common | container],
        "volumes": claims + own,
    }


def _worker(file: KubernetesFile) -> dict[str, Any]:
    memory = parse_bytes(file.memory_limit)
    address = f"tls://{file.name}-scheduler.{file.namespace}.svc:{SCHEDULER_PORT}"
    arguments = [
        "dask", "worker", address, *_tls_arguments(), "--nthreads", str(file.threads_per_worker),
        "--memory-limit", str(int(memory * _DASK_SHARE)), "--local-directory", SCRATCH_FOLDER,
        "--name", "$(DASK_WORKER_NAME)", "--death-timeout", "120", "--no-dashboard",
    ]  # fmt: skip
    size = {"cpu": str(file.threads_per_worker), "memory": str(memory)}
    return {"name": "worker", "args": arguments, "resources": {"requests": size, "limits": size}}


def _scheduler(file: KubernetesFile) -> dict[str, Any]:
    # Only the health page is served over plain http: the network policy keeps it among the cluster's own pods.
    arguments = ["dask", "scheduler", *_tls_arguments(), "--port", str(SCHEDULER_PORT), "--no-dashboard"]
    arguments += ["--dashboard-address", f":{HTTP_PORT}"]
    health = {"httpGet": {"path": "/health", "port": "http-dashboard"}}
    return {
        "name": "scheduler",
        "args": arguments,
        "ports": [
            {"name": "tcp-comm", "containerPort": SCHEDULER_PORT, "protocol": "TCP"},
            {"name": "http-dashboard", "containerPort": HTTP_PORT, "protocol": "TCP"},
        ],
        "readinessProbe": {**health, "initialDelaySeconds": 2, "periodSeconds": 5},
        "livenessProbe": {**health, "initialDelaySeconds": 15, "periodSeconds": 20},
        "resources": {"requests": {"cpu": "1", "memory": _SCHEDULER_MEMORY}, "limits": {"memory": _SCHEDULER_MEMORY}},
    }


def _tls_arguments() -> list[str]:
    files = zip(("--tls-ca-file", "--tls-cert", "--tls-key"), FILES, strict=True)
    return ["--protocol", "tls", *(part for option, name in files for part in (option, f"{TLS_FOLDER}/{name}"))]

"""Pods of a Kubernetes cluster: a DaskCluster object for the Dask operator, under TLS, sent and reached by kubectl.

The operator's own Python client speaks plain tcp alone, so lo2dask writes the objects itself; the operator makes and
keeps the pods.
"""

import contextlib
import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from distributed import Client

from lo2dask.errors import InputError
from lo2dask.execute.clusterfile import KubernetesFile, seconds
from lo2dask.execute.kubernetes_objects import SCHEDULER_PORT, objects
from lo2dask.execute.tls import security_of
from lo2dask.execute.workers import gather_workers


@contextlib.contextmanager
def start(file: KubernetesFile, folder: Path) -> Iterator[Client]:
    """Create the objects, connect to the scheduler, and delete them with the block.

    Raises
    ------
    InputError : kubectl is missing or refuses, the operator does not answer, or no worker comes.
    """
    if shutil.which("kubectl") is None:
        raise InputError(f"{file.path}: a cluster of kind kubernetes needs the program kubectl on the PATH")
    made = objects(file, folder)
    names = [f"{made_object['kind'].lower()}/{made_object['metadata']['name']}" for made_object in made]
    try:
        _kubectl(file, "apply", "-f", "-", given=json.dumps({"apiVersion": "v1", "kind": "List", "items": made}))
        _await_scheduler(file)
        with _address(file) as address, _client(address, file, folder) as client:
            gather_workers(client, file.workers, file)
            yield client
    finally:
        _kubectl(file, "delete", "--ignore-not-found", "--wait=false", *names)


def _await_scheduler(file: KubernetesFile) -> None:
    deadline = time.monotonic() + seconds(file.start_timeout, f"{file.path}: start_timeout")
    query = ("get", "deployment", f"{file.name}-scheduler", "--ignore-not-found", "-o")
    while _kubectl(file, *query, "jsonpath={.status.readyReplicas}").strip() != "1":
        if time.monotonic() > deadline:
            raise InputError(
                f"{file.path}: no scheduler within {file.start_timeout}; is the Dask operator installed, and the image "
                f"there? See: kubectl -n {file.namespace} describe pods -l dask.org/cluster-name={file.name}"
            )
        time.sleep(1)


def _client(address: str, file: KubernetesFile, folder: Path) -> Client:
    try:
        return Client(address, timeout=60, security=security_of(folder))
    except OSError as error:
        raise InputError(f"{file.path}: the scheduler does not answer at {address} ({error})") from error


@contextlib.contextmanager
def _address(file: KubernetesFile) -> Iterator[str]:
    """Return the scheduler's address: its service from a pod, a forwarded port of the loopback from elsewhere."""
    service = f"{file.name}-scheduler"
    if "KUBERNETES_SERVICE_HOST" in os.environ:
        yield f"tls://{service}.{file.namespace}.svc:{SCHEDULER_PORT}"
        return
    arguments = [*_command(file), "port-forward", "--address", "127.0.0.1", f"service/{service}", f":{SCHEDULER_PORT}"]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True) as forward:
        try:
            line = forward.stdout.readline() if forward.stdout else ""
            match = re.search(r"127\.0\.0\.1:(\d+)", line)
            if not match:
                raise InputError(f"{file.path}: kubectl port-forward to {service} fails: {line.strip() or 'no answer'}")
            yield f"tls://127.0.0.1:{match[1]}"
        finally:
            forward.terminate()


def _command(file: KubernetesFile) -> list[str]:
    context = ["--context", file.context] if file.context else []
    return ["kubectl", *context, "--namespace", file.namespace]


def _kubectl(file: KubernetesFile, *arguments: str, given: str = "") -> str:
    """Run kubectl; secrets go to its standard input, never on its command line."""
    done = subprocess.run([*_command(file), *arguments], input=given, capture_output=True, text=True)
    if done.returncode:
        raise InputError(f"{file.path}: kubectl {arguments[0]} fails: {' '.join(done.stderr.split())}")
    return done.stdout

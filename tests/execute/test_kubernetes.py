"""The objects of the kind kubernetes fit the Dask operator's schema and Kubernetes' own; no cluster is asked."""

import copy
import functools
import importlib.util
import json
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
import yaml

from lo2dask.execute.clusterfile import KubernetesFile, Volume, read_cluster_file
from lo2dask.execute.kubernetes_objects import objects
from lo2dask.execute.tls import make_certificates

from .conftest import EXAMPLES

HOW = "the schemas are not installed (kubernetes-validate, dask-kubernetes): scripts/slow kubernetes brings them"
jsonschema = pytest.importorskip("jsonschema", reason=HOW)
core = pytest.importorskip("kubernetes_validate", reason=HOW)
# Read as a folder of files: its code is not run.
if importlib.util.find_spec("dask_kubernetes") is None:
    pytest.skip(HOW, allow_module_level=True)

# The oldest and the newest Kubernetes whose schemas are at hand.
VERSIONS = [core.utils.all_versions()[0], core.utils.latest_version()]
FILES = {
    "example": EXAMPLES / "kubernetes.yaml",
    "least": KubernetesFile(path=Path("least.yaml"), workers=1, memory_limit="2GB", image="lo2dask"),
    "most": KubernetesFile(
        path=Path("most.yaml"), workers=200, threads_per_worker=3, memory_limit="31.5GiB", image="r.io/a@sha256:0",
        name="my-lo2", namespace="logs", context="c", scratch="500M", pull_policy="Always", user_id=65534,
        volumes=(Volume(claim="in", path="/in", read_only=True), Volume(claim="out", path="/out")),
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_certificates(tmp_path_factory.mktemp("tls") / "own")


def made(name: str, certificates: Path) -> list[dict[str, Any]]:
    """Return a file's objects as kubectl gets them, by way of JSON."""
    file = FILES[name]
    found = objects(read_cluster_file(file) if isinstance(file, Path) else file, certificates)
    return json.loads(json.dumps(found))


@functools.cache
def operator_schema() -> dict[str, Any]:
    """Return the DaskCluster schema that the operator's chart installs, closed to fields that it does not name."""
    ends = "helm/dask-kubernetes-operator/crds/daskcluster.yaml"
    path = next(file for file in metadata.files("dask-kubernetes") or () if str(file).endswith(ends))
    definition = yaml.safe_load(Path(str(path.locate())).read_text())
    (version,) = [one for one in definition["spec"]["versions"] if one["name"] == "v1"]
    schema = closed(version["schema"]["openAPIV3Schema"])
    # These three stand in every object; the operator's schema leaves them to Kubernetes.
    schema["properties"] |= {"apiVersion": {"const": "kubernetes.dask.org/v1"}, "kind": {"const": "DaskCluster"}}
    schema["properties"]["metadata"] = {"type": "object"}
    schema["required"] = sorted({*schema.get("required", []), "apiVersion", "kind", "metadata"})
    return schema


def closed(schema: Any) -> Any:
    """Turn Kubernetes' dialect into JSON Schema as ``kubectl apply`` checks it, which refuses unknown fields."""
    if isinstance(schema, list):
        return [closed(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    found = {key: closed(value) for key, value in schema.items()}
    if "properties" in schema and not schema.get("x-kubernetes-preserve-unknown-fields"):
        found.setdefault("additionalProperties", False)
    if schema.get("x-kubernetes-int-or-string") is True:
        found = {key: value for key, value in found.items() if key != "type"} | {"type": ["integer", "string"]}
    if schema.get("nullable") is True and isinstance(found.get("type"), str):
        found["type"] = [found["type"], "null"]
    return found


def check(thing: dict[str, Any], version: str) -> None:
    """Validate one object: a DaskCluster by the operator's schema, its pods and all else by Kubernetes' own."""
    if thing["kind"] != "DaskCluster":
        core.validate(thing, version, strict=True)
        return
    jsonschema.Draft202012Validator(operator_schema()).validate(thing)
    for part in ("worker", "scheduler"):
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": part}, "spec": thing["spec"][part]["spec"]}
        core.validate(pod, version, strict=True)
    service = thing["spec"]["scheduler"]["service"]
    core.validate({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"}, "spec": service}, version, True)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", FILES)
def test_the_objects_of_a_cluster_file_are_valid(name: str, version: str, certificates: Path) -> None:
    found = made(name, certificates)
    assert [one["kind"] for one in found] == ["Secret", "NetworkPolicy", "DaskCluster"]
    for one in found:
        check(one, version)


def documents() -> Iterator[dict[str, Any]]:
    yield from yaml.safe_load_all((EXAMPLES / "kubernetes-command.yaml").read_text())


@pytest.mark.parametrize("version", VERSIONS)
def test_the_job_of_the_command_is_valid(version: str) -> None:
    kinds = [check(one, version) or one["kind"] for one in documents()]
    assert kinds == ["ServiceAccount", "Role", "RoleBinding", "Job"]


def worker(cluster: dict[str, Any]) -> dict[str, Any]:
    return cluster["spec"]["worker"]["spec"]["containers"][0]


BREAKS: dict[str, tuple[int, Callable[[dict[str, Any]], Any], str]] = {
    "secret: unknown field": (0, lambda one: one.update(stringdata={}), "stringdata"),
    "secret: number for text": (0, lambda one: one["stringData"].update({"ca.pem": 7}), "7 is not of type"),
    "policy: text for a list": (1, lambda one: one["spec"].update(policyTypes="Ingress"), "'Ingress' is not of type"),
    "policy: unknown field": (1, lambda one: one["spec"]["ingress"][0].update(source=[]), "source"),
    "cluster: no scheduler": (2, lambda one: one["spec"].pop("scheduler"), "'scheduler' is a required property"),
    "cluster: no workers' pod": (2, lambda one: one["spec"]["worker"].pop("spec"), "'spec' is a required property"),
    "cluster: text for a number": (2, lambda one: one["spec"]["worker"].update(replicas="two"), "'two' is not of type"),
    "cluster: unknown field": (2, lambda one: one["spec"]["worker"].update(replica=2), "replica"),
    "cluster: unknown version": (2, lambda one: one.update(apiVersion="kubernetes.dask.org/v2"), "was expected"),
    "pod: unknown field": (2, lambda one: worker(one).update(arguments=[]), "arguments"),
    "pod: no name": (2, lambda one: worker(one).pop("name"), "'name' is a required property"),
    "pod: text for a list": (2, lambda one: worker(one).update(args="dask worker"), "is not of type"),
    "pod: text for a port": (
        2,
        lambda one: one["spec"]["scheduler"]["spec"]["containers"][0]["ports"][0].update(containerPort="8786"),
        "'8786' is not of type",
    ),
    "service: number for text": (2, lambda one: one["spec"]["scheduler"]["service"].update(type=1), "1 is not"),
}


@pytest.mark.parametrize("name", BREAKS)
def test_a_broken_object_is_refused(name: str, certificates: Path) -> None:
    place, spoil, said = BREAKS[name]
    broken = copy.deepcopy(made("example", certificates)[place])
    spoil(broken)
    with pytest.raises(jsonschema.ValidationError) as caught:
        check(broken, VERSIONS[-1])
    assert said in caught.value.message


def test_the_job_refers_to_what_the_objects_need() -> None:
    """Rights on each kind that is created, the label that the network policy lets in, and the roles' own names."""
    account, role, binding, job = documents()
    resources = {resource for rule in role["rules"] for resource in rule["resources"]}
    assert resources == {"daskclusters", "networkpolicies", "secrets", "deployments"}
    assert binding["subjects"][0]["name"] == account["metadata"]["name"] == job["spec"]["template"]["spec"][
        "serviceAccountName"
    ]  # fmt: skip
    assert binding["roleRef"]["name"] == role["metadata"]["name"]
    assert job["spec"]["template"]["metadata"]["labels"] == {"app.kubernetes.io/part-of": "lo2dask"}

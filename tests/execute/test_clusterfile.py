"""Cluster files: every example holds, and what cannot be used is said in one line that names the file and the key."""

from pathlib import Path

import pytest
import yaml

from lo2dask.errors import InputError
from lo2dask.execute.clusterfile import (
    KINDS,
    KubernetesFile,
    LocalFile,
    SlurmFile,
    SshFile,
    Volume,
    is_loopback,
    lifetime,
    read_cluster_file,
    seconds,
)
from lo2dask.options import ClusterOptions

from .conftest import EXAMPLES

SLURM = "kind: slurm\nworkers: 2\nmemory_limit: 2GB\nwalltime: 30min\n"
KUBERNETES = "kind: kubernetes\nworkers: 2\nmemory_limit: 2GB\nimage: lo2dask\n"


def read(folder: Path, text: str):
    path = folder / "given.yaml"
    path.write_text(text)
    return read_cluster_file(path)


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_has_an_example_that_names_every_key(kind: str) -> None:
    path = EXAMPLES / f"{kind}.yaml"
    found = read_cluster_file(path)
    assert type(found) is KINDS[kind]
    keys = set(yaml.safe_load(path.read_text()))
    fields = set(KINDS[kind].__dataclass_fields__)
    missing = fields - keys - {"path"}
    assert missing <= ({"start_timeout", "tls_folder"} if kind == "local" else set()), missing


@pytest.mark.parametrize("kind", KINDS)
def test_each_example_says_in_a_comment_what_it_is(kind: str) -> None:
    lines = (EXAMPLES / f"{kind}.yaml").read_text().splitlines()
    assert lines[0].startswith("# ")
    assert sum(line.startswith("#") for line in lines) >= 5


def test_values_arrive_with_their_types(tmp_path: Path) -> None:
    found = read(tmp_path, "kind: ssh\nhosts: [a, b, c]\nworkers: 3\nport: 2222\ntls: false\n")
    assert found == SshFile(path=tmp_path / "given.yaml", hosts=("a", "b", "c"), workers=3, port=2222, tls=False)
    found = read(tmp_path, KUBERNETES + "volumes: [{claim: data, path: /data, read_only: true}]\n")
    assert isinstance(found, KubernetesFile)
    assert found.volumes == (Volume(claim="data", path="/data", read_only=True),)


@pytest.mark.parametrize(
    ("text", "key", "said"),
    [
        ("workers: 2\n", "kind", "is missing; give one of local, ssh, slurm, kubernetes"),
        ("kind: pbs\n", "kind", "'pbs' is not known"),
        ("kind: [local]\n", "kind", "is not known"),
        ("kind: local\nworker: 2\n", "worker", "is not a key of this kind; use workers"),
        ("kind: local\nhosts: [a]\n", "hosts", "is not a key of this kind"),
        ("kind: local\nzzz: 1\n", "zzz", "use workers, threads_per_worker"),
        ("kind: local\nworkers: two\n", "workers", "must be a whole number, not 'two'"),
        ("kind: local\nworkers: true\n", "workers", "must be a whole number, not True"),
        ("kind: local\nworkers: -1\n", "workers", "-1 is out of range"),
        ("kind: local\nthreads_per_worker: 0\n", "threads_per_worker", "0 is out of range"),
        ("kind: local\nmemory_limit: plenty\n", "memory_limit", "'plenty' is not a size"),
        ("kind: local\nmemory_limit: 2\n", "memory_limit", "must be text, not 2; put it in quotes"),
        ("kind: ssh\n", "hosts", "is missing"),
        ("kind: ssh\nhosts: a\n", "hosts", "must be a list, not 'a'"),
        ("kind: ssh\nhosts: [a]\n", "hosts", "at least one for the workers"),
        ("kind: ssh\nhosts: [a, 1]\n", "hosts[1]", "must be text, not 1"),
        ("kind: ssh\nhosts: [a, b]\ntls: maybe\n", "tls", "must be true or false, not 'maybe'"),
        ("kind: ssh\nhosts: [a, b]\npassword: secret\n", "password", "is not a key of this kind"),
        ("kind: slurm\nworkers: 2\nmemory_limit: 2GB\n", "walltime", "is missing"),
        (SLURM.replace("30min", "soon"), "walltime", "'soon' is not a time; write it as 30min, 2h or 01:30:00"),
        (SLURM.replace("30min", "30s"), "walltime", "30s is too short"),
        (SLURM.replace("2GB", "auto"), "memory_limit", "a job needs a size"),
        (SLURM + "start_timeout: later\n", "start_timeout", "'later' is not a time"),
        (SLURM + "directives: --exclusive\n", "directives", "must be a list"),
        (KUBERNETES + "name: Lo2_Dask\n", "name", "is not a valid name; use a-z, 0-9 and -"),
        (KUBERNETES + "scratch: 20 gigs\n", "scratch", "is not a quantity"),
        (KUBERNETES + "volumes: [data]\n", "volumes[0]", "must be lines of `key: value`, not 'data'"),
        (KUBERNETES + "volumes: [{claim: data}]\n", "volumes[0]: path", "is missing"),
        (KUBERNETES + "volumes: [{claim: a, path: /a, mode: rw}]\n", "volumes[0]: mode", "is not a key"),
    ],
)
def test_what_cannot_be_used_is_named(tmp_path: Path, text: str, key: str, said: str) -> None:
    with pytest.raises(InputError) as caught:
        read(tmp_path, text)
    message = str(caught.value)
    assert message.startswith(f"{tmp_path / 'given.yaml'}: {key}: ")
    assert said in message
    assert "\n" not in message


@pytest.mark.parametrize("text", ["", "- kind: local\n", "kind: [local\n", "kind: local\n1: 2\n", "\tkind: local\n"])
def test_a_file_that_is_no_mapping(tmp_path: Path, text: str) -> None:
    with pytest.raises(InputError, match=r"^--cluster .*given\.yaml: (not valid YAML|must be lines)"):
        read(tmp_path, text)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^--cluster .*none\.yaml: No such file"):
        read_cluster_file(tmp_path / "none.yaml")


def test_flags_go_before_the_file(tmp_path: Path) -> None:
    file = read(tmp_path, "kind: local\nworkers: 3\nmemory_limit: 2GB\n")
    assert file.merged(ClusterOptions()) == file
    merged = file.merged(ClusterOptions(workers=1, threads_per_worker=2))
    assert (merged.workers, merged.threads_per_worker, merged.memory_limit) == (1, 2, "2GB")


@pytest.mark.parametrize(
    ("text", "expected"),
    [("90s", 90), ("30min", 1800), ("2h", 7200), ("1d", 86400), ("01:30:00", 5400), ("30:00", 1800)]
    + [("2-00:00:00", 172800), ("1-12:30", 131400)],
)
def test_times(text: str, expected: int) -> None:
    assert seconds(text, "here") == expected


@pytest.mark.parametrize("walltime", ["2min", "01:00:00", "7-00:00:00"])
def test_a_worker_leaves_before_its_job(walltime: str) -> None:
    file = SlurmFile(path=Path("f"), workers=1, memory_limit="1GB", walltime=walltime)
    life, stagger = lifetime(file)
    assert 0 < stagger < life
    assert life + stagger <= 0.9 * seconds(walltime, "here")


def test_only_the_loopback_is_this_machine() -> None:
    assert all(map(is_loopback, ("127.0.0.1", "127.0.1.1", "localhost", "::1", "[::1]")))
    assert not any(map(is_loopback, ("0.0.0.0", "10.0.0.1", "node1", "127.example.org", "localhost.example.org", "")))
    assert not LocalFile(path=Path("f")).crosses_machines
    assert LocalFile(path=Path("f"), host="0.0.0.0").crosses_machines
    assert SshFile(path=Path("f"), hosts=("a", "b"), tls=False).crosses_machines

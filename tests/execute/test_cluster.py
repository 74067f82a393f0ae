"""Starting and reaching clusters: sizes, what is protected, what is refused, and Dask's settings."""

import shlex
import socket
from pathlib import Path

import dask
import pytest
import yaml
from dask.utils import parse_timedelta
from distributed import Client

from lo2dask.errors import InputError
from lo2dask.execute import cluster, machine, settings
from lo2dask.execute.cluster import local_size, open_client, start_client
from lo2dask.execute.clusterfile import SlurmFile, SshFile, read_cluster_file
from lo2dask.execute.tls import make_certificates, security_of
from lo2dask.options import ClusterOptions, CommonOptions, LoadOptions, TrainOptions

from .conftest import EXAMPLES

GB = 10**9


@pytest.fixture
def eight_cores(monkeypatch) -> None:
    """A machine of 8 cores and 8 GB, 6 of which are to be given to workers."""
    monkeypatch.setattr(cluster, "cores", lambda: 8)
    monkeypatch.setattr(cluster, "free_memory", lambda: 8 * GB)


@pytest.mark.usefixtures("eight_cores")
@pytest.mark.parametrize(
    ("options", "memory", "expected"),
    [
        ({}, 0, (8, 750_000_000)),
        ({"threads_per_worker": 2}, 0, (4, 1_500_000_000)),
        ({}, 2 * GB, (3, 2 * GB)),
        ({"workers": 2}, 2 * GB, (2, 3 * GB)),
        ({"workers": 4, "memory_limit": "3GB"}, 2 * GB, (4, 3 * GB)),
        ({"memory_limit": "1GB"}, 0, (8, GB)),
    ],
)
def test_a_local_cluster_fits_the_machine_and_the_budget(options: dict, memory: int, expected: tuple) -> None:
    assert local_size(ClusterOptions(**options), memory) == expected


@pytest.mark.usefixtures("eight_cores")
@pytest.mark.parametrize("options", [{"workers": 6}, {"memory_limit": "1GB"}])
def test_too_little_memory_for_the_budget_is_refused(options: dict) -> None:
    with pytest.raises(InputError, match=r"1\.0 GB of memory, less than --memory-budget 2\.0 GB: lower --memory-bu"):
        local_size(ClusterOptions(**options), 2 * GB)


def test_a_container_limit_is_respected(monkeypatch, tmp_path: Path) -> None:
    (tmp_path / "current").write_text("1500000000\n")
    monkeypatch.setattr(machine, "USAGE_FILES", (str(tmp_path / "none"), str(tmp_path / "current")))
    monkeypatch.setattr(machine, "memory_limit", lambda: 2 * GB)
    monkeypatch.setattr(machine.sys, "platform", "linux")
    monkeypatch.setattr(machine, "cpu_count", lambda: 3)
    assert machine.free_memory() == GB // 2
    assert machine.cores() == 3


def test_without_a_container_the_machine_counts(monkeypatch) -> None:
    monkeypatch.setattr(machine, "memory_limit", lambda: 10**18)
    monkeypatch.setattr(machine, "USAGE_FILES", ())
    assert machine.free_memory() > 0
    monkeypatch.setattr(machine, "memory_limit", lambda: 1)
    monkeypatch.setattr(machine.sys, "platform", "darwin")
    assert machine.free_memory() == 1


@pytest.mark.parametrize(
    "address", ["tcp://192.0.2.1:8786", "tcp://[2001:db8::1]:8786", "tcp://127.0.0.1:8786", "tcp://localhost:1"]
)
def test_plain_tcp_needs_insecure(address: str) -> None:
    with pytest.raises(InputError, match="plain tcp is not protected: whoever reaches it can .* run code as you"):
        with open_client(CommonOptions(cluster=address)):
            pass


def test_insecure_goes_on_and_says_why(caplog, monkeypatch) -> None:
    def refuse(*arguments: object, **more: object) -> None:
        raise OSError("timed out")

    monkeypatch.setattr(cluster, "Client", refuse)
    with pytest.raises(InputError, match="no scheduler answers there"):
        with open_client(CommonOptions(cluster="tcp://192.0.2.1:8786", insecure=True)):
            pass
    assert "plain tcp is not protected: whoever reaches it can read the logs and run code as you" in caplog.text


@pytest.mark.parametrize("kind", [{"kind": "ssh", "hosts": ["a", "b"]}])
def test_a_file_without_tls_needs_insecure(tmp_path: Path, kind: dict) -> None:
    path = tmp_path / "open.yaml"
    path.write_text(yaml.safe_dump({**kind, "tls": False}))
    with pytest.raises(InputError, match=r"open\.yaml: tls: false is not protected.*leave it out, or say --insecure"):
        with start_client(str(path), ClusterOptions()):
            pass


def test_tls_needs_certificates(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="TLS needs --tls-folder"):
        with open_client(CommonOptions(cluster="tls://127.0.0.1:1")):
            pass
    with pytest.raises(InputError, match=r"ca\.pem is missing"):
        with open_client(CommonOptions(cluster="tls://127.0.0.1:1", tls_folder=tmp_path)):
            pass


@pytest.mark.parametrize("name", ["", "pbs", "cluster.yam", "http://a:1", "LOCAL"])
def test_what_is_no_cluster(name: str) -> None:
    with pytest.raises(InputError, match="give local, tcp://host:port, tls://host:port or a file"):
        with open_client(CommonOptions(cluster=name)):
            pass


def test_a_cluster_on_all_addresses_talks_tls_alone(two_workers: Client) -> None:
    address = two_workers.scheduler_info(n_workers=0)["address"]
    assert address.startswith("tls://")
    assert all(worker.startswith("tls://") for worker in two_workers.nthreads())
    with pytest.raises(InputError, match="no scheduler answers there|TLS"):
        with start_client(address.replace("tls", "tcp"), ClusterOptions(insecure=True)):
            pass


def test_the_certificates_open_it(two_workers: Client, tmp_path: Path) -> None:
    address = two_workers.scheduler_info(n_workers=0)["address"]
    folder = Path(two_workers.security.tls_ca_file).parent
    with start_client(address, ClusterOptions(tls_folder=folder)) as client:
        assert len(client.nthreads()) == 2
    with pytest.raises(InputError, match="no scheduler answers there"):
        with start_client(address, ClusterOptions(tls_folder=make_certificates(tmp_path / "other"))):
            pass


def test_relative_paths_become_absolute_for_workers_elsewhere() -> None:
    there = LoadOptions(root=Path("raw"), output_dir=Path("memory://bucket/out"), cluster="x.yaml")
    assert there.root == Path.cwd() / "raw"
    assert str(there.output_dir) == "memory://bucket/out"
    assert there.derive(TrainOptions).root == Path.cwd() / "raw"
    assert LoadOptions(root=Path("raw")).root == Path("raw")


def test_the_settings_for_daemons_started_by_hand_are_the_same() -> None:
    written = yaml.safe_load((EXAMPLES / "dask.yaml").read_text())
    for name, value in (settings.SETTINGS | settings.QUIET_PAGES).items():
        assert dask.config.get(name, config=written) == value, name
    names = sum(1 for _ in leaves(written))
    assert names == sum(1 for _ in leaves(nested())), "and no others"


def nested() -> dict:
    found: dict = {}
    dask.config.set(settings.SETTINGS | settings.QUIET_PAGES, config=found)
    return found


def leaves(mapping: dict):
    for value in mapping.values():
        yield from leaves(value) if isinstance(value, dict) else (value,)


def test_the_user_of_dask_has_the_last_word(monkeypatch) -> None:
    monkeypatch.setenv("DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL", "20s")
    wanted = settings.wanted_settings()
    assert "distributed.scheduler.worker-ttl" not in wanted
    assert wanted["distributed.scheduler.allowed-failures"] == 5


def test_a_cut_of_half_a_minute_is_borne() -> None:
    assert parse_timedelta(settings.SETTINGS["distributed.comm.timeouts.tcp"]) > 60
    assert parse_timedelta(settings.SETTINGS["distributed.scheduler.worker-ttl"]) > 60


def test_settings_travel_without_the_rest_of_the_configuration() -> None:
    with dask.config.set({"secret": "hush"}):
        ((name, text),) = settings.settings_environ().items()
    assert name == "DASK_INTERNAL_INHERIT_CONFIG"
    found = dask.config.deserialize(text)
    assert dask.config.get("distributed.scheduler.allowed-failures", config=found) == 5
    assert "secret" not in found


def test_ssh_gets_paths_and_no_secret(tmp_path: Path) -> None:
    folder = make_certificates(tmp_path / "tls")
    file = read_cluster_file(EXAMPLES / "ssh.yaml")
    found = cluster.ssh.arguments(file, folder)
    assert found["hosts"] == ["node1", "node1", "node2"]
    for side in ("worker_options", "scheduler_options"):
        assert found[side]["protocol"] == "tls://"
        assert found[side]["security"]["tls_worker_key"] == str(folder / "key.pem")
    assert found["worker_options"]["n_workers"] == 2
    assert found["worker_options"]["local_directory"] == "/tmp"
    assert found["scheduler_options"]["dashboard_address"].startswith("127.0.0.1:")
    assert "PRIVATE" not in repr(found)
    plain = SshFile(path=tmp_path, hosts=("a", "b"), user="u", key_file="~/k", known_hosts="/h", interface="ib0")
    found = cluster.ssh.arguments(plain, None)
    assert found["connect_options"] == {
        "port": 22, "username": "u", "client_keys": [str(Path.home() / "k")], "known_hosts": "/h",
    }  # fmt: skip
    assert found["worker_options"]["interface"] == "ib0"
    assert "security" not in found["worker_options"]


def test_ssh_hosts_log_the_addresses_that_dask_waits_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command silences Dask's logs; the hosts would inherit that, and the start would never end."""
    pytest.importorskip("asyncssh", reason="the extra ssh is not installed")
    seen = []

    def start(**given: object) -> None:
        seen.append(dask.config.get("logging"))
        raise OSError("no such host")

    monkeypatch.setattr("distributed.SSHCluster", start)
    with dask.config.set({"logging": {"version": 1, "root": {"level": "CRITICAL"}}}):
        with (
            pytest.raises(InputError, match="no such host"),
            cluster.ssh.start(SshFile(path=tmp_path, hosts=("a", "b")), None),
        ):
            pass
        assert dask.config.get("logging.version") == 1
    assert seen == [{"distributed": "info"}]


def test_a_slurm_job_ends_before_its_walltime_and_shows_no_secret(tmp_path: Path) -> None:
    jobqueue = pytest.importorskip("dask_jobqueue", reason="the extra jobqueue is not installed")
    folder = make_certificates(tmp_path / "tls")
    file = SlurmFile(
        path=tmp_path, workers=3, memory_limit="2GB", walltime="01:00:00", queue="short", account="me",
        prologue=("module load python",), directives=("--constraint=ssd",), scratch="/local", python="/opt/python",
    )  # fmt: skip
    arguments = cluster.slurm.arguments(file, security_of(folder))
    job = {name: value for name, value in arguments.items() if name not in ("scheduler_options", "silence_logs")}
    script = jobqueue.slurm.SLURMJob("tls://10.0.0.1:8786", name="w", **job).job_script()
    assert "#SBATCH -p short\n" in script
    assert "#SBATCH -A me\n" in script
    assert "#SBATCH --constraint=ssd\n" in script
    assert "#SBATCH -t 01:00:00\n" in script
    assert "#SBATCH --mem=2G\n" in script
    assert "\nmodule load python\n" in script
    words = shlex.split(script.strip().splitlines()[-1])
    assert words[:4] == ["/opt/python", "-m", "distributed.cli.dask_worker", "tls://10.0.0.1:8786"]
    words.remove("--nanny")
    options = dict(zip(words[4::2], words[5::2], strict=False))
    assert (options["--lifetime"], options["--lifetime-stagger"]) == ("2880s", "360s")
    assert options["--local-directory"] == "/local"
    assert options["--tls-key"] == str(folder / "key.pem")
    assert "PRIVATE" not in script
    assert "export DASK_INTERNAL_INHERIT_CONFIG=" in script


def test_a_free_port_is_no_scheduler(monkeypatch) -> None:
    monkeypatch.setattr(cluster, "CONNECT_SECONDS", 0.5)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{free.getsockname()[1]}"
        with pytest.raises(InputError, match=f"--cluster {address}: no scheduler answers there"):
            with open_client(CommonOptions(cluster=address, insecure=True)):
                pass

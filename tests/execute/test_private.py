"""A local cluster belongs to its user: nobody else connects, and what it changes for Dask is put back."""

import copy
import logging
import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import dask
import psutil
import pytest
from distributed import Client, LocalCluster

from lo2dask.errors import InputError
from lo2dask.execute import cluster, settings
from lo2dask.execute.cluster import start_client
from lo2dask.options import ClusterOptions

# What is imported late is imported before the user changes: Python itself may lie where others cannot read.
ATTACK = """
import os, sys
from distributed import Client, LocalCluster, Security
if __name__ == "__main__":
    security = Security.temporary()
    for scheme, own in (("tcp://", None), ("tls://", security)):
        plain = dict(n_workers=0, processes=False, protocol=scheme, security=own, dashboard_address="127.0.0.1:0")
        with LocalCluster(**plain) as cluster, Client(cluster, security=own) as client:
            client.run_on_scheduler(os.getuid)
    os.setgroups([]), os.setgid(65534), os.setuid(65534)
    for path in sys.argv[2:]:
        try:
            print(open(path).read())
        except PermissionError:
            print("no key")
    for address in sys.argv[1].split():
        try:
            with Client(address, timeout=3, security=security if address.startswith("tls") else None) as client:
                print("ran as", client.run_on_scheduler(os.getuid))
        except OSError:
            print("refused")
"""


@pytest.fixture(scope="module")
def own() -> Iterator[Client]:
    with start_client("local", ClusterOptions(workers=1, memory_limit="1GB")) as client:
        yield client


def attack(addresses: list[str], *keys: str) -> list[str]:
    """Read keys, and connect to each address, as another user: what came of it."""
    if os.name != "posix" or os.getuid() != 0:
        pytest.skip("only root can change to another user")
    words = [sys.executable, "-c", ATTACK, " ".join(addresses), *keys]
    return subprocess.run(words, stdout=subprocess.PIPE, text=True, timeout=120, check=True).stdout.splitlines()


def ports(client: Client) -> list[tuple[int, int]]:
    """List what the processes of a cluster listen at: (process, port)."""
    tree = [psutil.Process(), *psutil.Process().children(recursive=True)]
    found = [(one.pid, c.laddr.port) for one in tree for c in one.net_connections() if c.status == psutil.CONN_LISTEN]
    assert found
    return found


def http_status(url: str) -> int | None:
    """Ask for a page: its status, None where nobody speaks http."""
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return None


def test_another_user_is_refused_at_every_port(own: Client) -> None:
    address = own.scheduler.address
    assert address.startswith("tls://127.0.0.1:")
    (worker,) = own.nthreads()
    keys = [own.security.tls_client_key, own.security.tls_client_cert]
    targets = [address, address.replace("tls", "tcp"), worker.replace("tls", "tcp"), worker]
    assert attack(targets, *keys) == ["no key"] * 2 + ["refused"] * 4


def test_the_key_is_private(own: Client) -> None:
    key = Path(own.security.tls_client_key)
    assert (key.stat().st_mode & 0o777, key.parent.stat().st_mode & 0o777) == (0o600, 0o700)


def test_no_page_shows_tasks_or_logs(own: Client) -> None:
    checked = 0
    for _, port in ports(own):
        for page in ("info/main/workers.html", "json/counts.json", "status", "metrics", "info/logs.html"):
            answer = http_status(f"http://127.0.0.1:{port}/{page}")
            assert answer in (404, None), f"{port}/{page}: {answer}"
            checked += answer == 404
    assert checked >= 5


def test_the_users_dask_is_as_before_when_a_call_ends(tmp_path: Path) -> None:
    before = copy.deepcopy(dask.config.config)
    with start_client("local", ClusterOptions(workers=1, memory_limit="1GB")):
        assert dask.config.get("distributed.scheduler.allowed-failures") == 5
        assert settings.wanted_settings()["distributed.scheduler.allowed-failures"] == 5
    assert dask.config.config == before
    with pytest.raises(InputError), start_client(str(tmp_path / "none.yaml"), ClusterOptions()):
        pass
    with pytest.raises(InputError), start_client("local", ClusterOptions(memory_limit="1GB"), memory=2 * 10**9):
        pass
    assert dask.config.config == before


@pytest.mark.parametrize(
    ("name", "value", "effect"),
    [
        ("dataframe.convert-string", True, "text columns are converted"),
        ("distributed.worker.memory.terminate", False, "use up the machine's memory"),
        ("distributed.scheduler.worker-ttl", "10s", "taken for dead"),
        ("distributed.scheduler.allowed-failures", 0, "ends the command"),
        ("distributed.scheduler.allowed-failures", 7, ""),
    ],
)
def test_the_users_own_setting_wins_and_its_harm_is_named(caplog, name: str, value: object, effect: str) -> None:
    # A cluster that runs silences all handlers.
    caplog.set_level(logging.WARNING)
    with dask.config.set({name: value}), settings.applied_settings(dashboard=False):
        assert dask.config.get(name) == value
    assert (f"your Dask configuration sets {name} to {value}: " in caplog.text) == bool(effect)
    assert effect in caplog.text


def test_a_machine_without_a_network_is_told_at_once(monkeypatch) -> None:
    monkeypatch.setattr(
        cluster.socket, "create_connection", lambda *_, **__: (_ for _ in ()).throw(OSError(101, "down"))
    )
    with pytest.raises(InputError, match=r"no usable network address: 127\.0\.0\.1 cannot be reached \(down\)"):
        with start_client("local", ClusterOptions(workers=1, memory_limit="1GB")):
            pass


def test_the_attack_works_where_nothing_protects() -> None:
    """The last test: its cluster shows pages, and may listen a little longer than it is used."""
    with LocalCluster(
        n_workers=0, processes=False, protocol="tcp://", host="127.0.0.1", dashboard_address="127.0.0.1:0"
    ) as plain:
        assert attack([plain.scheduler_address]) == [f"ran as {os.getuid()}"]

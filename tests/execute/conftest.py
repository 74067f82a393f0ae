"""One cluster of two workers for all tests that look at workers; it starts with the first of them."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from distributed import Client

from lo2dask.execute.cluster import start_client
from lo2dask.options import ClusterOptions

EXAMPLES = Path(__file__).resolve().parents[2] / "cluster"


@pytest.fixture(scope="session")
def two_workers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """Two workers of 1 GB that listen on all addresses, hence under TLS."""
    folder = tmp_path_factory.mktemp("cluster")
    file = folder / "local.yaml"
    file.write_text(
        f"kind: local\nworkers: 2\nmemory_limit: 1GB\nhost: 0.0.0.0\ntls_folder: {folder / 'tls'}\nscratch: {folder}\n"
    )
    with start_client(str(file), ClusterOptions()) as client:
        yield client

"""Logs of pods: which service they are of, and which files are one log."""

from pathlib import Path

import pytest

from lo2dask.sources.kubernetes import container_service, restarts
from lo2dask.sources.patterns import service_name
from lo2dask.sources.tree import SourceFile, join_parts

UID = "d68c8409-eba4-4c7e-24c7-2ab3f9a2c8bf"


@pytest.mark.parametrize(
    ("pod", "container", "service"),
    [
        ("cart-7d9f8b6c5-x2k7z", "cart", "cart"),
        ("cart-7d9f8b6c5-x2k7z", "server", "cart-server"),
        ("cart-7d9f8b6c5-x2k7z", "istio-proxy", "cart-istio-proxy"),
        ("orders-cart-7d9f8b6c5-x2k7z", "cart", "orders-cart"),
        ("db-0", "postgres", "db-postgres"),
        ("db-12", "db", "db"),
        ("node-agent-x2k7z", "agent", "node-agent"),
        ("node-agent-x2k7z", "log", "node-agent-log"),
        ("x2k7z", "main", "x2k7z-main"),
        ("myapp-7d9f8b6c5-x2k7z", "app", "myapp-app"),
        ("cart-db-0", "db", "cart-db"),
        ("cart-7d9f8b6c5-x2k7z", "cart-server", "cart-server"),
    ],
)
def test_a_container_is_named_with_its_deployment_where_it_says_something_else(
    pod: str, container: str, service: str
) -> None:
    path = f"day1/shop_{pod}_{UID}/{container}/3.log"
    assert restarts(path) == 3
    assert container_service(path) == service_name(path, "") == service


@pytest.mark.parametrize(
    "path",
    [
        "cart/0.log",
        "shop_cart_1/cart/0.log",
        f"shop_cart_{UID}/0.log",
        f"shop_cart_{UID}/cart/cart.log",
        f"shop_cart_{UID}/cart/0.txt",
        f"cart_{UID}/cart/0.log",
    ],
)
def test_other_logs_with_numbers_are_none_of_pods(path: str) -> None:
    assert restarts(path) is None


def test_the_files_of_a_container_are_one_log_in_the_order_of_its_restarts(tmp_path: Path) -> None:
    pod = tmp_path / f"shop_cart-7d9f8b6c5-x2k7z_{UID}"
    names = ["cart/10.log", "cart/2.log", "cart/2.log.20260507-021500.gz", "cart/0.log", "proxy/0.log"]
    files = [SourceFile(str(pod / n), "", 0, 5, 0, "day1", "", f"{pod.name}/{n}", "log", "") for n in names]
    joined = {Path(file.path).parent.name: file for file in join_parts(files)}
    assert sorted(joined) == ["cart", "proxy"]
    assert [Path(part.path).name for part in joined["cart"].parts] == [
        "0.log", "2.log.20260507-021500.gz", "2.log", "10.log",
    ]  # fmt: skip
    assert joined["proxy"].parts == ()


def test_numbered_logs_elsewhere_stay_logs_of_their_own(tmp_path: Path) -> None:
    files = [
        SourceFile(str(tmp_path / "cart" / name), "", 0, 5, 0, "day1", "", f"cart/{name}", "log", "")
        for name in ("0.log", "1.log")
    ]
    assert sorted(join_parts(files), key=lambda file: file.path) == files

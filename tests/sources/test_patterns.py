"""Path patterns: what they take of a path, and which are refused."""

from pathlib import Path

import pytest

from lo2dask.errors import InputError
from lo2dask.options import LoadOptions
from lo2dask.sources.layouts import find_tree
from lo2dask.sources.listing import scan_files
from lo2dask.sources.names import listed
from lo2dask.sources.patterns import PathPattern, common_prefix, file_stem, service_name, takes_path


@pytest.mark.parametrize(
    ("text", "path", "found"),
    [
        ("{run}/{test_case}/{service}.log", "r1/ok/cart.log", {"run": "r1", "test_case": "ok", "service": "cart"}),
        ("{run}/{test_case}/{service}.log", "r1/cart.log", None),
        ("{run}/{test_case}/{service}.log", "r1/ok/cart.txt", None),
        ("{service}/{run}/*.log", "cart/r1/x.log", {"run": "r1", "service": "cart"}),
        ("logs/{service}-{run}.log", "logs/order-service-7.log", {"run": "7", "service": "order-service"}),
        ("{run}/**/{service}.log", "r1/cart.log", {"run": "r1", "service": "cart"}),
        ("{run}/**/{service}.log", "r1/a/b/cart.log", {"run": "r1", "service": "cart"}),
        ("**/{run}.{run}.log", "a/x.x.log", {"run": "x"}),
        ("**/{run}.{run}.log", "a/x.y.log", None),
        ("a+b/{service}.log", "aab/x.log", None),
    ],
)
def test_a_pattern_takes_its_names_from_a_path(text: str, path: str, found: dict[str, str] | None) -> None:
    assert PathPattern(text).match(path) == found


@pytest.mark.parametrize(
    "text", ["", "/x.log", "../{service}.log", "{run}//x", "{run}/**", "{run}/a**/x", "{host}.log", "{run/x", "run}/x"]
)
def test_a_pattern_that_means_nothing_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(InputError, match=r"--layout .*write it as \{run\}/\{test_case\}/\{service\}.log"):
        PathPattern(text)


def test_only_folders_that_may_hold_a_run_are_entered() -> None:
    pattern = PathPattern("{service}/{run}/*.log")
    assert pattern.leads_to("cart", "r1")
    assert pattern.leads_to("cart/r1", "r1")
    assert not pattern.leads_to("cart/r2", "r1")
    assert not pattern.leads_to("cart/r1/deep", "r1")
    assert PathPattern("a/**/{run}.log").leads_to("a/b/c", "r1")
    assert not PathPattern("a/**/{run}.log").leads_to("b", "r1")


def test_services_are_named_by_file_or_folder() -> None:
    assert [file_stem(name) for name in ("payments-2.log", "0.log", "cart", "web.1.out", ".log")] == [
        *("payments", "0", "cart", "web", ".log")
    ]
    assert common_prefix("shop-cart", "shop-user") == "shop-"
    assert common_prefix("cart", "catalog") == common_prefix("cart", "cart") == ""
    assert service_name("r1/shop-cart-2.log", "shop-") == "cart"
    assert service_name("ns_pod_1/cart/0.log", "") == "cart"


def test_logs_of_docker_are_named_by_their_service_or_by_twelve_digits_of_their_container() -> None:
    container = "0123456789ab" + "cd" * 26
    names = ("cart-json.log", "shop-cart-1-json.log", "cart_json.log", "-json.log", f"{container}-json.log")
    assert [file_stem(name) for name in names] == ["cart", "shop-cart", "cart_json", "-json", "0123456789ab"]
    assert service_name(f"{container}/{container}-json.log", "") == "0123456789ab"
    assert file_stem("a" * 65 + ".log") == "a" * 65


def test_logs_of_kubernetes_are_named_by_their_container_or_deployment() -> None:
    pod, container = "cart-7d9f8b6c5-x2k7z", "0123456789abcdef" * 4
    names = (f"{pod}_shop_cart-{container}.log", f"{pod}_shop_side-car-{container}.log", f"{pod}.log", "cart-0.log")
    assert [file_stem(name) for name in names] == ["cart", "side-car", "cart", "cart"]
    words = ("cart-payments-order.log", "light-oauth2-oauth2-user-1.log", "-7d9f8b6c5-x2k7z.log")
    assert [file_stem(name) for name in words] == ["cart-payments-order", "light-oauth2-oauth2-user", words[2][:-4]]


def test_of_many_names_the_first_are_listed() -> None:
    assert listed(["a", "b"]) == "a, b"
    assert listed([f"s{number}" for number in range(1_010)]) == "s0, s1, s2, s3, s4, s5, s6, s7 and 1,002 more"


def test_globs_without_a_slash_are_for_the_name() -> None:
    assert takes_path("a/b/cart.log", ("*.log",), ())
    assert not takes_path("a/b/cart.log", ("b/*.log",), ())
    assert takes_path("a/b/cart.log", ("a/*.log",), ("user*",))
    assert not takes_path("a/b/cart.log", (), ("cart*",))


@pytest.mark.parametrize(
    ("layout", "logs", "outside"),
    [
        ("{service}/{run}.log", ["cart/r1.log", "cart/r2.log", "pay/r2.log"], ["notes.log", "cart/notes"]),
        ("logs/{run}/{service}.log", ["logs/r1/cart.log", "logs/r2/cart.log"], ["notes.log", "logs/r2/notes"]),
    ],
)
def test_a_file_outside_the_layout_is_listed_with_one_run_alone(tmp_path, layout, logs, outside):
    for name in (*logs, *outside):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("a line\n")
    tree = find_tree(tmp_path, LoadOptions(root=tmp_path, output_dir=tmp_path / "out", layout=layout))
    listed = [Path(file.path).relative_to(tmp_path).as_posix() for run in tree.runs for file in scan_files(run, False)]
    assert sorted(listed) == sorted([*logs, *outside])

"""The masks, and what a user may add to them."""

from datetime import datetime
from pathlib import Path

import hypothesis.strategies as st
import pyarrow as pa
import pytest
from hypothesis import given

from lo2dask.errors import InputError
from lo2dask.features.masks import ALL_MASKS, MASKS, OFF, Mask, load_masks, masks_fingerprint, normalise

from .plain import plain_mask


def masked(text: str, masks: tuple[Mask, ...] = MASKS) -> str:
    return normalise(pa.array([text]), masks)[0].as_py()


@pytest.mark.parametrize("mask", ALL_MASKS, ids=lambda mask: mask.name)
def test_every_mask_changes_its_example(mask: Mask) -> None:
    assert masked(mask.example, (mask,)) != mask.example


@pytest.mark.parametrize("mask", ALL_MASKS, ids=lambda mask: mask.name)
def test_masked_text_stays_as_it_is(mask: Mask) -> None:
    for masks in (MASKS, load_masks(None, "json")):
        once = masked(mask.example, masks)
        assert masked(once, masks) == once


@pytest.mark.parametrize(
    "text",
    [
        "com.networknt.oauth.token.handler.Oauth2TokenPostHandler handleRequest",
        "at io.undertow.server.Connectors.executeRootHandler",
        "ERR12029",
        "java.lang.RuntimeException: Unable to find it",
    ],
)
def test_names_in_the_code_are_left_alone(text: str) -> None:
    assert masked(text) == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("user 17 of 20", "user <NUM> of <NUM>"),
        ("Authorization: Basic Zjc1MjllN2U=", "Authorization: Basic <CREDENTIALS>"),
        ("id 96bce40c-3e1e-41df-ac31-34e16e0a46b8", "id <UUID>"),
        ("from 172.18.0.5", "from <IP>"),
    ],
)
def test_what_varies_is_masked(text: str, expected: str) -> None:
    assert masked(text) == expected


def test_no_two_identifiers_of_a_kind_differ_after_masking() -> None:
    for one, other in (("id 96bce40c-3e1e-41df-ac31-34e16e0a46b8", "id 00000000-3e1e-41df-ac31-34e16e0a46b8"),):
        assert masked(one) == masked(other)


# As Hadoop, Spark, HDFS, BGL, OpenStack, Zookeeper, web servers and Linux write them.
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("at 2026-01-02T03:04:05.678+02:00, due 2026-01-03 04:05Z", "at <DATE>, due <DATE>"),
        ("Receiving block blk_-38 src: /10.0.0.7:5010", "Receiving block blk_<NUM> src: /<IP>:<NUM>"),
        ("Receiving block blk_3886504906413966 src: /10.0.0.7:51", "Receiving block blk_<NUM> src: /<IP>:<NUM>"),
        ("task_2026_0014_m_001575_0 done", "task_<NUM>_<NUM>_m_<NUM>_<NUM> done"),
        ("Reading file hdfs://mesos-7:9000/pj/part-1", "Reading file <PATH>"),
        ("cannot open '/var/lib/shop/17.db'", "cannot open '<PATH>'"),
        ('GET /api/orders/17?page=2 HTTP/1.1" 200 1532', 'GET /api/orders/<NUM>?page=<NUM> HTTP/<NUM>" code200 <NUM>'),
        ('{"path": "/a", "status": 504, "took": 504}', '{"path": "/a", "status": code504, "took": <NUM>}'),
        ("sync status: 345/500, status=100% Status: 404.5", "sync status: <NUM>/<NUM>, status=<NUM> Status: <NUM>"),
        ("GET /a HTTP/2 503 status=503", "GET /a HTTP/<NUM> code503 status=code503"),
        ("to Anna.B@example.org by shop-7:2181", "to <EMAIL> by shop-<NUM>:<NUM>"),
        ("took 17.5ms of 3 GB, 80% of 1,024 bytes", "took <NUM> of <NUM>, <NUM> of <NUM>"),
        ("generating core.2275 at 0x0b85eee0", "generating core.<NUM> at <HEX>"),
        ("commit 7bf8e3c09d1a, session 0x14ed93111f20027", "commit <HEX>, session <HEX>"),
        ("id 96BCE40C-3e1e-41df-ac31-34e16e0a46b8", "id <UUID>"),
        (
            "user 'anna' uid=17 in com.example.shop.v2.Orders$1(Orders.java:42)",
            "user 'anna' uid=<NUM> in com.example.shop.v2.Orders$1(Orders.java:42)",
        ),
        ("feedback from facade: cafe, 5th try", "feedback from facade: cafe, 5th try"),
    ],
)
def test_common_identifiers_of_other_formats(text: str, expected: str) -> None:
    assert masked(text, load_masks(None, "json")) == expected


def test_lo2_has_the_masks_without_a_scope_alone() -> None:
    assert load_masks(None) == MASKS == tuple(mask for mask in load_masks(None, "json") if not mask.scope)


def test_a_mask_that_is_off_is_turned_on_by_its_name(tmp_path: Path) -> None:
    path = write(tmp_path / "masks.yaml", "- {name: quoted}\n- {name: path}\n")
    assert not any(mask.scope == OFF for mask in load_masks(None, "json"))
    for name in ("json", "lo2"):
        assert masked("user 'anna' opened /tmp/x", load_masks(path, name)) == "user <TEXT> opened <PATH>"


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_a_mask_file_adds_and_replaces(tmp_path: Path) -> None:
    path = write(
        tmp_path / "masks.yaml",
        "- {name: order, pattern: 'order-\\w+', replacement: <ORDER>, example: order-7}\n"
        "- {name: number, pattern: '\\d+', replacement: '#'}\n",
    )
    masks = load_masks(path)
    assert [mask.name for mask in masks] == [*(mask.name for mask in MASKS[:-1]), "order", "number"]
    assert masked("order-7 x9", masks) == "<ORDER> x#"
    assert masks_fingerprint(masks) != masks_fingerprint(MASKS) == masks_fingerprint(load_masks(None))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[unclosed", "not valid YAML"),
        ("name: x", "must be a list of masks"),
        ("- {name: x}", "each mask needs name, pattern and replacement"),
        ("- {name: x, pattern: '(', replacement: y}", "mask 'x' is no RE2 pattern"),
        ("- {name: x, pattern: '(?=a)', replacement: y}", "mask 'x' is no RE2 pattern"),
        (f"- {{name: x, pattern: '{'a' * 501}', replacement: y}}", "mask 'x' is longer than 500"),
    ],
)
def test_mask_files_that_cannot_be_used(tmp_path: Path, text: str, message: str) -> None:
    path = write(tmp_path / "masks.yaml", text)
    with pytest.raises(InputError, match=message) as error:
        load_masks(path)
    assert str(path) in str(error.value)


def test_a_mask_file_that_is_missing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No such file"):
        load_masks(tmp_path / "none.yaml")


@pytest.mark.parametrize("replacement", [r"\1", r"\9", "\\"])
def test_a_replacement_that_names_no_group(tmp_path: Path, replacement: str) -> None:
    path = write(tmp_path / "masks.yaml", f"- {{name: x, pattern: a, replacement: '{replacement}', example: a}}")
    with pytest.raises(InputError, match="mask 'x'"):
        load_masks(path)


lines = st.lists(st.text('ab019:.-_[]@ ="<>é', max_size=30), max_size=20)


@given(texts=lines, cut=st.integers(0, 20))
def test_a_line_is_masked_alike_among_any_others(texts: list[str], cut: int) -> None:
    """What a line becomes does not depend on the batch that it is read in."""
    whole = normalise(pa.array(texts, pa.string()), MASKS).to_pylist()
    parts = [normalise(pa.array(piece, pa.string()), MASKS).to_pylist() for piece in (texts[:cut], texts[cut:])]
    assert whole == parts[0] + parts[1] == [masked(text) for text in texts]


@given(texts=lines)
def test_masks_equal_those_of_pythons_own_patterns(texts: list[str]) -> None:
    assert normalise(pa.array(texts, pa.string()), MASKS).to_pylist() == [plain_mask(text) for text in texts]


@given(texts=lines)
def test_masked_texts_are_held_once(texts: list[str]) -> None:
    found = normalise(pa.array(texts, pa.string()), MASKS)
    values = found.dictionary.to_pylist()
    assert len(set(values)) == len(values)
    assert set(values) == {plain_mask(text) for text in texts}


@given(texts=lines)
def test_masks_of_a_user_see_what_the_others_leave(texts: list[str]) -> None:
    own = (*MASKS[:-1], Mask("digit", r"[0-9]", "#", "1"))
    found = normalise(pa.array(texts, pa.string()), own).to_pylist()
    assert found == [plain_mask(text, own) for text in texts]
    assert not any(char.isdigit() for text in found for char in text)


MONTHS = ("Jan", "February", "Mar", "Apr", "May", "Jun", "July", "Aug", "Sep", "Oct", "Nov", "December")
MOMENTS = st.datetimes(min_value=datetime(1970, 1, 1), max_value=datetime(2099, 12, 31))
SPACES = st.sampled_from([" ", "\u202f", "\xa0"])


@given(MOMENTS, SPACES, st.integers(0, 4))
def test_no_part_of_a_date_is_left(at: datetime, space: str, form: int) -> None:
    """As java.util.logging, java.util.Date, syslog and web servers write them, before and after noon."""
    clock, month = f"{at:%H:%M:%S}", MONTHS[at.month - 1]
    half = f"{(at.hour - 1) % 12 + 1}:{at:%M:%S}{space}{'AM' if at.hour < 12 else 'PM'}"
    text = (
        f"{month} {at.day}, {at.year} {half}",
        f"{month} {at.day}, {at.year}, {half}",
        f"Fri {month} {at.day} {clock} UTC {at.year}",
        f"{at.day:02d}/{month}/{at.year}:{clock} +0000",
        half,
    )[form]
    assert masked(f"{text} INFO started") == f"{'<TIME>' if form == 4 else '<DATE>'} INFO started"


def test_words_after_a_date_stay() -> None:
    assert masked("May 5 INFO Mayor of 3") == "<DATE> INFO Mayor of <NUM>"


@pytest.mark.parametrize("pattern", ["", "x*", "a|", "^", "$", r"\\b", "(?:order)?", "[0-9]{0,3}"])
def test_a_mask_that_matches_nothing_is_refused(tmp_path: Path, pattern: str) -> None:
    path = write(tmp_path / "masks.yaml", f'- {{name: x, pattern: "{pattern}", replacement: y}}')
    with pytest.raises(InputError, match="mask 'x' matches the empty string"):
        load_masks(path)


def test_a_mask_file_that_is_not_utf8_is_named(tmp_path: Path) -> None:
    (tmp_path / "masks.yaml").write_bytes(b"- {name: m\xfcll, pattern: a, replacement: b}")
    with pytest.raises(InputError, match="masks.yaml: not valid YAML: .*utf-8"):
        load_masks(tmp_path / "masks.yaml")


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("order #4711 accepted", "order #<NUM> accepted"),
        ("#12 done", "#<NUM> done"),
        ("shop.ConfigController#67 - done", "shop.ConfigController#67 - done"),
        ("at Db.java:17", "at Db.java:17"),
    ],
)
def test_line_numbers_of_code_stay(text: str, masked: str) -> None:
    masks = tuple(mask for mask in ALL_MASKS if mask.scope != OFF)
    assert normalise(pa.array([text]), masks).to_pylist() == [masked]

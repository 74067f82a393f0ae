"""The YAML files of a user: what is read, and what is refused before anything is built of it."""

import time
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from lo2dask.errors import InputError
from lo2dask.options.yaml_file import MAX_BYTES, MAX_DEPTH, MAX_NODES, read_yaml

BOMB = "a0: &a0 [x, x]\n" + "".join(f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}, *a{i - 1}]\n" for i in range(1, 40))
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text("ab :-#'\"\n", max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abc", min_size=1), inner, max_size=4),
    max_leaves=20,
)


def write(folder: Path, text: str | bytes) -> Path:
    path = folder / "given.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@given(value=PLAIN)
def test_what_yaml_writes_is_read(value: object, tmp_path_factory: pytest.TempPathFactory) -> None:
    assert read_yaml(write(tmp_path_factory.mktemp("yaml"), yaml.safe_dump(value)), "--config") == value


def test_anchors_merge_keys_and_a_byte_order_mark_are_fine(tmp_path: Path) -> None:
    text = "base: &base {a: 1, b: 2}\nmore: &more {<<: *base, b: 3}\n"
    content = read_yaml(write(tmp_path, b"\xef\xbb\xbf" + text.encode()), "--config")
    assert content["more"] == {"a": 1, "b": 3}


def test_what_looks_like_a_time_is_text(tmp_path: Path) -> None:
    text = "a: 1:30\nb: 10:00:00.5\n1:30: ERROR\nc: [-2:15, 12, 0x1f, 1.5, '1:30']\n"
    content = read_yaml(write(tmp_path, text), "--format")
    assert content == {"a": "1:30", "b": "10:00:00.5", "1:30": "ERROR", "c": ["-2:15", 12, 31, 1.5, "1:30"]}


def test_the_limits_themselves_are_allowed(tmp_path: Path) -> None:
    assert read_yaml(write(tmp_path, "[" * MAX_DEPTH + "]" * MAX_DEPTH), "--config")
    assert len(read_yaml(write(tmp_path, "- x\n" * (MAX_NODES - 1)), "--config")) == MAX_NODES - 1
    assert read_yaml(write(tmp_path, "#" * MAX_BYTES), "--config") is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (BOMB, "more than 10,000 values"),
        ("&a [*a]", "the alias \\*a stands inside its own anchor"),
        ("[" * 3000, "nested more than 50 levels"),
        ("{a: " * 3000, "nested more than 50 levels"),
        ("? " * 3000, "nested more than 50 levels"),
        ("- x\n" * (MAX_NODES + 1), "more than 10,000 values"),
        ("#" * (MAX_BYTES + 1), "larger than 1 MiB"),
        ("a: 1\nb: {c: 1, 'c': 2}", "not valid YAML: line 2, column 11: 'c' is given twice"),
        ("a: 1\n--- \nb: 1", "not valid YAML"),
        ("a: !!python/object/apply:os.getcwd []", "not valid YAML: line 1, column 4"),
        ("a: 2024-13-45", "not valid YAML: month must be in 1..12"),
        ("a: " + "9" * 5000, "not valid YAML: Exceeds the limit"),
        (b"a: \xff", "not valid YAML: 'utf-8' codec"),
    ],
)
def test_one_line_names_what_is_wrong_at_once(tmp_path: Path, text: str | bytes, message: str) -> None:
    path = write(tmp_path, text)
    began = time.perf_counter()
    with pytest.raises(InputError, match=f"^--mask-file {path}: .*{message}") as raised:
        read_yaml(path, "--mask-file")
    assert "\n" not in str(raised.value)
    assert time.perf_counter() - began < 10

"""Input that is not as it should be: nothing of it is lost, mixed up or relabelled without a word."""

import io
import json
import tarfile
from collections import Counter
from pathlib import Path

import pytest

from lo2dask.commands.load import LoadSummary, load
from lo2dask.errors import IntegrityError
from lo2dask.execute.session import Session
from lo2dask.features.figures import BaseFigures
from lo2dask.ingest.plan import clear_output
from lo2dask.options import LoadOptions
from lo2dask.tables.layout import Layout
from tests.trees import table_of

RUN = "LO2_run_1740000000"
ERROR = "get_token_404"


def name_of(service: str) -> str:
    return f"light-oauth2-oauth2-{service}-1.log"


def lines(count: int, word: str = "text") -> bytes:
    """LO2 lines at 21:25:00 and each second after it."""
    rows = (f"21:25:{n:02d}.000 [main]   DEBUG a.b.C d - {word} {n}\n" for n in range(count))
    return "".join(rows).encode()


def write(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def make_run(raw: Path, run: str = RUN) -> Path:
    """A run of one normal and one error log of token: 3 and 4 lines."""
    write(raw / run / "correct" / name_of("token"), lines(3))
    write(raw / run / ERROR / name_of("token"), lines(4))
    return raw / run


def load_all(raw: Path, out: Path, **changes: object) -> LoadSummary:
    return load(LoadOptions(root=raw, output_dir=out, **({"enhance": False} | changes)), Session.serial())


def lengths(out: Path) -> dict[str, tuple[int, bool]]:
    rows = table_of(out / "lo2_sequences.parquet").to_pylist()
    assert len({row["seq_id"] for row in rows}) == len(rows)
    return {row["seq_id"]: (row["seq_len"], row["anomaly"]) for row in rows}


def rejects(out: Path) -> list[dict[str, str]]:
    return table_of(out / "lo2_rejects.parquet").to_pylist()


def add(archive: tarfile.TarFile, name: str, data: bytes, **kind: object) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(data)
    for key, value in kind.items():
        setattr(member, key, value)
    archive.addfile(member, io.BytesIO(data))


@pytest.mark.parametrize("changes", [{}, {"save_events": True}, {"save_events": True, "continuation_lines": "merge"}])
def test_the_second_folder_of_an_id_is_a_reject_and_the_rest_is_loaded(tmp_path: Path, changes: dict) -> None:
    raw, out = tmp_path / "raw", tmp_path / "out"
    first = write(raw / "a" / "b__correct" / name_of("token"), lines(3))
    second = write(raw / "a__b" / "correct" / name_of("token"), lines(5))
    write(raw / "z" / "correct" / name_of("token"), lines(2))
    load_all(raw, out, **({"enhance": True} | changes))
    token = name_of("token").removesuffix(".log")
    assert lengths(out) == {f"a__b__correct__{token}": (3, True), f"z__correct__{token}": (2, False)}
    (reject,) = rejects(out)
    assert reject["reason"] == "same id"
    assert str(first) in reject["detail"]
    assert str(second) in reject["detail"]
    if changes:
        events = Counter(table_of(out / "lo2_events.parquet")["seq_id"].to_pylist())
        assert events == {name: length for name, (length, _) in lengths(out).items()}
    words = table_of(out / "lo2_sequences_enhanced.parquet").to_pylist()
    assert {row["seq_id"]: row["e_words_len"] for row in words} == {
        f"a__b__correct__{token}": 3 * 10, f"z__correct__{token}": 2 * 10
    }  # fmt: skip


def test_ids_are_distinct_across_scan_tasks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lo2dask.ingest.plan.RUNS_PER_SCAN", 1)
    for run, case in (("a", "b__c__d"), ("a", "zz"), ("a__b", "c__d"), ("a__b__c", "d"), ("b", "c")):
        write(tmp_path / "raw" / run / case / name_of("token"), lines(2))
    load_all(tmp_path / "raw", tmp_path / "out")
    assert len(lengths(tmp_path / "out")) == 3
    assert [row["reason"] for row in rejects(tmp_path / "out")] == ["same id"] * 2


def test_the_last_member_of_a_tar_counts_as_with_tar_xf(tmp_path: Path) -> None:
    """Also under another spelling of the same path."""
    raw = tmp_path / "raw"
    raw.mkdir()
    with tarfile.open(raw / f"{RUN}.tar", "w") as archive:
        add(archive, f"{RUN}/correct/{name_of('client')}", lines(6))
        add(archive, f"{RUN}/correct/{name_of('token')}", lines(3))
        add(archive, f"{RUN}/{ERROR}/{name_of('token')}", lines(4))
        add(archive, f"{RUN}/correct/{name_of('client')}", lines(1))
        add(archive, f"./{RUN}//correct/{name_of('client')}", lines(2))
    load_all(raw, tmp_path / "out", save_events=True)
    by_case = {tuple(name.split("__")[1:]): length for name, (length, _) in lengths(tmp_path / "out").items()}
    token, client = name_of("token").removesuffix(".log"), name_of("client").removesuffix(".log")
    assert by_case == {("correct", client): 2, ("correct", token): 3, (ERROR, token): 4}
    assert [row["reason"] for row in rejects(tmp_path / "out")] == ["superseded"] * 2


def test_rows_that_go_to_another_log_are_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add_rows = BaseFigures.add

    def misplace(self: BaseFigures, events) -> None:
        add_rows(self, events)
        self.lengths = self.lengths[::-1]

    make_run(tmp_path / "raw")
    monkeypatch.setattr(BaseFigures, "add", misplace)
    with pytest.raises(IntegrityError, match="of its log were kept"):
        load_all(tmp_path / "raw", tmp_path / "out")


def test_starting_over_removes_only_what_records_name(tmp_path: Path) -> None:
    raw, out = tmp_path / "raw", tmp_path / "out"
    make_run(raw)
    load_all(raw, out, enhance=True, save_events=True)
    before = {path for path in out.rglob("*") if path.is_file()}
    names = ("lo2_mine.parquet", "lo2_events.parquet/notes.txt", "metrics/mine.json", "explainability/plot.png")
    mine = [write(out / name, b"mine") for name in (*names, "_lo2dask/mine.json", "_lo2dask/models/mine.bin")]
    record = out / "_lo2dask" / "load.json"
    content = json.loads(record.read_text())
    victim = write(tmp_path / "victim", b"untouched")
    content["outputs"]["../victim"] = content["outputs"][str(victim)] = {"size": 9, "checksum": "0" * 16}
    record.write_text(json.dumps(content))
    clear_output(Layout(out))
    assert victim.read_bytes() == b"untouched"
    left = {path for path in out.rglob("*") if path.is_file()}
    assert set(mine) <= left
    assert not [path for path in left & before if path.parts[-2].startswith("lo2_")]
    load_all(raw, out, enhance=True, save_events=True, resume=False)
    assert all(path.read_bytes() == b"mine" for path in mine)
    assert len(lengths(out)) == 2

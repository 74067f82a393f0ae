"""Unpacking archived runs: which ones, what is refused, what a stopped run leaves."""

import io
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from lo2dask.cli.summary import extract_text
from lo2dask.commands import extract as stage
from lo2dask.commands.extract import ExtractSummary, choose_runs, extract
from lo2dask.commands.load import load
from lo2dask.commands.verify import verify
from lo2dask.errors import InputError, Lo2Error
from lo2dask.execute.session import Session
from lo2dask.options import ExtractOptions, LoadOptions, VerifyOptions
from lo2dask.sources.archives import find_archives
from tests.trees import make_tree, table_of

RUN = "light-oauth2-data-{}"
LOG = "light-oauth2-oauth2-token-1.log"


@pytest.fixture(scope="module")
def tars(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tree(tmp_path_factory.mktemp("tars") / "tars", scale=0.01, runs=3, tar=True, with_metrics=True)


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tree(tmp_path_factory.mktemp("tree") / "tree", scale=0.01, runs=3, with_metrics=True)


def run(src: Path, out: Path, **changes: object) -> ExtractSummary:
    return extract(ExtractOptions(src=src, out=out, **({"jobs": 1} | changes)))


def files(root: Path) -> Iterator[tuple[str, bytes]]:
    for path in sorted(root.rglob("*")):
        if path.is_file() and path.relative_to(root).parts[0].startswith("light-"):
            yield str(path.relative_to(root)), path.read_bytes()


def names(root: Path) -> list[str]:
    return sorted(entry.name for entry in root.iterdir() if entry.name != "_lo2dask")


def add(archive: tarfile.TarFile, name: str, data: bytes = b"10:00:00.000 x\n", **changes: object) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(data)
    for key, value in changes.items():
        setattr(member, key, value)
    archive.addfile(member, io.BytesIO(data) if member.isreg() else None)


def test_unpacks_what_was_packed(tars: Path, tree: Path, tmp_path: Path) -> None:
    seen = []
    options = ExtractOptions(src=tars, out=tmp_path / "out", jobs=1)
    summary = extract(options, lambda result, done, total: seen.append((result.name, done, total)))
    wanted = dict(files(tree))
    assert dict(files(tmp_path / "out")) == wanted
    assert (summary.files, summary.bytes) == (len(wanted), sum(map(len, wanted.values())))
    assert [(done, total) for _, done, total in seen] == [(1, 3), (2, 3), (3, 3)]
    assert [name for name, _, _ in seen] == sorted((name for name, _, _ in seen), reverse=True)


def test_several_processes_do_the_same(tars: Path, tree: Path, tmp_path: Path) -> None:
    run(tars, tmp_path, jobs=2)
    assert dict(files(tmp_path)) == dict(files(tree))


@pytest.mark.parametrize("form", ["tar.gz", "tgz", "zip", "zip of gz", "no top folder", "other name"])
def test_other_forms(tars: Path, tree: Path, tmp_path: Path, form: str) -> None:
    src = tmp_path / "src"
    src.mkdir()
    packed = sorted(tars.glob("*.tar"))
    if form.startswith("zip"):
        with zipfile.ZipFile(src / "all.zip", "w", zipfile.ZIP_DEFLATED) as target:
            for path in packed:
                data = path.read_bytes()
                target.writestr(f"LO2/{path.name}", data)
            target.writestr("LO2/readme.txt", "no run")
    for path in packed:
        if form in ("tar.gz", "tgz"):
            with tarfile.open(src / f"{path.stem}.{form}", "w:gz") as target:
                target.add(tree / path.stem, path.stem)
        elif form == "no top folder":
            with tarfile.open(src / path.name, "w") as target:
                target.add(tree / path.stem, ".")
        elif form == "other name":
            shutil.copy(path, src / f"copy of {path.name}")
    summary = run(src, tmp_path / "out")
    assert dict(files(tmp_path / "out")) == dict(files(tree))
    assert summary.rejects == ()
    assert len(run(src, tmp_path / "out").todo) == 0


def test_loading_tars_equals_loading_what_they_hold(tars: Path, tmp_path: Path) -> None:
    run(tars, tmp_path / "tree")
    for name, root in (("one", tars), ("two", tmp_path / "tree")):
        options = LoadOptions(root=root, output_dir=tmp_path / name, load_metrics=True, save_events=True)
        load(options, Session.serial())
    for table in ("events", "sequences_enhanced", "metrics", "traces"):
        one, two = (table_of(tmp_path / name / f"lo2_{table}.parquet") for name in ("one", "two"))
        assert one.to_pandas().equals(two.to_pandas()), table


@pytest.fixture
def seven(tmp_path: Path) -> Path:
    src = tmp_path / "seven"
    src.mkdir()
    for epoch in (1000000003, 1000000001, 1000000007, 1000000002, 1000000006, 1000000005, 1000000004):
        with tarfile.open(src / f"{RUN.format(epoch)}.tar", "w") as archive:
            for case in ("correct", "a_404", "b_404", "c_404"):
                add(archive, f"{RUN.format(epoch)}/{case}/{LOG}")
            add(archive, f"{RUN.format(epoch)}/metrics/metric_x.json", b"[]")
    return src


def chosen(src: Path, **changes: object) -> str:
    """The last digit of each run that is chosen, in order."""
    options = ExtractOptions(src=src, out=src / "out", **changes)
    return "".join(run.name[-1] for run in choose_runs(find_archives(src)[0], options))


def test_modes_chunks_and_counts(seven: Path) -> None:
    assert chosen(seven) == chosen(seven, mode="newest") == "7654321"
    assert chosen(seven, mode="oldest") == "1234567"
    assert chosen(seven, mode="every2") == "1357"
    assert chosen(seven, count=3) == "765"
    drawn = chosen(seven, mode="random")
    assert sorted(drawn) == list("1234567")
    assert chosen(seven, mode="random", seed=7) != drawn == chosen(seven, mode="random")
    assert [chosen(seven, split=3, chunk=chunk) for chunk in (0, 1, 2, 3)] == ["7654321", "76", "54", "321"]
    assert [chosen(seven, split=9, chunk=chunk) for chunk in range(1, 10)].count("") == 2


@pytest.mark.thorough
def test_verify_finds_every_damage_and_extract_heals_what_is_missing(seven: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(seven, out, count=2)
    first, second = (out / RUN.format(1000000000 + number) for number in (7, 6))
    assert verify(VerifyOptions(output_dir=out), Session.serial()).problems == ()
    flipped, gone = first / "correct" / LOG, second / "a_404" / LOG
    flipped.write_bytes(flipped.read_bytes().replace(b"x", b"y"))
    gone.unlink()
    (second / "extra.log").write_text("")
    problems = verify(VerifyOptions(output_dir=out), Session.serial()).problems
    wanted = ("the checksum differs; delete it and run lo2dask extract again", "missing, though", "no record names it")
    named = sorted((flipped, gone, second / "extra.log"), key=lambda path: path.name == "extra.log")
    for path, what in zip(named, wanted, strict=True):
        assert any(path.relative_to(out).as_posix() in line and what in line for line in problems), problems
    assert len(problems) == 3
    flipped.unlink()
    assert len(run(seven, out, count=2).todo) == 2
    assert verify(VerifyOptions(output_dir=out), Session.serial()).problems == ()


def test_a_run_does_not_move_when_others_are_added(seven: Path) -> None:
    before = chosen(seven, mode="random")
    (seven / f"{RUN.format(1000000004)}.tar").unlink()
    assert chosen(seven, mode="random") == before.replace("4", "")


def test_error_cases_are_those_that_load_draws(seven: Path, tmp_path: Path) -> None:
    run(seven, tmp_path / "out", errors_per_run=1, seed=5)
    load(
        LoadOptions(root=seven, output_dir=tmp_path / "tables", errors_per_run=1, sample_seed=5, enhance=False),
        Session.serial(),
    )
    table = table_of(tmp_path / "tables" / "lo2_sequences.parquet")
    wanted = set(zip(table["run"].to_pylist(), table["test_case"].to_pylist(), strict=True))
    found = {path.parts[-3:-1] for path in (tmp_path / "out").rglob(LOG)}
    assert found == wanted
    assert len(found) == 14
    assert len(list((tmp_path / "out").rglob("metric_x.json"))) == 7


def test_a_dry_run_writes_nothing(seven: Path, tmp_path: Path) -> None:
    summary = run(seven, tmp_path / "out", dry_run=True, split=2, chunk=2)
    assert not (tmp_path / "out").exists()
    assert [name[-1] for name in summary.todo] == list("4321")
    assert summary.packed == sum((seven / f"{name}.tar").stat().st_size for name in summary.todo)
    assert summary.free > 0


def test_what_is_there_is_left_alone(seven: Path, tmp_path: Path) -> None:
    first = run(seven, tmp_path, count=2)
    stamp = {name: (tmp_path / name).stat().st_ctime_ns for name in first.todo}
    second = run(seven, tmp_path, count=3)
    assert (second.skipped, len(second.todo)) == (2, 1)
    assert {name: (tmp_path / name).stat().st_ctime_ns for name in stamp} == stamp
    assert len(run(seven, tmp_path, count=3, resume=False).todo) == 3


def test_other_draws_and_changed_archives_are_unpacked_again(seven: Path, tmp_path: Path) -> None:
    run(seven, tmp_path, errors_per_run=3)
    assert run(seven, tmp_path, errors_per_run=0).skipped == 0
    assert {path.parent.name for path in tmp_path.rglob(LOG)} == {"correct"}
    os.utime(seven / f"{RUN.format(1000000001)}.tar", (5, 5))
    assert [name[-1] for name in run(seven, tmp_path, errors_per_run=0).todo] == ["1"]


def test_members_that_would_leave_the_target_are_refused(tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    victim = tmp_path / "victim"
    victim.write_text("untouched")
    run_name = RUN.format(1000000001)
    with tarfile.open(tmp_path / "src" / f"{run_name}.tar", "w") as archive:
        add(archive, f"{run_name}/correct/{LOG}")
        add(archive, "../victim")
        add(archive, f"{run_name}/../../victim")
        add(archive, str(victim))
        add(archive, f"{run_name}/link", type=tarfile.SYMTYPE, linkname=str(tmp_path), data=b"")
        add(archive, f"{run_name}/link/victim")
        add(archive, f"{run_name}/hard", type=tarfile.LNKTYPE, linkname=f"{run_name}/correct/{LOG}", data=b"")
        add(archive, f"{run_name}/device", type=tarfile.CHRTYPE, data=b"")
        add(archive, f"{run_name}/fifo", type=tarfile.FIFOTYPE, data=b"")
        add(archive, f"{run_name}/correct/{LOG}/below")
        add(archive, f"{run_name}/correct", b"a file in a folder's place")
    summary = run(tmp_path / "src", tmp_path / "out")
    assert victim.read_text() == "untouched"
    assert sorted(path.name for path in (tmp_path / "out" / run_name).rglob("*")) == sorted(
        ["correct", LOG, "link", "victim"]
    )
    assert not any(path.is_symlink() for path in (tmp_path / "out").rglob("*"))
    assert [reason.split(" /")[0] for _, _, reason in summary.rejects] == [
        "a path that leaves the target", "a path that leaves the target", "an absolute path", "a link to",
        f"a link to {run_name}/correct/{LOG}", "not a regular file", "not a regular file",
        "another member has the same path", "another member has the same path",
    ]  # fmt: skip


def test_a_truncated_archive_leaves_no_run(seven: Path, tmp_path: Path) -> None:
    for number, suffix in ((1, ".tar"), (2, ".tar")):
        path = seven / f"{RUN.format(1000000000 + number)}{suffix}"
        os.truncate(path, 700 if number == 1 else 2300)
    gz = seven / f"{RUN.format(1000000009)}.tar.gz"
    with tarfile.open(gz, "w:gz") as archive:
        add(archive, f"correct/{LOG}", os.urandom(50_000))
    os.truncate(gz, 30_000)
    (seven / "broken.zip").write_bytes(b"PK no zip")
    summary = run(seven, tmp_path / "out")
    assert names(tmp_path / "out") == [RUN.format(1000000000 + number) for number in (3, 4, 5, 6, 7)]
    assert len(summary.rejects) == 4
    assert all("damaged archive" in reason for _, _, reason in summary.rejects)
    assert len(run(seven, tmp_path / "out").todo) == 3


def test_a_full_disk_leaves_no_half_run(seven: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, calls = stage.unpack, []

    def full(*arguments: object) -> object:
        calls.append(arguments)
        if len(calls) == 3:
            real(*arguments)
            raise OSError(28, "No space left on device")
        return real(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(stage, "unpack", full)
        with pytest.raises(Lo2Error, match="No space left on device; run the same command again"):
            run(seven, tmp_path)
    assert names(tmp_path) == [RUN.format(1000000006), RUN.format(1000000007), "seven"]
    assert run(seven, tmp_path).skipped == 2


def test_what_a_killed_process_left_is_removed(seven: Path, tmp_path: Path) -> None:
    """Killed before the rename, with the record written; the folder's lock says that nobody else is at work."""
    name = RUN.format(1000000007)
    run(seven, tmp_path / "out", count=1)
    os.rename(tmp_path / "out" / name, tmp_path / "out" / f".{name}.999999999.part")
    (tmp_path / "out" / f".{name}.{os.getppid()}.part").mkdir()
    assert len(run(seven, tmp_path / "out", count=1).todo) == 1
    assert names(tmp_path / "out") == [name]


def test_input_that_cannot_be_used(seven: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such folder; looked for light-oauth2-data-<epoch>.tar"):
        run(tmp_path / "missing", tmp_path / "out")
    (tmp_path / "none").mkdir()
    (tmp_path / "none" / "notes.tar").write_bytes(b"")
    with pytest.raises(InputError, match="no archived run in it"):
        run(tmp_path / "none", tmp_path / "out")
    with pytest.raises(InputError, match="--chunk 4: --split makes 3 chunks"):
        run(seven, tmp_path / "out", split=3, chunk=4)
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="is a file: give extract a folder"):
        run(seven, tmp_path / "file")
    (tmp_path / "out" / RUN.format(1000000007)).mkdir(parents=True)
    with pytest.raises(InputError, match="extract did not write it"):
        run(seven, tmp_path / "out")


def test_one_archive_alone(seven: Path, tmp_path: Path) -> None:
    assert run(seven / f"{RUN.format(1000000002)}.tar", tmp_path / "out").runs == (RUN.format(1000000002),)


def pack(path: Path, *members: tuple[str, bytes], mode: str = "w") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, mode) as archive:
        for name, data in members:
            add(archive, name, data)
    return path


def test_a_bomb_is_stopped_and_the_rest_is_unpacked(tmp_path: Path) -> None:
    good, bomb = RUN.format(1000000001), RUN.format(1000000002)
    pack(tmp_path / "src" / f"{good}.tar", (f"{good}/correct/{LOG}", b"x" * 1000))
    pack(tmp_path / "src" / f"{bomb}.tar.gz", (f"{bomb}/correct/{LOG}", bytes(20_000_000)), mode="w:gz")
    for dry_run in (True, False):
        summary = run(tmp_path / "src", tmp_path / "out", dry_run=dry_run)
        ((path, _, reason),) = summary.rejects
        assert summary.failed == (path,) == (str(tmp_path / "src" / f"{bomb}.tar.gz"),)
        assert reason.startswith(f"too large: {bomb} unpacks to 20,000,000 bytes or more")
    assert names(tmp_path / "out") == [good]
    assert run(tmp_path / "src", tmp_path / "out", max_ratio=100_000).failed == ()
    assert names(tmp_path / "out") == [good, bomb]


def sparse_tar(path: Path, name: str, size: int) -> None:
    """A tar whose member is a file of ``size`` bytes in four bytes of data (GNU format 1.0)."""
    data = b"1\n0\n4\n".ljust(512, b"\0") + b"data"
    headers = {
        "GNU.sparse.major": "1",
        "GNU.sparse.minor": "0",
        "GNU.sparse.name": name,
        "GNU.sparse.realsize": str(size),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as archive:
        add(archive, name, data, pax_headers=headers)


def test_sparse_members_count_in_full_and_what_does_not_fit_is_refused(tmp_path: Path, monkeypatch) -> None:
    name = RUN.format(1000000001)
    sparse_tar(tmp_path / "src" / f"{name}.tar", f"{name}/correct/{LOG}", 1 << 40)
    for dry_run in (True, False):
        assert run(tmp_path / "src", tmp_path / "out", dry_run=dry_run).failed
        with pytest.raises(InputError, match="unpacks to 1,099,511,627,776 bytes, .* free or allowed"):
            run(tmp_path / "src", tmp_path / "out", dry_run=dry_run, max_ratio=1 << 40)
    assert not list((tmp_path / "out").rglob("*.log"))


def test_a_dry_run_tells_packed_and_unpacked_size(tmp_path: Path) -> None:
    name = RUN.format(1000000001)
    source = pack(tmp_path / "src" / f"{name}.tar.gz", (f"{name}/correct/{LOG}", b"line\n" * 2000), mode="w:gz")
    summary = run(tmp_path / "src", tmp_path / "out", dry_run=True)
    assert (summary.packed, summary.unpacked) == (source.stat().st_size, 10_000)
    assert f"{0.0:.1f} MB unpacked" in "\n".join(extract_text(summary))
    for dry_run in (True, False):
        assert run(tmp_path / "src", tmp_path / "out", dry_run=dry_run, max_bytes="5000").failed == (str(source),)


def test_a_cut_archive_fails_the_command_after_the_others(tmp_path: Path) -> None:
    whole, cut = RUN.format(1000000001), RUN.format(1000000002)
    for name in (whole, cut):
        pack(tmp_path / "src" / f"{name}.tar", (f"{name}/correct/{LOG}", b"x" * 3000))
    os.truncate(tmp_path / "src" / f"{cut}.tar", 2000)
    command = [sys.executable, "-m", "lo2dask", "extract", str(tmp_path / "src"), str(tmp_path / "out"), "--jobs", "1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert f"nothing of 1 archive can be unpacked, such as {tmp_path / 'src' / cut}.tar" in done.stderr
    assert names(tmp_path / "out") == [whole]


def test_the_last_of_equal_members_stays(tmp_path: Path) -> None:
    name = RUN.format(1000000001)
    member = f"{name}/correct/{LOG}"
    pack(tmp_path / "src" / f"{name}.tar", (member, b"old\n"), (f"./{member}", b"newer\n"))
    summary = run(tmp_path / "src", tmp_path / "out")
    assert dict(files(tmp_path / "out")) == {member: b"newer\n"}
    assert (summary.files, summary.bytes) == (1, 6)
    assert [reason.split(":")[0] for _, _, reason in summary.rejects] == ["superseded"]


def test_companions_of_macos_are_no_archives(tmp_path: Path) -> None:
    name = RUN.format(1000000001)
    pack(tmp_path / "src" / f"{name}.tar", (f"{name}/correct/{LOG}", b"x\n"))
    (tmp_path / "src" / f"._{name}.tar").write_bytes(b"\0\5\26\7")
    assert run(tmp_path / "src", tmp_path / "out").rejects == ()

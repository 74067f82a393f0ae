"""One writer a folder: who is refused, who waits, and that a lock goes with its owner."""

import errno
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lo2dask.errors import InputError, IntegrityError
from lo2dask.options import LoadOptions, TrainOptions
from lo2dask.options.paths import to_path
from lo2dask.storage import LOCK, check_not_in_use, lock, locked, locked_outputs

OWNER = """
import sys, time
from pathlib import Path
from lo2dask.storage import locked
with locked(Path(sys.argv[1]), "lo2dask load"):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def owner(tmp_path: Path) -> Iterator[subprocess.Popen]:
    """Another process that holds ``tmp_path / "out"``."""
    words = [sys.executable, "-c", OWNER, str(tmp_path / "out")]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def in_thread(folder: Path, **options: bool) -> list[str]:
    """Try to hold a folder from another thread, which shares nothing with this call: "held" or the message."""
    answers = []

    def hold() -> None:
        try:
            with locked(folder, "lo2dask score", **options):
                answers.append("held")
        except (InputError, IntegrityError) as error:
            answers.append(str(error))

    thread = threading.Thread(target=hold)
    thread.start()
    thread.join(30)
    return answers


def test_the_second_is_refused_and_the_first_is_named(owner: subprocess.Popen, tmp_path: Path) -> None:
    message = rf"out is in use: lo2dask load is at work there \(process {owner.pid} on .+, since 20.+\); wait for it"
    with pytest.raises(InputError, match=message), locked(tmp_path / "out", "lo2dask train"):
        pass
    with pytest.raises(InputError, match="is in use"):
        check_not_in_use(tmp_path / "out")


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_the_lock_goes_with_its_owner(owner: subprocess.Popen, tmp_path: Path, how: signal.Signals) -> None:
    owner.send_signal(how)
    owner.wait(10)
    assert (tmp_path / "out" / LOCK).exists(), "nobody was left to remove it"
    check_not_in_use(tmp_path / "out")
    with locked(tmp_path / "out", "lo2dask train"):
        pass


def test_waiting_ends_with_the_owner(owner: subprocess.Popen, tmp_path: Path, caplog) -> None:
    threading.Timer(0.5, owner.kill).start()
    before = len(os.listdir("/dev/fd")) if Path("/dev/fd").exists() else 0
    assert in_thread(tmp_path / "out", wait=True) == ["held"]
    assert "is in use: lo2dask load is at work there" in caplog.text
    assert not before or len(os.listdir("/dev/fd")) <= before + 1


def test_a_call_may_take_what_it_holds_again_and_leaves_nothing(tmp_path: Path) -> None:
    with locked(tmp_path / "a" / "b", "lo2dask run"):
        with locked(tmp_path / "a" / "b" / ".." / "b", "lo2dask load"):
            assert "is in use: lo2dask run" in in_thread(tmp_path / "a" / "b")[0]
        assert "is in use: lo2dask run" in in_thread(tmp_path / "a" / "b")[0], "the inner block ends, the lock does not"
    assert list(tmp_path.iterdir()) == []


def test_many_at_once_never_hold_together(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(lock, "POLL_SECONDS", 0.001)
    inside, most, done = [0], [0], []

    def work() -> None:
        for _ in range(20):
            with locked(tmp_path / "out", "lo2dask load", wait=True):
                inside[0] += 1
                most[0] = max(most[0], inside[0])
                time.sleep(0.0005)
                inside[0] -= 1
                done.append(1)

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert (len(done), most[0]) == (120, 1)


def test_a_folder_that_goes_while_it_is_made_is_made_again(tmp_path: Path, monkeypatch) -> None:
    made, there = [], Path.mkdir

    def mkdir(self: Path, *words: object, **options: object) -> None:
        made.append(self)
        if len(made) == 1:
            raise FileExistsError(self)  # as pathlib does where the folder was there, and then was not
        there(self, *words, **options)

    monkeypatch.setattr(Path, "mkdir", mkdir)
    with locked(tmp_path / "out", "lo2dask load"):
        assert made[:2] == [tmp_path / "out"] * 2


def test_a_link_to_nothing_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "out").symlink_to(tmp_path / "none")
    with pytest.raises(InputError, match=r"out is a file; give a folder"), locked(tmp_path / "out", "lo2dask load"):
        pass


def test_all_folders_that_a_command_writes_are_held(tmp_path: Path) -> None:
    options = TrainOptions(root=tmp_path / "out", metrics_dir=tmp_path / "figures")
    with locked_outputs(options):
        assert "lo2dask train is at work" in in_thread(tmp_path / "figures")[0]
        assert "lo2dask train is at work" in in_thread(tmp_path / "out")[0]


@pytest.mark.parametrize("place", [pytest.param("memory", marks=pytest.mark.thorough), "folder without locks"])
def test_where_no_lock_is_to_be_had_a_lease_is_renewed(tmp_path: Path, monkeypatch, place: str) -> None:
    monkeypatch.setattr(lock, "LEASE_SECONDS", 1.0)
    monkeypatch.setattr(lock, "BEAT_SECONDS", 0.1)
    monkeypatch.setattr(lock, "POLL_SECONDS", 0.05)
    if place == "memory":
        pytest.importorskip("upath", reason="universal-pathlib is not installed")
        folder = to_path(f"memory://{tmp_path.name}/out")
    else:
        folder = tmp_path / "out"
        monkeypatch.setattr(lock, "try_lock", refuse)
    with locked(folder, "lo2dask load"):
        assert "lo2dask load is at work there" in in_thread(folder)[0]
        time.sleep(1.5)
        assert "lo2dask load is at work there" in in_thread(folder)[0]
    assert not (folder / LOCK).exists()
    # What a killed owner left does not change: it is taken over.
    folder.mkdir(parents=True, exist_ok=True)
    (folder / LOCK).write_text(json.dumps({"pid": 1, "host": "h", "command": "c", "since": "s", "token": "t"}))
    assert in_thread(folder) == ["held"]


def refuse(descriptor: int) -> bool:
    raise OSError(errno.ENOLCK, "no locks available")


@pytest.mark.parametrize("place", ["memory", "folder without locks"])
def test_of_two_that_found_a_lease_abandoned_one_has_it(tmp_path: Path, monkeypatch, place: str) -> None:
    monkeypatch.setattr(lock, "LEASE_SECONDS", 0.2)
    if place == "memory":
        pytest.importorskip("upath", reason="universal-pathlib is not installed")
    path = to_path(f"memory://{tmp_path.name}/out" if place == "memory" else str(tmp_path)) / LOCK
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"token": "of a killed owner"}))
    seen = lock._abandoned_version(path)
    assert lock._take_over(path, {"token": "first"}, seen)
    assert not lock._take_over(path, {"token": "second"}, seen)
    assert lock._read(path) == {"token": "first"}
    # One that was killed while it took over holds up the others for as long as a lease does.
    claim = path.with_name(f"{LOCK}.claim")
    claim.write_text("{}")
    seen = lock._abandoned_version(path)
    assert [lock._take_over(path, {"token": "third"}, seen) for _ in range(2)] == [False, True]
    assert not claim.exists()


def test_a_lease_that_was_lost_is_told(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(lock, "BEAT_SECONDS", 0.05)
    monkeypatch.setattr(lock, "try_lock", refuse)
    with pytest.raises(IntegrityError, match="the lease was lost to another command"), locked(tmp_path, "lo2dask load"):
        (tmp_path / LOCK).write_text("{}")


def test_what_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(InputError, match="file is a file; give a folder"), locked(path, "lo2dask load"):
            pass


@pytest.mark.parametrize(("mode", "expected"), [("0700", 0o700), ("750", 0o750), ("2770", 0o2770)])
def test_a_new_output_folder_has_the_rights_asked_for(tmp_path: Path, mode: str, expected: int) -> None:
    options = LoadOptions(root=tmp_path / "raw", output_dir=tmp_path / "a" / "out", mode=mode)
    with locked_outputs(options):
        assert options.output_dir.stat().st_mode & 0o7777 == expected
    (tmp_path / "there").mkdir(mode=0o755)
    with locked_outputs(options.replace(output_dir=tmp_path / "there")):
        assert (tmp_path / "there").stat().st_mode & 0o777 == 0o755, "a folder that is there keeps its rights"
    with pytest.raises(InputError, match="--mode: '0500' is not a mode that lets you write"):
        LoadOptions(root=tmp_path, mode="0500")


def test_a_folder_below_a_device_is_refused_in_one_line() -> None:
    with (
        pytest.raises(InputError, match="/dev/null is a file; give a folder"),
        locked(Path("/dev/null/x"), "lo2dask load"),
    ):
        pass

"""One writer a folder: a lock that goes with its owner, however that ends.

On file systems the operating system holds it (``flock``, on Windows ``locking``), on network file systems the server
does. Object stores, and file systems that refuse, have a lease: an object that its owner renews, and that counts as
abandoned when it has not changed for LEASE_SECONDS. Commands of the same call may take a folder again.
"""

import contextlib
import errno
import json
import logging
import os
import socket
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from contextvars import ContextVar
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lo2dask.errors import InputError, IntegrityError
from lo2dask.options import Options, WritingOptions
from lo2dask.options.paths import is_local

logger = logging.getLogger(__name__)

LOCK = ".lo2dask.lock"
LEASE_SECONDS = 30.0
BEAT_SECONDS = 5.0
POLL_SECONDS = 0.5
_UNSUPPORTED = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL)
# How s3fs translates the answers 412 and 409 to a condition.
_OTHER_VERSION = (errno.EINVAL, errno.EBUSY)
_NOT_WRITABLE = (errno.EACCES, errno.EPERM, errno.EROFS)
# What this call holds already; another thread has a context of its own.
_HELD: ContextVar[frozenset[str]] = ContextVar("held", default=frozenset())


@contextlib.contextmanager
def locked_outputs(options: Options) -> Iterator[None]:
    """Hold all folders that a command writes, in one order, so that two that wait never wait for each other."""
    command = f"lo2dask {type(options).__name__.removesuffix('Options').lower()}"
    if not isinstance(options, WritingOptions):
        yield
        return
    with contextlib.ExitStack() as stack:
        for folder in sorted(options.outputs().values(), key=str):
            stack.enter_context(locked(folder, command, options.wait, options.folder_mode))
        yield


@contextlib.contextmanager
def locked(folder: Path, command: str, wait: bool = False, mode: int | None = None) -> Iterator[None]:
    """Hold a folder, which is made with ``mode`` if missing, against all other commands until the block ends.

    Raises
    ------
    InputError : it cannot be written, or another command holds it; names that one. ``wait`` waits for it instead.
    """
    name = str(folder.resolve()) if is_local(folder) else str(folder)
    if name in _HELD.get():
        yield
        return
    hold = _file_lock if is_local(folder) else _lease
    with contextlib.ExitStack() as stack:
        if is_local(folder):
            stack.enter_context(_made(folder, mode))
        owner = _owner(command)
        is_warned = False
        while not _entered(stack, hold, folder, owner):
            if not wait:
                raise InputError(f"{folder} is in use: {_describe(folder)}; wait for it with --wait")
            if not is_warned:
                logger.warning("%s is in use: %s; waiting for it", folder, _describe(folder))
                is_warned = True
            time.sleep(POLL_SECONDS)
        token = _HELD.set(_HELD.get() | {name})
        stack.callback(_HELD.reset, token)
        yield


def check_not_in_use(folder: Path) -> None:
    """Check that no other command writes a folder, for those that only read it.

    Raises
    ------
    InputError : one does; names it.
    """
    path = folder / LOCK
    if str(folder.resolve() if is_local(folder) else folder) in _HELD.get() or not path.exists():
        return
    with contextlib.ExitStack() as stack:
        try:
            is_free = _entered(stack, _file_lock if is_local(folder) else _lease, folder, _owner("a reader"))
        except OSError as error:  # another user's, or on a read-only disk: a command may write it or not
            if error.errno not in _NOT_WRITABLE:
                raise
            is_free = True
        if not is_free:
            raise InputError(f"{folder} is in use: {_describe(folder)}; run this again when it has ended")


def _entered(stack: contextlib.ExitStack, hold: Any, folder: Path, owner: dict[str, Any]) -> bool:
    """Try once; what is held is released with the stack."""
    path = folder / LOCK
    with contextlib.ExitStack() as attempt:
        try:
            is_held = attempt.enter_context(hold(path, owner))
        except OSError as error:
            if hold is not _file_lock or error.errno not in _UNSUPPORTED:
                raise
            if path.stat().st_size == 0:  # made by the attempt
                path.unlink()
            is_held = attempt.enter_context(_lease(path, owner))
        if is_held:
            stack.enter_context(attempt.pop_all())
        return bool(is_held)


@contextlib.contextmanager
def _file_lock(path: Path, owner: dict[str, Any]) -> Iterator[bool]:
    """Try to lock a file; yield whether it is held. The file goes with the lock."""
    while True:
        # An owner that made the folder removes it with the lock.
        _make(path.parent)
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        except FileNotFoundError:
            continue
        try:
            if not try_lock(descriptor):
                yield False
                return
            # Its last owner may have removed it between the two calls: then another file has the name, or none.
            if not is_same_file(path, descriptor):
                continue
            os.ftruncate(descriptor, 0)
            os.write(descriptor, json.dumps(owner).encode())
            try:
                yield True
            finally:
                with contextlib.suppress(OSError):  # Windows keeps a file that is open
                    path.unlink()
            return
        finally:
            os.close(descriptor)


def try_lock(descriptor: int) -> bool:
    """Lock an open file if nobody holds it; return whether this process does now, until the file is closed.

    Raises
    ------
    OSError : the file system has no locks.
    """
    try:
        if sys.platform == "win32":
            import msvcrt

            os.lseek(descriptor, 1 << 30, os.SEEK_SET)  # the first bytes stay readable for others
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
            os.lseek(descriptor, 0, os.SEEK_SET)
        else:
            import fcntl

            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EAGAIN, errno.EACCES, errno.EDEADLK):
            return False
        raise
    return True


def is_same_file(path: Path, descriptor: int) -> bool:
    """Return whether a path still names an open file."""
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


@contextlib.contextmanager
def _lease(path: Path, owner: dict[str, Any]) -> Iterator[bool]:
    """Try to take a lease, after watching an earlier one for as long as its owner would need to renew it."""
    if not _create(path, owner):
        seen = _abandoned_version(path)
        if seen is None or not _take_over(path, owner, seen):
            yield False
            return
    over, lost = threading.Event(), threading.Event()
    thread = threading.Thread(target=_renew, args=(path, owner, over, lost), name="lo2dask-lease", daemon=True)
    thread.start()
    try:
        yield True
    finally:
        over.set()
        thread.join()
        if _read(path).get("token") == owner["token"]:
            path.unlink()
        else:
            lost.set()
    if lost.is_set():
        raise IntegrityError(f"{path}: the lease was lost to another command in mid-work; check with: lo2dask verify")


def _create(path: Path, owner: dict[str, Any]) -> bool:
    data = json.dumps(owner).encode()
    try:
        if is_local(path):
            with open(path, "xb") as file:
                file.write(data)
        else:
            store: Any = path
            store.fs.pipe_file(store.path, data, mode="create")
    except FileExistsError:
        return False
    return True


def _abandoned_version(path: Path) -> str | None:
    """Watch a lease for LEASE_SECONDS: clocks of other machines are not asked; None if it changes, else its version."""
    seen = _version(path)
    deadline = time.monotonic() + LEASE_SECONDS
    while time.monotonic() < deadline:
        if _version(path) != seen:
            return None
        time.sleep(min(POLL_SECONDS, LEASE_SECONDS / 4))
    return seen


def _version(path: Path) -> str:
    """Return what changes whenever a lease is written: the ETag of an object in S3, else the content; "" if missing."""
    try:
        if not _has_conditions(path):
            return path.read_text(encoding="utf-8", errors="replace")
        store: Any = path
        return str(store.fs.info(store.path, refresh=True)["ETag"])
    except OSError:
        return ""


def _take_over(path: Path, owner: dict[str, Any], seen: str) -> bool:
    """Replace an abandoned lease, unless another command that has watched it too was faster."""
    if not seen:
        return _create(path, owner)
    if _has_conditions(path):
        return _replace(path, owner, seen)
    # Only the owner of the claim replaces a lease; one who comes later finds another version.
    claim = path.with_name(f"{path.name}.claim")
    if not _create(claim, owner):
        if _abandoned_version(claim) is not None:  # its owner was killed in between
            claim.unlink(missing_ok=True)
        return False
    try:
        return _replace(path, owner, seen)
    finally:
        claim.unlink(missing_ok=True)


def _replace(path: Path, content: dict[str, Any], seen: str) -> bool:
    """Write a lease if it is still the version that was seen; S3 asks that in the moment of writing."""
    if not _has_conditions(path):
        if _version(path) != seen:
            return False
        if not is_local(path):
            path.write_text(json.dumps(content), encoding="utf-8")
            return True
        # Whole at every moment: others read in it who is at work.
        temporary = path.with_name(f"{path.name}.{content['token']}.tmp")
        temporary.write_text(json.dumps(content), encoding="utf-8")
        os.replace(temporary, path)
        return True
    store: Any = path
    try:
        store.fs.pipe_file(store.path, json.dumps(content).encode(), IfMatch=seen)
    except FileNotFoundError:
        return False
    except OSError as error:
        if error.errno not in _OTHER_VERSION:
            raise
        return False
    return True


def _has_conditions(path: Any) -> bool:
    """Return whether the store writes an object only if it has a given ETag."""
    return not is_local(path) and "s3" in path.fs.protocol


def _renew(path: Path, owner: dict[str, Any], over: threading.Event, lost: threading.Event) -> None:
    beat = 0
    while not over.wait(BEAT_SECONDS):
        beat += 1
        with contextlib.suppress(OSError):  # a store that is out of reach for a moment is asked again
            seen = _version(path)
            if _read(path).get("token") == owner["token"]:
                _replace(path, {**owner, "beat": beat}, seen)
            elif seen:
                lost.set()
                logger.error("%s: another command has taken the lease", path)
                return


def _owner(command: str) -> dict[str, Any]:
    since = datetime.now(UTC).isoformat(" ", "seconds")
    return {
        "pid": os.getpid(), "host": socket.gethostname(), "command": command, "since": since, "token": uuid.uuid4().hex
    }  # fmt: skip


def _describe(folder: Path) -> str:
    owner = _read(folder / LOCK)
    if not {"pid", "host", "command", "since"} <= owner.keys():
        return "another command is at work there"
    return f"{owner['command']} is at work there (process {owner['pid']} on {owner['host']}, since {owner['since']})"


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


@contextlib.contextmanager
def _made(folder: Path, mode: int | None) -> Iterator[None]:
    """Make a folder that can be written; those that are new and still empty when the block ends go again."""
    new = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        _make(folder, mode if new else None)
    except OSError as error:
        if error.errno not in _NOT_WRITABLE:
            raise
        raise InputError(f"{folder} cannot be written ({error.strerror}); give another folder") from error
    try:
        yield
    finally:
        for path in new:
            with contextlib.suppress(OSError):
                path.rmdir()


def _make(folder: Path, mode: int | None = None) -> None:
    """Make a folder that can be written, again where another command has just removed it; ``mode`` are its rights."""
    while True:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if mode is not None:
                with contextlib.suppress(FileNotFoundError):
                    folder.chmod(mode)
            if os.access(folder, os.W_OK | os.X_OK):
                return
            if folder.is_dir():
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(folder))
        except (FileExistsError, NotADirectoryError) as error:
            for path in (folder, *folder.parents):
                if (path.exists() or path.is_symlink()) and not path.is_dir():
                    raise InputError(f"{path} is a file; give a folder") from error

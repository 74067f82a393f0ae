"""Turns text into paths: a local name as it is, a URL into a path of an object store."""

import importlib.util
import re
from pathlib import Path, PurePath
from typing import cast

from lo2dask.errors import InputError

# Protocol -> (module that speaks it, extra of this package that brings it). What is not here is refused, so that a
# mistyped URL never becomes a folder of that name.
_PROTOCOLS = {"s3": ("s3fs", "s3"), "gs": ("gcsfs", "gs"), "memory": ("fsspec", "s3")}
KNOWN = "s3://, gs:// and file://"
# A path object has lost one of the two slashes already.
_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):(//|/)(.*)", re.DOTALL)


def to_path(text: str | PurePath) -> Path:
    """Make a path of a local name or a URL; an object store's has the methods of a local one, but is none.

    Raises
    ------
    InputError : a URL that cannot be used, or a package that it needs is missing. What the URL holds of user names
        and passwords is never repeated.
    """
    match = _URL.fullmatch(str(text))
    if not match or (match[2] == "/" and match[1] not in (*_PROTOCOLS, "file")):
        return text if isinstance(text, Path) else Path(text)
    protocol, rest = match[1].lower(), match[3]
    if protocol == "file":
        return _local(rest, has_host=match[2] == "//")
    if protocol not in _PROTOCOLS:
        raise InputError(f"{protocol}://: no such protocol here; use {KNOWN}")
    _check(protocol, rest)
    return _remote(protocol, "/".join(part for part in rest.split("/") if part not in ("", ".")))


def is_local(path: PurePath) -> bool:
    """Return whether a path is one of this machine's file system."""
    return isinstance(path, Path)


def _local(rest: str, has_host: bool) -> Path:
    if has_host and not rest.startswith("/"):
        raise InputError("file://: give the whole path, with three slashes: file:///data/lo2")
    return Path("/" + rest.lstrip("/"))


def _check(protocol: str, rest: str) -> None:
    if "@" in rest.split("/")[0] or "?" in rest:
        raise InputError(
            f"{protocol}://: a URL here must not hold a user, a password or parameters; credentials come from the "
            "environment or the usual configuration files, never from the command line"
        )
    if ".." in rest.split("/"):
        raise InputError(f"{protocol}://{rest}: '..' means nothing in an object store")
    if not rest.strip("/"):
        raise InputError(f"{protocol}://: the bucket is missing: {protocol}://BUCKET/FOLDER")


def _remote(protocol: str, key: str) -> Path:
    module, extra = _PROTOCOLS[protocol]
    if not all(importlib.util.find_spec(name) for name in (module, "upath")):
        raise InputError(f"{protocol}:// needs further packages: pip install 'lo2dask[{extra}]'")
    from upath import UPath

    # A listing that is kept would hide what another process has written since. A UPath has the methods of a Path,
    # though it is none: code that asks is_local() may treat it as one.
    return cast(Path, UPath(f"{protocol}://{key}", use_listings_cache=False))

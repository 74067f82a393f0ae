"""Checks, before any work, that the buckets of a command's paths exist and may be read."""

import functools
import os
from collections.abc import Iterable
from typing import Any

from lo2dask.errors import InputError
from lo2dask.options.paths import is_local, to_path

# Names of environment variables whose values must never be shown, should a store's answer repeat one.
_SECRETS = ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_ACCESS_KEY_ID", "GOOGLE_APPLICATION_CREDENTIALS_JSON")
_HOW = {
    "s3": "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, here and on every worker",
    "gs": "set GOOGLE_APPLICATION_CREDENTIALS, or log in with gcloud, here and on every worker",
}


def check_buckets(paths: Iterable[Any]) -> None:
    """Check the buckets of all paths that are in an object store; others, and None, are passed over.

    Raises
    ------
    InputError : a bucket is missing, cannot be reached, or refuses; names it and the way out, and no secret.
    """
    for path in paths:
        if path is not None and not is_local(path) and path.protocol in _HOW:
            _check_bucket(path.protocol, path.path)


@functools.cache
def _check_bucket(protocol: str, key: str) -> None:
    name, remedy = f"{protocol}://{key.split('/')[0]}", _HOW[protocol]
    fs: Any = to_path(name).fs  # type: ignore[attr-defined]
    try:
        _list(fs, key)
    except FileNotFoundError as error:
        raise InputError(f"{name}: no such bucket; make it, or correct the name") from error
    except PermissionError as error:
        raise InputError(f"{name}: refused ({redact(str(error))}); {remedy}") from error
    except _failures(protocol) as error:
        if "credential" in type(error).__name__.lower():
            raise InputError(f"{name}: no credentials found; {remedy}") from error
        raise InputError(f"{name}: cannot be reached ({type(error).__name__}: {redact(str(error))})") from error


def _list(fs: Any, key: str) -> None:
    """List a folder, for which the rights on it alone are enough; an empty one may lie in a bucket that is there."""
    try:
        fs.ls(key, detail=False)
    except FileNotFoundError:
        fs.info(key.split("/")[0])


def redact(text: str) -> str:
    """Blank out what the environment holds as secret."""
    for name in _SECRETS:
        if value := os.environ.get(name):
            text = text.replace(value, "***")
    return text


def _failures(protocol: str) -> tuple[type[Exception], ...]:
    """Return what a store's library raises in addition to OSError, without importing the others'."""
    if protocol == "s3":
        from botocore.exceptions import BotoCoreError, ClientError

        return (BotoCoreError, ClientError, OSError)
    from aiohttp import ClientError as HttpError
    from google.auth.exceptions import GoogleAuthError

    return (GoogleAuthError, HttpError, OSError)

"""A fitted model on disk: a joblib file of a plain dict, with its SHA-256 in a file of its own.

``content`` has ``model`` and ``vectorizer`` (objects that load without lo2dask) and what is needed to score: ``key``,
``spec`` (plain), ``scoring`` (plain, see score.py), ``columns``, ``options``, ``versions`` and whatever a caller adds.
The file starts with its layout version and with a fingerprint of the content, which are read without unpickling:
unpickling runs code, so hash and layout are checked first. The hash protects against damage, not against malice:
whoever can change the bundle can change the hash.
"""

import contextlib
import functools
import hashlib
import io
import logging
import os
import pickle
import pickletools
import re
import struct
import subprocess
import zlib
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from lo2dask.errors import InputError
from lo2dask.options import fingerprint
from lo2dask.storage import is_local, list_paths, open_read, write_bytes, write_text
from lo2dask.tables.layout import Layout

logger = logging.getLogger(__name__)

LAYOUT = 1
# What follows from the rest of the content; and the options, most of which shape no model (``setup`` has the others).
_DERIVED = (
    *("model", "vectorizer", "columns", "record", "scoring", "calibration", "options", "layout", "fingerprint"),
    *("statements", "windows", "window_ms"),
)
_PACKAGES = ("lo2dask", "numpy", "scipy", "scikit-learn", "xgboost", "joblib")
_HEAD_BYTES = 4096
_OPENING = ("PROTO", "FRAME", "MARK")
_AGAIN = "fit it again with lo2dask train"
# Bytes that are no pickle raise nearly anything.
_UNREADABLE = (
    *(pickle.UnpicklingError, EOFError, LookupError, ValueError, TypeError, AttributeError, ImportError, OSError),
    *(ArithmeticError, MemoryError, RecursionError, NameError, AssertionError, SyntaxError, NotImplementedError),
    *(struct.error, zlib.error),
)


def save(path: Path, content: Mapping[str, Any], overwrite: bool = False) -> bool:
    """Write a bundle and its hash by rename; False where the same content is there already.

    Content is the same when all is that the fitted objects follow from: spec, data, split, setup, versions.

    Raises
    ------
    InputError : another content is there and ``overwrite`` is off.
    """
    head = {"layout": LAYOUT, "fingerprint": content_fingerprint(content)}
    if path.exists() and not overwrite:
        if _head_of(path) == head and _intact(path):
            return False
        raise InputError(f"{path} holds another model; give --overwrite-model to replace it, or another path")
    # joblib.load reads plain pickles; joblib.dump would write a shared array again for each of a forest's trees.
    data = pickle.dumps(head | {name: value for name, value in content.items() if name not in head}, protocol=5)
    # Were it the other way round, a crash in between could leave a bundle whose hash fits the one before.
    hash_path(path).unlink(missing_ok=True)
    write_bytes(path, data)
    write_text(hash_path(path), f"{hashlib.sha256(data).hexdigest()}  {path.name}\n")
    return True


def load(path: Path, trust: bool = False) -> dict[str, Any]:
    """Read a bundle after its hash and layout are checked; ``trust`` skips both checks.

    Raises
    ------
    InputError : no such file; no hash or a wrong one; another layout version; not a bundle.
    """
    import joblib

    if not path.is_file():
        raise InputError(f"{path}: no such bundle; train writes one with --save-model or --save-sup-models")
    data = path.read_bytes()
    if _is_pair(data[:_HEAD_BYTES]):
        raise InputError(
            f"{path}: a (model, vectorizer) pair as LO2_samples.py of LogLead saves it; lo2dask cannot use it, because "
            "it does not hold how its text was read: fit the model again with lo2dask train --save-model"
        )
    if not trust:
        _check(path, data)
    try:
        content = joblib.load(io.BytesIO(data))
    except _UNREADABLE as error:
        raise InputError(f"{path} is no bundle of lo2dask: damaged, or of another format; {_AGAIN}") from error
    if not isinstance(content, dict) or "model" not in content:
        raise InputError(f"{path} is no bundle of lo2dask: it has no model; {_AGAIN}")
    _compare_versions(path, content.get("versions", {}))
    return content


def hash_path(path: Path) -> Path:
    """Return the file of a bundle's SHA-256, in the form that ``sha256sum -c`` reads."""
    return path.with_name(path.name + ".sha256")


def check_kept(layout: Layout) -> None:
    """Check that each model that train kept has its hash beside it.

    Raises
    ------
    InputError : one has none; names the file and the way out.
    """
    for path in map(hash_path, list_paths(layout.models, ".joblib")):
        if not path.is_file():
            raise InputError(f"{path} is missing: run lo2dask train --root {layout.root} again, which writes it")


def content_fingerprint(content: Mapping[str, Any]) -> str:
    """Hash what a bundle's objects follow from: all of its content but the objects, the fit record and the options."""
    return fingerprint({name: value for name, value in content.items() if name not in _DERIVED})


def versions() -> dict[str, str | None]:
    """Return the versions of the packages that a bundle depends on; None for one that is not installed."""
    return {name: _version(name) for name in _PACKAGES}


def write_model_yml(path: Path, content: Mapping[str, Any], bundle: Path | None = None) -> None:
    """Write model.yml: parameters, contamination, data fingerprint, versions, lo2dask's commit, the bundle's SHA-256.

    Of ``content`` it takes key, spec, scoring, options and data_fingerprint.
    """
    import yaml

    spec = content["spec"]
    digest = hashlib.sha256(bundle.read_bytes()).hexdigest() if bundle and bundle.exists() else None
    plain = {
        "model": content["key"],
        "algorithm": spec["algorithm"],
        "representation": spec["representation"],
        "numeric": list(spec["numeric"]),
        "parameters": dict(spec["params"]),
        "contamination": spec["contamination"],
        "threshold": thresholds(content),
        "options": content.get("options", {}),
        "data_fingerprint": content.get("data_fingerprint"),
        "versions": content.get("versions") or versions(),
        "git_commit": git_commit(),
        "bundle": bundle.name if bundle else None,
        "sha256": digest,
    }
    write_text(path, yaml.safe_dump(plain, sort_keys=True, allow_unicode=True))


def check_owner(root: Path, trust: bool) -> None:
    """Check that an output folder and the models in it belong to the user: reading a model runs its code.

    Raises
    ------
    InputError : one of them belongs to another user, and ``trust`` is off.
    """
    if trust or not is_local(root) or not hasattr(os, "getuid"):
        return
    internal = Layout(root).internal
    # Another command may just remove what is listed; what is gone is read by nobody.
    below = (Path(folder, name) for folder, _, names in os.walk(internal) for name in names if name.endswith(".joblib"))
    for path in (root, internal, *below):
        with contextlib.suppress(FileNotFoundError):
            owner = path.stat().st_uid
            if owner != os.getuid():
                raise InputError(
                    f"{path} belongs to another user (uid {owner}): reading its models would run that user's code; "
                    "copy the folder if you trust its owner, or give --trust"
                )


def is_bundle(path: Path) -> bool:
    """Return whether a file begins as a bundle does; nothing is unpickled."""
    return path.is_file() and {"layout", "fingerprint"} <= set(_head_of(path))


def is_hash(path: Path) -> bool:
    """Return whether a file is that of a SHA-256, as ``save`` and sha256sum write it."""
    return bool(re.match(rb"[0-9a-f]{64}\s", path.read_bytes()[:65]))


def check_model_yml(path: Path, bundle: Path | None, overwrite: bool) -> None:
    """Check that a model.yml may be replaced: it is missing, of this bundle, or of one that is gone.

    Raises
    ------
    InputError : it is not of lo2dask, or describes another bundle and ``overwrite`` is off.
    """
    import yaml

    if not path.exists():
        return
    try:
        plain = yaml.safe_load(path.read_bytes()) if path.is_file() else None
    except (yaml.YAMLError, ValueError):
        plain = None
    if not isinstance(plain, dict) or not {"algorithm", "data_fingerprint", "sha256"} <= set(plain):
        raise InputError(f"{path}: it is not of lo2dask and is not replaced; write the bundle to another folder")
    other = plain.get("bundle")
    if bundle and other and other != bundle.name and (path.parent / str(other)).exists() and not overwrite:
        raise InputError(f"{path} describes {other}; give --overwrite-model to replace it, or another folder")


def thresholds(content: Mapping[str, Any]) -> Any:
    """Return the score above which a bundle's model flags; with one model per service, by service."""
    scoring = content["scoring"]
    if not content.get("per_service"):
        return scoring.get("threshold")
    return {service: of.get("threshold") for service, of in scoring.items()}


def git_commit(package: Path = Path(__file__).parents[1]) -> str | None:
    """Return the commit of lo2dask itself, if the package is a git checkout; None where it is installed."""
    if not (package.parent / ".git").exists():
        return None
    # Variables of a git hook would name another repository.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    command = ["git", "-C", str(package.parent), "rev-parse", "HEAD"]
    try:
        result = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False, env=environment)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return result.stdout.strip() or None if result.returncode == 0 else None


def _check(path: Path, data: bytes) -> None:
    hashed = hash_path(path)
    advice = "if you know where it comes from, load it with --trust, else fit it again"
    if not hashed.is_file():
        raise InputError(f"{path}: {hashed.name} is missing, so the file cannot be checked for damage; {advice}")
    if not _matches(hashed, data):
        raise InputError(f"{path} does not match {hashed.name}: it was damaged or replaced; {advice}")
    layout = _read_head(data[:_HEAD_BYTES]).get("layout")
    if layout is None:
        raise InputError(f"{path} is no bundle of lo2dask; {_AGAIN}")
    if layout != LAYOUT:
        raise InputError(f"{path} has layout {layout}, this version reads {LAYOUT}: fit it again; --trust tries anyway")


def _intact(path: Path) -> bool:
    return hash_path(path).is_file() and _matches(hash_path(path), path.read_bytes())


def _matches(hashed: Path, data: bytes) -> bool:
    return hashed.read_text(encoding="utf-8", errors="replace").split()[:1] == [hashlib.sha256(data).hexdigest()]


def _is_pair(data: bytes) -> bool:
    """Return whether a pickle begins with an object of scikit-learn, as a bundle, which is a dict, does not."""
    try:
        first = (argument for operation, argument, _ in pickletools.genops(data) if operation.name not in _OPENING)
        return str(next(first, "")).startswith("sklearn.")
    except ValueError:
        return False


def _head_of(path: Path) -> dict[str, Any]:
    with open_read(path) as file:
        return _read_head(file.read(_HEAD_BYTES))


def _read_head(data: bytes) -> dict[str, Any]:
    """Read layout and fingerprint from the pickle's first operations, without running any."""
    head: dict[str, Any] = {}
    name = None
    try:
        for operation, argument, _ in pickletools.genops(data):
            if name and operation.name not in ("MEMOIZE", "BINPUT", "LONG_BINPUT", "PUT"):
                head[name], name = argument, None
            elif argument in ("layout", "fingerprint") and "UNICODE" in operation.name:
                name = argument
            if len(head) == 2:
                break
    except ValueError:
        # These bytes were cut off, or are no pickle: what was read so far is the answer.
        return head
    return head


@functools.cache
def _version(name: str) -> str | None:
    for candidate in (name, f"{name}-cpu"):
        try:
            return metadata.version(candidate)
        except metadata.PackageNotFoundError:
            continue
    return None


def _compare_versions(path: Path, saved: Mapping[str, Any]) -> None:
    current = versions()
    other = [f"{name} {saved[name]}, here {current.get(name)}" for name in saved if saved[name] != current.get(name)]
    if other:
        logger.warning("%s was fitted with %s: scores may differ", path, "; ".join(other))

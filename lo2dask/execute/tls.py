"""Certificates of a cluster: made for it alone, in a folder that only its user can read."""

import contextlib
import datetime
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from distributed import Security

from lo2dask.errors import InputError

FILES = ("ca.pem", "cert.pem", "key.pem")
_LIFE = datetime.timedelta(days=365)
# Machines' clocks differ: a certificate must not lie in the future for any of them.
_LEEWAY = datetime.timedelta(days=1)


def make_certificates(folder: Path) -> Path:
    """Write a new certificate, its key and its authority into ``folder`` (mode 0700, files 0600).

    Raises
    ------
    InputError : certificates are there already.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    there = [name for name in FILES if (folder / name).exists()]
    if there:
        raise InputError(f"{folder / there[0]} is there already; remove it or name another folder")
    folder.chmod(0o700)
    for name, content in zip(FILES, _pem_files(), strict=True):
        descriptor = os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
    return folder


@contextlib.contextmanager
def temporary_certificates(parent: Path) -> Iterator[Path]:
    """Return a new folder of certificates below ``parent``, which all machines see; it goes with the block."""
    parent = parent.expanduser()
    parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    folder = Path(tempfile.mkdtemp(prefix=f"{os.getpid()}-", dir=parent))
    try:
        yield make_certificates(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def security_of(folder: Path) -> Security:
    """Return Dask's security from a folder of certificates.

    Raises
    ------
    InputError : a file is missing, or others may read the key.
    """
    return Security(require_encryption=True, **tls_paths(folder))


def tls_paths(folder: Path) -> dict[str, str]:
    """Name the files of a folder under Dask's names for the three roles: paths only, no secret."""
    folder = folder.expanduser().absolute()
    for name in FILES:
        if not (folder / name).is_file():
            raise InputError(f"--tls-folder {folder}: {name} is missing; make one with: lo2dask cluster certificates")
    if (folder / "key.pem").stat().st_mode & 0o077:
        raise InputError(f"{folder / 'key.pem'} can be read by others; fix it with: chmod 600 {folder / 'key.pem'}")
    roles = ("client", "scheduler", "worker")
    paths = {"tls_ca_file": str(folder / "ca.pem")}
    paths |= {f"tls_{role}_cert": str(folder / "cert.pem") for role in roles}
    return paths | {f"tls_{role}_key": str(folder / "key.pem") for role in roles}


def _pem_files() -> tuple[bytes, bytes, bytes]:
    """Make authority, certificate and key; one self-signed certificate is its own authority."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key: Any = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "lo2dask")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _LEEWAY)
        .not_valid_after(now + _LIFE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return pem, pem, secret

"""Certificates: private files, gone after use, and good for TLS in both directions."""

import ssl
from pathlib import Path

import pytest

from lo2dask.errors import InputError
from lo2dask.execute.tls import FILES, make_certificates, security_of, temporary_certificates, tls_paths


def test_nobody_else_reads_them(tmp_path: Path) -> None:
    folder = make_certificates(tmp_path / "tls")
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {name: (folder / name).stat().st_mode & 0o777 for name in FILES} == dict.fromkeys(FILES, 0o600)
    assert b"PRIVATE KEY" in (folder / "key.pem").read_bytes()
    assert all(b"PRIVATE" not in (folder / name).read_bytes() for name in ("ca.pem", "cert.pem"))


def test_each_cluster_has_its_own(tmp_path: Path) -> None:
    with temporary_certificates(tmp_path / "a") as first, temporary_certificates(tmp_path / "a") as second:
        assert first != second
        assert (first / "key.pem").read_bytes() != (second / "key.pem").read_bytes()
        assert (tmp_path / "a").stat().st_mode & 0o777 == 0o700
    assert not first.exists()
    assert not second.exists()


def test_given_ones_are_never_overwritten(tmp_path: Path) -> None:
    before = (make_certificates(tmp_path) / "key.pem").read_bytes()
    with pytest.raises(InputError, match="is there already"):
        make_certificates(tmp_path)
    assert (tmp_path / "key.pem").read_bytes() == before


def test_what_is_missing_or_open_to_others_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"--tls-folder .*: ca\.pem is missing"):
        security_of(tmp_path)
    make_certificates(tmp_path)
    (tmp_path / "key.pem").chmod(0o640)
    with pytest.raises(InputError, match=r"key\.pem can be read by others"):
        security_of(tmp_path)
    (tmp_path / "key.pem").chmod(0o600)
    assert security_of(tmp_path).require_encryption


def test_dask_gets_paths_and_no_secret(tmp_path: Path) -> None:
    paths = tls_paths(make_certificates(tmp_path))
    assert set(map(Path, paths.values())) == {tmp_path / name for name in FILES}
    assert "PRIVATE" not in repr(security_of(tmp_path))


@pytest.mark.parametrize("other", [False, True])
def test_a_peer_needs_a_certificate_of_the_same_cluster(tmp_path: Path, other: bool) -> None:
    own = security_of(make_certificates(tmp_path / "own"))
    peer = security_of(make_certificates(tmp_path / "other")) if other else own
    server = own.get_listen_args("scheduler")["ssl_context"]
    client = peer.get_connection_args("client")["ssl_context"]
    assert server.verify_mode == ssl.CERT_REQUIRED
    if other:
        with pytest.raises(ssl.SSLError, match="certificate verify failed|unknown ca"):
            shake_hands(server, client)
    else:
        assert shake_hands(server, client) in ("TLSv1.2", "TLSv1.3")


def shake_hands(server_context: ssl.SSLContext, client_context: ssl.SSLContext) -> str | None:
    """Let a server and a client greet each other through memory; return the protocol."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = server_context.wrap_bio(to_server, to_client, server_side=True)
    client = client_context.wrap_bio(to_client, to_server)
    for side in (client, server, client, server):
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            continue
    return server.version()

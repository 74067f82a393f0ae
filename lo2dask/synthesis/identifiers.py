"""Random identifiers as lists of bytes: UUIDs, hexadecimal ids, base64url codes, Basic credentials."""

import base64

import numpy as np
from numpy.typing import NDArray

HEX = np.frombuffer(b"0123456789abcdef", dtype=np.uint8)
BASE64URL = np.frombuffer(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", dtype=np.uint8)
_DASHES = [8, 13, 18, 23]


def _texts(symbols: NDArray[np.uint8]) -> list[bytes]:
    width = symbols.shape[1]
    return np.ascontiguousarray(symbols).view(f"S{width}").ravel().tolist()


def _draw(rng: np.random.Generator, n: int, width: int, alphabet: NDArray[np.uint8]) -> NDArray[np.uint8]:
    raw = np.frombuffer(rng.bytes(n * width), dtype=np.uint8).reshape(n, width)
    return alphabet[raw & (len(alphabet) - 1)]


def hex_ids(rng: np.random.Generator, n: int, digits: int = 8) -> list[bytes]:
    """Draw n ids of hexadecimal digits."""
    return _texts(_draw(rng, n, digits, HEX))


def uuids(rng: np.random.Generator, n: int, length: int = 36) -> list[bytes]:
    """Draw n random (version 4) UUIDs, cut to a length: names are cut to 32 characters."""
    symbols = _draw(rng, n, 36, HEX)
    symbols[:, _DASHES] = ord("-")
    symbols[:, 14] = ord("4")
    symbols[:, 19] = np.frombuffer(b"89ab", dtype=np.uint8)[symbols[:, 19] & 3]
    return _texts(symbols[:, :length])


def codes(rng: np.random.Generator, n: int, length: int = 22) -> list[bytes]:
    """Draw n base64url codes of 22 (128 bits) or 43 (256 bits) characters."""
    symbols = _draw(rng, n, length, BASE64URL)
    step = 16 if length == 22 else 4
    # The last character carries the bits that are left over, as an encoder without padding writes it.
    symbols[:, -1] = BASE64URL[(symbols[:, -1] & (64 // step - 1)).astype(np.int64) * step]
    return _texts(symbols)


def credentials(rng: np.random.Generator, n: int) -> list[bytes]:
    """Draw n values of an Authorization header: client id and secret."""
    pairs = zip(uuids(rng, n), codes(rng, n), strict=True)
    return [b"Basic " + base64.b64encode(client + b":" + secret) for client, secret in pairs]

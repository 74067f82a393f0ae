"""Random streams: one per run, test case and service, so that no file depends on another."""

import hashlib

import numpy as np


def stream(*parts: object) -> np.random.Generator:
    """Return the random stream that belongs to these parts alone."""
    digest = hashlib.sha256("\0".join(map(str, parts)).encode()).digest()
    return np.random.Generator(np.random.PCG64(int.from_bytes(digest[:16], "little")))

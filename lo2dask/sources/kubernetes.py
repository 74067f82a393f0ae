"""Logs as a node of Kubernetes keeps them: NAMESPACE_POD_UID/CONTAINER/RESTARTS.log, one file for each restart."""

import re

_POD_FOLDER = re.compile(r"[^_/]+_([^_/]+)_(?:[0-9a-f]{32}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})")
_RESTARTS = re.compile(r"(\d+)\.log")
# Deployments add two hashes to the names of their pods, stateful sets a number, daemon sets one hash. The letters of
# hashes are no vowels; in the first one there is mostly a digit.
_LETTERS = "[bcdf-hj-np-tv-xz2456789]"
_HASH = rf"(?:{_LETTERS}{{8,10}}|(?=[a-z]*\d)[a-z0-9]{{5,10}})"
_ADDED = re.compile(rf"(?<=.)-(?:{_HASH}-[a-z0-9]{{5}}|\d+|{_LETTERS}{{5}})$")


def restarts(path: str) -> int | None:
    """Return how often a container had been started again when a file was begun; None if it is no such log."""
    match = _RESTARTS.fullmatch(path.rpartition("/")[2])
    return int(match[1]) if match and pod_of(path) else None


def container_service(path: str) -> str:
    """Name the service of such a log: deployment and container, once where one has the words of the other.

    ``shop_cart-7d9f8b6c5-x2k7z_UID/cart/0.log`` is ``cart``, ``.../istio-proxy/0.log`` is ``cart-istio-proxy``.
    """
    container, owner = path.split("/")[-2], _ADDED.sub("", pod_of(path))
    if f"-{container}-" in f"-{owner}-":
        return owner
    return container if f"-{owner}-" in f"-{container}-" else f"{owner}-{container}"


def pod_of(path: str) -> str:
    """Return the pod of a path that has a pod's folder above that of a container; "" of others."""
    parts = path.split("/")
    match = _POD_FOLDER.fullmatch(parts[-3]) if len(parts) > 2 else None
    return match[1] if match else ""

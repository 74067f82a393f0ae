"""The mix of requests by service, each with the statements it emits; rates are read off real logs."""

from dataclasses import dataclass, replace
from functools import cache
from itertools import chain
from typing import Final

from lo2dask.synthesis import handlers as h
from lo2dask.synthesis import statements as st
from lo2dask.synthesis.texts import read_lines

WORKER, CLUSTER, MAIN = "worker", "cluster", "main"
"""Which thread logs: one that serves HTTP (with a correlation id), one of hazelcast's, or the one that starts up."""


@dataclass(frozen=True)
class RequestKind:
    """One kind of request or cluster event: its statements in order, and how often it comes."""

    name: str
    lines: tuple[str, ...]
    weight: float
    thread: str = WORKER
    error_weight: float | None = None
    """How often it comes in an error case that bears less load than ``correct`` (v1), where that differs."""


@dataclass(frozen=True)
class ServiceMix:
    """Traffic of one service: requests and cluster lines of one run as the published slice holds them."""

    kinds: tuple[RequestKind, ...]
    requests: tuple[int, int]
    cluster_lines: tuple[int, int]
    map_store_failures: tuple[float, float]
    threads: int
    window: tuple[float, float]
    """Counts are pairs (``correct``, error case); the window is the active part of an error case, 0 to 1."""


_REFRESH_PAGE = "DEBUG c.n.o.t.h.Oauth2RefreshTokenGetHandler handleRequest - userId = % page = 0 pageSize = 10"

MIXES: Final[dict[str, ServiceMix]] = {
    "client": ServiceMix(
        kinds=(
            RequestKind("by-id", h.by_id("/oauth2/client", "«client»", "clientId"), 420, error_weight=620),
            RequestKind("page", h.page("/oauth2/client"), 293),
            RequestKind("register", st.routed("/oauth2/client"), 296),
            RequestKind(
                "update",
                (
                    *st.routed("/oauth2/client"),
                    *st.client_checks(h.CLIENT),
                    *h.failed("PUT", "/oauth2/client", read_lines("null_key")),
                ),
                300,
            ),
            RequestKind(
                "delete-refused",
                (
                    *h.by_id("/oauth2/client", "«client»", "clientId"),
                    *h.failed("DELETE", "/oauth2/client/«client»", read_lines("delete_refused")),
                ),
                140,
                error_weight=20,
            ),
        ),
        requests=(292, 610),
        cluster_lines=(196, 150),
        map_store_failures=(8, 1),
        threads=2,
        window=(0.18, 0.73),
    ),
    "code": ServiceMix(
        kinds=(
            RequestKind("code", h.authorize(*h.AUTHENTICATED, h.CODE_ISSUED), 50),
            RequestKind("code-pkce", h.authorize(*h.AUTHENTICATED, h.CODE_ISSUED, query=h.PKCE_QUERY), 50),
        ),
        requests=(243, 150),
        cluster_lines=(246, 190),
        map_store_failures=(4.4, 3.5),
        threads=3,
        window=(0.74, 0.99),
    ),
    "key": ServiceMix(
        kinds=(),
        requests=(0, 0),
        cluster_lines=(230, 120),
        map_store_failures=(4.4, 2.2),
        threads=1,
        window=(0.8, 1.0),
    ),
    "refresh-token": ServiceMix(
        kinds=(
            RequestKind("page", h.page("/oauth2/refresh_token", _REFRESH_PAGE), 1018),
            RequestKind("get", h.token_by_id("Get"), 330),
            RequestKind("get-missing", h.token_missing("Get"), 760),
            RequestKind("delete", h.token_by_id("Delete"), 250),
            RequestKind("delete-missing", h.token_missing("Delete"), 700),
        ),
        requests=(618, 410),
        cluster_lines=(330, 40),
        map_store_failures=(9, 0.5),
        threads=1,
        window=(0.78, 0.88),
    ),
    "service": ServiceMix(
        kinds=(
            RequestKind("by-id", h.by_id("/oauth2/service", "«service»", "serviceId"), 625),
            RequestKind("page", h.page("/oauth2/service"), 312),
            RequestKind("register", st.routed("/oauth2/service"), 325),
            RequestKind("update", (*st.routed("/oauth2/service"), *st.service_checks(h.SERVICE, "«service»")), 312),
        ),
        requests=(324, 602),
        cluster_lines=(236, 190),
        map_store_failures=(4.6, 1),
        threads=1,
        window=(0.63, 1.0),
    ),
    "token": ServiceMix(
        kinds=(
            RequestKind(
                "client-credentials",
                st.token_exchange(st.token_step("handleClientCredentials", "scope = null"), *st.SIGNED),
                2100,
            ),
            RequestKind("authorization-code", st.token_exchange(st.GOT_CODE, st.FOUND_CODE, *st.SIGNED), 560),
            RequestKind(
                "verifier-missing",
                st.token_exchange(
                    st.GOT_CODE, st.FOUND_CODE, *h.token_failed(h.NO_VERIFIER, "handleAuthorizationCode", 231, 116)
                ),
                15,
            ),
            RequestKind("refresh", st.token_exchange(h.REFRESH_STEP, *st.SIGNED), 280),
            RequestKind(
                "refresh-missing",
                st.token_exchange(
                    h.REFRESH_STEP, *h.token_failed(h.missing_token("«token»"), "handleRefreshToken", 461, 120)
                ),
                62,
            ),
        ),
        requests=(570, 298),
        cluster_lines=(280, 110),
        map_store_failures=(11.6, 5),
        threads=3,
        window=(0.76, 1.0),
    ),
    "user": ServiceMix(
        kinds=(
            RequestKind("by-id", h.by_id("/oauth2/user", "«user»", "userId"), 460),
            RequestKind("register-or-update", st.routed("/oauth2/user"), 504),
            RequestKind("page", h.page("/oauth2/user"), 290),
            RequestKind("password", h.change_password(), 220),
        ),
        requests=(299, 360),
        cluster_lines=(212, 230),
        map_store_failures=(2.2, 2),
        threads=1,
        window=(0.69, 1.0),
    ),
}

_STORES: Final = (
    ("c.n.oauth.cache.RefreshTokenMapStore", "«token»", (39, 50, 26)),
    ("c.n.oauth.cache.ServiceMapStore", "«service»", (37, 50, 21)),
    ("c.networknt.oauth.cache.UserMapStore", "«user»", (32, 37, 17)),
    ("c.n.oauth.cache.ClientMapStore", "«client»", (22, 32, 24)),
    ("c.n.o.cache.ServiceEndpointMapStore", "«service»", (0, 0, 31)),
)


def _cluster_event(store: str, slot: str, verb: str, weight: float) -> RequestKind:
    line = f"DEBUG {store} {verb} - {verb.capitalize()}:{slot}"
    # Loads come in pairs: the near cache asks once more as soon as it has the first answer.
    lines = (line, "~" + line) if verb == "load" else (line,)
    return RequestKind(f"{verb} {store}", lines, weight, CLUSTER)


CLUSTER_EVENTS: Final = tuple(
    _cluster_event(store, slot, verb, weight)
    for store, slot, weights in _STORES
    for verb, weight in zip(("load", "store", "delete"), weights, strict=True)
    if weight
)
MAP_STORE_FAILURE: Final = RequestKind(
    "delete refused",
    (
        "DEBUG c.n.oauth.cache.ClientMapStore delete - Delete:«client»",
        "~ERROR c.n.oauth.cache.ClientMapStore delete - Exception:",
        *read_lines("map_store_failure"),
    ),
    1,
    CLUSTER,
)


def first_failure(kind: RequestKind) -> RequestKind:
    """Return the kind as it is logged when it is the first error a service answers: the messages are loaded first."""
    at = next(i for i, line in enumerate(kind.lines) if line.lstrip("~").startswith("ERROR"))
    return replace(kind, name=f"first {kind.name}", lines=(*kind.lines[:at], *st.STATUS_LOADING, *kind.lines[at:]))


@cache
def startup(service: str) -> RequestKind:
    """Return the start-up of a service as one kind of request, which comes once; under 100 lines, once thinned.

    Its lines begin the log of whichever test case came first after a restart.
    """
    configs = [read_lines("config", name=name) for name in read_lines("config_files")]
    return RequestKind("startup", (*chain(*configs), *read_lines("startup", service=service)), 1, MAIN)

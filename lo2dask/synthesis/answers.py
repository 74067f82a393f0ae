"""How a service answers an error: the codes, and the lines of a request that a handler or the validator refuses."""

from dataclasses import dataclass

from lo2dask.synthesis import statements as st
from lo2dask.synthesis.kinds import RequestKind
from lo2dask.synthesis.texts import read_error


@dataclass(frozen=True)
class ErrorCase:
    """One injected error: its request, the error body, and the kind of correct request that it displaces."""

    name: str
    service: str
    code: str
    request: RequestKind
    displaces: str


def body_of(code: str, description: str) -> str:
    """Return the error body of a code."""
    return st.error_body(*read_error(code), code, description)


def error(name: str, code: str, displaces: str, lines: tuple[str, ...]) -> ErrorCase:
    """Return an error case made of the lines of its failing request."""
    return ErrorCase(name, _service_of(name), code, RequestKind(name, lines, 1), displaces)


def _service_of(name: str) -> str:
    """Return the service that the case calls: it follows from the name, in one of two ways."""
    if name.startswith(("access_token", "code_verifier", "invalid_code_verifier", "verification")):
        return "token"
    if name.startswith(("authorization_code", "code_challenge", "invalid_code_challenge")):
        return "code"
    service = name.split("_")[1]
    return {"token": "refresh-token", "password": "user"}.get(service, service)


def answered(before: tuple[str, ...], code: str, description: str) -> tuple[str, ...]:
    """Return the lines of a request that its handler answers with an error."""
    return (*before, "~" + st.answered(body_of(code, description)))


def rejected(before: tuple[str, ...], code: str, description: str) -> tuple[str, ...]:
    """Return the lines of a request that the schema validator turns away before any handler sees it."""
    failed = "ERROR c.networknt.openapi.ValidatorHandler handleRequest - There is an Validation Error:"
    return (*before, st.answered(body_of(code, description)), failed)

"""How a service answers an error: the codes, and the lines of a request that a handler or the validator refuses."""

from dataclasses import dataclass
from typing import Final

from lo2dask.synthesis import statements as st
from lo2dask.synthesis.kinds import RequestKind


@dataclass(frozen=True)
class ErrorCase:
    """One injected error: its request, the error body, and the kind of correct request that it displaces."""

    name: str
    service: str
    code: str
    request: RequestKind
    displaces: str


_MESSAGES: Final = {
    "ERR11000": (400, "VALIDATOR_REQUEST_PARAMETER_QUERY_MISSING"),
    "ERR11004": (400, "VALIDATOR_SCHEMA"),
    "ERR12000": (400, "UNABLE_TO_PARSE_FORM_DATA"),
    "ERR12001": (400, "UNSUPPORTED_GRANT_TYPE"),
    "ERR12002": (400, "MISSING_AUTHORIZATION_HEADER"),
    "ERR12003": (401, "INVALID_AUTHORIZATION_HEADER"),
    "ERR12004": (401, "INVALID_BASIC_CREDENTIALS"),
    "ERR12007": (401, "UNAUTHORIZED_CLIENT"),
    "ERR12011": (400, "PASSWORD_OR_PASSWORDCONFIRM_EMPTY"),
    "ERR12012": (400, "PASSWORD_PASSWORDCONFIRM_NOT_MATCH"),
    "ERR12013": (404, "USER_NOT_FOUND"),
    "ERR12014": (404, "CLIENT_NOT_FOUND"),
    "ERR12015": (404, "SERVICE_NOT_FOUND"),
    "ERR12016": (401, "INCORRECT_PASSWORD"),
    "ERR12018": (400, "SERVICE_ID_EXISTS"),
    "ERR12020": (400, "USER_ID_EXISTS"),
    "ERR12021": (400, "EMAIL_EXISTS"),
    "ERR12029": (404, "REFRESH_TOKEN_NOT_FOUND"),
    "ERR12033": (400, "INVALID_CODE_CHALLENGE_METHOD"),
    "ERR12034": (400, "CODE_CHALLENGE_TOO_SHORT"),
    "ERR12035": (400, "CODE_CHALLENGE_TOO_LONG"),
    "ERR12036": (400, "INVALID_CODE_CHALLENGE_FORMAT"),
    "ERR12037": (400, "INVALID_CODE_VERIFIER"),
    "ERR12038": (400, "CODE_VERIFIER_TOO_SHORT"),
    "ERR12039": (400, "CODE_VERIFIER_TOO_LONG"),
    "ERR12040": (400, "CODE_VERIFIER_MISSING"),
    "ERR12041": (400, "CODE_VERIFIER_FAILED"),
}


def body_of(code: str, description: str) -> str:
    """Return the error body of a code."""
    status, message = _MESSAGES[code]
    return st.error_body(status, code, message, description)


def error(name: str, code: str, displaces: str, lines: tuple[str, ...]) -> ErrorCase:
    """Return an error case made of the lines of its failing request."""
    return ErrorCase(name, _service_of(name), code, RequestKind(name, lines, 1), displaces)


def _service_of(name: str) -> str:
    """Return the service that the case calls: the name says it, in one of two ways."""
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

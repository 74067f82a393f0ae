"""Error cases of the services that issue codes and tokens."""

from lo2dask.synthesis import handlers as h
from lo2dask.synthesis import statements as st
from lo2dask.synthesis.answers import ErrorCase, answered, body_of, error, rejected

_CODE = st.routed("/oauth2/code")
_WRONG_TYPE = (*_CODE, st.validate("Enum", "fakecode", "response_type"))
_DENIED = "~DEBUG io.undertow.request.security authenticationFailed - Authentication failed for admin"
_NOT_CODE = "Schema Validation Error - response_type: does not have a value in the enumeration [code]"
_METHODS = "Invalid code challenge method fakemethod, only S256 and plain are supported."
_LONG = "«b43:one»«b43:two»«b43:three»"


def _parameter_missing(name: str, parameter: str) -> ErrorCase:
    description = f"Query parameter {parameter} is required on path /oauth2/code but not found in request."
    return error(name, "ERR11000", "code", rejected(_CODE, "ERR11000", description))


def _challenge_refused(name: str, code: str, challenge: str, method: str, description: str) -> ErrorCase:
    query = (st.validate("Type", challenge, "code_challenge"), st.validate("Type", method, "code_challenge_method"))
    return error(name, code, "code-pkce", answered(h.authorize(*h.AUTHENTICATED, query=query), code, description))


def _code_cases() -> list[ErrorCase]:
    unknown = h.authorize(*h.AUTHENTICATED, client="«uuid:missing»")
    not_found = answered(unknown, "ERR12014", "Client «uuid:missing» is not found.")
    wrong_password = answered(h.authorize(_DENIED), "ERR12016", "Incorrect password.")
    wrong_type = rejected(_WRONG_TYPE, "ERR11004", _NOT_CODE)
    return [
        _parameter_missing("authorization_code_client_id_missing_400", "client_id"),
        _parameter_missing("authorization_code_missing_response_type_400", "response_type"),
        error("authorization_code_response_not_code_400", "ERR11004", "code", wrong_type),
        error("authorization_code_invalid_client_id_404", "ERR12014", "code", not_found),
        error("authorization_code_invalid_password_401", "ERR12016", "code", wrong_password),
        *(_challenge_refused(*refusal) for refusal in _REFUSALS),
    ]


_REFUSALS = (
    (
        "code_challenge_invalid_format_pkce_400",
        "ERR12036",
        "%«b22:bad»%",
        "S256",
        "Invalid code challenge format %«b22:bad»%.",
    ),
    ("code_challenge_too_long_pkce_400", "ERR12035", _LONG, "S256", f"The code challenge {_LONG} is too long."),
    (
        "code_challenge_too_short_pkce_400",
        "ERR12034",
        "«b22:bad»",
        "S256",
        "The code challenge «b22:bad» is too short.",
    ),
    ("invalid_code_challenge_method_pkce_400", "ERR12033", "«b43:challenge»", "fakemethod", _METHODS),
)
"""Name, code, code challenge, its method, and description."""

_ROUTED = st.routed("/oauth2/token")
_EXCHANGE = st.token_exchange()
_GRANTED = (*_EXCHANGE, st.GOT_CODE, st.FOUND_CODE)
_WRONG_HEADER = (*_ROUTED, st.validate("Type", "Bearer «b43:bearer»", "authorization"))
_HALF_HEADER = (*_ROUTED, st.validate("Type", "Basic «b22:half»", "authorization"))
_LOGIN = (*_EXCHANGE, st.token_step("authenticateClient", "clientId = «uuid:missing» clientSecret = «b22:secret»"))
_GRANTS = "Only authorization_code and client_credentials are supported."

_TOKEN_FAILURES = (
    ("access_token_auth_header_error_401", "ERR12003", "Invalid authorization header Bearer «b43:bearer»", 541),
    ("access_token_authorization_form_401", "ERR12004", "Invalid Basic credentials «b22:half»", 535),
    ("access_token_client_id_not_found_404", "ERR12014", "Client «uuid:missing» is not found.", 527),
    ("access_token_client_secret_wrong_401", "ERR12007", "Unauthorized client with wrong client secret", 521),
    ("access_token_form_urlencoded_400", "ERR12000", "Unable to parse x-www-form-urlencoded form data.", 143),
    ("access_token_illegal_grant_type_400", "ERR12001", f"Unsupported grant type fakegranttype. {_GRANTS}", 131),
    (
        "access_token_missing_authorization_header_400",
        "ERR12002",
        "Missing authorization header. client credentials must be passed in as Authorization header.",
        547,
    ),
    ("code_verifier_missing_pkce_400", "ERR12040", "PKCE codeVerifier is not specified", 231),
    ("code_verifier_too_long_pkce_400", "ERR12039", f"The code verifier {_LONG} is too long.", 243),
    ("code_verifier_too_short_pkce_400", "ERR12038", "The code verifier «b22:short» is too short.", 238),
    ("invalid_code_verifier_format_PKCE_400", "ERR12037", "Invalid code verifier format %«b43:bad»%.", 248),
    ("verification_failed_pkce_400", "ERR12041", "Code verifier «b43:verifier» verification failed.", 259),
)
"""Name, code, description, and the line of the token handler that throws."""

_TOKEN_STEPS = {
    "ERR12000": ("parseFormData", 98, _EXCHANGE),
    "ERR12001": ("handleGrantType", 128, _EXCHANGE),
    "ERR12002": ("authenticateClient", 112, _ROUTED),
    "ERR12003": ("authenticateClient", 112, _WRONG_HEADER),
    "ERR12004": ("authenticateClient", 112, _HALF_HEADER),
    "ERR12007": ("authenticateClient", 112, _LOGIN),
    "ERR12014": ("authenticateClient", 112, _LOGIN),
}
"""Step that throws, the line that calls it, and what was logged before; all other codes come after the grant."""


def _token_case(name: str, code: str, description: str, line: int) -> ErrorCase:
    step, caller_line, before = _TOKEN_STEPS.get(code, ("handleAuthorizationCode", 116, _GRANTED))
    displaced = "authorization-code" if before is _GRANTED else "client-credentials"
    lines = (*before, *h.token_failed(body_of(code, description), step, line, caller_line))
    return error(name, code, displaced, lines)


def oauth_cases() -> tuple[ErrorCase, ...]:
    """Return the error cases of the code and token services."""
    return (*_code_cases(), *(_token_case(*failure) for failure in _TOKEN_FAILURES))

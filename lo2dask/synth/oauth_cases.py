"""Error cases of the services that issue codes and tokens."""

from lo2dask.synth import handlers as h
from lo2dask.synth import statements as st
from lo2dask.synth.answers import ErrorCase, answered, body_of, error, rejected


def _code_cases() -> list[ErrorCase]:
    def missing(name: str, parameter: str) -> ErrorCase:
        description = f"Query parameter {parameter} is required on path /oauth2/code but not found in request."
        lines = rejected(st.routed("/oauth2/code"), "ERR11000", description)
        return error(f"authorization_code_{name}_missing_400", "ERR11000", "code", lines)

    def pkce(name: str, code: str, value: str, text: str) -> ErrorCase:
        query = (st.validate("Type", value, "code_challenge"), st.validate("Type", "S256", "code_challenge_method"))
        lines = answered(h.authorize(*h.AUTHENTICATED, query=query), code, text.format(value))
        return error(name, code, "code-pkce", lines)

    wrong_type = "Schema Validation Error - response_type: does not have a value in the enumeration [code]"
    typed = (*st.routed("/oauth2/code"), st.validate("Enum", "fakecode", "response_type"))
    unknown = h.authorize(*h.AUTHENTICATED, client="«uuid:missing»")
    denied = h.authorize("~DEBUG io.undertow.request.security authenticationFailed - Authentication failed for admin")
    method = (
        st.validate("Type", "«b43:challenge»", "code_challenge"),
        st.validate("Type", "fakemethod", "code_challenge_method"),
    )
    return [
        missing("client_id", "client_id"),
        error(
            "authorization_code_missing_response_type_400",
            "ERR11000",
            "code",
            missing("response_type", "response_type").request.lines,
        ),
        error("authorization_code_response_not_code_400", "ERR11004", "code", rejected(typed, "ERR11004", wrong_type)),
        error(
            "authorization_code_invalid_client_id_404",
            "ERR12014",
            "code",
            answered(unknown, "ERR12014", "Client «uuid:missing» is not found."),
        ),
        error(
            "authorization_code_invalid_password_401",
            "ERR12016",
            "code",
            answered(denied, "ERR12016", "Incorrect password."),
        ),
        pkce("code_challenge_invalid_format_pkce_400", "ERR12036", "%«b22:bad»%", "Invalid code challenge format {}."),
        pkce(
            "code_challenge_too_long_pkce_400",
            "ERR12035",
            "«b43:first»«b43:second»«b43:third»",
            "The code challenge {} is too long.",
        ),
        pkce("code_challenge_too_short_pkce_400", "ERR12034", "«b22:short»", "The code challenge {} is too short."),
        error(
            "invalid_code_challenge_method_pkce_400",
            "ERR12033",
            "code-pkce",
            answered(
                h.authorize(*h.AUTHENTICATED, query=method),
                "ERR12033",
                "Invalid code challenge method fakemethod, only S256 and plain are supported.",
            ),
        ),
    ]


def _token_cases() -> list[ErrorCase]:
    def failed(name: str, code: str, description: str, step: tuple[str, int, int], *before: str) -> ErrorCase:
        lines = (*before, *h.token_failed(body_of(code, description), *step))
        displaced = "authorization-code" if st.GOT_CODE in before else "client-credentials"
        return error(name, code, displaced, lines)

    routed = st.routed("/oauth2/token")
    exchange = st.token_exchange()
    granted = (*exchange, st.GOT_CODE, st.FOUND_CODE)
    wrong_header = (*routed, st.validate("Type", "Bearer «b43:bearer»", "authorization"))
    half_header = (*routed, st.validate("Type", "Basic «b22:half»", "authorization"))
    secret = (*routed, st.validate("Type", "«basic»", "authorization"), _CREDENTIALS)
    login, code_step = "authenticateClient", "handleAuthorizationCode"
    return [
        failed(
            "access_token_auth_header_error_401",
            "ERR12003",
            "Invalid authorization header Bearer «b43:bearer»",
            (login, 541, 112),
            *wrong_header,
        ),
        failed(
            "access_token_authorization_form_401",
            "ERR12004",
            "Invalid Basic credentials «b22:half»",
            (login, 535, 112),
            *half_header,
        ),
        failed(
            "access_token_client_id_not_found_404",
            "ERR12014",
            "Client «uuid:missing» is not found.",
            (login, 527, 112),
            *secret,
        ),
        failed(
            "access_token_client_secret_wrong_401",
            "ERR12007",
            "Unauthorized client with wrong client secret",
            (login, 521, 112),
            *secret,
        ),
        failed(
            "access_token_form_urlencoded_400",
            "ERR12000",
            "Unable to parse x-www-form-urlencoded form data.",
            ("parseFormData", 143, 98),
            *exchange,
        ),
        failed(
            "access_token_illegal_grant_type_400",
            "ERR12001",
            "Unsupported grant type fakegranttype. Only authorization_code and client_credentials are supported.",
            ("handleGrantType", 131, 128),
            *exchange,
        ),
        failed(
            "access_token_missing_authorization_header_400",
            "ERR12002",
            "Missing authorization header. client credentials must be passed in as Authorization header.",
            (login, 547, 112),
            *routed,
        ),
        failed(
            "code_verifier_missing_pkce_400",
            "ERR12040",
            "PKCE codeVerifier is not specified",
            (code_step, 231, 116),
            *granted,
        ),
        failed(
            "code_verifier_too_long_pkce_400",
            "ERR12039",
            "The code verifier «b43:one»«b43:two»«b43:three» is too long.",
            (code_step, 243, 116),
            *granted,
        ),
        failed(
            "code_verifier_too_short_pkce_400",
            "ERR12038",
            "The code verifier «b22:short» is too short.",
            (code_step, 238, 116),
            *granted,
        ),
        failed(
            "invalid_code_verifier_format_PKCE_400",
            "ERR12037",
            "Invalid code verifier format %«b43:bad»%.",
            (code_step, 248, 116),
            *granted,
        ),
        failed(
            "verification_failed_pkce_400",
            "ERR12041",
            "Code verifier «b43:verifier» verification failed.",
            (code_step, 259, 116),
            *granted,
        ),
    ]


_CREDENTIALS = st.token_step("authenticateClient", "clientId = «uuid:missing» clientSecret = «b22:secret»")


def oauth_cases() -> tuple[ErrorCase, ...]:
    """Return the error cases of the code and token services."""
    return (*_code_cases(), *_token_cases())

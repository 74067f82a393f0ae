"""What a request makes its handlers log, step by step, with the slots of statements.py; kinds.py mixes them."""

from typing import Final

from lo2dask.synthesis import statements as st
from lo2dask.synthesis.texts import fill, read_lines


def page(path: str, *more: str) -> tuple[str, ...]:
    """Return what is logged for the first page of a list."""
    return (*st.routed(path), st.validate("Type", "1", "page"), st.validate("Format", "1", "page"), *more)


def by_id(path: str, slot: str, parameter: str) -> tuple[str, ...]:
    """Return what is logged for a path that ends in an id."""
    return (
        *st.routed(f"{path}/{slot}", (path, f"{path}/{{{parameter}}}")),
        st.validate("Type", slot, parameter),
    )


def authorize(*steps: str, query: tuple[str, ...] = (), client: str = "«client»") -> tuple[str, ...]:
    """Return what is logged for GET /oauth2/code up to the password check, then the given steps."""
    security = "DEBUG io.undertow.request.security"
    identity = "DEBUG c.n.o.security.LightIdentityManager verify -"
    checks = [
        st.validate("Type", client, "client_id"),
        st.validate("Type", "code", "response_type"),
        st.validate("Enum", "code", "response_type"),
        st.validate("Type", "http://localhost:8080/authorization", "redirect_uri"),
        st.validate("Type", "Basic YWRtaW46MTIzNDU2", "Authorization"),
    ]
    for position, line in zip((0, 2), query, strict=False):
        checks.insert(position, line)
    return (
        *st.routed("/oauth2/code"),
        *checks,
        f"{security} handleRequest - Setting authentication required for exchange "
        "HttpServerExchange{ GET /oauth2/code}",
        f"{security} authenticate - Attempting to authenticate /oauth2/code, authentication required: true",
        f"{security} transition - Authentication outcome was NOT_ATTEMPTED with method "
        "com.networknt.oauth.security.LightGSSAPIAuthenticationMechanism@«run:gssapi» for /oauth2/code",
        "DEBUG c.n.o.s.LightBasicAuthenticationMechanism authenticate - Found basic auth header %s "
        "(decoded using charset %s) in %s",
        f"{identity} LightPasswordCredential with clientAuthClass = null",
        f"{identity} Get Authenticator implementation from service factory with clazz = "
        "interface com.networknt.oauth.auth.DefaultAuth",
        *steps,
    )


AUTHENTICATED: Final = (
    "~DEBUG io.undertow.request.security authenticationComplete - Authenticated as admin, roles [admin, user]",
    "DEBUG io.undertow.request.security transition - Authentication outcome was AUTHENTICATED with method "
    "com.networknt.oauth.security.LightBasicAuthenticationMechanism@«run:basic» for /oauth2/code",
    "DEBUG io.undertow.request.security authTransition - Authentication result was AUTHENTICATED for /oauth2/code",
    "DEBUG c.n.o.c.handler.Oauth2CodeGetHandler handleRequest - params",
)
CODE_ISSUED: Final = (
    "~DEBUG c.n.o.c.handler.Oauth2CodeGetHandler handleRequest - redirectUri = "
    "http://localhost:8080/authorization?code=«b22:code»"
)
PKCE_QUERY: Final = (
    st.validate("Type", "«b43:challenge»", "code_challenge"),
    st.validate("Type", "S256", "code_challenge_method"),
)


def failed(method: str, path: str, cause: tuple[str, ...]) -> tuple[str, ...]:
    """Return what is logged when a handler throws: the exception, then the status set on an answer already begun."""
    body = st.error_body(500, "RUNTIME_EXCEPTION", "ERR10010", "Unexpected runtime exception")
    return (
        "ERROR c.n.exception.ExceptionHandler handleRequest - Exception:",
        *cause,
        "DEBUG io.undertow.request.error-response debugf - Setting error code 500 for exchange "
        f"HttpServerExchange{{ {method} {path}}}",
        *read_lines("status_set_twice"),
        st.answered(body),
    )


def token_failed(body: str, step: str, line: int, caller_line: int) -> tuple[str, ...]:
    """Return what the token handler logs when one of its steps answers with an error."""
    handler = "com.networknt.oauth.token.handler.Oauth2TokenPostHandler"
    return (
        "~ERROR c.n.o.t.h.Oauth2TokenPostHandler handleRequest - ApiException",
        f"com.networknt.exception.ApiException: {body}",
        f"\tat {handler}.{step}(Oauth2TokenPostHandler.java:{line})",
        f"\tat {handler}.handleRequest(Oauth2TokenPostHandler.java:{caller_line})",
        *read_lines("handler_chain"),
    )


def missing_token(slot: str) -> str:
    """Return the error body for a refresh token that is not there."""
    return st.error_body(404, "REFRESH_TOKEN_NOT_FOUND", "ERR12029", f"Refresh token {slot} is not found.")


REFRESH_STEP = st.token_step("handleRefreshToken", "refreshToken = «token» scope = null")
NO_VERIFIER = st.error_body(400, "CODE_VERIFIER_MISSING", "ERR12040", "PKCE codeVerifier is not specified")
CLIENT = fill(st.CLIENT_BODY, kind="public", profile="mobile", owner="admin")
SERVICE = fill(st.SERVICE_BODY, kind="swagger", id="«service»", owner="admin")
PASSWORD = fill(st.PASSWORD_BODY, confirm="«uuid:new»")
_TOKENS = by_id("/oauth2/refresh_token", "«token»", "refreshToken")


def token_by_id(verb: str) -> tuple[str, ...]:
    """Return what is logged for GET or DELETE of one refresh token, up to its handler."""
    handler = f"c.n.o.t.h.Oauth2RefreshTokenRefreshToken{verb}Handler"
    return (*_TOKENS, f"DEBUG {handler} handleRequest - refreshToken = «token»")


def token_missing(verb: str) -> tuple[str, ...]:
    """Return what is logged for GET or DELETE of a refresh token that is not there."""
    return (*token_by_id(verb), "~" + st.answered(missing_token("«token»")))


def change_password(body: str = PASSWORD, confirm: str = "«uuid:new»", user: str = "«user»") -> tuple[str, ...]:
    """Return what is logged for POST /oauth2/password/{userId}, up to its handler."""
    path = "/oauth2/password"
    patterns = ("/oauth2/user", "/oauth2/user/{userId}", f"{path}/{{userId}}")
    return (
        *st.routed(f"{path}/{user}", patterns),
        st.validate("Type", user, "userId"),
        *st.password_checks(body, confirm),
    )

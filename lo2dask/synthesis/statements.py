"""Log statements as text with slots ``«type:name»``; a leading ``~`` marks one that waits for the database."""

from collections.abc import Iterable

from lo2dask.synthesis.texts import read_lines

CLIENT_BODY = (
    '{"clientType":"«kind»","clientProfile":"«profile»","clientName":"«uuid32:name»","clientDesc":"«uuid:desc»",'
    '"scope":"read write","redirectUri":"http://localhost:8000/authorization","ownerId":"«owner»","host":"lightapi.net"}'
)
SERVICE_BODY = (
    '{"serviceType":"«kind»","serviceId":"«id»","serviceName":"«uuid32:name»","serviceDesc":"«uuid:desc»",'
    '"scope":"read write","ownerId":"«owner»","host":"lightapi.net"}'
)
USER_BODY = (
    '{"userId":"«id»","userType":"admin","firstName":"«uuid32:first»","lastName":"«uuid32:last»",'
    '"email":"«uuid:email»","password":"«uuid:password»"«confirm»}'
)
PASSWORD_BODY = '{"password":"«uuid:old»","newPassword":"«uuid:new»","newPasswordConfirm":"«confirm»"}'

_CONFIG = "INFO  com.networknt.config.Config"

STATUS_LOADING = read_lines("status_loading")
"""What a service logs before its first error answer: the messages are read from a file on demand."""


def routed(path: str, patterns: Iterable[str] = ()) -> tuple[str, ...]:
    """Return what the router logs for a path: it compares the path with each pattern, and logs both forms of both."""
    candidates = tuple(patterns) or (path,)
    return (
        f"DEBUG c.n.openapi.ApiNormalisedPath <init> - path = {path}, base path is set to: null",
        f"DEBUG c.n.openapi.ApiNormalisedPath <init> - normalised = {path}",
        *(
            line
            for pattern in candidates
            for line in (
                f"DEBUG c.n.openapi.ApiNormalisedPath <init> - path ={pattern}",
                f"DEBUG c.n.openapi.ApiNormalisedPath <init> - normalised = {pattern}",
            )
        ),
        f"DEBUG c.n.openapi.ApiNormalisedPath <init> - path = {path}, base path is set to: null",
        f"DEBUG c.n.openapi.ApiNormalisedPath <init> - normalised = {path}",
    )


def validate(validator: str, value: str, path: str, root: str | None = None) -> str:
    """Return one line of the schema validator; ``root`` is the whole body where the value is a part of one."""
    shown = value if root == value else f'"{value}"'
    logger = {
        "Type": "com.networknt.schema.TypeValidator",
        "Enum": "com.networknt.schema.EnumValidator",
        "Format": "com.networknt.schema.FormatValidator",
        "Required": "c.networknt.schema.RequiredValidator",
        "Properties": "c.n.schema.PropertiesValidator",
    }[validator]
    return f"DEBUG {logger} debug - validate( {shown}, {root or shown}, {path})"


def body_checks(body: str, *checks: str) -> tuple[str, ...]:
    """Return validator lines; a check is ``Validator`` for the whole body or ``Validator field=value``."""
    lines = []
    for check in checks:
        validator, _, field = check.partition(" ")
        name, _, value = field.partition("=")
        path = f"requestBody.{name}" if name else "requestBody"
        lines.append(validate(validator, value or body, path, body))
    return tuple(lines)


def client_checks(body: str, kind: str = "public", profile: str = "mobile", owner: str = "admin") -> tuple[str, ...]:
    """Return the validator lines of a client's body."""
    return body_checks(body, *read_lines("client_checks", kind=kind, profile=profile, owner=owner))


def service_checks(body: str, service: str, kind: str = "swagger", owner: str = "admin") -> tuple[str, ...]:
    """Return the validator lines of a service's body."""
    return body_checks(body, *read_lines("service_checks", service=service, kind=kind, owner=owner))


def user_checks(body: str, user: str) -> tuple[str, ...]:
    """Return the validator lines of a user's body."""
    return body_checks(body, *read_lines("user_checks", user=user))


def password_checks(body: str, confirm: str) -> tuple[str, ...]:
    """Return the validator lines of a change of password."""
    return body_checks(body, *read_lines("password_checks", confirm=confirm))


def error_body(status: int, message: str, code: str, description: str) -> str:
    """Return the JSON with which a service answers an error."""
    head = f'"statusCode":{status},"code":"{code}","message":"{message}"'
    return f'{{{head},"description":"{description}","severity":"ERROR"}}'


def answered(body: str) -> str:
    """Return the line that a handler logs when it answers with an error."""
    return f"ERROR c.networknt.handler.LightHttpHandler setExchangeStatus - {body}"


def token_exchange(*steps: str) -> tuple[str, ...]:
    """Return what the token service logs for POST /oauth2/token with client credentials in the header."""
    return (*routed("/oauth2/token"), validate("Type", "«basic»", "authorization"), *steps)


def token_step(step: str, text: str) -> str:
    """Return one line of the token handler."""
    return f"DEBUG c.n.o.t.h.Oauth2TokenPostHandler {step} - {text}"


SIGNED = (
    "~DEBUG com.networknt.security.JwtIssuer getPrivateKey - filename = primary.jks key = selfsigned",
    f"{_CONFIG} getConfigStream - Config loaded from externalized folder for primary.jks in /config",
)
GOT_CODE = token_step("handleAuthorizationCode", "code = «b22:code» redirectUri = http://localhost:8080/authorization")
FOUND_CODE = "~" + token_step(
    "handleAuthorizationCode",
    "variable from codeMap cache userId = admin redirectUri = http://localhost:8080/authorization scope = null "
    "userType = null roles = admin user remember = null",
)

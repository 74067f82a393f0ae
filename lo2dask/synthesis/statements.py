"""Log statements as text with slots ``«type:name»``; a leading ``~`` marks one that waits for the database."""

from collections.abc import Iterable

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

STATUS_LOADING = (
    f"{_CONFIG} loadJsonMapConfigWithSpecificConfigLoader - Trying to load status with extension yaml, yml or json by "
    "using default loading method.",
    f"{_CONFIG} getConfigStream - Unable to load config from externalized folder for status.yml in /config",
    f"{_CONFIG} getConfigStream - Trying to load config from classpath directory for file status.yml",
    f"{_CONFIG} getConfigStream - Config loaded from default folder for status.yml",
)
"""What a service logs before its first error answer: the messages are read from a file on demand."""


def fill(text: str, **values: str) -> str:
    """Replace the named holes ``«name»`` of a body."""
    for name, value in values.items():
        text = text.replace(f"«{name}»", value)
    return text


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


def validate(validator: str, value: str, place: str, root: str | None = None) -> str:
    """Return one line of the schema validator; ``root`` is the whole body where the value is a part of one."""
    shown = value if root == value else f'"{value}"'
    logger = {
        "Type": "com.networknt.schema.TypeValidator",
        "Enum": "com.networknt.schema.EnumValidator",
        "Format": "com.networknt.schema.FormatValidator",
        "Required": "c.networknt.schema.RequiredValidator",
        "Properties": "c.n.schema.PropertiesValidator",
    }[validator]
    return f"DEBUG {logger} debug - validate( {shown}, {root or shown}, {place})"


def body_checks(body: str, *checks: str) -> tuple[str, ...]:
    """Return validator lines; a check is ``Validator`` for the whole body or ``Validator field=value``."""
    lines = []
    for check in checks:
        validator, _, field = check.partition(" ")
        name, _, value = field.partition("=")
        place = f"requestBody.{name}" if name else "requestBody"
        lines.append(validate(validator, value or body, place, body))
    return tuple(lines)


def client_checks(body: str, kind: str = "public", profile: str = "mobile", owner: str = "admin") -> tuple[str, ...]:
    """Return the validator lines of a client's body."""
    return body_checks(
        body,
        "Type",
        "Required",
        "Properties",
        "Type redirectUri=http://localhost:8000/authorization",
        "Required",
        "Type clientDesc=«uuid:desc»",
        "Required",
        f"Type clientType={kind}",
        f"Enum clientType={kind}",
        f"Type clientProfile={profile}",
        f"Enum clientProfile={profile}",
        "Type clientName=«uuid32:name»",
        "Required",
        "Type scope=read write",
        "Required",
        f"Type ownerId={owner}",
        "Required",
    )


def service_checks(body: str, service: str, kind: str = "swagger", owner: str = "admin") -> tuple[str, ...]:
    """Return the validator lines of a service's body."""
    return body_checks(
        body,
        "Type",
        "Required",
        "Properties",
        f"Type serviceType={kind}",
        f"Enum serviceType={kind}",
        "Type serviceDesc=«uuid:desc»",
        "Type scope=read write",
        f"Type serviceId={service}",
        "Type serviceName=«uuid32:name»",
        f"Type ownerId={owner}",
        "Required",
        "Required",
    )


def user_checks(body: str, user: str) -> tuple[str, ...]:
    """Return the validator lines of a user's body."""
    return body_checks(
        body,
        "Type",
        "Required",
        "Properties",
        "Type firstName=«uuid32:first»",
        "Type lastName=«uuid32:last»",
        "Type password=«uuid:password»",
        "Format password=«uuid:password»",
        "Required",
        "Type userType=admin",
        "Enum userType=admin",
        "Required",
        f"Type userId={user}",
        "Required",
        "Type email=«uuid:email»",
    )


def password_checks(body: str, confirm: str) -> tuple[str, ...]:
    """Return the validator lines of a change of password."""
    return body_checks(
        body,
        "Type",
        "Required",
        "Properties",
        f"Type newPasswordConfirm={confirm}",
        f"Format newPasswordConfirm={confirm}",
        "Type password=«uuid:old»",
        "Format password=«uuid:old»",
        "Type newPassword=«uuid:new»",
        "Format newPassword=«uuid:new»",
    )


def error_body(status: int, code: str, message: str, description: str) -> str:
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

"""Error cases of the services that keep clients, services, users and refresh tokens."""

from typing import Final

from lo2dask.synthesis import handlers as h
from lo2dask.synthesis import statements as st
from lo2dask.synthesis.answers import ErrorCase, answered, error, rejected
from lo2dask.synthesis.texts import fill

_SCHEMA: Final = "Schema Validation Error - requestBody.{}: does not have a value in the enumeration {}"


def _page_missing(name: str, path: str) -> ErrorCase:
    description = f"Query parameter page is required on path {path} but not found in request."
    return error(name, "ERR11000", "page", rejected(st.routed(path), "ERR11000", description))


_PATHS: Final = {
    "client": ("/oauth2/client", "clientId", "ERR12014", "Client"),
    "service": ("/oauth2/service", "serviceId", "ERR12015", "Service"),
    "user": ("/oauth2/user", "userId", "ERR12013", "User"),
}


def _id_missing(verb: str, service: str) -> ErrorCase:
    path, parameter, code, noun = _PATHS[service]
    slot = "«uuid:missing»" if service == "client" else "«hex:missing»"
    lines = answered(h.by_id(path, slot, parameter), code, f"{noun} {slot} is not found.")
    return error(f"{verb}_{service}_404_no_{service}", code, "by-id", lines)


def _lookups() -> list[ErrorCase]:
    cases = [_id_missing(verb, service) for verb in ("delete", "get") for service in _PATHS]
    cases += [_page_missing(f"get_{service}_page_400_no_page", f"/oauth2/{service}") for service in _PATHS]
    cases.append(_page_missing("get_token_page_400_no_page", "/oauth2/refresh_token"))
    for verb in ("delete", "get"):
        lines = (*h.token_by_id(verb.capitalize()), "~" + st.answered(h.missing_token("«token»")))
        cases.append(error(f"{verb}_token_404", "ERR12029", verb, lines))
    return cases


def _client_cases(verb: str, displaces: str) -> list[ErrorCase]:
    def lines(kind: str = "public", profile: str = "mobile", owner: str = "admin") -> tuple[str, ...]:
        """What is logged for the request, with what may be wrong with it."""
        body = fill(st.CLIENT_BODY, kind=kind, profile=profile, owner=owner)
        return (*st.routed("/oauth2/client"), *st.client_checks(body, kind, profile, owner))

    profiles = _SCHEMA.format("clientProfile", "[webserver, mobile, browser, service, batch]")
    types = _SCHEMA.format("clientType", "[public, confidential, trusted, external]")
    cases = [
        error(
            f"{verb}_client_400_clientProfile",
            "ERR11004",
            displaces,
            rejected(lines(profile="fakeprofile"), "ERR11004", profiles),
        ),
        error(f"{verb}_client_400_clientType", "ERR11004", displaces, rejected(lines("faketype"), "ERR11004", types)),
    ]
    owner = "404_no_user" if verb == "register" else "404_ownerId"
    absent = lines(owner="«hex:owner»")
    unknown = answered(absent, "ERR12013", "User «hex:owner» is not found.")
    cases.append(error(f"{verb}_client_{owner}", "ERR12013", displaces, unknown))
    if verb == "update":
        missing = answered(lines(), "ERR12014", "Client «uuid:missing» is not found.")
        cases.append(error("update_client_404_clientId", "ERR12014", displaces, missing))
    return cases


def _service_cases() -> list[ErrorCase]:
    def lines(kind: str = "swagger", service: str = "«hex:id»", owner: str = "admin") -> tuple[str, ...]:
        """What is logged for the request, with what may be wrong with it."""
        body = fill(st.SERVICE_BODY, kind=kind, id=service, owner=owner)
        return (*st.routed("/oauth2/service"), *st.service_checks(body, service, kind, owner))

    exists = answered(lines(service="«service»"), "ERR12018", "Service id «service» exists.")
    wrong = _SCHEMA.format("serviceType", "[swagger, openapi]")
    absent = answered(lines(), "ERR12015", "Service «hex:id» is not found.")
    no_owner = answered(lines(owner="«hex:owner»"), "ERR12013", "User «hex:owner» is not found.")
    return [
        error("register_service_400_service_id", "ERR12018", "register", exists),
        error(
            "register_service_400_service_type", "ERR11004", "register", rejected(lines("faketype"), "ERR11004", wrong)
        ),
        error("register_service_404_no_user", "ERR12013", "register", no_owner),
        error("update_service_404_service_id", "ERR12015", "update", absent),
        error("update_service_404_user_id", "ERR12013", "update", no_owner),
    ]


def _user_cases() -> list[ErrorCase]:
    def lines(confirm: str = "«uuid:password»", user: str = "«hex:id»") -> tuple[str, ...]:
        """What is logged for the request, with what may be wrong with it."""
        field = f',"passwordConfirm":"{confirm}"' if confirm else ""
        body = fill(st.USER_BODY, id=user, confirm=field)
        return (*st.routed("/oauth2/user"), *st.user_checks(body, user))

    def case(name: str, code: str, before: tuple[str, ...], description: str) -> ErrorCase:
        """A case that the handler answers."""
        return error(name, code, "register-or-update", answered(before, code, description))

    mismatch = "Password «uuid:password» and PasswordConfirm «uuid:other» are not matched."
    return [
        case("register_user_400_email_exists", "ERR12021", lines(), "Email «uuid:email» exists."),
        case(
            "register_user_400_no_password",
            "ERR12011",
            lines(confirm=""),
            "Password «uuid:password» or PasswordConfirm null is empty.",
        ),
        case("register_user_400_password_no_match", "ERR12012", lines("«uuid:other»"), mismatch),
        case("register_user_400_user_exists", "ERR12020", lines(user="«user»"), "User id «user» exists."),
        case("update_user_404_no_user", "ERR12013", lines(), "User «hex:id» is not found."),
    ]


def _password_cases() -> list[ErrorCase]:
    other = fill(st.PASSWORD_BODY, confirm="«uuid:other»")
    mismatch = "Password «uuid:new» and PasswordConfirm «uuid:other» are not matched."

    def case(name: str, code: str, before: tuple[str, ...], description: str) -> ErrorCase:
        """A case that the handler answers."""
        return error(name, code, "password", answered(before, code, description))

    return [
        case("update_password_400_not_match", "ERR12012", h.change_password(other, "«uuid:other»"), mismatch),
        case("update_password_401_wrong_password", "ERR12016", h.change_password(), "Incorrect password."),
        case(
            "update_password_404_user_not_found",
            "ERR12013",
            h.change_password(user="«hex:missing»"),
            "User «hex:missing» is not found.",
        ),
    ]


def resource_cases() -> tuple[ErrorCase, ...]:
    """Return the error cases of the client, service, user and refresh-token services."""
    return (
        *_lookups(),
        *_client_cases("register", "register"),
        *_client_cases("update", "update"),
        *_service_cases(),
        *_user_cases(),
        *_password_cases(),
    )

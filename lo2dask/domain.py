"""What LO2 is: its services, its test cases, and which of them is normal (Bakhtin et al., arXiv 2504.12067)."""

from collections.abc import Mapping
from types import MappingProxyType

# The test case of normal traffic; each other one is named after the error that it provokes.
CORRECT = "correct"
SERVICES = ("client", "code", "key", "refresh-token", "service", "token", "user")
# The service that answers each error case with its error, by the source of light-oauth2 or as seen in LO2.
FAILING_SERVICES: Mapping[str, str] = MappingProxyType(
    {
        "access_token_auth_header_error_401": "token",
        "access_token_authorization_form_401": "token",
        "access_token_client_id_not_found_404": "token",
        "access_token_client_secret_wrong_401": "token",
        "access_token_form_urlencoded_400": "token",
        "access_token_illegal_grant_type_400": "token",
        "access_token_missing_authorization_header_400": "token",
        "authorization_code_client_id_missing_400": "code",
        "authorization_code_invalid_client_id_404": "code",
        "authorization_code_invalid_password_401": "code",
        "authorization_code_missing_response_type_400": "code",
        "authorization_code_response_not_code_400": "code",
        "code_challenge_invalid_format_pkce_400": "code",
        "code_challenge_too_long_pkce_400": "code",
        "code_challenge_too_short_pkce_400": "code",
        "code_verifier_missing_pkce_400": "token",
        "code_verifier_too_long_pkce_400": "token",
        "code_verifier_too_short_pkce_400": "token",
        "delete_client_404_no_client": "client",
        "delete_service_404_no_service": "service",
        "delete_token_404": "refresh-token",
        "delete_user_404_no_user": "user",
        "get_client_404_no_client": "client",
        "get_client_page_400_no_page": "client",
        "get_service_404_no_service": "service",
        "get_service_page_400_no_page": "service",
        "get_token_404": "refresh-token",
        "get_token_page_400_no_page": "refresh-token",
        "get_user_404_no_user": "user",
        "get_user_page_400_no_page": "user",
        "invalid_code_challenge_method_pkce_400": "code",
        "invalid_code_verifier_format_PKCE_400": "token",
        "register_client_400_clientProfile": "client",
        "register_client_400_clientType": "client",
        "register_client_404_no_user": "client",
        "register_service_400_service_id": "service",
        "register_service_400_service_type": "service",
        "register_service_404_no_user": "service",
        "register_user_400_email_exists": "user",
        "register_user_400_no_password": "user",
        "register_user_400_password_no_match": "user",
        "register_user_400_user_exists": "user",
        "update_client_400_clientProfile": "client",
        "update_client_400_clientType": "client",
        "update_client_404_clientId": "client",
        "update_client_404_ownerId": "client",
        "update_password_400_not_match": "user",
        "update_password_401_wrong_password": "user",
        "update_password_404_user_not_found": "user",
        "update_service_404_service_id": "service",
        "update_service_404_user_id": "service",
        "update_user_404_no_user": "user",
        "verification_failed_pkce_400": "token",
    }
)
ERROR_CASES = tuple(FAILING_SERVICES)

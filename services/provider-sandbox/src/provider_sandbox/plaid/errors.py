"""Plaid's error codes, their types and HTTP statuses, and the body they travel in."""

from dataclasses import dataclass
from typing import Any

DOCS = "https://plaid.com/docs/?ref=error#"


@dataclass(frozen=True, slots=True)
class Meaning:
    """What one error code stands for: its type, its HTTP status and the default texts."""

    error_type: str
    status: int
    message: str
    display: str | None = None


def _item(message: str, display: str | None = None) -> Meaning:
    return Meaning("ITEM_ERROR", 400, message, display)


def _input(message: str) -> Meaning:
    return Meaning("INVALID_INPUT", 400, message)


def _request(message: str, status: int = 400) -> Meaning:
    return Meaning("INVALID_REQUEST", status, message)


def _institution(message: str) -> Meaning:
    return Meaning("INSTITUTION_ERROR", 400, message, "this institution is not responding at the moment")


def _limit(
    message: str = "rate limit exceeded for attempts to access this item. please try again later",
) -> Meaning:
    return Meaning("RATE_LIMIT_EXCEEDED", 429, message)


_LOGIN = "the login details of this item have changed (credentials, MFA, or required user action) and a user login is required to update this information. use Link's update mode to restore the item to a good state"

MEANING: dict[str, Meaning] = {
    "ITEM_LOGIN_REQUIRED": _item(_LOGIN),
    "ITEM_NOT_FOUND": _item("the item you requested cannot be found. it may have been removed"),
    "ITEM_LOCKED": _item("the account is locked", "The account is locked. Please contact the institution."),
    "ITEM_NOT_SUPPORTED": _item("this account is currently not supported"),
    "INVALID_CREDENTIALS": _item(
        "the provided credentials were not correct", "The credentials you provided were incorrect."
    ),
    "INVALID_MFA": _item("the provided MFA response was not correct", "The code you entered was incorrect."),
    "MFA_NOT_SUPPORTED": _item("this account requires a MFA type that is not supported"),
    "USER_SETUP_REQUIRED": _item(
        "the account has not been fully set up", "Please log in and finish the setup."
    ),
    "USER_INPUT_TIMEOUT": _item("user did not provide a response in time"),
    "USER_PERMISSION_REVOKED": _item("the user revoked access to this item"),
    "PASSWORD_RESET_REQUIRED": _item("the user must reset their password at the institution"),
    "NO_ACCOUNTS": _item("no valid accounts were found for this item", "No eligible accounts were found."),
    "NO_INVESTMENT_ACCOUNTS": _item(
        "no valid investment accounts were found for this item", "No investment accounts were found."
    ),
    "ACCESS_NOT_GRANTED": _item("access to this product was not granted for the account"),
    "PRODUCTS_NOT_SUPPORTED": _item("this product is not supported by this institution or account"),
    "PRODUCT_NOT_ENABLED": _item("this product is not enabled for the item"),
    "PRODUCT_NOT_READY": _item(
        "the requested product is not yet ready. please provide a webhook or try later"
    ),
    "ADDITIONAL_CONSENT_REQUIRED": _input("client does not have user consent to access this product"),
    "INVALID_API_KEYS": _input("invalid client_id or secret provided"),
    "INVALID_ACCESS_TOKEN": _input("could not find matching access token"),
    "INVALID_PUBLIC_TOKEN": _input("could not find matching public token"),
    "INVALID_LINK_TOKEN": _input("could not find matching link token"),
    "INVALID_ACCOUNT_ID": _input("failed to find requested account ID for requested item"),
    "INVALID_INSTITUTION": _input("invalid institution_id provided"),
    "INVALID_PRODUCT": _input("client is not authorized to access the requested product"),
    "INVALID_WEBHOOK_VERIFICATION_KEY_ID": _input("the key_id provided is not a known verification key"),
    "MISSING_FIELDS": _request("the following required fields are missing"),
    "INVALID_FIELD": _request("a field of the request is invalid"),
    "UNKNOWN_FIELDS": _request("the request holds fields that are not recognized"),
    "INVALID_BODY": _request("body could not be parsed as JSON"),
    "INVALID_HEADERS": _request("missing application/json content type header"),
    "INVALID_CONFIGURATION": _request("the request is not valid for this link token configuration"),
    "NOT_FOUND": _request("not found", 404),
    "INSTITUTION_DOWN": _institution("this institution is not currently responding to requests"),
    "INSTITUTION_NOT_RESPONDING": _institution(
        "this institution is not currently responding to this request"
    ),
    "INSTITUTION_NOT_AVAILABLE": _institution("this institution is not currently available"),
    "INSTITUTION_NO_LONGER_SUPPORTED": _institution("this institution is no longer supported"),
    "INTERNAL_SERVER_ERROR": Meaning("API_ERROR", 500, "an unexpected error occurred"),
    "PLANNED_MAINTENANCE": Meaning("API_ERROR", 503, "the API is undergoing planned maintenance"),
    "SANDBOX_PRODUCT_NOT_ENABLED": Meaning(
        "SANDBOX_ERROR",
        400,
        "the requested product is not enabled for the item or the webhook cannot be fired",
    ),
    "SANDBOX_WEBHOOK_INVALID": Meaning("SANDBOX_ERROR", 400, "the item has no webhook to fire at"),
    "TRANSACTIONS_SYNC_MUTATION_DURING_PAGINATION": Meaning(
        "TRANSACTIONS_ERROR", 400, "underlying transaction data changed since last page was fetched"
    ),
    "RATE_LIMIT": _limit(),
    "ACCOUNTS_LIMIT": _limit(),
    "ACCOUNTS_BALANCE_GET_LIMIT": _limit(),
    "INSTITUTION_RATE_LIMIT": _limit(),
    "INSTITUTIONS_GET_LIMIT": _limit(),
    "INSTITUTIONS_GET_BY_ID_LIMIT": _limit(),
    "INVESTMENT_HOLDINGS_GET_LIMIT": _limit(),
    "INVESTMENT_TRANSACTIONS_LIMIT": _limit(),
    "ITEM_GET_LIMIT": _limit(),
    "TRANSACTIONS_LIMIT": _limit(),
    "TRANSACTIONS_SYNC_LIMIT": _limit(),
}
_UNKNOWN = Meaning("API_ERROR", 500, "an unexpected error occurred")


class PlaidError(Exception):
    """One Plaid error on its way to the caller; `code` is an `error_code` of the documentation."""

    def __init__(self, code: str, message: str | None = None) -> None:
        self.code = code
        self.meaning = MEANING.get(code, _UNKNOWN)
        self.message = message or self.meaning.message
        super().__init__(f"{code}: {self.message}")

    @property
    def status(self) -> int:
        """The HTTP status Plaid answers this code with."""
        return self.meaning.status

    def body(self, request_id: str) -> dict[str, Any]:
        """The error as an HTTP response body."""
        return {**self._fields(), "request_id": request_id}

    def in_webhook(self) -> dict[str, Any]:
        """The error inside a webhook or an Item: no `request_id`, but the HTTP `status`."""
        return {**self._fields(), "status": self.status}

    def in_item(self) -> dict[str, Any]:
        """The error as `/item/get` and link sessions show it."""
        return self._fields()

    def _fields(self) -> dict[str, Any]:
        meaning = self.meaning
        anchor = meaning.error_type.lower().replace("_", "-") + "-errors"
        return {
            "error_type": meaning.error_type,
            "error_code": self.code,
            "error_code_reason": None,
            "error_message": self.message,
            "display_message": meaning.display,
            "documentation_url": DOCS + anchor.replace("error-errors", "errors"),
            "suggested_action": None,
        }

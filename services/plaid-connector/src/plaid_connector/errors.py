"""Plaid's error codes in our terms: one table, the cause stays attached.

Branches on ``error_type`` and ``error_code`` only; Plaid says texts may change. Source: Plaid API errors.
"""

import httpx
import msgspec

from contracts.errors import (
    ErrorCode,
    GoneError,
    OutcomeUnknownError,
    ProviderError,
    RefusedError,
    RepairNeededError,
    TransientError,
)
from plaid_connector.wire import PlaidError

PROVIDER = "plaid"

_REPAIR = (RepairNeededError, ErrorCode.CONNECTION_BROKEN)
_NO_ACCOUNTS = (RepairNeededError, ErrorCode.NO_INVESTMENT_ACCOUNTS)
_GONE = (GoneError, ErrorCode.CONNECTION_GONE)
_BUSY = (TransientError, ErrorCode.RATE_LIMITED)
_NOT_READY = (TransientError, ErrorCode.DATA_NOT_READY)
_DOWN = (TransientError, ErrorCode.INSTITUTION_UNAVAILABLE)
_OUTAGE = (TransientError, ErrorCode.PROVIDER_UNAVAILABLE)
_REFUSED = (RefusedError, ErrorCode.PROVIDER_REFUSED)
_KEYS = (RefusedError, ErrorCode.PROVIDER_CREDENTIALS_INVALID)
_NOT_OFFERED = (RefusedError, ErrorCode.NOT_SUPPORTED)

BY_CODE: dict[str, tuple[type[ProviderError], ErrorCode]] = {
    "ITEM_LOGIN_REQUIRED": _REPAIR,
    "ADDITIONAL_CONSENT_REQUIRED": _REPAIR,
    "ACCESS_NOT_GRANTED": _REPAIR,
    "USER_SETUP_REQUIRED": _REPAIR,
    "PASSWORD_RESET_REQUIRED": _REPAIR,
    "ITEM_LOCKED": _REPAIR,
    "INVALID_CREDENTIALS": _REPAIR,
    "NO_ACCOUNTS": _NO_ACCOUNTS,
    "NO_INVESTMENT_ACCOUNTS": _NO_ACCOUNTS,
    "NO_INVESTMENT_AUTH_ACCOUNTS": _NO_ACCOUNTS,
    "ITEM_NOT_FOUND": _GONE,
    "USER_PERMISSION_REVOKED": _GONE,
    "PRODUCT_NOT_READY": _NOT_READY,
    "TRANSACTIONS_SYNC_MUTATION_DURING_PAGINATION": _NOT_READY,
    "PRODUCTS_NOT_SUPPORTED": _NOT_OFFERED,
    "PRODUCT_NOT_SUPPORTED": _NOT_OFFERED,
    "INSTITUTION_DOWN": _DOWN,
    "INSTITUTION_NOT_RESPONDING": _DOWN,
    "INSTITUTION_NOT_AVAILABLE": _DOWN,
    "INVALID_API_KEYS": _KEYS,
    "UNAUTHORIZED_ENVIRONMENT": _KEYS,
    "INVALID_PUBLIC_TOKEN": (RefusedError, ErrorCode.LINK_FAILED),
    "INVALID_LINK_TOKEN": (RefusedError, ErrorCode.LINK_SESSION_EXPIRED),
}
"""Codes that decide by themselves."""

NOT_OFFERED = {
    "ADDITIONAL_CONSENT_REQUIRED",
    "NO_INVESTMENT_ACCOUNTS",
    "PRODUCTS_NOT_SUPPORTED",
    "PRODUCT_NOT_ENABLED",
    "PRODUCT_NOT_SUPPORTED",
}
"""Codes that say that an Item has no transactions to tell; its holdings are another matter."""

BY_TYPE: dict[str, tuple[type[ProviderError], ErrorCode]] = {
    "RATE_LIMIT_EXCEEDED": _BUSY,
    "INSTITUTION_ERROR": _DOWN,
    "API_ERROR": _OUTAGE,
}
"""Types that decide where the code does not; every other type is refused."""


def meaning(error: PlaidError, status: int) -> tuple[type[ProviderError], ErrorCode]:
    """What a Plaid error means to us; an unknown 5xx is an outage, an unknown 4xx a refusal."""
    if known := BY_CODE.get(error.error_code) or BY_TYPE.get(error.error_type):
        return known
    if status == 429:
        return _BUSY
    return _OUTAGE if status >= 500 else _REFUSED


def normalize_plaid_error(error: PlaidError, status: int, wait: float | None = None) -> ProviderError:
    """Our error for a Plaid error body; ``wait`` is the ``Retry-After`` in seconds, where one came."""
    kind, code = meaning(error, status)
    made = kind(
        f"Plaid answered {error.error_code or status}",
        code=code,
        provider=PROVIDER,
        provider_code=error.error_code or None,
        provider_request_id=error.request_id,
        status=status,
    )
    return made.waiting(wait) if isinstance(made, TransientError) else made


def protocol_error(what: str, status: int, request_id: str | None = None) -> ProviderError:
    """Our error for an answer that cannot be understood; transient, because a proxy page goes away."""
    return TransientError(
        f"Plaid's answer to {what} could not be understood",
        code=ErrorCode.PROVIDER_PROTOCOL,
        provider=PROVIDER,
        provider_request_id=request_id,
        status=status,
    )


def item_error(error: PlaidError, request_id: str) -> ProviderError:
    """Our error for one of the Item that came beside data."""
    return normalize_plaid_error(msgspec.structs.replace(error, request_id=request_id), 400)


def unanswered(what: str, error: httpx.HTTPError) -> ProviderError:
    """Our error for a call that may not be repeated and got no (whole) answer: it was not sent, or nobody knows."""
    slow = isinstance(error, httpx.TimeoutException)
    code = ErrorCode.TIMEOUT if slow else ErrorCode.PROVIDER_UNAVAILABLE
    if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout):
        return TransientError(f"Plaid could not be asked {what}", code=code, provider=PROVIDER)
    return unknown(what, code)


def unknown(what: str, code: ErrorCode, status: int | None = None) -> OutcomeUnknownError:
    """Our error for a call that Plaid may have taken, and may charge for."""
    text = f"Plaid gave no answer to {what}: whether it acted is unknown"
    return OutcomeUnknownError(text, code=code, provider=PROVIDER, status=status)


def unreachable(what: str) -> ProviderError:
    """Our error for a network failure or a time-out on a call that may be repeated."""
    return TransientError(
        f"Plaid did not answer {what}", code=ErrorCode.PROVIDER_UNAVAILABLE, provider=PROVIDER
    )

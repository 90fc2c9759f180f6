"""Plaid's error codes in our terms: one table, the cause stays attached.

Branches on ``error_type`` and ``error_code`` only; Plaid says texts may change. Source: Plaid API errors.
"""

from contracts.errors import (
    ErrorCode,
    GoneError,
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
    "INSTITUTION_DOWN": _DOWN,
    "INSTITUTION_NOT_RESPONDING": _DOWN,
    "INSTITUTION_NOT_AVAILABLE": _DOWN,
    "INVALID_API_KEYS": _KEYS,
    "UNAUTHORIZED_ENVIRONMENT": _KEYS,
    "INVALID_PUBLIC_TOKEN": (RefusedError, ErrorCode.LINK_FAILED),
    "INVALID_LINK_TOKEN": (RefusedError, ErrorCode.LINK_SESSION_EXPIRED),
}
"""Codes that decide by themselves."""

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


def unreachable(what: str) -> ProviderError:
    """Our error for a network failure or a time-out on a call that may be repeated."""
    return TransientError(
        f"Plaid did not answer {what}", code=ErrorCode.PROVIDER_UNAVAILABLE, provider=PROVIDER
    )

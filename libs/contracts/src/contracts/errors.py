"""Errors: what an adapter may raise, named by what to do next, and the codes users and frontends see."""

import tomllib
from enum import StrEnum
from importlib.resources import files

import msgspec

from contracts.struct import Record


class ProviderError(Exception):
    """A provider call that did not work; subclasses say what to do next.

    ``code`` is ours (an ``ErrorCode``), ``provider_code`` and ``provider_request_id`` are the provider's
    own, for support. The message is safe to log and to show: it never holds a secret, a URL or a body.
    """

    def __init__(
        self,
        message: str,
        *,
        code: "ErrorCode",
        provider: str,
        provider_code: str | None = None,
        provider_request_id: str | None = None,
        status: int | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.provider = provider
        self.provider_code = provider_code
        self.provider_request_id = provider_request_id
        self.status = status


class TransientError(ProviderError):
    """Try again later; ``wait`` is the provider's own advice in seconds, if it gave any."""

    wait: float | None = None  # seconds, no amount

    def waiting(self, seconds: float | None) -> "TransientError":
        """The same error with the provider's advice on when to come back."""
        self.wait = seconds
        return self


class RepairNeededError(ProviderError):
    """The user must act at the institution; polling stops until a repair."""


class GoneError(ProviderError):
    """The connection, account or user no longer exists at the provider."""


class RefusedError(ProviderError):
    """The request itself is wrong or not allowed; the same call will fail again."""


class OutcomeUnknownError(ProviderError):
    """A placement whose fate is unknown; it must be reconciled, never re-sent."""


class ErrorCode(StrEnum):
    """Every code an error body can carry; ``MEANING`` holds its status, who must act and what to do."""

    BAD_REQUEST = "BAD_REQUEST"
    VALIDATION_FAILED = "VALIDATION_FAILED"
    UNAUTHENTICATED = "UNAUTHENTICATED"
    FORBIDDEN = "FORBIDDEN"
    NOT_FOUND = "NOT_FOUND"
    METHOD_NOT_ALLOWED = "METHOD_NOT_ALLOWED"
    CONFLICT = "CONFLICT"
    BODY_TOO_LARGE = "BODY_TOO_LARGE"
    UNSUPPORTED_MEDIA_TYPE = "UNSUPPORTED_MEDIA_TYPE"
    RATE_LIMITED = "RATE_LIMITED"
    REQUEST_TIMEOUT = "REQUEST_TIMEOUT"
    STARTING = "STARTING"
    TIMEOUT = "TIMEOUT"
    INTERNAL = "INTERNAL"
    UNAVAILABLE = "UNAVAILABLE"
    UNKNOWN_INSTITUTION = "UNKNOWN_INSTITUTION"
    PROVIDER_DISABLED = "PROVIDER_DISABLED"
    PROVIDER_NOT_SUPPORTED = "PROVIDER_NOT_SUPPORTED"
    TRADING_NOT_SUPPORTED = "TRADING_NOT_SUPPORTED"
    REDIRECT_NOT_ALLOWED = "REDIRECT_NOT_ALLOWED"
    LINK_SESSION_EXPIRED = "LINK_SESSION_EXPIRED"
    LINK_FAILED = "LINK_FAILED"
    LINK_NOT_FINISHED = "LINK_NOT_FINISHED"
    CONNECTION_BROKEN = "CONNECTION_BROKEN"
    CONNECTION_GONE = "CONNECTION_GONE"
    DATA_NOT_READY = "DATA_NOT_READY"
    NO_INVESTMENT_ACCOUNTS = "NO_INVESTMENT_ACCOUNTS"
    SNAPTRADE_NOT_REGISTERED = "SNAPTRADE_NOT_REGISTERED"
    SNAPTRADE_USER_MISMATCH = "SNAPTRADE_USER_MISMATCH"
    SIGNATURE_INVALID = "SIGNATURE_INVALID"
    PROVIDER_CREDENTIALS_INVALID = "PROVIDER_CREDENTIALS_INVALID"
    PROVIDER_REFUSED = "PROVIDER_REFUSED"
    PROVIDER_UNAVAILABLE = "PROVIDER_UNAVAILABLE"
    PROVIDER_PROTOCOL = "PROVIDER_PROTOCOL"
    INSTITUTION_UNAVAILABLE = "INSTITUTION_UNAVAILABLE"
    PRECONDITION_FAILED = "PRECONDITION_FAILED"
    NOT_A_MANUAL_ACCOUNT = "NOT_A_MANUAL_ACCOUNT"
    FILE_UNREADABLE = "FILE_UNREADABLE"
    IMPORT_HAS_ERRORS = "IMPORT_HAS_ERRORS"
    PREVIEW_EXPIRED = "PREVIEW_EXPIRED"
    NOT_SUPPORTED = "NOT_SUPPORTED"
    ALREADY_LINKED = "ALREADY_LINKED"
    REFRESH_TOO_SOON = "REFRESH_TOO_SOON"
    BUDGET_EXHAUSTED = "BUDGET_EXHAUSTED"
    TRADING_DISABLED = "TRADING_DISABLED"
    ACCOUNT_NOT_TRADABLE = "ACCOUNT_NOT_TRADABLE"
    INSUFFICIENT_BUYING_POWER = "INSUFFICIENT_BUYING_POWER"
    INSUFFICIENT_QUANTITY = "INSUFFICIENT_QUANTITY"
    ORDER_TOO_LARGE = "ORDER_TOO_LARGE"
    DAILY_LIMIT_EXCEEDED = "DAILY_LIMIT_EXCEEDED"
    PRICE_OUT_OF_RANGE = "PRICE_OUT_OF_RANGE"
    DUPLICATE_SUSPECTED = "DUPLICATE_SUSPECTED"
    ORDER_RATE_LIMITED = "ORDER_RATE_LIMITED"
    ORDER_BEING_VERIFIED = "ORDER_BEING_VERIFIED"
    PREVIEW_MISMATCH = "PREVIEW_MISMATCH"
    ORDER_REJECTED = "ORDER_REJECTED"
    ORDER_OUTCOME_UNKNOWN = "ORDER_OUTCOME_UNKNOWN"
    ORDER_NOT_OPEN = "ORDER_NOT_OPEN"
    IDEMPOTENCY_KEY_MISSING = "IDEMPOTENCY_KEY_MISSING"
    IDEMPOTENCY_KEY_REUSED = "IDEMPOTENCY_KEY_REUSED"
    REQUEST_IN_PROGRESS = "REQUEST_IN_PROGRESS"


class Meaning(Record, frozen=True, kw_only=True):
    """What a code means to people."""

    status: int
    meaning: str
    who: str
    action: str


def _read(text: str) -> dict[ErrorCode, Meaning]:
    return {ErrorCode(name): msgspec.convert(row, Meaning) for name, row in tomllib.loads(text).items()}


MEANING: dict[ErrorCode, Meaning] = _read(
    files("contracts").joinpath("errors.toml").read_text(encoding="utf-8")
)
"""One entry a code; the documentation of errors is generated from it and a test demands one for each."""

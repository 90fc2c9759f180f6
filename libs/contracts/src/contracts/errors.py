"""Errors: what an adapter may raise, named by what to do next, and the codes users and frontends see."""

from enum import StrEnum

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


class Meaning(Record, frozen=True, kw_only=True):
    """What a code means to people."""

    status: int
    meaning: str
    who: str
    action: str


MEANING: dict[ErrorCode, Meaning] = {
    code: Meaning(status=status, meaning=meaning, who=who, action=action)
    for code, status, meaning, who, action in [
        (
            ErrorCode.BAD_REQUEST,
            400,
            "The request could not be read.",
            "app developer",
            "Send well-formed JSON and headers.",
        ),
        (
            ErrorCode.VALIDATION_FAILED,
            422,
            "A field is missing, unknown or out of range; details name it.",
            "app developer",
            "Correct the named fields.",
        ),
        (ErrorCode.UNAUTHENTICATED, 401, "No valid token was sent.", "app", "Sign in again and retry."),
        (
            ErrorCode.FORBIDDEN,
            403,
            "The token is valid but may not do this.",
            "app",
            "Use an account with the needed role.",
        ),
        (ErrorCode.NOT_FOUND, 404, "There is no such thing, or it is not yours.", "app", "Check the id."),
        (
            ErrorCode.METHOD_NOT_ALLOWED,
            405,
            "The path exists, the method does not.",
            "app developer",
            "See the API reference.",
        ),
        (
            ErrorCode.CONFLICT,
            409,
            "The state of the thing does not allow this now.",
            "app",
            "Read it again and decide anew.",
        ),
        (
            ErrorCode.BODY_TOO_LARGE,
            413,
            "The body is larger than this path accepts.",
            "app developer",
            "Send less.",
        ),
        (
            ErrorCode.UNSUPPORTED_MEDIA_TYPE,
            415,
            "The body is not JSON.",
            "app developer",
            "Send application/json.",
        ),
        (
            ErrorCode.RATE_LIMITED,
            429,
            "Too many requests, here or at the provider.",
            "app",
            "Wait for Retry-After seconds.",
        ),
        (ErrorCode.REQUEST_TIMEOUT, 408, "The request did not arrive in time.", "app", "Send it again."),
        (ErrorCode.STARTING, 503, "The service has only just started.", "app", "Retry in a second."),
        (ErrorCode.TIMEOUT, 503, "The answer took too long and was given up.", "app", "Retry with backoff."),
        (ErrorCode.INTERNAL, 500, "A fault of ours.", "operator", "Look up the request id in the logs."),
        (
            ErrorCode.UNAVAILABLE,
            503,
            "The database or the message broker is out of reach.",
            "operator",
            "See the runbook; clients retry with backoff.",
        ),
        (
            ErrorCode.UNKNOWN_INSTITUTION,
            404,
            "No institution of that name is known and none can be guessed.",
            "app",
            "Pick one from GET /v1/institutions.",
        ),
        (
            ErrorCode.PROVIDER_DISABLED,
            409,
            "The provider that would serve this is switched off.",
            "operator",
            "Enable it or choose another provider.",
        ),
        (
            ErrorCode.PROVIDER_NOT_SUPPORTED,
            422,
            "The chosen provider does not serve this institution.",
            "app",
            "Omit the provider or choose one offered.",
        ),
        (
            ErrorCode.TRADING_NOT_SUPPORTED,
            409,
            "Trading is not possible at this institution or account.",
            "user",
            "Link without trading.",
        ),
        (
            ErrorCode.REDIRECT_NOT_ALLOWED,
            422,
            "The redirect address is not on the allow-list.",
            "operator",
            "Add it to LINK_REDIRECT_ALLOW_LIST.",
        ),
        (
            ErrorCode.LINK_SESSION_EXPIRED,
            410,
            "The link session ran out of time.",
            "user",
            "Start linking again.",
        ),
        (
            ErrorCode.LINK_FAILED,
            409,
            "The institution refused or the user gave up; details say which.",
            "user",
            "Start linking again.",
        ),
        (
            ErrorCode.LINK_NOT_FINISHED,
            409,
            "The provider has not yet seen the user finish.",
            "user",
            "Finish at the provider, then complete again.",
        ),
        (
            ErrorCode.CONNECTION_BROKEN,
            409,
            "The institution no longer accepts the connection.",
            "user",
            "Reconnect.",
        ),
        (
            ErrorCode.CONNECTION_GONE,
            410,
            "The connection no longer exists at the provider.",
            "user",
            "Link the institution again.",
        ),
        (
            ErrorCode.DATA_NOT_READY,
            503,
            "The provider is still fetching for the first time.",
            "app",
            "Wait; it arrives by itself.",
        ),
        (
            ErrorCode.NO_INVESTMENT_ACCOUNTS,
            409,
            "No investment account was shared.",
            "user",
            "Reconnect and tick an investment account.",
        ),
        (
            ErrorCode.SNAPTRADE_NOT_REGISTERED,
            428,
            "The user is not registered at SnapTrade.",
            "app",
            "Finish registration by starting a link.",
        ),
        (
            ErrorCode.SNAPTRADE_USER_MISMATCH,
            409,
            "SnapTrade does not accept the stored user and secret.",
            "operator",
            "Reset the SnapTrade user.",
        ),
        (
            ErrorCode.SIGNATURE_INVALID,
            401,
            "The provider rejected our signature: configuration, clock or secret.",
            "operator",
            "Check the keys and the clock.",
        ),
        (
            ErrorCode.PROVIDER_CREDENTIALS_INVALID,
            502,
            "The provider rejected our application's credentials.",
            "operator",
            "Check the configured keys.",
        ),
        (
            ErrorCode.PROVIDER_REFUSED,
            502,
            "The provider refused the request.",
            "operator",
            "See the provider's code in details.",
        ),
        (
            ErrorCode.PROVIDER_UNAVAILABLE,
            503,
            "The provider is failing or out of reach.",
            "app",
            "Retry later; the last data stays.",
        ),
        (
            ErrorCode.PROVIDER_PROTOCOL,
            502,
            "The provider answered something that cannot be understood.",
            "operator",
            "Report it with the request id; the last data stays.",
        ),
        (
            ErrorCode.INSTITUTION_UNAVAILABLE,
            503,
            "The institution is down at the provider.",
            "app",
            "Retry later; the last data stays.",
        ),
        (
            ErrorCode.PRECONDITION_FAILED,
            412,
            "It has changed since the state named in If-Match.",
            "app",
            "Read it again and decide anew.",
        ),
        (
            ErrorCode.NOT_A_MANUAL_ACCOUNT,
            409,
            "The account comes from a provider; only accounts entered by hand can be edited.",
            "app",
            "Offer editing only where the provider is manual.",
        ),
        (
            ErrorCode.FILE_UNREADABLE,
            422,
            "The file cannot be read as a table; details say where and why.",
            "user",
            "Save it again as CSV in UTF-8, or name its delimiter and columns.",
        ),
        (
            ErrorCode.IMPORT_HAS_ERRORS,
            422,
            "The preview found rows that cannot be imported; nothing was.",
            "user",
            "Mend the file, choose how to read it, or skip the bad rows where that is possible.",
        ),
        (
            ErrorCode.PREVIEW_EXPIRED,
            409,
            "The preview ran out of time, or the account has changed since.",
            "app",
            "Preview the file again.",
        ),
    ]
}
"""One row a code; the documentation of errors is generated from it and a test demands a row for each."""

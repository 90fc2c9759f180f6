"""SnapTrade's errors in our terms: one table of its codes, one of bare statuses.

A code means the same under every status it was seen with, so codes are asked first. Messages are ours alone:
SnapTrade's text may repeat a user id.
"""

import re
from collections.abc import Mapping
from typing import Any

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

PROVIDER = "snaptrade"
Kind = type[ProviderError]
Entry = tuple[Kind, ErrorCode, str]

_REGISTERED = (RefusedError, ErrorCode.SNAPTRADE_USER_MISMATCH, "SnapTrade already has a user of this id")
_THROTTLED = (TransientError, ErrorCode.RATE_LIMITED, "SnapTrade asked us to slow down")
_BROKEN = (RepairNeededError, ErrorCode.CONNECTION_BROKEN, "the connection is disabled: reconnect it")
_SIGNATURE = (RefusedError, ErrorCode.SIGNATURE_INVALID, "SnapTrade rejected our signature")
_FORBIDDEN = (RefusedError, ErrorCode.PROVIDER_REFUSED, "the key has no permission for this")
_NOT_SUPPORTED = (
    RefusedError,
    ErrorCode.NOT_SUPPORTED,
    "neither this key nor this institution has the feature",
)
_BROKERAGE = (TransientError, ErrorCode.INSTITUTION_UNAVAILABLE, "the institution does not answer SnapTrade")

CODES: dict[str, Entry] = {
    "1006": (RefusedError, ErrorCode.LINK_SESSION_EXPIRED, "the link session is over"),
    "1010": _REGISTERED,
    "1011": (GoneError, ErrorCode.CONNECTION_GONE, "SnapTrade no longer has it"),
    "1012": (RefusedError, ErrorCode.PROVIDER_REFUSED, "SnapTrade refused the input"),
    "1023": (RefusedError, ErrorCode.LINK_FAILED, "the reconnect was done with another login"),
    "1066": _FORBIDDEN,
    "1076": _SIGNATURE,
    "1083": (
        RefusedError,
        ErrorCode.SNAPTRADE_USER_MISMATCH,
        "SnapTrade does not accept the stored user and secret",
    ),
    "1140": _FORBIDDEN,
    "1141": _NOT_SUPPORTED,
    "1166": (TransientError, ErrorCode.PROVIDER_UNAVAILABLE, "SnapTrade is already reading this account"),
    "3000": _BROKERAGE,
    "3002": _BROKERAGE,
    "3003": _BROKEN,
    "3011": _BROKEN,
    "3012": (TransientError, ErrorCode.DATA_NOT_READY, "SnapTrade is still fetching for the first time"),
    "throttled": _THROTTLED,
}
"""By SnapTrade's own code, whatever the status."""

STATUSES: dict[int, Entry] = {
    401: (RefusedError, ErrorCode.PROVIDER_CREDENTIALS_INVALID, "SnapTrade rejected our credentials"),
    402: _BROKEN,
    403: _FORBIDDEN,
    404: (RefusedError, ErrorCode.PROVIDER_REFUSED, "SnapTrade does not know the path"),
    408: (TransientError, ErrorCode.TIMEOUT, "SnapTrade took too long"),
    409: (TransientError, ErrorCode.PROVIDER_UNAVAILABLE, "SnapTrade is busy with the same thing"),
    410: (RefusedError, ErrorCode.PROVIDER_REFUSED, "SnapTrade no longer serves this endpoint to this key"),
    425: CODES["3012"],
    429: _THROTTLED,
    501: _NOT_SUPPORTED,
}
"""By status, where the code is absent or says nothing. A bare 404 is a wrong path, never proof of a loss."""

_REFUSED = (RefusedError, ErrorCode.PROVIDER_REFUSED, "SnapTrade refused the request")
_FAILING = (TransientError, ErrorCode.PROVIDER_UNAVAILABLE, "SnapTrade is failing")
_NO_TRADING = (
    RefusedError,
    ErrorCode.TRADING_NOT_SUPPORTED,
    "the institution cannot trade through SnapTrade",
)
_NOT_REGISTERED = (
    RefusedError,
    ErrorCode.SNAPTRADE_NOT_REGISTERED,
    "the user is not registered at SnapTrade",
)
_SERVER_ERROR = 500
_IN_SECONDS = re.compile(r"in (\d{1,6}) second")


def normalize_snaptrade_error(status: int, headers: Mapping[str, str], body: bytes) -> ProviderError:
    """The error an answer other than 2xx means, with the provider's code and request id."""
    code, detail = code_and_detail(body)
    kind, ours, message = _entry(status, code, detail.lower())
    error = kind(
        message,
        code=ours,
        provider=PROVIDER,
        provider_code=code or None,
        provider_request_id=headers.get("X-Request-ID"),
        status=status,
    )
    return error.waiting(wait(headers, detail)) if isinstance(error, TransientError) else error


def code_and_detail(body: bytes) -> tuple[str, str]:
    """The provider's code (always text) and its words, from any of the shapes it uses; empty when none."""
    try:
        found: Any = msgspec.json.decode(body)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return "", ""
    if not isinstance(found, dict):
        return "", ""
    code = found.get("code") or found.get("default_code") or ""
    detail = found.get("detail") or found.get("default_detail") or found.get("error") or ""
    return str(code)[:32], str(detail)[:500]


def _entry(status: int, code: str, detail: str) -> Entry:
    if "invalid timestamp" in detail or "verify signature" in detail:
        return _SIGNATURE
    if code == "1012" and "trade type" in detail:
        return _NO_TRADING
    if status == httpx.codes.UNAUTHORIZED and "user" in detail and "not found" in detail:
        return _NOT_REGISTERED
    if code in CODES:
        return CODES[code]
    if status in STATUSES:
        return STATUSES[status]
    return _FAILING if status >= _SERVER_ERROR else _REFUSED


def wait(headers: Mapping[str, str], detail: str) -> float | None:
    """The seconds after which SnapTrade wants to be asked again, from a header or its words."""
    for name in ("Retry-After", "X-RateLimit-Reset"):
        text = headers.get(name, "").strip()
        if text.isascii() and text.isdigit():
            return float(text)
    found = _IN_SECONDS.search(detail)
    return float(found[1]) if found else None


def protocol_error(
    message: str, *, status: int | None = None, request_id: str | None = None
) -> TransientError:
    """An answer that cannot be understood; the last good data stays and the next run asks again."""
    return TransientError(
        message,
        code=ErrorCode.PROVIDER_PROTOCOL,
        provider=PROVIDER,
        provider_request_id=request_id,
        status=status,
    )


def unanswered(error: httpx.RequestError, *, repeatable: bool) -> ProviderError:
    """The error of a call that got no (whole) answer.

    Where a repetition could do harm (``repeatable`` false) and the request may have arrived, the outcome is
    unknown. The text of httpx errors is left out: it can hold a URL, and with it a secret.
    """
    sent = not isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout)
    slow = isinstance(error, httpx.TimeoutException)
    code = ErrorCode.TIMEOUT if slow else ErrorCode.PROVIDER_UNAVAILABLE
    if sent and not repeatable:
        return outcome_unknown(error, code)
    if isinstance(error, httpx.DecodingError | httpx.ProtocolError):
        return protocol_error("SnapTrade's answer was cut off or garbled")
    message = "SnapTrade took too long" if slow else "SnapTrade is out of reach"
    return TransientError(message, code=code, provider=PROVIDER)


def outcome_unknown(
    error: Exception, code: ErrorCode = ErrorCode.PROVIDER_UNAVAILABLE
) -> OutcomeUnknownError:
    """The error of a call that may have been carried out; what is known of ``error`` stays."""
    known = error if isinstance(error, ProviderError) else None
    return OutcomeUnknownError(
        "no answer from SnapTrade: whether it acted is unknown",
        code=known.code if known else code,
        provider=PROVIDER,
        provider_code=known.provider_code if known else None,
        provider_request_id=known.provider_request_id if known else None,
        status=known.status if known else None,
    )


def not_registered() -> RefusedError:
    """A commercial key needs a registered user, and none is stored."""
    _, code, message = _NOT_REGISTERED
    return RefusedError(message, code=code, provider=PROVIDER)

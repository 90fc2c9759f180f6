"""What became of an order: which failures say for sure that nothing was done, and which leave it open. Pure.

A wrong "refused" loses an order that the broker has; a wrong "unknown" costs a look at the broker's list. So only
what is documented as a refusal, in words that leave no doubt, counts as one; whatever is not listed here is unknown.
"""

import re
from collections.abc import Mapping

import httpx

from contracts.errors import (
    ErrorCode,
    GoneError,
    OutcomeUnknownError,
    ProviderError,
    RefusedError,
    TransientError,
)
from service_kit.redaction import redact
from snaptrade_connector.errors import PROVIDER, code_and_detail, wait

NEVER_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
"""Failures before the first byte."""

REFUSING_STATUSES = frozenset({401, 402, 403, 404, 405, 410})
"""Answers of SnapTrade's own door, which the order did not pass."""
REFUSING_CODES = frozenset({"1011", "1012", "1066", "1068", "1076", "1083", "1140", "1141", "3003", "3011"})
"""What a 400 with one of these says happened before the broker was asked, or is the broker's own refusal."""
DOUBTFUL_CODES = frozenset({"1000", "3000", "3002", "3012"})
"""SnapTrade or the broker failed on the way: the order may have passed."""

BAD_REQUEST = 400
TOO_MANY = 429
MOST_WORDS = 300

_DOUBT = re.compile(
    r"tim(?:ed|ing)[ -]?out|time-?out|deadline|no (?:response|answer)|not respond|did not (?:answer|confirm)"
    r"|could not (?:be )?(?:confirm|determin|verif)|unable to (?:confirm|determine)|may have|might have"
    r"|unknown (?:state|status|outcome|error|result|response)|unexpected|internal (?:server )?error|gateway"
    r"|connection (?:was |has been )?(?:reset|closed|lost|aborted|refused|error|dropped)|temporar|unavailable"
    r"|in progress|being processed|duplicate|already (?:been )?(?:placed|submitted|received|exists)",
    re.IGNORECASE,
)
_REFUSAL = re.compile(
    r"not enough|do not have enough|insufficient|buying power|rejected|not permitted|not allowed|not tradable"
    r"|not supported|unsupported|market is closed|is required|not a valid|invalid|could not be found|halted",
    re.IGNORECASE,
)
_NOT_OPEN = re.compile(
    r"can(?:not|'t| not) be (?:cancel|replac|modif)|not open|no longer open|already (?:been )?"
    r"(?:cancel|fill|execut|clos|complet|replac)|too late",
    re.IGNORECASE,
)
_NO_PREVIEW = re.compile(
    r"not support.{0,40}(?:impact|preview|check)|(?:impact|preview).{0,40}not (?:support|avail)",
    re.IGNORECASE,
)
_ADDRESS = re.compile(r"\S+://\S+")
_UNPRINTABLE = re.compile(r"[^\x20-\x7e]+")


def unanswered(error: httpx.RequestError) -> ProviderError:
    """A call that got no whole answer."""
    slow = isinstance(error, httpx.TimeoutException)
    if isinstance(error, NEVER_SENT):
        return unsent(ErrorCode.TIMEOUT if slow else ErrorCode.PROVIDER_UNAVAILABLE)
    return unknown("no answer came from SnapTrade" if slow else "SnapTrade's answer was lost")


def answered(
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    *,
    hide: tuple[str, ...] = (),
    of_open_order: bool = False,
) -> ProviderError:
    """The error that an answer other than 2xx means; ``hide`` are texts that must not be repeated from it.

    ``of_open_order``: the call was about an order that had to be open, so it may have come too late.
    """
    code, detail = code_and_detail(body)
    request_id = headers.get("X-Request-ID")
    if status == TOO_MANY:
        slow = TransientError(
            "SnapTrade asked us to slow down; the order was not taken",
            code=ErrorCode.RATE_LIMITED,
            provider=PROVIDER,
            provider_code=code or None,
            provider_request_id=request_id,
            status=status,
        )
        return slow.waiting(wait(headers, detail))
    if not refuses(status, code, detail):
        return unknown(
            "SnapTrade's answer leaves open what became of it",
            provider_code=code or None,
            request_id=request_id,
            status=status,
        )
    closed = of_open_order and _NOT_OPEN.search(detail)
    return RefusedError(
        words(detail, hide) or "the broker refused it without a reason",
        code=ErrorCode.ORDER_NOT_OPEN if closed else ErrorCode.ORDER_REJECTED,
        provider=PROVIDER,
        provider_code=code or None,
        provider_request_id=request_id,
        status=status,
    )


def refuses(status: int, code: str, detail: str) -> bool:
    """Whether an answer says without doubt that nothing was done."""
    if code in DOUBTFUL_CODES or _DOUBT.search(detail):
        return False
    if status in REFUSING_STATUSES:
        return True
    return status == BAD_REQUEST and (code in REFUSING_CODES or bool(_REFUSAL.search(detail)))


def unknown(
    message: str,
    *,
    provider_code: str | None = None,
    request_id: str | None = None,
    status: int | None = None,
) -> OutcomeUnknownError:
    """Nobody knows whether it was done."""
    return OutcomeUnknownError(
        message,
        code=ErrorCode.ORDER_OUTCOME_UNKNOWN,
        provider=PROVIDER,
        provider_code=provider_code,
        provider_request_id=request_id,
        status=status,
    )


def unsent(code: ErrorCode) -> TransientError:
    """Not a byte of the order left."""
    return TransientError("SnapTrade is out of reach; nothing was sent", code=code, provider=PROVIDER)


def unreadable(request_id: str | None, status: int) -> OutcomeUnknownError:
    """A success that does not say of which order."""
    return unknown("SnapTrade's answer cannot be understood", request_id=request_id, status=status)


def refused(message: str, code: ErrorCode = ErrorCode.ORDER_REJECTED) -> RefusedError:
    """An order that SnapTrade has no way to take; nothing was sent."""
    return RefusedError(message, code=code, provider=PROVIDER)


def account_gone(error: GoneError) -> TransientError:
    """One account that vanished between listing and reading; the connection itself is not gone."""
    return TransientError(
        "an account is no longer there; the accounts must be listed again",
        code=ErrorCode.PROVIDER_UNAVAILABLE,
        provider=PROVIDER,
        provider_code=error.provider_code,
        provider_request_id=error.provider_request_id,
        status=error.status,
    )


def words(detail: str, hide: tuple[str, ...] = ()) -> str:
    """The broker's own words as they may be shown: short, printable, without addresses, secrets or who the user is."""
    for secret in hide:
        if secret:
            detail = detail.replace(secret, "…")
    plain = _UNPRINTABLE.sub(" ", _ADDRESS.sub(" ", detail))
    return redact(" ".join(plain.split()))[:MOST_WORDS]


def preview_refused(headers: Mapping[str, str], body: bytes, *, hide: tuple[str, ...] = ()) -> RefusedError:
    """What a 400 to a preview means: the broker has none, or would refuse the order. Nothing can be lost by it."""
    code, detail = code_and_detail(body)
    missing = bool(_NO_PREVIEW.search(detail))
    return RefusedError(
        words(detail, hide) or "the broker would refuse it",
        code=ErrorCode.NOT_SUPPORTED if missing else ErrorCode.ORDER_REJECTED,
        provider=PROVIDER,
        provider_code=code or None,
        provider_request_id=headers.get("X-Request-ID"),
        status=BAD_REQUEST,
    )

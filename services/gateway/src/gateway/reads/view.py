"""How a read is shown: cash under a chosen ticker, sums in a base currency. Nothing of it changes what is stored.

Both are parameters of a request; a deployment may choose the cash tickers for everybody who does not.
"""

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from hashlib import blake2b
from typing import Any

from contracts.errors import ErrorCode
from contracts.instruments import cash_key
from gateway.rates.currencies import ISO_4217
from gateway.rates.port import Rate, RateSource
from gateway.refusals import refusal
from service_kit.api_errors import ApiError

NO_PROXIES = "none"
"""What a request says to see cash as cash, whatever the deployment chose."""
ITSELF = "identity"
MOST_PROXIES = 20
_PROXY = re.compile(r"([A-Z]{3}):([A-Z0-9](?:[A-Z0-9.\-]{0,14}[A-Z0-9])?)")
NO_SOURCE = "No exchange rates are configured; the operator gives them as FX_RATES."
SOME_MISSING = "Some currencies have no rate; they are listed apart and are not part of the sum."


class ProxyError(ValueError):
    """Text that is no list of cash proxies; says what is wrong without repeating it."""


@dataclass(frozen=True, slots=True)
class Base:
    """The currency to show sums in, and the rates that are known into it."""

    currency: str
    rates: Mapping[str, Rate]

    @property
    def hint(self) -> str:
        """What to say where a rate is missing."""
        known = any(rate.source != ITSELF for rate in self.rates.values())
        return SOME_MISSING if known else NO_SOURCE


@dataclass(frozen=True, slots=True)
class View:
    """How to show positions; the plain one shows what is stored. ``proxies``: currency → ticker."""

    proxies: Mapping[str, str] = field(default_factory=dict)
    base: Base | None = None

    @property
    def plain(self) -> bool:
        """Whether it shows what is stored and computes nothing beside it."""
        return not self.proxies and self.base is None

    @property
    def tag(self) -> str:
        """What entity tags end with: different for views that show differently, empty for the plain one."""
        if self.plain:
            return ""
        return "-" + blake2b(json.dumps(self.values(), sort_keys=True).encode(), digest_size=8).hexdigest()

    def values(self) -> dict[str, str | None]:
        """The parameters of statements that show with a view."""
        proxies = {cash_key(currency): ticker for currency, ticker in self.proxies.items()}
        base = self.base
        return {
            "proxies": json.dumps(proxies, sort_keys=True),
            "base": base.currency if base else None,
            "rates": json.dumps(_rows(base.rates) if base else []),
            "hint": base.hint if base else None,
        }


PLAIN = View()


def proxies(text: str) -> dict[str, str]:
    """Read ``USD:SGOV,CAD:CASH.TO``.

    Raises:
        ProxyError: a part is no pair, a currency is unknown or named twice, or a ticker cannot be one.
    """
    found: dict[str, str] = {}
    parts = text.split(",")
    if len(parts) > MOST_PROXIES:
        raise ProxyError("too many pairs")
    for part in parts:
        pair = _PROXY.fullmatch(part.strip())
        if pair is None:
            raise ProxyError("each part must be a currency and a ticker in capitals, such as USD:SGOV")
        currency, ticker = pair.groups()
        if currency not in ISO_4217:
            raise ProxyError("a currency must be one of ISO 4217")
        if currency in found:
            raise ProxyError("a currency may be named once")
        found[currency] = ticker
    return found


def wanted_proxies(asked: str | None, default: str) -> dict[str, str]:
    """The cash tickers of a request, or the deployment's where it names none.

    Raises:
        ApiError: 422, this is no list of them.
    """
    text = default if asked is None else asked
    if text == NO_PROXIES or (asked is None and not default):
        return {}
    try:
        return proxies(text)
    except ProxyError as error:
        raise invalid("cash_proxy", str(error)) from error


async def wanted_base(source: RateSource, currency: str, held: Collection[str], at: datetime) -> Base:
    """The base currency with its rates for the currencies held; its own is always 1.

    Raises:
        ApiError: 422, no such currency is known.
    """
    found = dict(await source.rates(currency, {*held, currency}, at))
    if currency not in ISO_4217 and currency not in found:
        raise invalid("base", "not a currency of ISO 4217, and not one with a rate")
    found[currency] = Rate(Decimal(1), at, ITSELF)
    return Base(currency, {code: rate for code, rate in found.items() if code in held})


def invalid(parameter: str, message: str) -> ApiError:
    """The refusal of a query parameter, in the form the framework's own have."""
    wrong = {"location": ["query", parameter], "type": "value_error", "message": message}
    return refusal(ErrorCode.VALIDATION_FAILED, details={"errors": [wrong]})


def _rows(rates: Mapping[str, Rate]) -> list[dict[str, Any]]:
    return [
        {
            "currency": currency,
            "rate": format(rate.value, "f"),
            # Of a currency in itself there is no moment at which it was true.
            "as_of": None if rate.source == ITSELF else rate.as_of.isoformat(),
            "source": rate.source,
        }
        for currency, rate in sorted(rates.items())
    ]

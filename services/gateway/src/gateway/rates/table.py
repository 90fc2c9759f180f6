"""The rates of a static table: units of each currency for one US dollar, and exact cross rates."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_HALF_EVEN, Context, Decimal

from gateway.rates.port import Rate

PIVOT = "USD"
SOURCE = "table"
DIGITS = 18
"""Significant digits of a cross rate; the one rounding there is, half to even."""
_CROSS = Context(prec=DIGITS, rounding=ROUND_HALF_EVEN)


def cross(per_dollar_of_base: Decimal, per_dollar_of_currency: Decimal) -> Decimal:
    """What one unit of the currency is worth in the base, to eighteen significant digits."""
    return _CROSS.divide(per_dollar_of_base, per_dollar_of_currency)


@dataclass(frozen=True, slots=True)
class RateTable:
    """Rates that somebody wrote down at one moment: the same whatever moment is asked for.

    ``per_dollar``: units of a currency for one US dollar, each positive; the dollar is known as soon as
    anything is. ``as_of``: when they were true.
    """

    per_dollar: Mapping[str, Decimal]
    as_of: datetime

    async def rates(
        self,
        base: str,
        currencies: Collection[str],
        at: datetime,  # noqa: ARG002 - the port's signature; a table knows one moment
    ) -> Mapping[str, Rate]:
        """The rates into the base of those currencies that the table holds."""
        known = {**self.per_dollar, PIVOT: Decimal(1)} if self.per_dollar else {}
        if base not in known:
            return {}
        return {
            currency: Rate(cross(known[base], known[currency]), self.as_of, SOURCE)
            for currency in currencies
            if currency in known
        }

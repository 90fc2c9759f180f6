"""What an exchange rate is, and the port through which rates come in.

Another source of rates is a class with this one method, given to ``gateway.build.build``.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Rate:
    """What one unit of a currency is worth in the base: positive, with its own clock and its origin."""

    value: Decimal
    as_of: datetime
    source: str


class RateSource(Protocol):
    """Whoever knows exchange rates."""

    async def rates(self, base: str, currencies: Collection[str], at: datetime) -> Mapping[str, Rate]:
        """The rate of each of these currencies into ``base``, the newest that is known at ``at``.

        What is not known is left out, never guessed: the caller shows it apart. ``base`` itself has the rate 1
        exactly when the source knows that currency.
        """
        ...

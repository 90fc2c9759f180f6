"""What providers charge. Configuration, turned into values; pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from enum import StrEnum

CURRENCY = "USD"
"""Providers bill in US dollars."""
SHORTEST_GAP = timedelta(seconds=60)
"""Between two refreshes of one connection, whatever became of the first and whoever confirms the second."""


@dataclass(frozen=True, slots=True)
class Terms:
    """On which terms a connection is refreshed.

    ``price`` is None where the provider is not asked to fetch at all, but read again: that costs nothing.
    ``override`` says whether a user who confirms the cost may refresh more often than ``every``.
    """

    price: Decimal | None
    every: timedelta
    estimated: bool = False
    override: bool = False


class Basis(StrEnum):
    """What a provider bills by the month."""

    USER = "user"
    CONNECTION = "connection"


@dataclass(frozen=True, slots=True)
class Subscription:
    """What a provider charges per month for each user or connection that exists there."""

    price: Decimal
    basis: Basis
    estimated: bool = False


@dataclass(frozen=True, slots=True)
class PriceList:
    """Prices of each provider; one that nobody priced is read again, and costs nothing."""

    refreshes: Mapping[str, Terms] = field(default_factory=dict)
    subscriptions: Mapping[str, Subscription] = field(default_factory=dict)
    read_again_every: timedelta = timedelta(minutes=5)

    def terms(self, provider: str, *, realtime: bool, unsupported: bool = False) -> Terms:
        """The terms of a connection.

        Args:
            provider: its slug.
            realtime: the provider reads from the institution at every call: a refresh would buy nothing.
            unsupported: the provider said lately that it cannot refresh this one.
        """
        priced = self.refreshes.get(provider)
        if priced is None or realtime or unsupported:
            return Terms(price=None, every=self.read_again_every)
        return priced

"""Invented people: the accounts they really have, and how connections see them."""

import random
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from securities import SECURITIES, Security, cash

from contracts import ids
from contracts.accounts import AccountType, Capabilities, ProviderAccount
from contracts.clocks import Clocks
from contracts.holdings import Holding
from contracts.money import Money, product
from contracts.statuses import ConnectionStatus

NO_CASH = Decimal(0)


@dataclass
class TrueAccount:
    """An account as it exists at the institution: what is owned there, to the last digit."""

    institution: str
    number: str
    type: AccountType
    owned: dict[Security, Decimal] = field(default_factory=dict)
    cost: dict[Security, Decimal] = field(default_factory=dict)
    money: dict[str, Decimal] = field(default_factory=dict)
    sights: list["Sight"] = field(default_factory=list)
    open: bool = True


@dataclass
class Sight:
    """A true account as one connection sees it, with the habits of that provider."""

    account: TrueAccount
    external_id: str
    account_id: str
    provider: str
    shows_mask: bool
    stable_id: str | None
    shows_total: bool
    unpriced: set[Security] = field(default_factory=set)
    unknown_cost: set[Security] = field(default_factory=set)
    emptied: set[Security] = field(default_factory=set)
    """Sold, but still listed with nothing in it."""
    last: list[Holding] | None = None
    as_of: datetime | None = None
    versions: list[int] = field(default_factory=list)

    def listed(self, total: Decimal | None) -> ProviderAccount:
        """Its description in a list of accounts."""
        shown = Money(amount=total, currency="USD") if total is not None and self.shows_total else None
        return ProviderAccount(
            account_id=self.account_id,
            external_id=self.external_id,
            name=f"Account {self.account.number[-2:]}",
            type=self.account.type,
            raw_type=None,
            currency="USD",
            mask=self.account.number[-4:] if self.shows_mask else None,
            stable_id=self.stable_id,
            total=shown,
            capabilities=Capabilities(trading=self.provider == "snaptrade"),
        )


@dataclass
class Tie:
    """A connection: who asks, where, and what it sees there."""

    user: str
    provider: str
    institution: str
    external_id: str
    sights: list[Sight] = field(default_factory=list)
    status: ConnectionStatus = ConnectionStatus.ACTIVE

    @property
    def connection_id(self) -> str:
        """Our id of it."""
        return ids.connection_id(self.provider, self.user, self.external_id)

    def sight(self, rng: random.Random, account: TrueAccount, external_id: str) -> Sight:
        """See one more account."""
        stable = None
        if rng.random() < 0.45:
            # Most providers spell the institution's id in their own way; a few hand it on as it is.
            spelling = "" if rng.random() < 0.3 else f"{self.provider}-"
            stable = f"{spelling}{account.institution}-{account.number}"
        made = Sight(
            account=account,
            external_id=external_id,
            account_id=ids.account_id(self.provider, self.user, external_id),
            provider=self.provider,
            shows_mask=rng.random() < 0.7,
            stable_id=None if self.provider == "manual" else stable,
            shows_total=rng.random() < 0.6,
            unpriced={one for one in SECURITIES if rng.random() < 0.03},
            unknown_cost={one for one in SECURITIES if rng.random() < 0.1},
        )
        self.sights.append(made)
        account.sights.append(made)
        return made

    def says(self, version: int, as_of: datetime, synced_at: datetime, gap: str | None) -> dict[str, Any]:
        """What every snapshot of it says of itself."""
        return {
            "user_id": self.user,
            "provider": self.provider,
            "connection_id": self.connection_id,
            "institution": self.institution,
            "clocks": Clocks(as_of=as_of, synced_at=synced_at, version=version),
            "complete": gap is None,
            "gap": gap,
        }


def view(rng: random.Random, sight: Sight, prices: dict[Security, Decimal], at: datetime) -> list[Holding]:
    """The account's holdings as the sight shows them now, in any order."""
    account = sight.account
    rows = [_row(rng, sight, one, quantity, prices, at) for one, quantity in account.owned.items()]
    rows += [_nothing(sight, one) for one in sight.emptied - account.owned.keys()]
    for currency, amount in account.money.items():
        # "No cash" is said by a row, or by none.
        if amount or rng.random() < 0.5:
            rows.append(
                Holding(
                    instrument=cash(currency),
                    quantity=amount,
                    currency=currency,
                    price=Decimal(1),
                    market_value=amount,
                )
            )
    rng.shuffle(rows)
    return rows


def _row(
    rng: random.Random,
    sight: Sight,
    security: Security,
    quantity: Decimal,
    prices: dict[Security, Decimal],
    at: datetime,
) -> Holding:
    price = None if security in sight.unpriced else prices[security]
    told = rng.random() < 0.8
    return Holding(
        instrument=security.described_by(sight.provider),
        quantity=quantity,
        currency=security.currency,
        price=price,
        market_value=None if price is None else product(price, quantity, Decimal(security.multiplier)),
        cost_basis=None if security in sight.unknown_cost else sight.account.cost.get(security),
        price_as_of=at - timedelta(minutes=rng.choice((0, 15, 600))) if told and price is not None else None,
    )


def _nothing(sight: Sight, security: Security) -> Holding:
    return Holding(
        instrument=security.described_by(sight.provider),
        quantity=NO_CASH,
        currency=security.currency,
        price=None,
        market_value=NO_CASH,
    )


def worth(rows: list[Holding]) -> Decimal | None:
    """What the rows add up to in dollars; ``None`` where one has no value."""
    values = [one.market_value for one in rows if one.currency == "USD"]
    return None if None in values else sum((value for value in values if value is not None), NO_CASH)

"""Holdings of the truth as Plaid counts them: options in shares, cost in total, cash as a row of its own. Pure."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from provider_sandbox.plaid import securities
from provider_sandbox.plaid.quirks import Quirk
from provider_sandbox.plaid.wire import currency_codes
from provider_sandbox.world import Account, Holding, Security, World


@dataclass(frozen=True, slots=True)
class Row:
    """One holding and the security it refers to, both ready for the wire."""

    holding: dict[str, Any]
    security: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Encoder:
    """Encodes the holdings of one institution's accounts as of `today`."""

    world: World
    quirk: Quirk
    plaid_institution: str
    today: date

    def rows(self, account: Account, account_id: str) -> Iterator[Row]:
        """Every row of an account, cash last; nothing for deposit accounts and for plans that hide holdings."""
        if account.family != "investment" or account.holdings_hidden:
            return
        for holding in account.holdings:
            yield self._position(holding, account_id)
        if self.quirk.cash_row != "none":
            yield from self._cash(account, account_id)

    def _position(self, holding: Holding, account_id: str) -> Row:
        security = self.world.securities[holding.security_key]
        quantity = shares(security, holding.quantity)
        price = security.price
        row = {
            "quantity": quantity,
            "institution_price": price if price is not None else Decimal(0),
            "institution_price_as_of": None
            if price is None
            else security.price_as_of(self.today).isoformat(),
            "institution_value": wire_value(security, holding.quantity, price or Decimal(0)),
            "cost_basis": self._cost(security, holding),
            **currency_codes(security.currency),
        }
        encoded = securities.encode(security, self.today, self.quirk, self.plaid_institution)
        return self._row(account_id, encoded, row)

    def _cost(self, security: Security, holding: Holding) -> Decimal | None:
        if holding.average_cost is None or self.quirk.per_share_cost:
            return holding.average_cost
        return wire_value(security, holding.quantity, holding.average_cost)

    def _cash(self, account: Account, account_id: str) -> Iterator[Row]:
        for currency, amount in account.cash.items():
            if amount == 0 or (account.margin and amount < 0):
                continue  # a margin loan shows as margin_loan_amount, not as a row
            row = {
                "quantity": amount,
                "institution_price": Decimal(1),
                "institution_price_as_of": self.today.isoformat(),
                "institution_value": amount,
                "cost_basis": amount,
                **currency_codes(currency),
            }
            prefixed = self.quirk.cash_row == "prefixed"
            yield self._row(account_id, securities.encode_cash(currency, self.today, prefixed=prefixed), row)

    def _row(self, account_id: str, security: dict[str, Any], figures: dict[str, Any]) -> Row:
        holding = {
            "account_id": account_id,
            "security_id": security["security_id"],
            **figures,
            "institution_price_datetime": None,
            "vested_quantity": None,
            "vested_value": None,
        }
        return Row(holding | {"tax_lots": []} if self.quirk.lots else holding, security)


def shares(security: Security, quantity: Decimal) -> Decimal:
    """Quantity as Plaid counts it: contracts of an option become shares, all else stays."""
    return quantity * security.option.multiplier if security.option else quantity


def wire_value(security: Security, quantity: Decimal, price: Decimal) -> Decimal:
    """Quantity times price in the security's own quoting currency, pence staying pence."""
    value = quantity * price * security.unit_factor
    return value * 100 if security.currency == "GBX" else value


def distinct_securities(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each security once, in order of first appearance."""
    return list({row["security_id"]: row for row in rows}.values())

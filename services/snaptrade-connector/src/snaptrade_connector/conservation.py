"""Which reading of an account adds up to the provider's own total. Pure.

Two things are not settled by SnapTrade's documentation, and the account's total decides each:

*Cash.* Documented: the cash of a currency contains the positions flagged ``cash_equivalent``, so ``CUR:`` is
cash minus their value. Some brokers' cash is already without them. That second reading is taken only where it
reconciles with the total and is at least four times nearer to it than the documented one; where neither
reconciles, or nothing can be compared, the documented one stands.

*Bonds.* Units and price of a bond have no documented convention. As they are they may give the value, or the
price is per 100 of face and the value is a hundredth. The reading that reconciles with the total is taken; a
price up to two can only be per one of face. A bond that stays undecided has no price, value or cost: it is held, and the
account's check says that something in it is unpriced. Leaving the whole account out instead would freeze one in two
currencies for good.

A total can only be compared where everything is in its currency. Unpriced positions are left out of the
comparison: what the broker cannot price it cannot have counted.
"""

from collections.abc import Iterable, Sequence
from decimal import Context, Decimal, localcontext

import msgspec

from contracts.holdings import Holding
from contracts.instruments import Instrument, InstrumentKind, cash_key
from contracts.money import Money, amount
from snaptrade_connector import wire
from snaptrade_connector.units import HUNDREDTH, MINOR_UNITS, currency_code

TOLERANCE = Decimal("0.005")
ZERO = Decimal(0)
ONE = Decimal(1)
DECISIVE = 4
PAR_PRICE_MAX = Decimal(2)
_EXACT = Context(prec=100)


def cash_holdings(
    balances: Sequence[wire.Balance], positions: Sequence[Holding], total: Money | None
) -> list[Holding]:
    """Cash as holdings, once per currency, without what is a position of its own; negative is a loan.

    ``positions`` are the account's holdings, ``total`` the provider's figure of what it is all worth. A
    balance whose cash is unknown gives no holding.
    """
    cash = cash_by_currency(balances)
    with localcontext(_EXACT):
        sweep = _sweep(positions)
        if not _already_without_sweep(cash, sweep, positions, total):
            cash = {currency: held - sweep.get(currency, ZERO) for currency, held in cash.items()}
        return [cash_holding(currency, held) for currency, held in cash.items()]


def cash_holding(currency: str, held: Decimal) -> Holding:
    """Cash in one currency as a holding."""
    held = amount(held)
    instrument = Instrument(
        key=cash_key(currency), kind=InstrumentKind.CASH, symbol=currency, currency=currency
    )
    return Holding(
        instrument=instrument,
        quantity=held,
        currency=currency,
        price=ONE,
        market_value=held,
        cost_basis=held,
    )


def cash_by_currency(balances: Iterable[wire.Balance]) -> dict[str, Decimal]:
    """Reported cash by ISO 4217 code, where it is known; pence are pounds here."""
    cash: dict[str, Decimal] = {}
    with localcontext(_EXACT):
        for balance in balances:
            if balance.cash is not None:
                currency = currency_code(balance.currency.code)
                held = whole(balance.currency.code, amount(balance.cash))
                cash[currency] = cash.get(currency, ZERO) + held
    return cash


def whole(code: str, value: Decimal) -> Decimal:
    """An amount in the currency itself that was given in what a code stands for."""
    return _EXACT.multiply(value, HUNDREDTH) if code in MINOR_UNITS else value


def settle_bonds(
    positions: list[Holding], balances: Sequence[wire.Balance], total: Money | None
) -> tuple[list[Holding], bool]:
    """The positions with bonds valued by the convention that reconciles; and whether that stays undecided."""
    bonds = [holding for holding in positions if _doubtful(holding)]
    if not bonds:
        return positions, False
    cash = cash_by_currency(balances)
    with localcontext(_EXACT):
        worth = _worth(positions, cash, total)
        if worth is None or total is None:
            return positions, True
        sweep = sum(_sweep(positions).values(), ZERO)
        excess = sum((bond.market_value or ZERO for bond in bonds), ZERO) * (ONE - HUNDREDTH)
        as_is, per_100 = (
            min(abs(value - total.amount), abs(value - sweep - total.amount))
            for value in (worth, worth - excess)
        )
        if min(as_is, per_100) > _tolerance(total):
            return positions, True
        if as_is <= per_100:
            return positions, False
        return [_per_100(holding) if _doubtful(holding) else holding for holding in positions], False


def unpriced(positions: Iterable[Holding]) -> list[Holding]:
    """The positions, with every bond of undecided convention as one whose price, value and cost are unknown."""
    unknown = {"price": None, "market_value": None, "cost_basis": None}
    return [
        msgspec.structs.replace(holding, **unknown) if _doubtful(holding) else holding
        for holding in positions
    ]


def _doubtful(holding: Holding) -> bool:
    priced = holding.price is not None and holding.price > PAR_PRICE_MAX
    return holding.instrument.kind is InstrumentKind.BOND and priced and bool(holding.quantity)


def _per_100(bond: Holding) -> Holding:
    return msgspec.structs.replace(
        bond,
        price=bond.price * HUNDREDTH if bond.price is not None else None,
        market_value=amount(bond.market_value * HUNDREDTH) if bond.market_value is not None else None,
        cost_basis=amount(bond.cost_basis * HUNDREDTH) if bond.cost_basis is not None else None,
    )


def adds_up(positions: Sequence[Holding], total: Money | None) -> bool:
    """Whether positions alone reach the account's total, or cannot be compared with it.

    Balances that are not listed at all beside positions are zero cash only where nothing is missing.
    """
    worth = _worth(positions, {}, total)
    return worth is None or total is None or abs(worth - total.amount) <= _tolerance(total)


def _already_without_sweep(
    cash: dict[str, Decimal], sweep: dict[str, Decimal], positions: Sequence[Holding], total: Money | None
) -> bool:
    if total is None or not sweep.get(total.currency):
        return False
    worth = _worth(positions, cash, total)
    if worth is None:
        return False
    without, documented = abs(worth - total.amount), abs(worth - sweep[total.currency] - total.amount)
    return without <= _tolerance(total) and without * DECISIVE <= documented


def _worth(positions: Sequence[Holding], cash: dict[str, Decimal], total: Money | None) -> Decimal | None:
    """Positions and reported cash together, where they can be compared with the total."""
    if total is None or any(currency != total.currency for currency, held in cash.items() if held):
        return None
    worth = cash.get(total.currency, ZERO)
    for holding in positions:
        if holding.currency != total.currency:
            return None
        worth += holding.market_value or ZERO
    return worth


def _sweep(positions: Sequence[Holding]) -> dict[str, Decimal]:
    """The known value of cash-equivalent positions by currency."""
    sweep: dict[str, Decimal] = {}
    for holding in positions:
        if holding.cash_equivalent and holding.market_value is not None:
            sweep[holding.currency] = sweep.get(holding.currency, ZERO) + holding.market_value
    return sweep


def _tolerance(total: Money) -> Decimal:
    return max(ONE, abs(total.amount) * TOLERANCE)

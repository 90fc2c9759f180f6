"""Plaid's words for what happened, as ours. Data, and the few rules that are no table. Pure.

Source: Plaid's table of investment transaction types and subtypes. Plaid says not to trust the type alone for income:
dividends and gains occur under ``fee`` too, so the subtype leads.
"""

from decimal import Decimal

from contracts.transactions import TransactionType as T

_BY_SUBTYPE = {
    "buy": T.BUY,
    "buy to cover": T.BUY,
    "sell": T.SELL,
    "sell short": T.SELL,
    "dividend reinvestment": T.REI,
    "interest reinvestment": T.REI,
    "long-term capital gain reinvestment": T.REI,
    "short-term capital gain reinvestment": T.REI,
    "dividend": T.DIVIDEND,
    "qualified dividend": T.DIVIDEND,
    "non-qualified dividend": T.DIVIDEND,
    "interest": T.INTEREST,
    "interest receivable": T.INTEREST,
    "long-term capital gain": T.CAPITAL_GAIN,
    "short-term capital gain": T.CAPITAL_GAIN,
    "unqualified gain": T.CAPITAL_GAIN,
    "return of principal": T.RETURN_OF_CAPITAL,
    "stock distribution": T.STOCK_DIVIDEND,
    "contribution": T.CONTRIBUTION,
    "deposit": T.CONTRIBUTION,
    "pending credit": T.CONTRIBUTION,
    "withdrawal": T.WITHDRAWAL,
    "distribution": T.WITHDRAWAL,
    "pending debit": T.WITHDRAWAL,
    "loan payment": T.WITHDRAWAL,
    "account fee": T.FEE,
    "fund fee": T.FEE,
    "legal fee": T.FEE,
    "management fee": T.FEE,
    "margin expense": T.FEE,
    "miscellaneous fee": T.FEE,
    "transfer fee": T.FEE,
    "trust fee": T.FEE,
    "tax": T.TAX,
    "tax withheld": T.TAX,
    "non-resident tax": T.TAX,
    "assignment": T.OPTIONASSIGNMENT,
    "exercise": T.OPTIONEXERCISE,
    "expire": T.OPTIONEXPIRATION,
    "merger": T.STOCK_MERGER,
    "spin off": T.SPINOFF,
    "split": T.SPLIT,
    "adjustment": T.ADJUSTMENT,
    "request": T.TRANSFER,
    "send": T.TRANSFER,
    "trade": T.TRANSFER,
    "transfer": T.TRANSFER,
}
_BY_TYPE = {"buy": T.BUY, "sell": T.SELL, "fee": T.FEE, "transfer": T.TRANSFER, "cancel": T.CANCEL}
_PENDING = {"pending credit", "pending debit"}
_TRADES = {("buy", "contribution"): T.BUY, ("sell", "distribution"): T.SELL}
"""A contribution that buys at once, and a distribution that sells, are shown as the trade."""
_ACTIONS = {
    "buy to cover": "BUY_TO_CLOSE",
    "sell short": "SELL_TO_OPEN",
}


def kind(given: str | None, subtype: str | None, *, traded: bool, quantity: Decimal | None) -> T:
    """What happened; ``traded`` says that a security changed hands. What nobody knows is ``OTHER``."""
    if given == "cancel":
        return T.CANCEL
    if traded and (trade := _TRADES.get((given or "", subtype or ""))):
        return trade
    found = _BY_SUBTYPE.get(subtype or "") or _BY_TYPE.get(given or "", T.OTHER)
    return T.REVERSE_SPLIT if found is T.SPLIT and quantity is not None and quantity < 0 else found


def signed(given: str | None, quantity: Decimal) -> Decimal:
    """A quantity that is positive where the position grows: buys and sells say so by their type.

    Some institutions report sells with a positive quantity.
    """
    if given == "buy":
        return abs(quantity)
    return -abs(quantity) if given == "sell" else quantity


def is_pending(subtype: str | None) -> bool:
    """Whether the money is only announced; once it moves, Plaid shows another row instead."""
    return subtype in _PENDING


def option_action(subtype: str | None) -> str | None:
    """Whether a trade in an option opens or closes, where Plaid's word says it."""
    return _ACTIONS.get(subtype or "")


def bank_kind(primary: str | None, detailed: str | None, *, money_in: bool) -> T:
    """What a bank transaction was, by Plaid's category; anything else is money that came or went."""
    for word, found in _BANK_DETAILED.items():
        if (detailed or "").startswith(word):
            return found
    if primary in {"TRANSFER_IN", "TRANSFER_OUT"}:
        return T.TRANSFER
    if primary == "BANK_FEES":
        return T.FEE
    return T.CONTRIBUTION if money_in else T.WITHDRAWAL


_BANK_DETAILED = {
    "INCOME_INTEREST_EARNED": T.INTEREST,
    "INCOME_DIVIDENDS": T.DIVIDEND,
    "GOVERNMENT_AND_NON_PROFIT_TAX_PAYMENT": T.TAX,
}

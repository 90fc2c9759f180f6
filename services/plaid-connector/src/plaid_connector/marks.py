"""What an Item says of when its data was last fetched: the cheapest sign that nothing has changed. Pure."""

from typing import NamedTuple

import msgspec

from plaid_connector.wire import Item, ItemAnswer, ProductStatus


class Freshness(NamedTuple):
    """Which products an Item has, and when each was last fetched; ``None`` where Plaid does not say."""

    investments: bool
    transactions: bool
    investments_at: str | None
    transactions_at: str | None

    @property
    def known(self) -> bool:
        """Whether it is known of every product the Item has."""
        of_investments = bool(self.investments_at) or not self.investments
        of_transactions = bool(self.transactions_at) or not self.transactions
        return of_investments and of_transactions and (self.investments or self.transactions)


class _Mark(msgspec.Struct, omit_defaults=True):
    investments: str | None = None
    transactions: str | None = None


_DECODER = msgspec.json.Decoder(_Mark)


def freshness(answer: ItemAnswer) -> Freshness:
    """What ``/item/get`` says."""
    held = products(answer.item)
    status = answer.status
    return Freshness(
        "investments" in held,
        "transactions" in held,
        _at(status.investments) if status else None,
        _at(status.transactions) if status else None,
    )


def products(item: Item) -> set[str]:
    """The products an Item has."""
    return {*(item.products or ()), *(item.billed_products or ())}


def mark(found: Freshness) -> str | None:
    """A text that stays the same while nothing was fetched; ``None`` where that cannot be known.

    A product that the Item has not is not in it, so a product that is added moves it too.
    """
    if not found.known:
        return None
    kept = _Mark(
        investments=found.investments_at if found.investments else None,
        transactions=found.transactions_at if found.transactions else None,
    )
    return msgspec.json.encode(kept).decode()


def read(text: str | None) -> Freshness | None:
    """What a mark says; ``None`` for none and for one that cannot be read."""
    if text is None:
        return None
    try:
        found = _DECODER.decode(text)
    except msgspec.DecodeError:
        return None
    return Freshness(bool(found.investments), bool(found.transactions), found.investments, found.transactions)


def _at(status: ProductStatus | None) -> str | None:
    return (status.last_successful_update or None) if status else None

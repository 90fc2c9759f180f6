"""Holdings of one provider account, and the consolidated position."""

from datetime import datetime
from decimal import Decimal
from hashlib import blake2b

import msgspec

from contracts.accounts import Snapshot
from contracts.instruments import Instrument
from contracts.struct import Record


class Holding(Record, frozen=True, kw_only=True):
    """What one provider account says it holds of one instrument.

    ``quantity``: shares, contracts, coins or face units; negative is short. ``price``: per share (for
    options per share of the underlying), in ``currency``. ``market_value``: the total, price times
    quantity times multiplier, or the provider's own figure where that is authoritative. ``cost_basis``:
    the total paid for the position. ``None`` is unknown, never zero.
    """

    instrument: Instrument
    quantity: Decimal
    currency: str
    price: Decimal | None = None
    market_value: Decimal | None = None
    cost_basis: Decimal | None = None
    price_as_of: datetime | None = None
    cash_equivalent: bool = False


class HoldingsSnapshot(Snapshot, frozen=True, kw_only=True):
    """The complete holdings of one provider account (``onefolio.holdings.snapshot.v1``).

    ``content_hash`` is of the holdings alone: equal content under newer clocks only moves the clocks.
    One instrument and currency appears once.
    """

    account_id: str
    holdings: list[Holding]
    content_hash: str


_ENCODER = msgspec.json.Encoder(decimal_format="string", order="deterministic")


def content_hash(holdings: list[Holding]) -> str:
    """A hash that is equal exactly when the holdings are, in whatever order they are listed."""
    rows = sorted(_ENCODER.encode(holding) for holding in holdings)
    return blake2b(b"\n".join(rows), digest_size=16).hexdigest()


class Contribution(Record, frozen=True, kw_only=True):
    """One counted source's part of a position.

    ``instrument_id`` names the description under which the source knows the instrument; ``snapshot_id`` and
    ``content_hash`` the snapshot that said so, ``version`` its place among the others.
    """

    real_account_id: str
    account_id: str
    provider: str
    quantity: Decimal
    market_value: Decimal | None
    cost_basis: Decimal | None
    price: Decimal | None
    price_as_of: datetime | None
    instrument_id: str
    snapshot_id: str
    content_hash: str
    as_of: datetime
    synced_at: datetime
    version: int


class Exclusion(Record, frozen=True, kw_only=True):
    """A duplicate sight of a real account that was not counted, and the rule that excluded it."""

    real_account_id: str
    account_id: str
    provider: str
    quantity: Decimal
    market_value: Decimal | None
    cost_basis: Decimal | None
    instrument_id: str
    counted_account_id: str
    rule: str


class Position(Record, frozen=True, kw_only=True):
    """What a user holds of one instrument over all real accounts of a portfolio.

    ``market_value`` and ``cost_basis`` are sums over the contributors that know theirs; where one does
    not, ``value_complete`` or ``cost_basis_complete`` is false and the sum must not be shown as whole.
    ``provider``, ``account_id``, ``price`` and ``price_as_of`` are those of the highest-priority
    contributor.
    """

    position_id: str
    portfolio_id: str
    user_id: str
    instrument: Instrument
    currency: str
    quantity: Decimal
    market_value: Decimal | None
    value_complete: bool
    cost_basis: Decimal | None
    cost_basis_complete: bool
    price: Decimal | None
    price_as_of: datetime | None
    provider: str
    account_id: str
    as_of: datetime
    stale: bool
    contributions: list[Contribution]
    excluded: list[Exclusion]

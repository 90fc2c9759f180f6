"""What SnapTrade sends: only what is read here, nearly everything optional, unknown members ignored.

The provider declares few members required and changes shapes between versions; where two shapes of one thing
are alive, one type reads both. Numbers come as JSON strings or JSON numbers and are read without a float.
"""

from decimal import Decimal

import msgspec


class Wire(msgspec.Struct, frozen=True, gc=False):
    """A value as the provider sent it."""


class RegisteredUser(Wire, frozen=True, gc=False, rename="camel"):
    """A user and its one secret, told only once."""

    user_id: str
    user_secret: str

    def __repr__(self) -> str:
        return "RegisteredUser(…)"


class Portal(Wire, frozen=True, gc=False):
    """Where to send a person to connect an institution; good for five minutes."""

    redirect_uri: str = msgspec.field(name="redirectURI")
    session_id: str | None = msgspec.field(name="sessionId", default=None)

    def __repr__(self) -> str:
        return "Portal(…)"


class Brokerage(Wire, frozen=True, gc=False):
    """An institution."""

    slug: str | None = None
    name: str | None = None
    display_name: str | None = None


class Freshness(Wire, frozen=True, gc=False):
    """How fresh data is at the institution and at SnapTrade: ``realtime`` or ``delayed``."""

    institution: str | None = None
    snaptrade: str | None = None


class Authorization(Wire, frozen=True, gc=False):
    """A connection. ``data_freshness_mode`` was one word before it became two."""

    id: str
    brokerage: Brokerage | None = None
    type: str | None = None
    disabled: bool = False
    disabled_date: str | None = None
    data_freshness_mode: str | Freshness | None = None


class Amount(Wire, frozen=True, gc=False):
    """An amount of money."""

    amount: Decimal | None = None
    currency: str | None = None


class OldBalance(Wire, frozen=True, gc=False):
    """The total of an account in the older shape."""

    total: Amount | None = None


class OldHoldingsSync(Wire, frozen=True, gc=False):
    """How the holdings of an account stand in the older shape."""

    initial_sync_completed: bool = False
    last_successful_sync: str | None = None
    holdings_unavailable: bool = False


class SyncStatus(Wire, frozen=True, gc=False):
    """When SnapTrade last read each part of an account; ``holdings`` is the older shape."""

    positions: str | None = None
    balances: str | None = None
    holdings: OldHoldingsSync | None = None


class Account(Wire, frozen=True, gc=False):
    """An account, in the shape of ``ConnectionAccount`` (has ``kind``) or of the older ``Account``."""

    id: str
    kind: str | None = None
    account_category: str | None = None
    display_name: str | None = None
    name: str | None = None
    masked_account_number: str | None = None
    number: str | None = None
    institution_account_id: str | None = None
    raw_type: str | None = None
    status: str | None = None
    is_paper: bool = False
    net_value: Amount | None = None
    balance: OldBalance | None = None
    sync_status: SyncStatus = SyncStatus()


class Accounts(Wire, frozen=True, gc=False):
    """The accounts of a connection."""

    results: list[Account]


class Currency(Wire, frozen=True, gc=False):
    """A currency by its ISO 4217 code."""

    code: str


class Balance(Wire, frozen=True, gc=False):
    """Cash in one currency; it contains the value of positions flagged ``cash_equivalent``."""

    currency: Currency
    cash: Decimal | None = None
    buying_power: Decimal | None = None


class Figi(Wire, frozen=True, gc=False):
    """OpenFIGI identifiers of a listing and of its share class."""

    figi_code: str | None = None
    figi_share_class: str | None = None


class Underlying(Wire, frozen=True, gc=False):
    """What an option is on, as far as its terms need it."""

    symbol: str | None = None
    raw_symbol: str | None = None
    currency: str | None = None


class Instrument(Wire, frozen=True, gc=False):
    """One of the instrument union; ``kind`` says which members to expect and may be one we do not know."""

    kind: str
    id: str
    symbol: str | None = None
    raw_symbol: str | None = None
    description: str | None = None
    currency: str | None = None
    exchange: str | None = None
    figi_instrument: Figi | None = None
    multiplier: Decimal | None = None
    option_type: str | None = None
    strike_price: Decimal | None = None
    expiration_date: str | None = None
    underlying: Underlying | None = None


class Position(Wire, frozen=True, gc=False):
    """One row of an account. ``price`` and ``cost_basis`` are per share, also for options; null is unknown.

    The instrument stays undecoded and the numbers stay text: they are mostly the same as at the last sync, and
    ``instruments.instrument`` and ``units.number`` remember what they mean.
    """

    instrument: msgspec.Raw
    units: str | None = None
    price: str | None = None
    cost_basis: str | None = None
    currency: str | None = None
    cash_equivalent: bool | None = None


class DataFreshness(Wire, frozen=True, gc=False):
    """When what is in the answer was read from the institution."""

    as_of: str | None = None


class Positions(Wire, frozen=True, gc=False):
    """All positions of an account, of every asset class, on one page."""

    results: list[Position]
    data_freshness: DataFreshness = DataFreshness()


class Webhook(Wire, frozen=True, gc=False, rename="camel"):
    """A delivery; ``connection_id`` is the name OAuth applications get for ``brokerage_authorization_id``."""

    event_type: str
    user_id: str | None = None
    brokerage_authorization_id: str | None = None
    connection_id: str | None = None
    account_id: str | None = None
    connection_attempted_result: str | None = None
    details: msgspec.Raw = msgspec.Raw(b"")

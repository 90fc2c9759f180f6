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
    enabled: bool | None = None
    maintenance_mode: bool | None = None
    allows_trading: bool | None = None
    aws_s3_square_logo_url: str | None = None
    aws_s3_logo_url: str | None = None


class BrokerageInstrument(Wire, frozen=True, gc=False):
    """What can be traded at an institution."""

    symbol: str
    universal_symbol_id: str | None = None
    tradeable: bool | None = None
    fractionable: bool | None = None


class BrokerageInstruments(Wire, frozen=True, gc=False):
    """All of them at once; empty where the institution tells none."""

    instruments: list[BrokerageInstrument]


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
    updated_date: str | None = None
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


class TransactionsSync(Wire, frozen=True, gc=False):
    """Which days of an account's activities SnapTrade has; ``last_successful_sync`` is the last whole day."""

    initial_sync_completed: bool = False
    last_successful_sync: str | None = None
    first_transaction_date: str | None = None


class SyncStatus(Wire, frozen=True, gc=False):
    """When SnapTrade last read each part of an account; ``holdings`` is the older shape."""

    positions: str | None = None
    balances: str | None = None
    orders: str | None = None
    transactions: TransactionsSync | None = None
    holdings: OldHoldingsSync | None = None


class Account(Wire, frozen=True, gc=False):
    """An account, in the shape of ``ConnectionAccount`` (has ``kind``) or of the older ``Account``."""

    id: str
    connection_id: str | None = None
    brokerage_authorization: str | None = None
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
    """The accounts of a connection or of a user."""

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


class SymbolType(Wire, frozen=True, gc=False):
    """What sort of security a symbol is, by SnapTrade's code."""

    code: str | None = None


class Exchange(Wire, frozen=True, gc=False):
    """A market."""

    code: str | None = None
    mic_code: str | None = None


class UniversalSymbol(Wire, frozen=True, gc=False):
    """A security as activities and orders name it."""

    id: str
    symbol: str | None = None
    raw_symbol: str | None = None
    description: str | None = None
    currency: Currency | None = None
    exchange: Exchange | None = None
    type: SymbolType | None = None
    figi_code: str | None = None
    figi_instrument: Figi | None = None


class OptionsSymbol(Wire, frozen=True, gc=False):
    """An option as activities and orders name it; ``ticker`` is its OCC symbol."""

    id: str
    ticker: str | None = None
    option_type: str | None = None
    strike_price: Decimal | None = None
    expiration_date: str | None = None
    is_mini_option: bool | None = None
    underlying_symbol: UniversalSymbol | None = None


class Activity(Wire, frozen=True, gc=False):
    """One activity; ``amount`` and ``price`` are in ``currency``, else in ``currency_universal_symbol``."""

    id: str | None = None
    symbol: UniversalSymbol | None = None
    currency_universal_symbol: UniversalSymbol | None = None
    option_symbol: OptionsSymbol | None = None
    price: Decimal | None = None
    units: Decimal | None = None
    amount: Decimal | None = None
    currency: Currency | None = None
    type: str | None = None
    option_type: str | None = None
    description: str | None = None
    trade_date: str | None = None
    settlement_date: str | None = None
    fee: Decimal | None = None
    fx_rate: Decimal | None = None
    external_reference_id: str | None = None


class Pagination(Wire, frozen=True, gc=False):
    """How many rows there are in all."""

    total: int | None = None


class Activities(Wire, frozen=True, gc=False):
    """A page of activities, newest trade date first."""

    data: list[Activity]
    pagination: Pagination = Pagination()


class OrderRecord(Wire, frozen=True, gc=False):
    """One leg of an order; numbers are decimal strings."""

    brokerage_order_id: str
    status: str | None = None
    universal_symbol: UniversalSymbol | None = None
    option_symbol: OptionsSymbol | None = None
    quote_universal_symbol: UniversalSymbol | None = None
    quote_currency: Currency | None = None
    action: str | None = None
    total_quantity: Decimal | None = None
    filled_quantity: Decimal | None = None
    execution_price: Decimal | None = None
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    order_type: str | None = None
    time_in_force: str | None = None
    time_placed: str | None = None
    time_updated: str | None = None
    time_executed: str | None = None
    symbol: str | None = None


class DayTotal(Wire, frozen=True, gc=False):
    """What an account was worth on a day."""

    date: str | None = None
    total_value: Decimal | None = None


class BalanceHistory(Wire, frozen=True, gc=False):
    """The series of at most a year; days may be missing."""

    history: list[DayTotal]
    currency: str | None = None


class ReturnRate(Wire, frozen=True, gc=False):
    """A rate of return in per cent."""

    timeframe: str | None = None
    return_percent: Decimal | None = None


class ReturnRates(Wire, frozen=True, gc=False):
    """Rates of return by period."""

    data: list[ReturnRate]


class Webhook(Wire, frozen=True, gc=False, rename="camel"):
    """A delivery; ``connection_id`` is the name OAuth applications get for ``brokerage_authorization_id``."""

    event_type: str
    user_id: str | None = None
    brokerage_authorization_id: str | None = None
    connection_id: str | None = None
    account_id: str | None = None
    connection_attempted_result: str | None = None
    details: msgspec.Raw = msgspec.Raw(b"")

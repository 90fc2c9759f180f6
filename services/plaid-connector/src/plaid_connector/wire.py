"""What Plaid sends: only the members we read, unknown ones ignored, unknown enum values kept as text.

Numbers are JSON doubles on the wire; they are decoded from their text into ``Decimal``, never through float.
Source: Plaid OpenAPI 2020-09-14 (1.697 and the newer members of plaid-python 46).
"""

from decimal import Decimal

import msgspec


class Wire(msgspec.Struct):
    """A value as Plaid sends it."""


class PlaidError(Wire):
    """The error body, also embedded in items and webhooks."""

    error_type: str = ""
    error_code: str = ""
    error_message: str = ""
    request_id: str | None = None


class Balances(Wire):
    """An account's balances; investment ``current`` is the institution's own total."""

    available: Decimal | None = None
    current: Decimal | None = None
    limit: Decimal | None = None
    iso_currency_code: str | None = None
    unofficial_currency_code: str | None = None
    margin_loan_amount: Decimal | None = None


class Account(Wire):
    """An account of an Item, of any type."""

    account_id: str
    balances: Balances
    name: str | None = None
    official_name: str | None = None
    mask: str | None = None
    type: str | None = None
    subtype: str | None = None
    persistent_account_id: str | None = None


class TaxLot(Wire):
    """A tax lot; only its direction is read."""

    position_type: str | None = None


class Holding(Wire):
    """One (account, security) row; ``institution_value`` is the figure to show and to sum."""

    account_id: str
    security_id: str
    quantity: Decimal
    institution_price: Decimal | None = None
    institution_price_as_of: str | None = None
    institution_price_datetime: str | None = None
    institution_value: Decimal | None = None
    cost_basis: Decimal | None = None
    iso_currency_code: str | None = None
    unofficial_currency_code: str | None = None
    tax_lots: list[TaxLot] | None = None


class OptionContract(Wire):
    """Terms of an option; the strike is per share."""

    contract_type: str
    expiration_date: str
    strike_price: Decimal
    underlying_security_ticker: str


class FixedIncome(Wire):
    """Terms of a bond."""

    maturity_date: str | None = None
    face_value: Decimal | None = None


class Security(Wire):
    """A security; nearly everything may be null."""

    security_id: str
    isin: str | None = None
    cusip: str | None = None
    figi: str | None = None
    name: str | None = None
    ticker_symbol: str | None = None
    is_cash_equivalent: bool | None = None
    type: str | None = None
    subtype: str | None = None
    iso_currency_code: str | None = None
    unofficial_currency_code: str | None = None
    market_identifier_code: str | None = None
    option_contract: OptionContract | None = None
    fixed_income: FixedIncome | None = None


class Item(Wire):
    """An Item: one login at one institution."""

    item_id: str
    institution_id: str | None = None
    institution_name: str | None = None
    error: PlaidError | None = None
    products: list[str] | None = None
    billed_products: list[str] | None = None
    consent_expiration_time: str | None = None


class ProductStatus(Wire):
    """When a product's data was last fetched from the institution."""

    last_successful_update: str | None = None
    last_failed_update: str | None = None


class ItemStatus(Wire):
    """The status beside an Item."""

    investments: ProductStatus | None = None
    transactions: ProductStatus | None = None


class ItemAnswer(Wire):
    """``/item/get``."""

    item: Item
    request_id: str = ""
    status: ItemStatus | None = None


class AccountsAnswer(Wire):
    """``/accounts/get``."""

    accounts: list[Account]
    item: Item
    request_id: str = ""


class HoldingsAnswer(Wire):
    """``/investments/holdings/get``: required lists have no default, so a missing list is an error.

    Securities stay encoded: the same one is the same bytes for every user that day, so it is read once.
    """

    accounts: list[Account]
    holdings: list[Holding]
    securities: list[msgspec.Raw]
    item: Item
    request_id: str = ""


class InvestmentTransaction(Wire):
    """A row of ``/investments/transactions/get``; a positive ``amount`` is cash that leaves the account.

    The id is required by the specification; what has none is told apart by its content.
    """

    account_id: str
    date: str
    investment_transaction_id: str | None = None
    security_id: str | None = None
    transaction_datetime: str | None = None
    name: str | None = None
    quantity: Decimal | None = None
    amount: Decimal | None = None
    price: Decimal | None = None
    fees: Decimal | None = None
    type: str | None = None
    subtype: str | None = None
    iso_currency_code: str | None = None
    unofficial_currency_code: str | None = None
    cancel_transaction_id: str | None = None


class InvestmentTransactionsAnswer(Wire):
    """A page of ``/investments/transactions/get``; lists and total have no default: what is missing is an error."""

    investment_transactions: list[InvestmentTransaction]
    securities: list[msgspec.Raw]
    total_investment_transactions: int
    item: Item
    request_id: str = ""


class Category(Wire):
    """What a bank transaction is about, as Plaid guesses it."""

    primary: str | None = None
    detailed: str | None = None


class PaymentMeta(Wire):
    """How a transfer was made; only its reference is read."""

    reference_number: str | None = None


class BankTransaction(Wire):
    """A row of ``/transactions/sync``; a positive ``amount`` is money that leaves the account."""

    transaction_id: str
    account_id: str
    date: str
    amount: Decimal
    iso_currency_code: str | None = None
    unofficial_currency_code: str | None = None
    datetime: str | None = None
    authorized_datetime: str | None = None
    name: str | None = None
    pending: bool = False
    pending_transaction_id: str | None = None
    personal_finance_category: Category | None = None
    payment_meta: PaymentMeta | None = None


class RemovedTransaction(Wire):
    """A bank transaction that was taken back."""

    transaction_id: str
    account_id: str | None = None


class SyncAnswer(Wire):
    """A page of ``/transactions/sync``; lists have no default, so a missing list is an error."""

    added: list[BankTransaction]
    modified: list[BankTransaction]
    removed: list[RemovedTransaction]
    next_cursor: str
    has_more: bool
    transactions_update_status: str = ""
    request_id: str = ""


class LinkTokenCreated(Wire):
    """``/link/token/create``; ``repr`` hides the credentials."""

    link_token: str
    expiration: str
    hosted_link_url: str | None = None
    request_id: str = ""

    def __repr__(self) -> str:
        return "LinkTokenCreated(…)"


class LinkInstitution(Wire):
    """The institution of a finished link session."""

    institution_id: str | None = None
    name: str | None = None


class LinkAccount(Wire):
    """An account the user chose to share in a link session."""

    name: str | None = None
    mask: str | None = None
    type: str | None = None
    subtype: str | None = None


class ItemAdded(Wire):
    """An Item that came out of a link session, not yet exchanged."""

    public_token: str
    institution: LinkInstitution | None = None
    accounts: list[LinkAccount] | None = None

    def __repr__(self) -> str:
        return "ItemAdded(…)"


class LinkResults(Wire):
    """What a finished session produced."""

    item_add_results: list[ItemAdded] = []


class ExitMetadata(Wire):
    """Where the user left."""

    status: str | None = None


class LinkExit(Wire):
    """A session the user left."""

    error: PlaidError | None = None
    metadata: ExitMetadata | None = None


class LinkSession(Wire):
    """One attempt on a hosted page."""

    link_session_id: str
    finished_at: str | None = None
    results: LinkResults | None = None
    exit: LinkExit | None = None


class LinkTokenStatus(Wire):
    """``/link/token/get``; kept six hours after the session ends."""

    link_token: str
    expiration: str | None = None
    link_sessions: list[LinkSession] = []
    request_id: str = ""

    def __repr__(self) -> str:
        return "LinkTokenStatus(…)"


class Exchanged(Wire):
    """``/item/public_token/exchange``."""

    access_token: str
    item_id: str
    request_id: str = ""

    def __repr__(self) -> str:
        return f"Exchanged({self.item_id!r}, …)"


class Done(Wire):
    """An answer that says nothing but that it worked."""

    request_id: str = ""

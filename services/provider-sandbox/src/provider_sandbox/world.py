"""The truth that both faces of the sandbox encode: institutions, securities, accounts and logins.

Nothing here knows a wire format. The values are the real quantities in plain terms:

- options are counted in **contracts**, bonds in **face amount**, shorts are negative;
- `Holding.average_cost` is per unit (per share for options too), None where the broker does not know it;
- `Account.cash` is true cash per currency **without** sweep funds; negative cash is a margin loan;
- a security quoted in pence has the currency `GBX`; its value counts as pounds.

`World.fresh()` returns a private copy: the control API changes it by replacing entries, the data stays as it is.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from decimal import Decimal
from typing import Literal, Self

Kind = Literal[
    "stock",
    "adr",
    "etf",
    "mutualfund",
    "cef",
    "bond",
    "option",
    "future",
    "future_option",
    "cfd",
    "tokenized_asset",
    "crypto",
    "money_market",
    "other",
]
Family = Literal["investment", "deposit"]

_BENCH = re.compile(r"bench-(?:(\d+)x)?(\d+)")
_SATURDAY = 5


@dataclass(frozen=True, slots=True)
class Institution:
    """A broker or bank. `snaptrade_slug` or `plaid_id` is None where that provider does not know it."""

    slug: str
    name: str
    snaptrade_slug: str | None
    plaid_id: str | None
    snaptrade_allows_trading: bool
    plaid_products: tuple[str, ...]
    url: str
    country_codes: tuple[str, ...] = ("US",)
    oauth: bool = True
    is_paper: bool = False


@dataclass(frozen=True, slots=True)
class OptionTerms:
    """Terms of a listed option; `strike` is per share of the security named by `underlying`."""

    option_type: Literal["CALL", "PUT"]
    strike: Decimal
    expiry: date
    multiplier: Decimal
    underlying: str


@dataclass(frozen=True, slots=True)
class BondTerms:
    """Terms of a bond. `price_per` is the face amount one price refers to: 1, or 100 as traders quote."""

    coupon: Decimal
    issued: date
    maturity: date
    face_value: Decimal
    price_per: Decimal


@dataclass(frozen=True, slots=True)
class FutureTerms:
    """Terms of a future: root symbol, expiration code (month letter and year), contract multiplier."""

    root: str
    code: str
    expiry: date
    multiplier: Decimal


@dataclass(frozen=True, slots=True)
class Security:
    """Something that can be held.

    `symbol` is the neutral ticker with exchange suffix (`RY.TO`), the 21-character OCC symbol for options, or
    None; `raw_symbol` has no suffix. FIGIs are invented but well-formed. `price` None means nobody prices it.
    `underlying` names another security for `cfd` and `tokenized_asset`; these two and `future_option` exist only at
    SnapTrade's own sandbox brokerage. `price_days_old` counts back from today to the day of the price.
    """

    key: str
    kind: Kind
    name: str
    symbol: str | None = None
    raw_symbol: str | None = None
    currency: str = "USD"
    mic: str | None = None
    figi: str | None = None
    figi_share_class: str | None = None
    isin: str | None = None
    cusip: str | None = None
    institution_security_id: str | None = None
    price: Decimal | None = None
    price_days_old: int = 1
    sector: str | None = None
    option: OptionTerms | None = None
    bond: BondTerms | None = None
    future: FutureTerms | None = None
    underlying: str | None = None

    @property
    def settlement_currency(self) -> str:
        """The currency its value is paid in: pounds for a share quoted in pence."""
        return "GBP" if self.currency == "GBX" else self.currency

    @property
    def unit_factor(self) -> Decimal:
        """What quantity times price must be multiplied with to be money in `settlement_currency`."""
        factor = Decimal(1)
        if self.option is not None:
            factor *= self.option.multiplier
        if self.future is not None:
            factor *= self.future.multiplier
        if self.bond is not None:
            factor /= self.bond.price_per
        return factor / 100 if self.currency == "GBX" else factor

    def price_as_of(self, today: date) -> date:
        """The day of the price: a weekday at least `price_days_old` days before `today`."""
        day = today - timedelta(days=self.price_days_old)
        while day.weekday() >= _SATURDAY:
            day -= timedelta(days=1)
        return day


@dataclass(frozen=True, slots=True)
class Holding:
    """How much of one security an account holds. `cash_equivalent` marks a sweep or money-market position."""

    security_key: str
    quantity: Decimal
    average_cost: Decimal | None
    cash_equivalent: bool = False


@dataclass(frozen=True, slots=True)
class Account:
    """A real account at an institution, as the institution knows it.

    `number` is the full (invented) number; its last four digits are the mask. `stable_id` is the institution's
    own id. `available` is only set for deposit accounts. `holdings_hidden` marks plans whose broker hides them.
    `activities` is how many activities its history has.
    """

    key: str
    institution: str
    name: str
    official_name: str
    number: str
    stable_id: str
    family: Family
    snaptrade_raw_type: str
    plaid_type: str
    plaid_subtype: str
    currency: str = "USD"
    cash: dict[str, Decimal] = field(default_factory=dict)
    holdings: tuple[Holding, ...] = ()
    margin: bool = False
    available: Decimal | None = None
    opened: date = date(2019, 3, 4)
    is_paper: bool = False
    holdings_hidden: bool = False
    activities: int = 12

    @property
    def mask(self) -> str:
        """The last four digits of the account number."""
        return self.number[-4:]


@dataclass(frozen=True, slots=True)
class Login:
    """A user name at one institution and the keys of the accounts behind it."""

    username: str
    institution: str
    accounts: tuple[str, ...]


@dataclass(slots=True)
class World:
    """One mutable copy of the truth, keyed for look-up. `fx` is the price of one unit in USD.

    `version` grows with every change, so a face may cache what it rendered under (account key, version).
    """

    institutions: dict[str, Institution]
    securities: dict[str, Security]
    accounts: dict[str, Account]
    logins: dict[tuple[str, str], Login]
    fx: dict[str, Decimal]
    version: int = 0

    @classmethod
    def fresh(cls) -> Self:
        """Build a copy of the data that can be changed without touching any other copy."""
        from provider_sandbox.data import accounts, institutions, securities  # noqa: PLC0415 - data imports us

        return cls(
            institutions={item.slug: item for item in institutions.INSTITUTIONS},
            securities={item.key: item for item in securities.SECURITIES},
            accounts={item.key: item for item in accounts.ACCOUNTS},
            logins={(item.username, item.institution): item for item in accounts.LOGINS},
            fx=dict(securities.FX_TO_USD),
        )

    def by_snaptrade_slug(self, slug: str) -> Institution | None:
        """Find an institution by SnapTrade's brokerage slug, in any case."""
        wanted = slug.upper()
        return next((i for i in self.institutions.values() if i.snaptrade_slug == wanted), None)

    def by_plaid_id(self, plaid_id: str) -> Institution | None:
        """Find an institution by Plaid's institution id."""
        return next((i for i in self.institutions.values() if i.plaid_id == plaid_id), None)

    def login(self, username: str, institution: str) -> Login | None:
        """Look a login up; `bench-500` and `bench-4x500` are made on first use at any institution.

        Returns None for an unknown user name, which a link page shows as wrong credentials.
        """
        found = self.logins.get((username, institution))
        shape = _BENCH.fullmatch(username)
        if found is not None or shape is None or institution not in self.institutions:
            return found
        return self.add_synthetic(username, institution, int(shape[1] or 1), int(shape[2]))

    def add_synthetic(self, username: str, institution: str, accounts: int, holdings: int) -> Login:
        """Add `accounts` made-up accounts of `holdings` holdings each and a login for them; repeatable."""
        from provider_sandbox.data import synthetic  # noqa: PLC0415 - data imports us

        made = synthetic.make_accounts(username, institution, accounts, holdings)
        securities = synthetic.make_securities(holdings)
        self.securities.update({s.key: s for s in securities if s != self.securities.get(s.key)})
        self.accounts.update({a.key: a for a in made if a != self.accounts.get(a.key)})
        login = Login(username, institution, tuple(item.key for item in made))
        self.logins[username, institution] = login
        self.version += 1
        return login

    def set_login(self, login: Login, accounts: Iterable[Account]) -> None:
        """Give a user name at an institution exactly these accounts, made or replaced."""
        self.accounts.update({account.key: account for account in accounts})
        self.logins[login.username, login.institution] = login
        self.version += 1

    def value(self, holding: Holding) -> Decimal | None:
        """Value of a holding in its security's settlement currency; None when nobody prices it."""
        security = self.securities[holding.security_key]
        if security.price is None:
            return None
        return holding.quantity * security.price * security.unit_factor

    def convert(self, amount: Decimal, source: str, target: str) -> Decimal:
        """Convert at the world's fixed rates; exact when both currencies are the same."""
        return amount if source == target else amount * self.fx[source] / self.fx[target]

    def total(self, account: Account) -> Decimal:
        """The institution's own total of an account in the account's currency; unpriced holdings count nothing.

        Exact when everything is in one currency, else rounded to cents.
        """
        parts = [(amount, currency) for currency, amount in account.cash.items()]
        for holding in account.holdings:
            value = self.value(holding)
            if value is not None:
                parts.append((value, self.securities[holding.security_key].settlement_currency))
        total = sum((self.convert(amount, source, account.currency) for amount, source in parts), Decimal(0))
        mixed = any(source != account.currency for _, source in parts)
        return total.quantize(Decimal("0.01")) if mixed else total

    def margin_loan(self, account: Account) -> Decimal:
        """What the account owes on margin, in its own currency, as a positive amount (0 when nothing)."""
        owed = (self.convert(-a, c, account.currency) for c, a in account.cash.items() if a < 0)
        return sum(owed, Decimal(0)) if account.margin else Decimal(0)

    def set_holding(self, account_key: str, holding: Holding) -> None:
        """Put a holding into an account, replacing the one of the same security."""
        account = self.accounts[account_key]
        kept = [h for h in account.holdings if h.security_key != holding.security_key]
        position = next(
            (i for i, h in enumerate(account.holdings) if h.security_key == holding.security_key), len(kept)
        )
        kept.insert(position, holding)
        self.replace_holdings(account_key, kept)

    def remove_holding(self, account_key: str, security_key: str) -> None:
        """Take every holding of one security out of an account."""
        kept = [h for h in self.accounts[account_key].holdings if h.security_key != security_key]
        self.replace_holdings(account_key, kept)

    def replace_holdings(self, account_key: str, holdings: Iterable[Holding]) -> None:
        """Set the complete list of holdings of an account."""
        self._put(replace(self.accounts[account_key], holdings=tuple(holdings)))

    def set_cash(self, account_key: str, currency: str, amount: Decimal) -> None:
        """Set the cash of an account in one currency."""
        account = self.accounts[account_key]
        self._put(replace(account, cash={**account.cash, currency: amount}))

    def set_history(self, account_key: str, activities: int) -> None:
        """Set how many activities the history of an account has."""
        self._put(replace(self.accounts[account_key], activities=activities))

    def set_price(self, security_key: str, price: Decimal | None) -> None:
        """Set what everyone pays for a security; None makes it unpriced."""
        self.securities[security_key] = replace(self.securities[security_key], price=price)
        self.version += 1

    def _put(self, account: Account) -> None:
        self.accounts[account.key] = account
        self.version += 1

"""Accounts and logins of the sandbox's people.

`demo` can sign in everywhere. At Schwab, Fidelity and Chase it owns the demo portfolio (fully priced, USD only, every
total exact); elsewhere it shares the account of the person whose awkward data lives there:
`margo` (Interactive Brokers), `ravi` (E*TRADE), `vera` (Vanguard), `bob` (Bank of America), `emma` (Evergreen).
`carol` (Schwab) has one account each with a sweep fund, with a margin loan, shorts and options, and with a money-market
fund of her own; `every-kind` (SnapTrade's sandbox) holds each kind of instrument there is;
`twins` has two Fidelity accounts with the same last four digits; `nobody` has a login without accounts.
"""

from dataclasses import replace
from datetime import date
from decimal import Decimal

from provider_sandbox.world import Account, Holding, Login


def _held(key: str, quantity: str, cost: str | None = None, *, sweep: bool = False) -> Holding:
    return Holding(key, Decimal(quantity), None if cost is None else Decimal(cost), cash_equivalent=sweep)


def _cash(**amounts: str) -> dict[str, Decimal]:
    return {currency: Decimal(amount) for currency, amount in amounts.items()}


def _brokerage(
    key: str,
    institution: str,
    name: str,
    number: str,
    *,
    cash: dict[str, Decimal],
    holdings: tuple[Holding, ...],
) -> Account:
    return Account(
        key=key,
        institution=institution,
        name=name,
        official_name=f"{name} Brokerage Account",
        number=number,
        stable_id=f"{key}-7c21",
        family="investment",
        snaptrade_raw_type="Individual",
        plaid_type="investment",
        plaid_subtype="brokerage",
        cash=cash,
        holdings=holdings,
    )


def _checking(key: str, institution: str, name: str, number: str, *, current: str, available: str) -> Account:
    return Account(
        key=key,
        institution=institution,
        name=name,
        official_name=f"{name} Account",
        number=number,
        stable_id=f"{key}-19af",
        family="deposit",
        snaptrade_raw_type="CHECKING",
        plaid_type="depository",
        plaid_subtype="checking",
        cash=_cash(USD=current),
        available=Decimal(available),
        activities=8,
    )


_AAPL_CALL, _TSLA_PUT = "AAPL280121C00250000", "TSLA280121P00350000"
_DEMO = (
    _brokerage(
        "schwab-demo",
        "charles-schwab",
        "Individual",
        "83104472",
        cash=_cash(USD="3000"),
        holdings=(
            _held("AAPL", "50", "182.40"),
            _held("MSFT", "20", "371.25"),
            _held("NVDA", "30", "94.10"),
            _held("SCHD", "120", "25.60"),
            _held(_AAPL_CALL, "2", "48.75"),
            _held("UST-4.25-2034", "10000", "0.972"),
            _held("SWVXX", "2500", "1", sweep=True),
        ),
    ),
    _brokerage(
        "fidelity-demo",
        "fidelity",
        "Individual TOD",
        "Z71938865",
        cash=_cash(USD="0"),
        holdings=(
            _held("VTI", "80", "241.18"),
            _held("FXAIX", "150.25", "168.90"),
            _held("GOOGL", "35", "142.50"),
            _held("BTC", "0.05", "64200"),
            _held("SPAXX", "1200", "1", sweep=True),
        ),
    ),
    _checking(
        "chase-checking-demo", "chase", "Total Checking", "000482915521", current="5000", available="4850"
    ),
    _brokerage(
        "chase-invest-demo",
        "chase",
        "Self-Directed Investing",
        "614407318",
        cash=_cash(USD="0"),
        holdings=(
            _held("AAPL", "100", "151.75"),
            _held("JPM", "40", "148.20"),
            _held("VOO", "25", "402.35"),
            _held("BND", "200", "76.80"),
        ),
    ),
)

_MARGO = Account(
    key="ibkr-margo",
    institution="interactive-brokers",
    name="Margin",
    official_name="IBKR Pro Margin",
    number="U7719345",
    stable_id="ibkr-margo-55d0",
    family="investment",
    snaptrade_raw_type="Margin",
    plaid_type="investment",
    plaid_subtype="brokerage",
    cash=_cash(USD="-4200.50", CAD="1850.25", GBP="310.40"),
    margin=True,
    opened=date(2017, 9, 18),
    holdings=(
        _held("AAPL", "300", "131.02"),
        _held("TSM", "60", "118.40"),
        _held("RY", "150", "128.90"),
        _held("VOD", "4000", "88.15"),
        _held("GME", "-75", "26.05"),
        _held(_TSLA_PUT, "-3", "70.20"),
        _held("ES-Z28", "1", "6812.50"),
        _held("ETH", "1.25", None),
        _held("PHNTM", "500", "3.10"),
    ),
    activities=1203,
)

_RAVI = (
    _brokerage(
        "etrade-ravi",
        "etrade",
        "Brokerage",
        "558206341",
        cash=_cash(USD="742.18"),
        holdings=(
            # Two rows of one instrument, one of them without a cost: a margin lot beside a cash lot.
            _held("MSFT", "12", None),
            _held("MSFT", "5", "310.00"),
            _held("ACME-5.10-2031", "25000", "99.10"),
            _held("PDI", "400", "21.35"),
            _held("ACMEW", "1000", None),
        ),
    ),
    _checking(
        "etrade-checking-ravi",
        "etrade",
        "Max-Rate Checking",
        "220117564",
        current="880.40",
        available="880.40",
    ),
)

_VERA = (
    _brokerage(
        "vanguard-vera",
        "vanguard",
        "Brokerage",
        "41827730",
        cash=_cash(USD="0"),
        holdings=(
            _held("VTSAX", "310.482", "121.07"),
            _held("VBTLX", "905.11", "10.62"),
            _held("VMFXX", "4310.27", "1", sweep=True),
        ),
    ),
    Account(
        key="vanguard-plan-vera",
        institution="vanguard",
        name="Employer Plan",
        official_name="Example Works 401(k) Plan",
        number="09337112",
        stable_id="vanguard-plan-vera-02ce",
        family="investment",
        snaptrade_raw_type="401k",
        plaid_type="investment",
        plaid_subtype="401k",
        holdings=(_held("VTSAX", "120", "98.40"),),
        holdings_hidden=True,
    ),
)

_BOB = (
    _checking(
        "bofa-checking-bob",
        "bank-of-america",
        "Advantage Banking",
        "004417220933",
        current="2314.77",
        available="2314.77",
    ),
    _brokerage(
        "merrill-bob",
        "bank-of-america",
        "Merrill Edge CMA",
        "7KX20918",
        cash=_cash(USD="1260.05"),
        holdings=(_held("VOO", "15", "455.00"), _held("TSLA", "8", "244.30"), _held("RY", "20", "131.15")),
    ),
)

_CAROL = (
    _brokerage(
        "schwab-carol-sweep",
        "charles-schwab",
        "Sweep",
        "70110041",
        cash=_cash(USD="812.34"),
        holdings=(_held("VTI", "12.4", "241.18"), _held("SWVXX", "4310.27", "1", sweep=True)),
    ),
    replace(
        _brokerage(
            "schwab-carol-margin",
            "charles-schwab",
            "Margin",
            "70110042",
            cash=_cash(USD="-4200.50"),
            holdings=(
                _held("AAPL", "300", "131.02"),
                _held("GME", "-75", "26.05"),
                _held(_AAPL_CALL, "2", "48.75"),
                _held(_TSLA_PUT, "-3", "70.20"),
            ),
        ),
        margin=True,
        snaptrade_raw_type="Margin",
    ),
    _brokerage(
        "schwab-carol-funds",
        "charles-schwab",
        "Money Market",
        "70110043",
        cash=_cash(USD="150"),
        # Bought by its owner, not a sweep: the broker does not count it as cash.
        holdings=(_held("FXAIX", "10.25", "168.90"), _held("VMFXX", "2000", "1")),
    ),
)

_EMMA = Account(
    key="evergreen-emma",
    institution="evergreen-retirement",
    name="Example Works 401(k)",
    official_name="Example Works Retirement Savings Plan",
    number="EW004417",
    stable_id="evergreen-emma-8a1e",
    family="investment",
    snaptrade_raw_type="401k",
    plaid_type="investment",
    plaid_subtype="401k",
    holdings=(_held("EVERGREEN-2055", "1820.337", "29.14"), _held("EVERGREEN-STABLE", "950", None)),
)

_TWINS = (
    _brokerage(
        "fidelity-twin-a",
        "fidelity",
        "Individual",
        "X22118865",
        cash=_cash(USD="120"),
        holdings=(_held("AAPL", "100", "120.00"), _held("TSLA", "10", "180.00")),
    ),
    _brokerage(
        "fidelity-twin-b",
        "fidelity",
        "Rollover IRA",
        "206338865",
        cash=_cash(USD="75.50"),
        holdings=(_held("AAPL", "100", "90.00"), _held("FXAIX", "60.5", "140.00")),
    ),
)

_PLATYPUS = (
    _checking(
        "platypus-checking",
        "first-platypus",
        "Plaid Checking",
        "1111222233330000",
        current="110",
        available="100",
    ),
    _brokerage(
        "platypus-invest",
        "first-platypus",
        "Plaid Brokerage",
        "1111222233335555",
        cash=_cash(USD="320.76"),
        holdings=(
            _held("NVDA", "12", "60.00"),
            _held("BTC", "0.01", None),
            _held("EVERGREEN-2055", "40", "30"),
        ),
    ),
)

_SANDBOX = (
    _brokerage(
        "sandbox-margin",
        "snaptrade-sandbox",
        "Sandbox Margin",
        "SB12345678",
        cash=_cash(USD="300.71", CAD="-25.5"),
        holdings=(
            _held("AAPL", "110.5", "199.05"),
            _held("XIC", "-20", "41.00"),
            _held(_AAPL_CALL, "-2", "41.10"),
        ),
    ),
    _brokerage(
        "sandbox-ira",
        "snaptrade-sandbox",
        "Sandbox IRA",
        "SB87654321",
        cash=_cash(USD="950"),
        holdings=(_held("VTI", "14", "250.00"), _held("SWVXX", "250", "1", sweep=True)),
    ),
    _brokerage(
        "sandbox-kinds",
        "snaptrade-sandbox",
        "Sandbox Every Kind",
        "SB55556666",
        cash=_cash(USD="500"),
        holdings=(
            _held("AAPL", "5", "200"),
            _held("TSM", "5", "200"),
            _held("VTI", "5", "200"),
            _held("FXAIX", "5", "200"),
            _held("PDI", "5", "20"),
            _held("UST-4.25-2034", "1000", "0.97"),
            _held("BTC", "0.0125", None),
            _held(_AAPL_CALL, "1", "48"),
            _held("ES-Z28", "1", "6890"),
            _held("ES-Z28-C7000", "1", "140"),
            _held("AAPL-CFD", "4", "250"),
            _held("AAPL-TOKEN", "2", "260"),
            _held("ACMEW", "100", None),
            _held("PHNTM", "7", "3"),
            _held("SWVXX", "250", "1", sweep=True),
        ),
    ),
    _brokerage(
        "sandbox-cash", "snaptrade-sandbox", "Sandbox Cash", "SB11112222", cash=_cash(USD="1500"), holdings=()
    ),
    replace(
        _brokerage(
            "sandbox-notx",
            "snaptrade-sandbox",
            "Sandbox",
            "SB33334444",
            cash=_cash(USD="50"),
            holdings=(_held("VOO", "3", "500"),),
        ),
        activities=0,
    ),
)

ACCOUNTS = (*_DEMO, _MARGO, *_RAVI, *_VERA, *_BOB, *_CAROL, _EMMA, *_TWINS, *_PLATYPUS, *_SANDBOX)

_OWNERS = {
    "interactive-brokers": ("margo", ("ibkr-margo",)),
    "etrade": ("ravi", ("etrade-ravi", "etrade-checking-ravi")),
    "vanguard": ("vera", ("vanguard-vera", "vanguard-plan-vera")),
    "bank-of-america": ("bob", ("bofa-checking-bob", "merrill-bob")),
    "evergreen-retirement": ("emma", ("evergreen-emma",)),
    "first-platypus": ("user_good", ("platypus-checking", "platypus-invest")),
    "snaptrade-sandbox": ("self-directed", ("sandbox-margin", "sandbox-ira")),
}

LOGINS = (
    Login("demo", "charles-schwab", ("schwab-demo",)),
    Login("demo", "fidelity", ("fidelity-demo",)),
    Login("demo", "chase", ("chase-checking-demo", "chase-invest-demo")),
    *(Login(owner, slug, keys) for slug, (owner, keys) in _OWNERS.items()),
    *(Login("demo", slug, keys) for slug, (_, keys) in _OWNERS.items()),
    Login("carol", "charles-schwab", tuple(account.key for account in _CAROL)),
    Login("twins", "fidelity", ("fidelity-twin-a", "fidelity-twin-b")),
    Login("nobody", "charles-schwab", ()),
    Login("every-kind", "snaptrade-sandbox", ("sandbox-kinds",)),
    Login("cash-only", "snaptrade-sandbox", ("sandbox-cash",)),
    Login("no-transactions", "snaptrade-sandbox", ("sandbox-notx",)),
    Login("no-accounts", "snaptrade-sandbox", ()),
)

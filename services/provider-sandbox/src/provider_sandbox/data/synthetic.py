"""Made-up securities and accounts for benchmarks: always the same for the same name and size."""

import hashlib
from decimal import Decimal

from provider_sandbox.data.securities import figi
from provider_sandbox.world import Account, Holding, Security

_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def _ticker(index: int) -> str:
    letters = ""
    for _ in range(4):
        index, digit = divmod(index, len(_LETTERS))
        letters = _LETTERS[digit] + letters
    return f"Z{letters}"


def make_securities(count: int) -> list[Security]:
    """Return the first `count` synthetic stocks and ETFs, tickers `ZAAAA` upwards."""
    return [
        Security(
            key=_ticker(index),
            kind="etf" if index % 5 == 0 else "stock",
            name=f"Synthetic Security {index + 1}",
            symbol=_ticker(index),
            raw_symbol=_ticker(index),
            mic="XNAS" if index % 2 else "XNYS",
            figi=figi(f"synthetic/{index}"),
            figi_share_class=figi(f"synthetic/{index}/class"),
            price=Decimal(1000 + index * 37 % 50_000) / 100,
        )
        for index in range(count)
    ]


def make_accounts(username: str, institution: str, accounts: int, holdings: int) -> list[Account]:
    """Return `accounts` accounts of one login, each with `holdings` holdings and 1,000 USD of cash."""
    return [_account(username, institution, number, holdings) for number in range(1, accounts + 1)]


def _account(username: str, institution: str, number: int, holdings: int) -> Account:
    key = f"{institution}/{username}/{number}"
    digest = hashlib.sha256(key.encode()).hexdigest()
    return Account(
        key=key,
        institution=institution,
        name=f"Benchmark {number}",
        official_name=f"Benchmark account {number} of {username}",
        number=f"{int(digest[:8], 16) % 90_000_000 + 10_000_000}",
        stable_id=digest[:16],
        family="investment",
        snaptrade_raw_type="Individual",
        plaid_type="investment",
        plaid_subtype="brokerage",
        cash={"USD": Decimal(1000)},
        holdings=tuple(
            Holding(_ticker(index), Decimal(index % 90 + 1), Decimal(900 + index * 31 % 40_000) / 100)
            for index in range(holdings)
        ),
    )

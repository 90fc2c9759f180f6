"""What must hold of any portfolio at any moment, whatever the reference says."""

import json
from collections.abc import Iterable, Sequence
from decimal import Decimal

from generate import Portfolio
from reference import Answer, instrument_id
from securities import cash
from world import TrueAccount

from contracts import ids


def counted_twice(positions: Iterable[str], sure: Sequence[set[str]]) -> list[str]:
    """Positions to which two sights of one account contribute, of the accounts that surely are one."""
    found = []
    for text in positions if sure else ():
        row = json.loads(text)
        contributors = {part["account_id"] for part in row["contributions"]}
        found += [
            f"{row['instrument_key']} of portfolio {row['portfolio_id']} counts {sorted(contributors & group)}"
            for group in sure
            if len(contributors & group) > 1
        ]
    return found


def not_owned(portfolio: Portfolio, answer: Answer) -> list[str]:
    """Where a settled portfolio does not count what the person owns, to the last digit.

    Of the accounts that were recognised: whose sights, and nobody else's, make up one real account.
    """
    counted = {
        frozenset(real["members"]): real["counted_account_id"]
        for real in map(json.loads, answer.real_accounts)
    }
    parts = _counted_parts(ids.portfolio_id(portfolio.user), answer)
    problems = []
    for account in portfolio.accounts:
        present = frozenset(
            one.account_id
            for one in account.sights
            if one.account_id in answer.sights and _seen(one.account_id, answer)
        )
        source = counted.get(present)
        if not account.open or source is None:
            continue
        owned = _owned(account, answer.sights[source].provider)
        found = {of: number for (who, of), number in parts.items() if who == source}
        twice = sorted(who for who, _ in parts if who in present and who != source)
        if found != owned or twice:
            problems.append(f"account {source}: {owned} are owned, {found} counted, and also {twice}")
    return problems


def _seen(account_id: str, answer: Answer) -> bool:
    return answer.sights[account_id].present


def _owned(account: TrueAccount, provider: str) -> dict[str, Decimal]:
    """Quantities by the id of the instrument as this provider describes it; nothing is left out."""
    things = {instrument_id(one.described_by(provider)): number for one, number in account.owned.items()}
    money = {instrument_id(cash(currency)): amount for currency, amount in account.money.items()}
    return {of: number for of, number in (things | money).items() if number}


def _counted_parts(portfolio: str, answer: Answer) -> dict[tuple[str, str], Decimal]:
    """What each account contributes of each instrument to the portfolio."""
    return {
        (part["account_id"], part["instrument_id"]): Decimal(part["quantity"])
        for row in map(json.loads, answer.positions)
        if row["portfolio_id"] == portfolio
        for part in row["contributions"]
    }

"""What the consolidator made of a portfolio, in the form of the reference: from a book in memory or from its views."""

import json
from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

from reference import Answer, canonical, moment, number

from consolidator import conclude
from consolidator.book import Book
from consolidator.domain.consolidate import Consolidated, Part
from consolidator.domain.values import Account, RealAccount
from consolidator.rules import DEFAULT_RULES, Rules
from contracts import ids
from persistence.database import Database


class Rows(NamedTuple):
    """Rows as canonical text, sorted."""

    positions: list[str]
    real_accounts: list[str]
    accounts: list[str]


KINDS = Rows._fields


def differences(wanted: Answer, found: Rows) -> list[str]:
    """Where the rows differ, member by member; empty when the two are equal byte by byte."""
    lines: list[str] = []
    for kind, name in IDENTITY.items():
        right, stored = getattr(wanted, kind), getattr(found, kind)
        if right == stored:
            continue
        mine, theirs = (_by(name, rows) for rows in (right, stored))
        lines += [f"{kind} {key}: is missing" for key in mine.keys() - theirs.keys()]
        lines += [f"{kind} {key}: is too much" for key in theirs.keys() - mine.keys()]
        for key in sorted(mine.keys() & theirs.keys()):
            lines += [f"{kind} {key}{at}" for at in _unequal(mine[key], theirs[key])]
        if len(right) != len(stored) or not lines:
            lines.append(f"{kind}: {len(stored)} rows instead of {len(right)}")
    return lines


IDENTITY = {"accounts": "account_id", "real_accounts": "real_account_id", "positions": "position_id"}


def _by(name: str, rows: list[str]) -> dict[str, Any]:
    return {row[name]: row for row in map(json.loads, rows)}


def _unequal(wanted: Any, found: Any, at: str = "") -> Iterable[str]:
    """The members in which two values differ, as ``path: expected …, stored …``."""
    if isinstance(wanted, dict) and isinstance(found, dict) and wanted.keys() == found.keys():
        for name, value in wanted.items():
            yield from _unequal(value, found[name], f"{at}.{name}")
    elif isinstance(wanted, list) and isinstance(found, list) and len(wanted) == len(found):
        for place, value in enumerate(wanted):
            yield from _unequal(value, found[place], f"{at}[{place}]")
    elif wanted != found:
        yield f"{at}: expected {wanted!r}, stored {found!r}"


# In memory.


def of_book(book: Book, rules: Rules = DEFAULT_RULES) -> Rows:
    """What a book amounts to."""
    positions = [
        canonical(_position(book, portfolio, one))
        for portfolio in book.live_portfolios()
        for one in conclude.positions(book, rules, portfolio).values()
    ]
    reals = [canonical(_real_account(one)) for one in book.real_accounts.values()]
    accounts = [canonical(_account(book, one)) for one in book.present_accounts()]
    return Rows(sorted(positions), sorted(reals), sorted(accounts))


def _position(book: Book, portfolio: str, one: Consolidated) -> dict[str, Any]:
    return {
        "position_id": ids.position_id(portfolio, one.key, one.currency),
        "portfolio_id": portfolio,
        "instrument_key": one.key,
        "currency": one.currency,
        "quantity": number(one.quantity),
        "market_value": number(one.market_value),
        "value_complete": one.value_complete,
        "cost_basis": number(one.cost_basis),
        "cost_basis_complete": one.cost_basis_complete,
        "price": number(one.price),
        "price_as_of": moment(one.price_as_of),
        "ticker": one.ref.ticker,
        "type": one.ref.kind,
        "provider": one.provider,
        "account_id": one.account_id,
        "position_source": one.provider if len(one.contributions) == 1 else "consolidated",
        "stale": one.stale,
        "contributions": [_part(book, part) for part in one.contributions],
        "excluded": [
            {
                "real_account_id": left.real_account_id,
                "account_id": left.account_id,
                "provider": left.provider,
                "quantity": number(left.quantity),
                "market_value": number(left.market_value),
                "cost_basis": number(left.cost_basis),
                "instrument_id": left.instrument_id,
                "counted_account_id": left.counted_account_id,
                "rule": left.rule,
            }
            for left in one.excluded
        ],
    }


def _part(book: Book, part: Part) -> dict[str, Any]:
    current = book.held[part.account_id].current
    assert current is not None
    return {
        "real_account_id": part.real_account_id,
        "account_id": part.account_id,
        "provider": part.provider,
        "quantity": number(part.quantity),
        "market_value": number(part.market_value),
        "cost_basis": number(part.cost_basis),
        "instrument_id": part.instrument_id,
        "price": number(part.price),
        "price_as_of": moment(part.price_as_of),
        "as_of": moment(current.as_of),
        "synced_at": moment(current.synced_at),
        "version": current.version,
        "snapshot_id": ids.snapshot_id(part.account_id, current.version, current.content_hash),
        "content_hash": current.content_hash,
    }


def _real_account(one: RealAccount) -> dict[str, Any]:
    return {
        "real_account_id": one.real_account_id,
        "institution": one.institution,
        "members": list(one.members),
        "counted_account_id": one.counted_account_id,
        "reason": one.reason,
        "stale": one.stale,
        "needs_decision": one.needs_decision,
        "excluded": [list(pair) for pair in one.excluded],
        "held_back_until": moment(one.held_back_until),
    }


def _account(book: Book, one: Account) -> dict[str, Any]:
    held = book.holding(one.account_id)
    real = book.real_accounts[one.real_account_id or ""]
    newer_gap = held.gap is not None and held.gap.version > (held.current.version if held.current else 0)
    gap = held.gap.reason if held.gap is not None and newer_gap else None
    current = held.current
    return {
        "account_id": one.account_id,
        "connection_id": one.connection_id,
        "real_account_id": one.real_account_id,
        "suspect": held.suspect,
        "suspect_reason": "quarantined" if held.quarantine else gap,
        "counted": real.counted_account_id == one.account_id,
        "waiting": real.reason == conclude.NOT_DESCRIBED,
        "excluded_rule": dict(real.excluded).get(one.account_id),
        "snapshot_id": ids.snapshot_id(one.account_id, current.version, current.content_hash)
        if current
        else None,
        "as_of": moment(current.as_of) if current else None,
    }


# In the database, as the gateway reads it.

POSITIONS = """SELECT user_id, position_id::text, portfolio_id::text, instrument_key, currency,
    quantity, market_value, value_complete, cost_basis, cost_basis_complete, price, price_as_of, ticker, type,
    provider, account_id::text, position_source, stale, contributions, excluded FROM portfolio.v_positions"""
REAL_ACCOUNTS = """SELECT user_id, real_account_id::text, institution, members, counted_account_id::text, reason,
    stale, needs_decision, excluded, held_back_until FROM portfolio.v_real_accounts"""
ACCOUNTS = """SELECT user_id, account_id::text, connection_id::text, real_account_id::text, suspect, suspect_reason,
    counted, waiting, excluded_rule, snapshot_id::text, as_of FROM portfolio.v_accounts"""
NUMBERS = {"quantity", "market_value", "cost_basis", "price"}
MOMENTS = {"price_as_of", "as_of", "synced_at", "held_back_until"}


async def of_database(database: Database, users: Iterable[str]) -> dict[str, Rows]:
    """The stored rows of these users. ``database`` must be one whose role sees all users."""
    found = {user: Rows([], [], []) for user in users}
    for kind, query in zip(KINDS, (POSITIONS, REAL_ACCOUNTS, ACCOUNTS), strict=True):
        async with database.transaction() as conn:
            cursor = await conn.execute(f"{query} WHERE user_id = ANY (%s)", (list(found),))
            names = [column.name for column in cursor.description or ()]
            for values in await cursor.fetchall():
                row = dict(zip(names, values, strict=True))
                getattr(found[row.pop("user_id")], kind).append(canonical(_plain(row)))
    for rows in found.values():
        for lines in rows:
            lines.sort()
    return found


def _is_pairs(value: list[Any]) -> bool:
    """Whether these are accounts with the rule that excluded each, not rows."""
    return bool(value) and isinstance(value[0], list)


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    """A stored row with its numbers and moments in their one form; what is nested is read alike."""
    plain = dict(row)
    for name, value in row.items():
        if value is None:
            continue
        if name in MOMENTS:
            plain[name] = moment(value if isinstance(value, datetime) else datetime.fromisoformat(value))
        elif name in NUMBERS:
            # In JSON a number may stand in another form of the same value, such as 7E-7.
            plain[name] = number(Decimal(value))
        elif name in {"contributions", "excluded"} and not _is_pairs(value):
            plain[name] = [_plain(part) for part in value]
    return plain

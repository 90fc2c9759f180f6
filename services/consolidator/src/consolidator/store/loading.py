"""Loading the books of the users a batch touches, under their locks, in one round trip."""

from collections.abc import Callable, Iterable
from hashlib import blake2b
from typing import Any

import msgspec

from consolidator.book import EMPTY, Book
from consolidator.conclude import NOT_DESCRIBED
from consolidator.domain.checks import Check
from consolidator.domain.identity import Link, Verdict
from consolidator.domain.numbers import ZERO, plain_or_none
from consolidator.domain.values import (
    Account,
    BalanceSheet,
    Connection,
    Decision,
    Gap,
    Judgement,
    Line,
    Portfolio,
    Quarantine,
    RealAccount,
    Sight,
    StatusMark,
    Worth,
)
from contracts.accounts import AccountStatus, AccountType, Capabilities, ProviderAccount
from contracts.money import Money
from contracts.statuses import ConnectionStatus
from persistence.database import Connection as Session

replace = msgspec.structs.replace
_PAYLOAD = msgspec.json.Decoder(tuple[Line, ...])

LOCK = "SELECT pg_advisory_xact_lock(key) FROM unnest(%s::bigint[]) AS key"
CONNECTIONS = """SELECT user_id, connection_id::text, provider, institution, institution_name, external_id,
    connection_type, status, status_version, status_rank, status_at, status_reason, provider_code, repair_by,
    linked_at, linked_version, accounts_version
    FROM portfolio.connections WHERE user_id = ANY (%s)"""
ACCOUNTS = """SELECT user_id, account_id::text, connection_id::text, provider, institution,
    real_account_id::text, listed_version, spoken_version, listed_at, external_id, name, official_name, type, raw_type,
    currency, mask, status, is_paper, stable_id, trim_scale(total_amount), total_currency, trading, realtime,
    holdings_as_of, holds_securities
    FROM portfolio.accounts WHERE user_id = ANY (%s)"""
SNAPSHOTS = """SELECT user_id, account_id::text, state, version, content_hash, as_of, synced_at,
    first_synced_at, trusted_since, gap, holdings, trim_scale(value), value_currency, unpriced, payload::text
    FROM portfolio.snapshots WHERE user_id = ANY (%s)"""
SHEETS = """SELECT user_id, account_id::text, version, content_hash, as_of, synced_at
    FROM portfolio.balance_snapshots WHERE user_id = ANY (%s)"""
REAL_ACCOUNTS = """SELECT user_id, real_account_id::text, institution, members::text, counted_account_id::text,
    reason, stale, needs_decision, excluded::text, held_back_until, due_at
    FROM portfolio.real_accounts WHERE user_id = ANY (%s)"""
EVIDENCE = """SELECT user_id, account_id::text, other_account_id::text, verdict, rule, score, reasons::text
    FROM portfolio.identity_evidence WHERE user_id = ANY (%s)"""
DECISIONS = """SELECT user_id, account_id::text, other_account_id::text, verdict, decided_at,
    decision_id::text, decided_by
    FROM portfolio.identity_decisions WHERE user_id = ANY (%s)"""
JUDGEMENTS = """SELECT user_id, judgement_id::text, account_id::text, version, verdict, judged_by, judged_at
    FROM portfolio.snapshot_judgements WHERE user_id = ANY (%s)"""
PORTFOLIOS = """SELECT user_id, portfolio_id::text, name, account_ids::text, deleted, version, defined_at
    FROM portfolio.portfolios WHERE user_id = ANY (%s)"""
CHECKS = """SELECT user_id, real_account_id::text, account_id::text, outcome, reason, trim_scale(counted),
    trim_scale(expected), trim_scale(difference), currency
    FROM portfolio.account_checks WHERE user_id = ANY (%s)"""
VERSIONS = (
    "SELECT user_id, portfolio_id::text, version FROM portfolio.portfolio_versions WHERE user_id = ANY (%s)"
)

Books = dict[str, Book]
Reader = Callable[[Books, Any], None]


def lines_of(payload: str) -> tuple[Line, ...]:
    """The lines of a stored payload."""
    return _PAYLOAD.decode(payload)


def lock_keys(users: Iterable[str]) -> list[int]:
    """The advisory lock of each user, in the one order in which everybody takes them."""
    return sorted(
        int.from_bytes(
            blake2b(user.encode(), digest_size=8, person=b"onefolio-book").digest(), "big", signed=True
        )
        for user in users
    )


async def load(conn: Session, users: list[str]) -> Books:
    """Lock these users until the end of the transaction and read their books, holdings left out."""
    books = {user: Book(user) for user in users}
    async with conn.pipeline():
        await conn.execute(LOCK, (lock_keys(users),))
        cursors = [(reader, await conn.execute(query, (users,))) for query, reader in READERS]
        for reader, cursor in cursors:
            for row in await cursor.fetchall():
                reader(books, row)
    return books


def _connection(books: Books, row: Any) -> None:
    user, connection_id, provider, institution, name, external_id, kind, status, *rest = row
    version, rank, at, reason, code, repair_by, linked_at, linked_version, accounts_version = rest
    mark = None
    if status is not None:
        mark = StatusMark(
            status=ConnectionStatus(status),
            version=version,
            rank=rank,
            at=at,
            reason=reason,
            provider_code=code,
            repair_by=repair_by,
        )
    books[user].connections[connection_id] = Connection(
        connection_id=connection_id,
        provider=provider,
        institution=institution,
        institution_name=name,
        external_id=external_id,
        connection_type=kind,
        status=mark,
        linked_at=linked_at,
        linked_version=linked_version,
        accounts_version=accounts_version,
    )


def _account(books: Books, row: Any) -> None:
    user, account_id, connection_id, provider, institution, real_account_id, *rest = row
    version, spoken_version, listed_at, *listed = rest
    books[user].accounts[account_id] = Account(
        account_id=account_id,
        connection_id=connection_id,
        provider=provider,
        institution=institution,
        real_account_id=real_account_id,
        listed_version=version,
        spoken_version=spoken_version,
        listed_at=listed_at,
        listed=_listed(account_id, listed),
    )


def _listed(account_id: str, row: Any) -> ProviderAccount | None:
    external_id, name, official_name, kind, raw_type, currency, mask, status, is_paper, stable_id, *rest = row
    if external_id is None:
        return None
    amount, total_currency, trading, realtime, holdings_as_of, holds_securities = rest
    return ProviderAccount(
        account_id=account_id,
        external_id=external_id,
        name=name,
        official_name=official_name,
        type=AccountType(kind),
        raw_type=raw_type,
        currency=currency,
        mask=mask,
        status=AccountStatus(status),
        is_paper=is_paper,
        stable_id=stable_id,
        total=None if amount is None else Money(amount=amount, currency=total_currency),
        capabilities=Capabilities(trading=trading, realtime=realtime),
        holdings_as_of=holdings_as_of,
        holds_securities=holds_securities,
    )


def _snapshot(books: Books, row: Any) -> None:
    user, account_id, state, version, content_hash, as_of, synced_at, first, trusted_since, gap, *rest = row
    holdings, value, currency, unpriced, payload = rest
    book = books[user]
    held = book.held.get(account_id, EMPTY)
    if state == "incomplete":
        book.held[account_id] = replace(held, gap=Gap(version=version, reason=gap))
        return
    sight = Sight(
        version=version,
        content_hash=content_hash,
        as_of=as_of,
        synced_at=synced_at,
        holdings=holdings,
        worth=Worth(currency=currency, value=value or ZERO, unpriced=unpriced, empty=holdings == 0),
        lines=() if holdings == 0 else (lines_of(payload) if payload else None),
    )
    if state == "current":
        book.held[account_id] = replace(held, current=sight, trusted_since=trusted_since)
    else:
        aside = Quarantine(sight=sight, first_synced_at=first)
        book.held[account_id] = replace(held, quarantine=aside)


def _sheet(books: Books, row: Any) -> None:
    user, account_id, version, content_hash, as_of, synced_at = row
    books[user].sheets[account_id] = BalanceSheet(
        version=version, content_hash=content_hash, as_of=as_of, synced_at=synced_at
    )


def _real_account(books: Books, row: Any) -> None:
    user, real_account_id, institution, members, counted, reason, stale, needs_decision, excluded, *times = (
        row
    )
    book = books[user]
    book.real_accounts[real_account_id] = RealAccount(
        real_account_id=real_account_id,
        institution=institution,
        members=tuple(msgspec.json.decode(members)),
        counted_account_id=counted,
        reason=reason,
        stale=stale,
        needs_decision=needs_decision,
        excluded=tuple((one, rule) for one, rule in msgspec.json.decode(excluded)),
        held_back_until=times[0],
        due_at=times[1],
    )
    if needs_decision:
        book.grey |= {real_account_id}
    if reason == NOT_DESCRIBED:
        book.waiting |= {real_account_id}


def _evidence(books: Books, row: Any) -> None:
    user, one, other, verdict, rule, score, reasons = row
    link = Link(
        accounts=(one, other),
        verdict=Verdict(verdict),
        rule=rule,
        score=score,
        reasons=tuple(msgspec.json.decode(reasons)),
    )
    books[user].links[link.accounts] = link


def _decision(books: Books, row: Any) -> None:
    user, one, other, verdict, decided_at, decision_id, decided_by = row
    decision = Decision(
        accounts=(one, other),
        verdict=verdict,
        decided_at=decided_at,
        decision_id=decision_id,
        decided_by=decided_by,
    )
    books[user].decisions += (decision,)


def _judgement(books: Books, row: Any) -> None:
    user, judgement_id, account_id, version, verdict, judged_by, judged_at = row
    judgement = Judgement(
        judgement_id=judgement_id,
        account_id=account_id,
        version=version,
        verdict=verdict,
        judged_by=judged_by,
        judged_at=judged_at,
    )
    books[user].judgements += (judgement,)


def _portfolio(books: Books, row: Any) -> None:
    user, portfolio, name, account_ids, deleted, version, defined_at = row
    books[user].portfolios[portfolio] = Portfolio(
        portfolio_id=portfolio,
        name=name,
        account_ids=tuple(msgspec.json.decode(account_ids)),
        deleted=deleted,
        version=version,
        defined_at=defined_at,
    )


def _check(books: Books, row: Any) -> None:
    user, real_account_id, account_id, outcome, reason, counted, expected, difference, currency = row
    books[user].checks[real_account_id] = Check(
        outcome=outcome,
        reason=reason,
        account_id=account_id,
        counted=plain_or_none(counted),
        expected=plain_or_none(expected),
        difference=plain_or_none(difference),
        currency=currency,
    )


def _version(books: Books, row: Any) -> None:
    user, portfolio, version = row
    books[user].versions[portfolio] = version


READERS: tuple[tuple[str, Reader], ...] = (
    (CONNECTIONS, _connection),
    (ACCOUNTS, _account),
    (SNAPSHOTS, _snapshot),
    (SHEETS, _sheet),
    (REAL_ACCOUNTS, _real_account),
    (EVIDENCE, _evidence),
    (DECISIONS, _decision),
    (JUDGEMENTS, _judgement),
    (PORTFOLIOS, _portfolio),
    (CHECKS, _check),
    (VERSIONS, _version),
)

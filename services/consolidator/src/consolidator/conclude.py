"""What follows from a changed book: real accounts, counted sources, checks and positions. Pure."""

from datetime import datetime

import msgspec

from consolidator.book import Book
from consolidator.domain.checks import BREAK, Check, conserve
from consolidator.domain.consolidate import Consolidated, Counted, Duplicate, Slot, consolidate
from consolidator.domain.evidence import Evidence
from consolidator.domain.identity import Group, candidates, identify
from consolidator.domain.sources import Choice, choose, source
from consolidator.domain.values import Account, Line, RealAccount
from consolidator.rules import Rules
from contracts.accounts import ProviderAccount

replace = msgspec.structs.replace
NOT_DESCRIBED = "not_described"
"""The reason why nothing is counted of an account that its provider has not described yet."""


def content_changed(before: Book, book: Book) -> bool:
    """Whether any account's counted holdings are not what they were."""
    return _contents(before) != _contents(book)


def evidence_changed(before: Book, book: Book) -> bool:
    """Whether anything changed by which accounts are recognised.

    Holdings and transactions tell accounts apart only where two could be one.
    """
    return (
        bool(book.requests)
        or _descriptions(before) != _descriptions(book)
        or before.decisions != book.decisions
        or ((book.retold or _sights(before) != _sights(book)) and bool(comparable(book)))
    )


def comparable(book: Book) -> set[str]:
    """The accounts that could be one with another."""
    return {one.account_id for pair in candidates(evidence(book)) for one in pair}


def conclude(book: Book, rules: Rules, now: datetime, *, anew: bool) -> None:
    """Bring real accounts, their counted sources and their checks up to date.

    Args:
        book: of one user; the holdings of comparable accounts are in memory where ``anew`` is true.
        rules: the policies.
        now: tells how old sources are.
        anew: whether anything changed by which accounts are recognised.
    """
    if anew:
        _identify(book, rules)
    groups = _groups(book)
    book.real_accounts = {group.real_account_id: _real(group, book, rules, now) for group in groups}
    book.checks = {
        real.real_account_id: _check(real.counted_account_id, book, rules)
        for real in book.real_accounts.values()
        if real.counted_account_id is not None
    }


def positions_changed(before: Book, book: Book) -> bool:
    """Whether the positions must be summed anew."""
    if content_changed(before, book) or book.requests:
        return True
    return before.real_accounts != book.real_accounts or before.portfolios != book.portfolios


def members(book: Book, portfolio: str) -> list[RealAccount]:
    """The real accounts of a portfolio: all of them, or those that one of the named accounts is a sight of."""
    defined = book.portfolios.get(portfolio)
    if defined is None:
        return list(book.real_accounts.values())
    named = set() if defined.deleted else set(defined.account_ids)
    return [real for real in book.real_accounts.values() if named.intersection(real.members)]


def breaks(book: Book, portfolio: str) -> int:
    """How many real accounts of a portfolio do not add up."""
    checks = [book.checks.get(real.real_account_id) for real in members(book, portfolio)]
    return sum(check is not None and check.outcome == BREAK for check in checks)


def positions(book: Book, rules: Rules, portfolio: str) -> dict[Slot, Consolidated]:
    """The positions of one of the user's portfolios; every counted account's lines must be in memory."""
    return consolidate(
        counted for real in members(book, portfolio) if (counted := _counted(real, book, rules)) is not None
    )


def _contents(book: Book) -> dict[str, str]:
    return {
        account_id: held.current.content_hash
        for account_id, held in book.held.items()
        if held.current is not None
    }


def _sights(book: Book) -> dict[str, tuple[str, datetime]]:
    """What was seen of each account, and when: sights of different age are compared with more patience."""
    return {
        account_id: (held.current.content_hash, held.current.as_of)
        for account_id, held in book.held.items()
        if held.current is not None
    }


def _descriptions(book: Book) -> list[tuple[str, str, str, ProviderAccount | None]]:
    return [
        (one.account_id, one.connection_id, one.institution, one.listed) for one in book.present_accounts()
    ]


def evidence(book: Book) -> list[Evidence]:
    """What is known of each account that could tell which real account it is."""
    return [_evidence_of(account, book) for account in book.present_accounts()]


def _evidence_of(account: Account, book: Book) -> Evidence:
    listed = account.listed
    current = book.holding(account.account_id).current
    total = listed.total if listed else None
    return Evidence(
        account_id=account.account_id,
        connection_id=account.connection_id,
        institution=account.institution,
        provider=account.provider,
        stable_id=listed.stable_id if listed else None,
        mask=listed.mask if listed else None,
        type=listed.type if listed else None,
        raw_type=listed.raw_type if listed else None,
        name=listed.name if listed else None,
        total=total.amount if total else None,
        currency=total.currency if total else None,
        described=listed is not None,
        lines=current.lines if current else None,
        as_of=current.as_of if current else None,
        fingerprints=book.fingerprints.get(account.account_id, ()),
    )


def _identify(book: Book, rules: Rules) -> None:
    identity = identify(evidence(book), book.decisions, rules.weights)
    book.links = {link.accounts: link for link in identity.links}
    real_of = {member: group.real_account_id for group in identity.groups for member in group.members}
    for account_id, account in book.accounts.items():
        if account.real_account_id != real_of.get(account_id):
            book.accounts[account_id] = replace(account, real_account_id=real_of.get(account_id))
    book.grey = frozenset(group.real_account_id for group in identity.groups if group.needs_decision)
    book.waiting = frozenset(group.real_account_id for group in identity.groups if group.waiting)


def _groups(book: Book) -> list[Group]:
    """The groups as the accounts carry them."""
    members: dict[str, list[Account]] = {}
    for account in book.accounts.values():
        if account.real_account_id is not None:
            members.setdefault(account.real_account_id, []).append(account)
    return [
        Group(
            real_account_id=real_account_id,
            institution=min(accounts, key=_account_id).institution,
            members=tuple(sorted(account.account_id for account in accounts)),
            needs_decision=real_account_id in book.grey,
            waiting=real_account_id in book.waiting,
        )
        for real_account_id, accounts in sorted(members.items())
    ]


def _real(group: Group, book: Book, rules: Rules, now: datetime) -> RealAccount:
    choice = _choice(group, book, rules, now)
    return RealAccount(
        real_account_id=group.real_account_id,
        institution=group.institution,
        members=group.members,
        counted_account_id=choice.counted.account_id if choice.counted else None,
        reason=choice.reason,
        stale=choice.stale,
        needs_decision=group.needs_decision,
        excluded=choice.excluded,
        held_back_until=choice.held_back_until,
        due_at=choice.due_at,
    )


def _choice(group: Group, book: Book, rules: Rules, now: datetime) -> Choice:
    if group.waiting:
        # It may be another sight of an account that is counted already.
        return Choice(counted=None, reason=NOT_DESCRIBED, stale=False, excluded=())
    sources = []
    for account_id in group.members:
        account = book.accounts[account_id]
        connection = book.connections.get(account.connection_id)
        held = book.holding(account_id)
        found = source(account, held, connection, now, rules.sources)
        if found is not None:
            sources.append(found)
    return choose(sources, rules.sources)


def _check(account_id: str, book: Book, rules: Rules) -> Check:
    account = book.accounts[account_id]
    current = book.holding(account_id).current
    return conserve(
        account_id,
        current.worth if current else None,
        account.listed.total if account.listed else None,
        same_run=current is not None and current.version == account.listed_version,
        policy=rules.check,
    )


def _counted(real: RealAccount, book: Book, rules: Rules) -> Counted | None:
    if real.counted_account_id is None:
        return None
    provider = book.accounts[real.counted_account_id].provider
    return Counted(
        real_account_id=real.real_account_id,
        account_id=real.counted_account_id,
        provider=provider,
        priority=rules.sources.priority(provider),
        stale=real.stale,
        lines=_lines(real.counted_account_id, book),
        duplicates=tuple([_duplicate(account_id, rule, real, book) for account_id, rule in real.excluded]),
    )


def _duplicate(account_id: str, rule: str, real: RealAccount, book: Book) -> Duplicate:
    return Duplicate(
        account_id=account_id,
        provider=book.accounts[account_id].provider,
        rule=f"{rule}:needs_decision" if real.needs_decision else rule,
        lines=_lines(account_id, book),
    )


def _lines(account_id: str, book: Book) -> tuple[Line, ...]:
    current = book.holding(account_id).current
    if current is None or current.lines is None:
        raise RuntimeError("positions were asked for before the holdings were loaded")
    return current.lines


def _account_id(account: Account) -> str:
    return account.account_id

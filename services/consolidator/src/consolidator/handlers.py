"""What each message does to a user's book. Plain functions; ``HANDLERS`` names them all."""

from collections.abc import Callable, Sequence
from datetime import UTC
from hashlib import blake2b
from typing import Any

import msgspec

from consolidator.book import Book
from consolidator.catalogue import Catalogue
from consolidator.domain.checks import worth
from consolidator.domain.no_erase import ACCEPT, REJECT, fold, note_gap, step
from consolidator.domain.numbers import plain
from consolidator.domain.values import (
    CHANGED,
    LINKED,
    TYPED,
    Account,
    BalanceSheet,
    Connection,
    Decision,
    Judgement,
    Line,
    Portfolio,
    Sight,
    StatusMark,
)
from consolidator.rules import Rules
from contracts.accounts import AccountsSnapshot, BalancesSnapshot, ProviderAccount, Snapshot
from contracts.decisions import ConsolidationRequested, IdentityDecided, PortfolioDefined, SnapshotJudged
from contracts.envelope import encode_data
from contracts.holdings import Holding, HoldingsSnapshot
from contracts.ids import portfolio_id
from contracts.messages import ConnectionLinked, ConnectionStatusChanged
from contracts.statuses import ConnectionStatus
from messaging.policy import PermanentError

replace = msgspec.structs.replace
Handler = Callable[[Any, Book, Catalogue, Rules], None]


def on_connection_linked(event: ConnectionLinked, book: Book, _catalogue: Catalogue, _rules: Rules) -> None:
    """Describe a connection; being linked also says that it is active."""
    known = book.connections.get(event.connection_id)
    connection = known or _stub(event.connection_id, event.provider, event.institution)
    if event.version > connection.linked_version:
        connection = replace(
            connection,
            institution=event.institution,
            external_id=event.external_id,
            institution_name=event.institution_name,
            connection_type=event.connection_type,
            linked_at=event.linked_at,
            linked_version=event.version,
        )
    mark = StatusMark(status=ConnectionStatus.ACTIVE, version=event.version, rank=LINKED, at=event.linked_at)
    book.connections[event.connection_id] = _marked(connection, mark)


def on_status_changed(
    event: ConnectionStatusChanged, book: Book, _catalogue: Catalogue, _rules: Rules
) -> None:
    """Move a connection's status; the newest version holds, and removed is the end."""
    known = book.connections.get(event.connection_id)
    connection = known or _stub(event.connection_id, event.provider, "")
    mark = StatusMark(
        status=event.status,
        version=event.version,
        rank=CHANGED,
        at=event.changed_at,
        reason=event.reason,
        provider_code=event.provider_code,
        repair_by=event.repair_by,
    )
    book.connections[event.connection_id] = _marked(connection, mark)


def on_accounts(event: AccountsSnapshot, book: Book, _catalogue: Catalogue, _rules: Rules) -> None:
    """Describe a connection's accounts; a complete list also says which accounts are gone."""
    connection = _connection_of(event, book)
    version = event.clocks.version
    for listed in event.accounts:
        account = _account_of(event, listed.account_id, book)
        if version > account.listed_version:
            book.accounts[listed.account_id] = replace(
                account,
                listed=_plain_account(listed),
                listed_version=version,
                listed_at=event.clocks.synced_at,
            )
    if event.complete and version > connection.accounts_version:
        book.connections[event.connection_id] = replace(connection, accounts_version=version)


def on_holdings(event: HoldingsSnapshot, book: Book, catalogue: Catalogue, rules: Rules) -> None:
    """Hand a snapshot of an account's holdings to the no-erase rule."""
    _once({(one.instrument.key, one.currency) for one in event.holdings}, event.holdings)
    known = book.known_hash(event.account_id, event.clocks.version) if event.complete else None
    if known is not None and known != event.content_hash:
        raise PermanentError("two snapshots of one version differ")
    _connection_of(event, book)
    account = _account_of(event, event.account_id, book)
    if not event.complete:
        held = book.holding(event.account_id)
        book.held[event.account_id] = note_gap(held, event.clocks.version, event.gap or "unspecified")
    elif known is None:
        _see(account, _sight(event, book, catalogue), book, rules)


def on_balances(event: BalancesSnapshot, book: Book, _catalogue: Catalogue, _rules: Rules) -> None:
    """Replace an account's balances with newer ones; incomplete ones replace nothing."""
    _once({balance.currency for balance in event.balances}, event.balances)
    _connection_of(event, book)
    account = _account_of(event, event.account_id, book)
    known = book.sheets.get(event.account_id)
    if not event.complete:
        book.accounts[event.account_id] = _spoken_of(account, event.clocks.version)
        return
    if known and known.version >= event.clocks.version:
        return
    rows = sorted(event.balances, key=lambda balance: balance.currency)
    content = blake2b(b"".join(encode_data(balance) for balance in rows), digest_size=16).hexdigest()
    same = known is not None and known.content_hash == content
    book.sheets[event.account_id] = BalanceSheet(
        version=event.clocks.version,
        content_hash=content,
        as_of=event.clocks.as_of,
        synced_at=event.clocks.synced_at,
        balances=known.balances if known and same else tuple(rows),
    )


def on_identity_decided(event: IdentityDecided, book: Book, _catalogue: Catalogue, _rules: Rules) -> None:
    """Keep what somebody said of two accounts, whether they were seen yet or not."""
    pair = sorted(set(event.account_ids))
    if len(pair) != 2 or len(event.account_ids) != 2:
        raise PermanentError("an identity decision is about two accounts")
    decision = Decision(
        accounts=(pair[0], pair[1]),
        verdict=event.verdict.value,
        decided_at=event.decided_at,
        decision_id=event.decision_id,
        decided_by=event.decided_by,
    )
    if all(known.decision_id != event.decision_id for known in book.decisions):
        book.decisions += (decision,)


def on_snapshot_judged(event: SnapshotJudged, book: Book, _catalogue: Catalogue, rules: Rules) -> None:
    """Keep what somebody said of a snapshot, and fold the account's snapshots again by it."""
    if any(known.judgement_id == event.judgement_id for known in book.judgements):
        return
    book.judgements += (
        Judgement(
            judgement_id=event.judgement_id,
            account_id=event.account_id,
            version=event.version,
            verdict=event.verdict.value,
            judged_by=event.judged_by,
            judged_at=event.judged_at,
        ),
    )
    account = book.accounts.get(event.account_id)
    if account is not None and event.account_id in book.histories:
        _fold_again(account, book, rules)


def on_portfolio_defined(event: PortfolioDefined, book: Book, _catalogue: Catalogue, _rules: Rules) -> None:
    """Keep the newest definition of a portfolio."""
    if event.portfolio_id == portfolio_id(event.user_id):
        raise PermanentError("the default portfolio holds all accounts and cannot be defined")
    known = book.portfolios.get(event.portfolio_id)
    if known is None or event.version > known.version:
        book.portfolios[event.portfolio_id] = Portfolio(
            portfolio_id=event.portfolio_id,
            name=event.name,
            account_ids=tuple(sorted(set(event.account_ids))),
            deleted=event.deleted,
            version=event.version,
            defined_at=event.defined_at,
        )


def on_consolidation_requested(
    event: ConsolidationRequested, book: Book, _catalogue: Catalogue, _rules: Rules
) -> None:
    """Note that portfolios are to be summed anew whether or not anything changed."""
    book.requests[event.request_id] = event


HANDLERS: dict[type, Handler] = {
    ConnectionLinked: on_connection_linked,
    ConnectionStatusChanged: on_status_changed,
    AccountsSnapshot: on_accounts,
    HoldingsSnapshot: on_holdings,
    BalancesSnapshot: on_balances,
    IdentityDecided: on_identity_decided,
    SnapshotJudged: on_snapshot_judged,
    PortfolioDefined: on_portfolio_defined,
    ConsolidationRequested: on_consolidation_requested,
}


def _once(slots: set[Any], rows: list[Any]) -> None:
    """Refuse, before anything is changed, a snapshot that names one thing twice."""
    if len(slots) != len(rows):
        raise PermanentError("a snapshot names one instrument or currency twice")


def _stub(connection_id: str, provider: str, institution: str) -> Connection:
    return Connection(connection_id=connection_id, provider=provider, institution=institution)


def _marked(connection: Connection, mark: StatusMark) -> Connection:
    """The connection under the newer of its status and ``mark``; nothing follows ``removed``."""
    known = connection.status
    if known is None or _order(mark) > _order(known):
        return replace(connection, status=mark)
    return connection


def _order(mark: StatusMark) -> tuple[bool, int, int, float, str]:
    removed = mark.status is ConnectionStatus.REMOVED
    return (removed, mark.version, mark.rank, mark.at.timestamp(), mark.status.value)


def _connection_of(event: Snapshot, book: Book) -> Connection:
    """The connection a snapshot belongs to, made from the snapshot if it comes before the link does."""
    connection = book.connections.get(event.connection_id)
    if connection is None:
        connection = _stub(event.connection_id, event.provider, event.institution)
    elif not connection.institution:
        connection = replace(connection, institution=event.institution)
    book.connections[event.connection_id] = connection
    return connection


def _account_of(event: Snapshot, account_id: str, book: Book) -> Account:
    """The account a snapshot is about, as the one of the highest version says whose it is.

    After a reconnect one account is seen through another connection, and what was entered by hand may turn out to
    be at another institution; versions are of one sequence.
    """
    account = book.accounts.get(account_id)
    if account is None:
        account = Account(
            account_id=account_id,
            connection_id=event.connection_id,
            provider=event.provider,
            institution=event.institution,
        )
    elif _whose(account) != _whose(event) and event.clocks.version > book.seen(account):
        account = replace(account, connection_id=event.connection_id, institution=event.institution)
    book.accounts[account_id] = account
    return account


def _whose(one: Account | Snapshot) -> tuple[str, str]:
    return one.connection_id, one.institution


def _see(account: Account, sight: Sight, book: Book, rules: Rules) -> None:
    """Take a complete snapshot into account: the next by version at once, a late one by folding again."""
    held = book.holding(account.account_id)
    history = book.histories.get(account.account_id)
    if sight.version > held.folded:
        verdict = _verdicts(account, book, [sight]).get(sight.version)
        book.held[account.account_id] = step(held, sight, verdict, rules.erase)
        if verdict == REJECT:
            book.accounts[account.account_id] = _spoken_of(account, sight.version)
    elif history is None or sight.version < history.floor:
        return
    book.sighted[account.account_id, sight.version] = sight
    if history is not None:
        book.histories[account.account_id] = replace(history, sights=(*history.sights, sight))
        if sight.version <= held.folded:
            _fold_again(account, book, rules)


def _fold_again(account: Account, book: Book, rules: Rules) -> None:
    sights = book.histories[account.account_id].sights
    verdicts = _verdicts(account, book, sights)
    found = fold(sights, verdicts, rules.erase)
    rejected = max((sight.version for sight in sights if verdicts.get(sight.version) == REJECT), default=0)
    book.accounts[account.account_id] = _spoken_of(account, rejected)
    book.held[account.account_id] = replace(found, gap=book.holding(account.account_id).gap)


def _spoken_of(account: Account, version: int) -> Account:
    return account if version <= account.spoken_version else replace(account, spoken_version=version)


def _verdicts(account: Account, book: Book, sights: Sequence[Sight]) -> dict[int, str]:
    """What people said of an account's snapshots; what a person typed is meant as it is."""
    verdicts = {sight.version: ACCEPT for sight in sights} if account.provider in TYPED else {}
    said = [one for one in book.judgements if one.account_id == account.account_id]
    for one in sorted(said, key=lambda one: (one.judged_at, one.judgement_id)):
        verdicts[one.version] = one.verdict
    return verdicts


def _plain_account(listed: ProviderAccount) -> ProviderAccount:
    if listed.total is None:
        return listed
    return replace(listed, total=replace(listed.total, amount=plain(listed.total.amount)))


def _sight(event: HoldingsSnapshot, book: Book, catalogue: Catalogue) -> Sight:
    current = book.holding(event.account_id).current
    if current is not None and current.content_hash == event.content_hash:
        lines, value = current.lines, current.worth
    else:
        lines = _lines(event.holdings, catalogue)
        value = worth(lines)
    return Sight(
        version=event.clocks.version,
        content_hash=event.content_hash,
        as_of=event.clocks.as_of,
        synced_at=event.clocks.synced_at,
        holdings=len(event.holdings),
        worth=value,
        lines=lines,
    )


def _lines(holdings: list[Holding], catalogue: Catalogue) -> tuple[Line, ...]:
    return tuple([_line(one, catalogue) for one in holdings])


def _line(one: Holding, catalogue: Catalogue) -> Line:
    return Line(
        ref=catalogue.ref(one.instrument),
        currency=one.currency,
        quantity=plain(one.quantity),
        price=None if one.price is None else plain(one.price),
        market_value=None if one.market_value is None else plain(one.market_value),
        cost_basis=None if one.cost_basis is None else plain(one.cost_basis),
        price_as_of=one.price_as_of.astimezone(UTC) if one.price_as_of else None,
        cash_equivalent=one.cash_equivalent,
    )

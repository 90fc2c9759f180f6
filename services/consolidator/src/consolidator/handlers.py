"""What each message does to a user's book. Plain functions; ``HANDLERS`` names them all."""

from collections.abc import Callable
from datetime import UTC
from hashlib import blake2b
from typing import Any

import msgspec

from consolidator.book import Book
from consolidator.catalogue import Catalogue
from consolidator.domain.checks import worth
from consolidator.domain.no_erase import note_gap, receive
from consolidator.domain.numbers import plain
from consolidator.domain.values import (
    Account,
    BalanceSheet,
    Connection,
    Held,
    Line,
    Sight,
    StatusMark,
)
from consolidator.rules import Rules
from contracts.accounts import AccountsSnapshot, BalancesSnapshot, ProviderAccount, Snapshot
from contracts.envelope import encode_data
from contracts.holdings import Holding, HoldingsSnapshot
from contracts.messages import ConnectionLinked, ConnectionStatusChanged
from contracts.statuses import ConnectionStatus
from messaging.policy import PermanentError

replace = msgspec.structs.replace
Handler = Callable[[Any, Book, Catalogue, Rules], None]
_LINKED, _CHANGED = 0, 1
"""Ranks of what says a status: at one version, a status change outranks the link itself."""


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
    mark = StatusMark(status=ConnectionStatus.ACTIVE, version=event.version, rank=_LINKED, at=event.linked_at)
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
        rank=_CHANGED,
        at=event.changed_at,
        reason=event.reason,
        provider_code=event.provider_code,
    )
    book.connections[event.connection_id] = _marked(connection, mark)


def on_accounts(event: AccountsSnapshot, book: Book, _catalogue: Catalogue, _rules: Rules) -> None:
    """Describe a connection's accounts; a complete list also says which accounts are gone."""
    connection = _connection_of(event, book)
    version = event.clocks.version
    for listed in event.accounts:
        account = _account_of(event, listed.account_id, book)
        if account is not None and version > account.listed_version:
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
    _connection_of(event, book)
    account = _account_of(event, event.account_id, book)
    if account is None:
        return
    held = book.holding(event.account_id)
    if event.complete:
        held = receive(held, _sight(event, held, catalogue), rules.erase)
    else:
        held = note_gap(held, event.clocks.version, event.gap or "unspecified")
    book.accounts[event.account_id] = account
    book.held[event.account_id] = held


def on_balances(event: BalancesSnapshot, book: Book, _catalogue: Catalogue, _rules: Rules) -> None:
    """Replace an account's balances with newer ones; incomplete ones replace nothing."""
    _once({balance.currency for balance in event.balances}, event.balances)
    _connection_of(event, book)
    account = _account_of(event, event.account_id, book)
    known = book.sheets.get(event.account_id)
    if account is None or not event.complete or (known and known.version >= event.clocks.version):
        return
    rows = sorted(event.balances, key=lambda balance: balance.currency)
    content = blake2b(b"".join(encode_data(balance) for balance in rows), digest_size=16).hexdigest()
    same = known is not None and known.content_hash == content
    book.accounts[event.account_id] = account
    book.sheets[event.account_id] = BalanceSheet(
        version=event.clocks.version,
        content_hash=content,
        as_of=event.clocks.as_of,
        synced_at=event.clocks.synced_at,
        balances=known.balances if known and same else tuple(rows),
    )


HANDLERS: dict[type, Handler] = {
    ConnectionLinked: on_connection_linked,
    ConnectionStatusChanged: on_status_changed,
    AccountsSnapshot: on_accounts,
    HoldingsSnapshot: on_holdings,
    BalancesSnapshot: on_balances,
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


def _account_of(event: Snapshot, account_id: str, book: Book) -> Account | None:
    """The account a snapshot is about; ``None`` when the account has since moved to another connection."""
    account = book.accounts.get(account_id)
    if account is None:
        account = Account(
            account_id=account_id,
            connection_id=event.connection_id,
            provider=event.provider,
            institution=event.institution,
        )
        book.accounts[account_id] = account
    if account.connection_id == event.connection_id:
        return account
    return _moved(account, event, book)


def _moved(account: Account, event: Snapshot, book: Book) -> Account | None:
    """After a reconnect one account id is seen through another connection, whose versions start anew."""
    held = book.holding(account.account_id)
    synced_at = held.current.synced_at if held.current else None
    seen = [at for at in (account.listed_at, synced_at) if at is not None]
    if seen and event.clocks.synced_at <= max(seen):
        return None
    if held.current is not None:
        current = replace(held.current, version=0, base_version=0)
        book.held[account.account_id] = Held(current=current)
    if sheet := book.sheets.get(account.account_id):
        book.sheets[account.account_id] = replace(sheet, version=0)
    moved = replace(
        account, connection_id=event.connection_id, institution=event.institution, listed_version=0
    )
    book.accounts[account.account_id] = moved
    return moved


def _plain_account(listed: ProviderAccount) -> ProviderAccount:
    if listed.total is None:
        return listed
    return replace(listed, total=replace(listed.total, amount=plain(listed.total.amount)))


def _sight(event: HoldingsSnapshot, held: Held, catalogue: Catalogue) -> Sight:
    current = held.current
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

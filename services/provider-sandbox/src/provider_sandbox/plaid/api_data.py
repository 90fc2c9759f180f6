"""Routes that read accounts, holdings and transactions."""

import base64
import binascii
import zlib
from datetime import date, timedelta
from typing import Any

from provider_sandbox.plaid import accounts, activity, banking, bodies, fields, securities
from provider_sandbox.plaid.ask import Ask, Handler
from provider_sandbox.plaid.errors import PlaidError
from provider_sandbox.plaid.face import PlaidFace
from provider_sandbox.plaid.holdings import Row, distinct_securities
from provider_sandbox.plaid.items import Item
from provider_sandbox.traffic import note
from provider_sandbox.world import Account

_TWO_YEARS = timedelta(days=731)
Known = dict[str, Account]


async def get_accounts(ask: Ask) -> dict[str, Any]:
    """The Item's accounts with cached balances."""
    item = ask.healthy_item()
    return {"accounts": _encode(ask, item, ask.accounts(item)), "item": item.encode()}


async def get_balances(ask: Ask) -> dict[str, Any]:
    """The same by a live pull, charged per successful call."""
    item = ask.healthy_item()
    note(ask.request, billable="balance")
    ask.face.pull(item)
    ask.face.state.changed()
    return {"accounts": _encode(ask, item, ask.accounts(item)), "item": item.encode()}


async def get_holdings(ask: Ask) -> dict[str, Any]:
    """Every holding of the Item's investment accounts and the securities they refer to."""
    item = ask.product_item("investments")
    known = _with_investments(ask, item)
    rows = _rows(ask.face, item, ask.face.accounts(item))
    _remember(ask, item, _fingerprint(rows))
    rows = [row for row in rows if row.holding["account_id"] in known]
    return {
        "accounts": _encode(ask, item, known, margin=True),
        "holdings": [row.holding for row in rows],
        "securities": distinct_securities(row.security for row in rows),
        "item": item.encode(),
        "is_investments_fallback_item": False,
    }


async def get_investment_transactions(ask: Ask) -> dict[str, Any]:
    """A page of the investment history between two dates, newest first."""
    item = ask.product_item("investments")
    start, end = _period(ask)
    options = fields.options(ask.body)
    count = fields.optional_integer(options, "count", 100, low=1, high=500)
    offset = fields.optional_integer(options, "offset", 0, low=0, high=10_000_000)
    known = _with_investments(ask, item)
    found = [line for line in _lines(ask, known) if start <= line.on <= end]
    found.sort(key=lambda line: line.on, reverse=True)
    page = [_entry(ask, line) for line in found[offset : offset + count]]
    return {
        "accounts": _encode(ask, item, known, margin=True),
        "investment_transactions": [entry.transaction for entry in page],
        "securities": _securities_of(ask, item, page),
        "total_investment_transactions": len(found),
        "item": item.encode(),
        "is_investments_fallback_item": False,
    }


async def refresh_investments(ask: Ask) -> dict[str, Any]:
    """Contact the institution now, charged per success; HOLDINGS/DEFAULT_UPDATE follows when something changed."""
    item = ask.product_item("investments")
    note(ask.request, billable="investments_refresh")
    ask.face.pull(item)
    fingerprint = _fingerprint(_rows(ask.face, item, ask.face.accounts(item)))
    if item.fingerprint not in {None, fingerprint}:
        await ask.face.notify(item, bodies.holdings_update(item.item_id, updated=1))
    item.fingerprint = fingerprint
    return {}


async def sync_transactions(ask: Ask) -> dict[str, Any]:
    """A page of the bank history after a cursor."""
    item = ask.product_item("transactions")
    count = fields.optional_integer(ask.body, "count", 100, low=1, high=500)
    known = ask.face.accounts(item)
    everything = banking.stream(ask.face.books, known)
    start = _offset(item, fields.optional_text(ask.body, "cursor"), len(everything))
    page = everything[start : start + count]
    reached = start + len(page)
    more = reached < len(everything)
    changed = {row.account_id for row in page}
    return {
        "accounts": _encode(ask, item, {k: a for k, a in known.items() if k in changed}),
        "added": [row.row for row in page if row.change == "added"],
        "modified": [row.row for row in page if row.change == "modified"],
        "removed": [
            {"transaction_id": row.transaction_id, "account_id": row.account_id}
            for row in page
            if row.change == "removed"
        ],
        "next_cursor": _cursor(item, reached, len(everything) if more else 0),
        "has_more": more,
        "transactions_update_status": "HISTORICAL_UPDATE_COMPLETE",
    }


def _encode(ask: Ask, item: Item, known: Known, *, margin: bool = False) -> list[dict[str, Any]]:
    world, quirk = ask.face.state.world, ask.face.quirk(item.institution_slug)
    plain = [
        (account, accounts.encode(world, account, identity, quirk)) for identity, account in known.items()
    ]
    return [accounts.with_margin(world, account, wire) if margin else wire for account, wire in plain]


def _with_investments(ask: Ask, item: Item) -> Known:
    if not any(account.family == "investment" for account in ask.face.accounts(item).values()):
        raise PlaidError("NO_INVESTMENT_ACCOUNTS")
    return ask.accounts(item)


def _rows(face: PlaidFace, item: Item, known: Known) -> list[Row]:
    encoder = face.encoder(item)
    return [row for identity, account in known.items() for row in encoder.rows(account, identity)]


def _fingerprint(rows: list[Row]) -> int:
    """A number that is the same in every process, unlike a hash of texts."""
    names = ("account_id", "security_id", "quantity", "institution_value")
    return zlib.crc32("\n".join(str(row.holding[name]) for row in rows for name in names).encode())


def _remember(ask: Ask, item: Item, fingerprint: int) -> None:
    if item.fingerprint != fingerprint:
        item.fingerprint = fingerprint
        ask.face.state.changed()


def _period(ask: Ask) -> tuple[date, date]:
    start, end = fields.day(ask.body, "start_date"), fields.day(ask.body, "end_date")
    if start > end:
        raise fields.invalid("start_date", "must not be after end_date")
    return max(start, _earliest(ask)), end


def _earliest(ask: Ask) -> date:
    return ask.face.today() - _TWO_YEARS


def _lines(ask: Ask, known: Known) -> list[activity.Line]:
    books = ask.face.books
    return [
        line
        for identity, account in known.items()
        for line in activity.lines(books.of(account), account, identity, books.anchor)
    ]


def _entry(ask: Ask, line: activity.Line) -> activity.Entry:
    return activity.encode(ask.face.state.world, ask.face.books.of(line.account), line)


def _securities_of(ask: Ask, item: Item, page: list[activity.Entry]) -> list[dict[str, Any]]:
    world, quirk = ask.face.state.world, ask.face.quirk(item.institution_slug)
    keys = dict.fromkeys(entry.security_key for entry in page if entry.security_key)
    today = ask.face.today()
    return [securities.encode(world.securities[key], today, quirk, item.institution_id) for key in keys]


def _cursor(item: Item, offset: int, length: int) -> str:
    """`length` is that of the stream in the middle of a loop, 0 at its end."""
    return base64.urlsafe_b64encode(f"{item.item_id}:{offset}:{length}".encode()).decode()


def _offset(item: Item, cursor: str | None, length: int) -> int:
    if not cursor:
        return 0
    try:
        owner, offset, seen = base64.urlsafe_b64decode(cursor).decode().split(":")
        place, before = int(offset), int(seen)
    except (binascii.Error, ValueError) as problem:
        raise fields.invalid("cursor", "is not a cursor of this item") from problem
    if owner != item.item_id:
        raise fields.invalid("cursor", "is not a cursor of this item")
    if before and before != length:
        raise PlaidError("TRANSACTIONS_SYNC_MUTATION_DURING_PAGINATION")
    return place


ROUTES: dict[str, Handler] = {
    "/accounts/get": get_accounts,
    "/accounts/balance/get": get_balances,
    "/investments/holdings/get": get_holdings,
    "/investments/transactions/get": get_investment_transactions,
    "/investments/refresh": refresh_investments,
    "/transactions/sync": sync_transactions,
}

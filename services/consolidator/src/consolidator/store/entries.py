"""Reading what decides about transactions: the entries a batch concerns, and all that they are judged together with."""

from collections.abc import Iterable
from typing import Any, NamedTuple

from consolidator.domain.succession import related
from consolidator.domain.transactions import Entry
from consolidator.store.arrays import Row, columns, text_array
from contracts.transactions import Sweep
from persistence.database import Connection as Session

COLUMNS = """t.external_id, t.version, t.digest, t.first_version, t.removed_version,
    t.booked_on, t.fingerprint, t.replaces, t.removed, t.transaction_id::text"""
_OF = f"SELECT {COLUMNS} FROM portfolio.transactions t WHERE t.user_id = %(user)s AND t.account_id = %(account)s"  # noqa: S608  our names
# Of one account at a time: a join with all accounts' keys reads an account once per key as long as the planner has no
# statistics of it, and a first import is over before it has.
TOGETHER = f"""{_OF} AND t.external_id = ANY (%(ids)s::text[])
    UNION ALL {_OF} AND t.replaces = ANY (%(ids)s::text[])
    UNION ALL {_OF} AND t.fingerprint = ANY (%(prints)s::text[])"""
SWEPT = (
    f"""{_OF} AND t.booked_on BETWEEN %(first)s AND %(last)s AND t.version < %(since)s AND NOT t.removed"""
)
SWEEPS = """SELECT s.user_id, s.account_id::text, s.from_date, s.through, s.since_version
    FROM unnest(%s::text[], %s::uuid[]) AS k(user_id, account_id)
    JOIN portfolio.transaction_sweeps s USING (user_id, account_id)"""
COVERAGE = """SELECT c.user_id, c.account_id::text, c.covers_from, c.covers_through
    FROM unnest(%s::text[], %s::uuid[]) AS k(user_id, account_id)
    JOIN portfolio.transaction_coverage c USING (user_id, account_id)"""
_ACCOUNT = ("text", "uuid")


class Of(NamedTuple):
    """Whose transactions."""

    user_id: str
    account_id: str


Entries = dict[Of, dict[str, Entry]]


async def load_entries(conn: Session, news: dict[Of, list[Entry]], sweeps: dict[Of, list[Sweep]]) -> Entries:
    """The stored entries that these news and sweeps concern, with all that they are judged together with."""
    return {of: await _of_account(conn, of, ones, sweeps.get(of, [])) for of, ones in news.items()}


async def _of_account(conn: Session, of: Of, news: list[Entry], sweeps: list[Sweep]) -> dict[str, Entry]:
    found: dict[str, Entry] = {}
    fresh = [*news, *[one for sweep in sweeps for one in _taken(found, await _swept(conn, of, sweep))]]
    ids: set[str] = set()
    prints: set[str] = set()
    while fresh:
        named = [related(one) for one in fresh]
        more_ids = {name for names, _ in named for name in names} - ids
        more_prints = {name for _, names in named for name in names} - prints
        if not more_ids and not more_prints:
            break
        ids, prints = ids | more_ids, prints | more_prints
        sought = {"ids": _texts(more_ids), "prints": _texts(more_prints)}
        fresh = _taken(found, await _rows(conn, TOGETHER, of, sought))
    return found


async def load_sweeps(conn: Session, accounts: Iterable[Of]) -> dict[Of, set[Sweep]]:
    """All sweeps of these accounts."""
    found: dict[Of, set[Sweep]] = {of: set() for of in accounts}
    for user_id, account_id, first, last, since in await _rows_of(conn, SWEEPS, found):
        found[Of(user_id, account_id)].add(Sweep(from_date=first, through=last, since_version=since))
    return found


async def load_coverage(conn: Session, accounts: Iterable[Of]) -> dict[Of, list[Any]]:
    """The ranges of days of which all transactions of these accounts are known."""
    found: dict[Of, list[Any]] = {of: [] for of in accounts}
    for user_id, account_id, first, last in await _rows_of(conn, COVERAGE, found):
        found[Of(user_id, account_id)].append((first, last))
    return found


async def _rows_of(conn: Session, query: str, accounts: Iterable[Of]) -> list[Any]:
    keys: list[Row] = sorted(accounts)
    return await (await conn.execute(query, columns(keys, _ACCOUNT))).fetchall() if keys else []


async def _swept(conn: Session, of: Of, sweep: Sweep) -> list[Any]:
    values = {"first": sweep.from_date, "last": sweep.through, "since": sweep.since_version}
    return await _rows(conn, SWEPT, of, values)


async def _rows(conn: Session, query: str, of: Of, values: dict[str, Any]) -> list[Any]:
    given = {"user": of.user_id, "account": of.account_id, **values}
    return await (await conn.execute(query, given)).fetchall()


def _texts(values: set[str]) -> str:
    return text_array(sorted(values)) if values else "{}"


def _taken(found: dict[str, Entry], rows: Iterable[Any]) -> list[Entry]:
    """Take in what was read; returns what was not known yet."""
    fresh = []
    for external_id, *rest in rows:
        if external_id not in found:
            one = found[external_id] = _entry(external_id, rest)
            fresh.append(one)
    return fresh


def _entry(external_id: str, row: Any) -> Entry:
    version, digest, first, removed_version, booked_on, fingerprint, replaces, removed, transaction_id = row
    return Entry(
        external_id=external_id,
        version=version,
        digest=digest,
        first_version=first,
        removed_version=removed_version,
        booked_on=booked_on,
        fingerprint=fingerprint,
        replaces=replaces,
        removed=removed,
        transaction_id=transaction_id,
    )

"""Holdings: loading what accounts hold, and writing only the rows that differ."""

from collections.abc import Iterable

import msgspec

from consolidator.book import Book
from consolidator.catalogue import Catalogue
from consolidator.domain.values import Held, Line
from consolidator.store.arrays import Row
from consolidator.store.remembered import Remembered
from consolidator.store.rows import holding_row
from persistence.database import Connection as Session

replace = msgspec.structs.replace

HOLDINGS = """SELECT account_id::text, instrument_id::text, currency, trim_scale(quantity), trim_scale(price),
    trim_scale(market_value), trim_scale(cost_basis), price_as_of, cash_equivalent
    FROM portfolio.holdings WHERE user_id = ANY (%s) AND account_id = ANY (%s::uuid[])
    ORDER BY user_id, account_id, instrument_id, currency"""
REFS = """SELECT instrument_id::text, key, kind, symbol, joining_figi
    FROM portfolio.instruments WHERE instrument_id = ANY (%s::uuid[])"""


async def load_lines(
    conn: Session, books: Iterable[Book], catalogue: Catalogue, remembered: Remembered
) -> None:
    """Bring into memory the holdings of every account of these books that are not there yet."""
    wanted = {account_id: book for book in books for account_id in _missing(book, remembered)}
    if not wanted:
        return
    users = sorted({book.user_id for book in wanted.values()})
    rows = await (await conn.execute(HOLDINGS, (users, sorted(wanted)))).fetchall()
    await _learn(conn, {row[1] for row in rows}, catalogue)
    lines: dict[str, list[Line]] = {account_id: [] for account_id in wanted}
    for account_id, instrument_id, *rest in rows:
        lines[account_id].append(_line(catalogue, instrument_id, *rest))
    for account_id, book in wanted.items():
        _fill(book, account_id, tuple(lines[account_id]))


def _missing(book: Book, remembered: Remembered) -> list[str]:
    """The accounts whose lines must be read; what is remembered is filled in."""
    missing = []
    for account_id, held in list(book.held.items()):
        if held.current is None or held.current.lines is not None:
            continue
        lines = remembered.lines(account_id, held.current.content_hash)
        if lines is None:
            missing.append(account_id)
        else:
            _fill(book, account_id, lines)
    return missing


def _fill(book: Book, account_id: str, lines: tuple[Line, ...]) -> None:
    held = book.held[account_id]
    if held.current is not None:
        book.held[account_id] = replace(held, current=replace(held.current, lines=lines))


async def _learn(conn: Session, instruments: set[str], catalogue: Catalogue) -> None:
    unknown = [one for one in instruments if catalogue.find(one) is None]
    if unknown:
        for row in await (await conn.execute(REFS, (unknown,))).fetchall():
            catalogue.learn(*row)


def _line(catalogue: Catalogue, instrument_id: str, *cells: object) -> Line:
    ref = catalogue.find(instrument_id)
    if ref is None:
        raise RuntimeError("a holding refers to an instrument that is not stored")
    currency, quantity, price, market_value, cost_basis, price_as_of, cash_equivalent = cells
    return Line(
        ref=ref,
        currency=currency,  # type: ignore[arg-type]  # the columns' types, in the order of HOLDINGS
        quantity=quantity,  # type: ignore[arg-type]  # the same
        price=price,  # type: ignore[arg-type]  # the same
        market_value=market_value,  # type: ignore[arg-type]  # the same
        cost_basis=cost_basis,  # type: ignore[arg-type]  # the same
        price_as_of=price_as_of,  # type: ignore[arg-type]  # the same
        cash_equivalent=cash_equivalent,  # type: ignore[arg-type]  # the same
    )


class HoldingChanges:
    """Rows to insert, to overwrite and to delete, and the instruments they need."""

    def __init__(self) -> None:
        self.new: list[Row] = []
        self.changed: list[Row] = []
        self.gone: list[Row] = []
        self.instruments: set[str] = set()

    def add(self, user_id: str, account_id: str, before: Held, after: Held) -> None:
        """Compare what an account held with what it holds now."""
        new = after.current
        old = before.current
        if new is None:
            # The only snapshot there was has been rejected.
            self.gone += [(user_id, account_id, *_slot(line)) for line in (old and old.lines) or ()]
            return
        if new.lines is None or (old is not None and old.content_hash == new.content_hash):
            return
        known = {_slot(line): line for line in (old.lines or ())} if old else {}
        if not known:
            self.new += [holding_row(user_id, account_id, line) for line in new.lines]
            self.instruments.update([line.ref.instrument_id for line in new.lines])
            return
        for line in new.lines:
            was = known.pop(_slot(line), None)
            if was is None:
                self.new.append(holding_row(user_id, account_id, line))
                self.instruments.add(line.ref.instrument_id)
            elif was != line:
                self.changed.append(holding_row(user_id, account_id, line))
        self.gone += [(user_id, account_id, *slot) for slot in known]


def _slot(line: Line) -> tuple[str, str]:
    return (line.ref.instrument_id, line.currency)

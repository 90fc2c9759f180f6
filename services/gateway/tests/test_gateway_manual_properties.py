"""Whatever is held, written in whatever dialect of CSV, reads back as the same holdings; nothing at all is a crash."""

import csv
import io
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.envelope import decode, encode
from gateway.manual import accounts
from gateway.manual.changes import lines_of, new_account
from gateway.manual.difference import Mode, after, difference
from gateway.manual.entries import Entry, read, shown
from gateway.manual.holdings import Line
from gateway.manual.sheet.faults import UnreadableError
from gateway.manual.sheet.layout import Choices, layout
from gateway.manual.sheet.reading import read as read_table
from gateway.manual.sheet.text import decode as decode_text
from gateway.manual.store import kept
from service_kit.api_errors import ApiError

NOW = datetime(2026, 11, 21, 14, 30, tzinfo=UTC)
TITLES = {
    "symbol": ["Symbol", "TICKER", "Symbole", "Kürzel"],
    "name": ["Name", "Description", "Bezeichnung", "Libellé"],
    "type": ["Security Type", "Asset class"],
    "quantity": ["Quantity", "Shares", "Stück", "Quantité", "Aantal"],
    "currency": ["Currency", "Währung", "Devise"],
    "price": ["Price", "Last Price", "Kurs", "Cours"],
    "market_value": ["Market Value", "Current Value", "Marktwert"],
    "cost_basis": ["Cost Basis Total", "Book Cost", "Einstandswert"],
    "price_as_of": ["As of", "Kursdatum"],
}
DAYS = {"iso": "%Y-%m-%d", "us": "%m/%d/%Y", "eu": "%d.%m.%Y"}
letters = st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ", min_size=1, max_size=5)
names = st.text("abcÄéß ,;|\t\"'=+@-.0123456789", min_size=1, max_size=40).map(str.split).map(" ".join)
names = names.filter(lambda text: text and text.casefold() not in {"-", "--", "---"})


def numbers(whole, places):
    return st.builds(
        lambda digits, scale: Decimal(digits).scaleb(-scale),
        st.integers(1, 10**whole),
        st.integers(0, places),
    )


@st.composite
def entries(draw):
    symbols = draw(st.lists(letters, min_size=1, max_size=8, unique=True))
    return [
        Entry(
            symbol=symbol,
            name=draw(st.none() | names),
            type=draw(st.sampled_from(["stock", "etf", "adr", "mutual_fund"])),
            quantity=draw(numbers(7, 6)),
            currency=draw(st.sampled_from(["USD", "EUR", "CHF"])),
            # Their product stays below the largest amount kept.
            price=draw(st.none() | numbers(6, 4)),
            cost_basis=draw(st.none() | numbers(9, 2)),
            price_as_of=draw(st.none() | st.integers(0, 9000).map(midnight)),
        )
        for symbol in symbols
    ]


def midnight(days_ago):
    return datetime.combine(date(2026, 11, 20) - timedelta(days=days_ago), datetime.min.time(), UTC)


@st.composite
def dialects(draw):
    mark = draw(st.sampled_from([".", ","]))
    return {
        "delimiter": draw(st.sampled_from([",", ";", "\t", "|"])),
        "quoting": draw(st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL])),
        "lineterminator": draw(st.sampled_from(["\n", "\r\n", "\r"])),
        "mark": mark,
        "group": draw(st.sampled_from(["", " ", "'", "," if mark == "." else "."])),
        "days": draw(st.sampled_from(sorted(DAYS))),
        "encoding": draw(st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "cp1252"])),
        "titles": {field: draw(st.sampled_from(known)) for field, known in TITLES.items()},
        "order": draw(st.permutations(sorted(TITLES))),
        "preamble": draw(st.sampled_from([[], [["My positions as of today"], []]])),
        "footer": draw(st.sampled_from([[], [["Total", "", ""]], [[], ["All figures without warranty."]]])),
    }


def written(value, dialect):
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.strftime(DAYS[dialect["days"]])
    if not isinstance(value, Decimal):
        return value
    whole, _, part = format(value, "f").partition(".")
    grouped = f"{int(whole):,}".replace(",", dialect["group"])
    return grouped + (dialect["mark"] + part if part else "")


def file_of(rows, dialect):
    text = io.StringIO(newline="")
    how = {name: dialect[name] for name in ("delimiter", "quoting", "lineterminator")}
    writer = csv.writer(text, **how)
    writer.writerows(dialect["preamble"])
    writer.writerow([dialect["titles"][field] for field in dialect["order"]])
    for row in rows:
        writer.writerow([written(getattr(row, field), dialect) for field in dialect["order"]])
    for row in dialect["footer"]:
        writer.writerow(row)
    return text.getvalue().encode(dialect["encoding"])


@given(entries(), dialects())
@settings(max_examples=150, deadline=None)
def test_holdings_survive_any_dialect(rows, dialect):
    text, _ = decode_text(file_of(rows, dialect))
    choices = Choices(decimal=dialect["mark"], dates="us" if dialect["days"] == "us" else None)
    found = read_table(text, layout(text, choices), choices, "USD", NOW)
    assert not found.faults
    assert [line.holding for _, line in found.lines] == [one.holding for one in lines_of(rows, "USD")]


@given(entries(), dialects())
@settings(max_examples=100, deadline=None)
def test_without_being_told_a_file_reads_right_or_asks(rows, dialect):
    """The decimal mark and the order of dates are proved, or there is a fault; a number is never another one."""
    text, _ = decode_text(file_of(rows, dialect))
    found = read_table(text, layout(text, Choices()), Choices(), "USD", NOW)
    if found.faults:
        assert found.fatal
        assert not found.lines
    else:
        assert [line.holding for _, line in found.lines] == [one.holding for one in lines_of(rows, "USD")]


@given(st.binary(max_size=400) | st.text(max_size=400).map(lambda text: text.encode("utf-8", "replace")))
@settings(max_examples=250, deadline=None)
def test_any_bytes_are_read_or_refused(raw):
    with suppress(UnreadableError):
        text, _ = decode_text(raw)
        found = read_table(text, layout(text, Choices()), Choices(), "USD", NOW)
        assert found.lines or found.faults or found.table.missing


cells = st.text('AB1.,;"=+-@ \n\r\t\x00()$€%', max_size=12)


@given(st.lists(st.lists(cells, min_size=1, max_size=5), max_size=12), st.sampled_from([",", ";", "\t", "|"]))
@settings(max_examples=250, deadline=None)
def test_every_row_of_a_table_is_a_holding_a_fault_or_left_out(rows, delimiter):
    text = delimiter.join(["Symbol", "Name", "Quantity", "Price"]) + "\n"
    text += "".join(delimiter.join(row) + "\n" for row in rows)
    text += delimiter.join(["LAST", "", "1", ""]) + "\n"
    choices = Choices(delimiter=delimiter, decimal=".")
    found = read_table(text, layout(text, choices), choices, "USD", NOW)
    assert found.rows == len(found.lines) + found.bad_rows
    assert sum(found.counts.values()) == len(found.faults) >= found.bad_rows
    for _, line in found.lines:
        assert line.holding.quantity.is_finite()


@given(entries(), entries(), st.sampled_from(list(Mode)))
@settings(max_examples=80, deadline=None)
def test_the_difference_of_an_import_adds_up(old, new, mode):
    before = kept([], lines_of(old, "USD"))
    lines = lines_of(new, "USD")
    then = after(mode, before, lines)
    would = difference(before, then)
    assert would.added + would.changed + would.unchanged == len(then)
    assert would.removed + would.changed + would.unchanged == len(before)
    assert {line.slot for line in lines} <= {row.line.slot for row in then}
    assert len({row.line.slot for row in then}) == len({row.holding_id for row in then}) == len(then)
    if mode is Mode.REPLACE:
        assert [row.line for row in then] == lines
    else:
        assert would.removed == 0
    assert difference(then, after(mode, then, lines)) == difference(then, then)


@given(entries())
@settings(max_examples=80, deadline=None)
def test_an_entry_is_kept_and_told_without_losing_a_digit(rows):
    lines = lines_of(rows, "USD")
    assert [Line(read(shown(line.entry)), line.holding) for line in lines] == lines
    account = new_account(
        "alice",
        NOW,
        name="n",
        institution="i-i",
        institution_name="I",
        type="other",
        currency="USD",
        mask=None,
    )
    for event in accounts.snapshots(account, [line.holding for line in lines]):
        _, body = encode(event, source="gateway", time=NOW)
        assert decode(body).message == event


@given(
    st.text(max_size=30),
    st.text(max_size=30),
    st.sampled_from([None, "cash", "crypto", "option", "bond", "etf"]),
)
@settings(max_examples=250, deadline=None)
def test_any_text_is_an_instrument_or_refused(symbol, currency, kind):
    with suppress(ApiError):
        [line] = lines_of([Entry(symbol=symbol, type=kind, currency=currency, quantity=Decimal(1))], "USD")
        key, code = line.slot
        assert key.isascii()
        assert code.isascii()
        assert code.isupper()

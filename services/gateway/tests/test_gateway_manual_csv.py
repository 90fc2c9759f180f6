"""CSV files of brokers and of adversaries: read row by row, precisely refused, and imported whole or not at all."""

import csv
import io
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from gateway.manual.holdings import MAX_HOLDINGS
from gateway.manual.sheet import headers, reading, skipping
from gateway.manual.sheet.faults import UnreadableError
from gateway.manual.sheet.layout import Choices, layout
from gateway.manual.sheet.reading import read
from gateway.manual.sheet.text import decode

NOW = datetime(2026, 11, 21, 14, 30, tzinfo=UTC)
FIDELITY = """\ufeffAccount Number,Account Name,Symbol,Description,Quantity,Last Price,Last Price Change,Current Value,Today's Gain/Loss Dollar,Percent Of Account,Cost Basis Total,Average Cost Basis,Type
Z12345678,Individual,SPAXX**,HELD IN MONEY MARKET,,,,$1234.56,,5.00%,,,Cash,
Z12345678,Individual,AAPL,APPLE INC,100,$230.25,+$1.10,"$23,025.00",+$110.00,60.00%,"$9,000.00",$90.00,Margin,
Z12345678,Individual, -AAPL270115C260,AAPL JAN 15 2027 $260 CALL,-2,$12.50,-$0.10,"-$2,500.00",+$20.00,1.00%,"-$1,800.00",$9.00,Margin,
Z12345678,Individual,Pending Activity,,,,,$50.00,,,,,,

"The data and information in this spreadsheet is provided to you solely for your use, and is not for distribution."

"Date downloaded Nov-21-2026 9:30 a.m ET"
"""
SCHWAB = """"Positions for account Individual ...321 as of 09:30 AM ET, 2026/11/21"
""
"Symbol","Description","Qty (Quantity)","Price","Price Chng $ (Price Change $)","Mkt Val (Market Value)","Cost Basis","Security Type",
"VTI","VANGUARD TOTAL STOCK MARKET ETF","12.5","$301.40","-$1.00","$3,767.50","$2,950.00","ETFs & Closed End Funds",
"AAPL 01/15/2027 260.00 C","CALL APPLE INC $260 EXP 01/15/27","1","$12.50","$0.00","$1,250.00","$900.00","Option",
"Cash & Cash Investments","--","--","--","--","$500.00","--","Cash and Money Market",
"Account Total","--","--","--","-$1.00","$5,517.50","$3,850.00","--",
"""
VANGUARD = """Account Number,Investment Name,Symbol,Shares,Share Price,Total Value,
12345678,Vanguard Total Bond Market,VBTLX,10.123,9.87,99.91,
12345678,Vanguard Federal Money Market,VMFXX,250.5,1,250.5,


Account Number,Trade Date,Settlement Date,Transaction Type,Investment Name,Symbol,Shares,Share Price,Principal Amount,
12345678,2026-11-01,2026-11-02,Buy,Vanguard Total Bond Market,VBTLX,1,9.8,9.8,
"""
GERMAN = (
    "Bezeichnung;ISIN;Stück;Kurs;Währung;Kursdatum\nApple Inc.;US0378331005;1.000,5;230,25;EUR;20.11.2026\n"
)


def opened(content, account="USD", **choices):
    text = content if isinstance(content, str) else decode(content)[0]
    chosen = Choices(**choices)
    return read(
        text.removeprefix("\ufeff"), layout(text.removeprefix("\ufeff"), chosen), chosen, account, NOW
    )


def held(found):
    return {
        line.slot[0]: (line.holding.quantity, line.holding.market_value, line.holding.cost_basis)
        for _, line in found.lines
    }


def codes(found):
    return [(fault.row, fault.code) for fault in found.faults]


def d(text):
    return Decimal(text)


def test_a_fidelity_export_reads_without_help():
    found = opened(FIDELITY)
    assert not found.faults
    assert held(found) == {
        "SPAXX": (d("1234.56"), d("1234.56"), None),
        "AAPL": (100, 23025, 9000),
        "AAPL270115C00260000": (-2, -2500, -1800),
    }
    assert "type" not in found.table.mapping
    assert found.lines[0][1].holding.instrument.kind == "money_market"
    assert [one.reason for one in found.skipped] == ["pending_activity", "note", "note"]


def test_a_schwab_export_reads_without_help_and_its_title_and_total_are_left_out():
    found = opened(SCHWAB)
    assert not found.faults
    assert held(found) == {
        "VTI": (d("12.5"), d("3767.5"), 2950),
        "AAPL270115C00260000": (1, 1250, 900),
        "CUR:USD": (500, 500, 500),
    }
    assert [one.reason for one in found.skipped] == ["preamble", "total"]


def test_a_vanguard_export_ends_where_its_transactions_begin():
    found = opened(VANGUARD)
    assert not found.faults
    assert held(found) == {"VBTLX": (d("10.123"), d("99.91"), None), "VMFXX": (d("250.5"), d("250.5"), None)}
    assert [one.reason for one in found.skipped] == ["another_table"]


def test_a_german_file_reads_with_its_own_delimiter_marks_and_dates():
    found = opened(GERMAN)
    assert not found.faults
    [(row, line)] = found.lines
    assert (row, line.slot) == (2, ("ISIN:US0378331005", "EUR"))
    assert (line.holding.quantity, line.holding.price) == (d("1000.5"), d("230.25"))
    assert line.holding.price_as_of == datetime(2026, 11, 20, tzinfo=UTC)


@pytest.mark.parametrize(
    ("encode", "name"),
    [
        (lambda text: text.encode(), "utf-8"),
        (lambda text: text.encode("utf-8-sig"), "utf-8"),
        (lambda text: text.encode("utf-16"), "utf-16"),
        (lambda text: b"\xfe\xff" + text.encode("utf-16-be"), "utf-16"),
        (lambda text: text.encode("cp1252"), "windows-1252"),
    ],
)
def test_every_encoding_a_spreadsheet_writes_is_read(encode, name):
    text, encoding = decode(encode(GERMAN))
    assert (text, encoding) == (GERMAN, name)


@pytest.mark.parametrize(
    ("raw", "row", "offset"),
    [
        (b"Symbol,Quantity\nAAPL,\x8d1\n", 2, 21),
        ("Symbol,Name,Quantity\nA,Größe,1\nB,".encode() + b"\xff,1\n", 3, 35),
        (b"\xff\xfeS\x00y\x00\n\x00\x00\xd8a\x00", 2, 8),
        ("Symbol,Quantity\nAAPL,1\n".encode("utf-16-le"), 1, 1),
        (b"\xff\xfe\x00\x00S\x00\x00\x00", 1, 0),
    ],
)
def test_bytes_in_no_encoding_are_refused_with_their_place(raw, row, offset):
    with pytest.raises(UnreadableError) as refused:
        decode(raw)
    assert (refused.value.code, refused.value.row, refused.value.offset) == ("encoding", row, offset)


@pytest.mark.parametrize("text", ["", "\n\n", "\ufeff", ",,,\n", '""\n'])
def test_an_empty_file_is_refused(text):
    with pytest.raises(UnreadableError) as refused:
        opened(text)
    assert refused.value.code == "empty"


def test_a_header_alone_is_refused_for_it_would_empty_the_account():
    with pytest.raises(UnreadableError) as refused:
        opened("Symbol,Quantity\n\n")
    assert refused.value.code == "no_rows"


def test_text_that_is_no_table_is_refused():
    with pytest.raises(UnreadableError) as refused:
        opened("hello world\nthis is a letter\n")
    assert refused.value.code == "no_table"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("=1+1", "formula"),
        ("@SUM(A1)", "formula"),
        ("+SUM(A1)", "formula"),
        ("-cmd|' /C calc'!A0", "formula"),
        ("=cmd|' /C calc'!A0", "formula"),
        ('=HYPERLINK("http://evil.example";"x")', "formula"),
        ("twelve", "bad_number"),
        ("1.2.3", "bad_number"),
        ("12,34,567.0", "bad_number"),
        ("1 2", "bad_number"),
        ("--5", "bad_number"),
        ("(5", "bad_number"),
        ("-(5)", "formula"),
        ("5%", "bad_number"),
        ("0x10", "bad_number"),
        ("1_000", "bad_number"),
        ("١٢", "bad_number"),
        ("NaN", "not_finite"),
        ("-Infinity", "not_finite"),
        ("1E+05", "scientific"),
        ("1.23457E+11", "scientific"),
        ("1" * 18, "out_of_range"),
        ("0." + "1" * 19, "too_fine"),
        ("-1234567890123456." + "1" * 19, "too_fine"),
        ("9" * 5000, "bad_number"),
        ("5\x00", "bad_number"),
        ("", "missing"),
        ("n/a", "missing"),
    ],
)
def test_a_cell_that_is_no_number_is_refused_with_its_place(text, code):
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(["AAPL", text])
    found = opened("Symbol,Quantity\nVTI,1.5\n" + line.getvalue() + "BND,2\n")
    [fault] = found.faults
    assert (fault.row, fault.column, fault.code) == (3, "Quantity", code)
    assert len(fault.value) <= 60
    assert list(held(found)) == ["VTI", "BND"]


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("+5", "5"),
        ("-5", "-5"),
        ("5-", "-5"),
        ("(1,234.50)", "-1234.50"),
        ("$1,234.5", "1234.5"),
        ("-$1,234.5", "-1234.5"),
        ("$-5.5", "-5.5"),
        ("1'234.5", "1234.5"),
        ("1 234.5", "1234.5"),
        ("1\u00a0234.5", "1234.5"),
        ("\u22121,5.0".replace(",", ""), "-15.0"),
        ("USD 5.5", "5.5"),
        ("5.5 USD", "5.5"),
        (".5", "0.5"),
        ("5.", "5"),
        ("007", "7"),
        ("-12345678901234567.123456789012345678", "-12345678901234567.123456789012345678"),
    ],
)
def test_numbers_are_read_as_people_write_them(text, number):
    found = opened(f'Symbol,Quantity\nVTI,1.5\nAAPL,"{text}"\n')
    assert held(found)["AAPL"][0] == Decimal(number)


def test_a_mark_that_could_be_either_is_asked_about_and_never_guessed():
    file = "Symbol;Quantity;Price\nAAPL;1.234;500\nVTI;2;1,500\n"
    found = opened(file)
    assert codes(found) == [(2, "conflicting_decimal")] or codes(found) == [(2, "ambiguous_decimal")]
    assert found.fatal
    assert not found.lines
    assert "decimal=" in found.faults[0].message
    comma = opened("Symbol;Quantity\nAAPL;1.234\n", decimal=",")
    dot = opened("Symbol;Quantity\nAAPL;1.234\n", decimal=".")
    assert (held(comma)["AAPL"][0], held(dot)["AAPL"][0]) == (1234, d("1.234"))


def test_a_file_that_writes_numbers_in_two_ways_is_asked_about():
    found = opened("Symbol;Quantity\nAAPL;1.5\nVTI;2,5\n")
    assert codes(found) == [(3, "conflicting_decimal")]
    assert "Row 2" in found.faults[0].message
    told = opened("Symbol;Quantity\nAAPL;1.5\nVTI;2,5\n", decimal=".")
    assert codes(told) == [(3, "bad_number")]


@pytest.mark.parametrize("number", ["1.234,56", "0,5", "12,5", "1.234.567", "1234,567"])
def test_one_cell_that_proves_the_decimal_mark_decides_for_the_file(number):
    found = opened(f"Symbol;Quantity\nVTI;1.000\nAAPL;{number}\n")
    assert not found.faults
    assert held(found)["VTI"][0] == 1000


def test_day_and_month_are_never_guessed():
    file = "Symbol,Quantity,Date\nAAPL,1,02/03/2026\nVTI,1,{}\n"
    assert codes(opened(file.format("04/04/2026"))) == [(2, "ambiguous_date")]
    for proof, month in (("12/25/2025", 2), ("25/12/2025", 3)):
        found = opened(file.format(proof))
        assert found.lines[0][1].holding.price_as_of.month == month
    assert codes(opened("Symbol,Quantity,Date\nA,1,13/02/2026\nB,1,02/13/2026\n")) == [
        (2, "conflicting_date")
    ]
    assert opened(file.format("04/04/2026"), dates="eu").lines[0][1].holding.price_as_of.month == 3


@pytest.mark.parametrize(
    "text",
    [
        "2026-13-01",
        "30.02.2026",
        "11/31/2026",
        "yesterday",
        "2027-01-01",
        "0001-01-01",
        "1/1/26",
        "=TODAY()",
        "46000",
    ],
)
def test_a_bad_date_is_refused_with_its_place(text):
    found = opened(f"Symbol,Quantity,Date\nVTI,1,2026-11-20\nAAPL,1,{text}\n", dates="us")
    assert codes(found) == [(3, "bad_date")]
    assert found.faults[0].column == "Date"


@pytest.mark.parametrize(
    "text", ["2026-11-20", "20.11.2026", "2026/11/20", "Nov-20-2026", "20 Nov 2026", "11/20/2026"]
)
def test_dates_are_read_as_people_write_them(text):
    found = opened(f"Symbol,Quantity,Date\nVTI,1,{text}\n")
    assert found.lines[0][1].holding.price_as_of == datetime(2026, 11, 20, tzinfo=UTC)


def test_a_formula_in_a_text_is_kept_as_the_text_it_is():
    found = opened("Symbol,Name,Quantity\nVTI,\"=cmd|' /C calc'!A0\",1\nBND,@import,2\nAAPL,+1 for it,3\n")
    assert not found.faults
    assert [line.entry.name for _, line in found.lines] == ["=cmd|' /C calc'!A0", "@import", "+1 for it"]


@pytest.mark.parametrize(
    "symbol", ["=AAPL", "@AAPL", "+AAPL", "A\u0410PL", "M\u017fFT", "NYSE:IBM", "A" * 65, "AA\u202ePL"]
)
def test_a_symbol_that_is_none_is_refused(symbol):
    found = opened(f"Symbol,Quantity\n{symbol},1\nVTI,2\n")
    assert [row for row, _ in codes(found)] == [2]
    assert list(held(found)) == ["VTI"]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("AAPL,Apple,1,9\n", (2, "ragged")),
        ("AAPL\n", (2, "ragged")),
        ("AAPL,Apple,1,,\n", None),
        ("AAPL,Ap\x00ple,1\n", (2, "control_character")),
        ("AAPL,Ap\x07ple,1\n", (2, "control_character")),
        (f"AAPL,{'x' * 201},1\n", (2, "too_long")),
        (f"AAPL,{'x' * 90_000},1\n", (2, "too_long")),
        ('AAPL,"Apple" Inc,1\n', (2, "bad_quotes")),
        ('AAPL,"Apple\nInc",1\n', None),
        ('AAPL,"Apple ""Inc""",1\n', None),
    ],
)
def test_what_is_wrong_with_a_row_is_said_of_that_row_alone(body, expected):
    found = opened("Symbol,Name,Quantity\n" + body + "VTI,Total,2\n")
    assert codes(found) == ([expected] if expected else [])
    assert "VTI" in held(found)
    assert not found.fatal


def test_a_quotation_mark_that_never_closes_is_found_where_it_opens():
    found = opened('Symbol,Name,Quantity\nVTI,Total,2\nAAPL,"Apple,1\nBND,Bonds,3\nMSFT,Micro,4\n')
    assert codes(found) == [(3, "unclosed_quote")]
    assert found.fatal
    long = opened('Symbol,Name,Quantity\nAAPL,"' + "x,1\n" * 50_000)
    assert codes(long)[0] == (2, "unclosed_quote")
    assert long.fatal


def test_the_row_of_an_error_is_the_line_on_which_it_begins():
    found = opened('Symbol,Name,Quantity\n\nVTI,"a\nb\nc",1\nAAPL,x,bad\n')
    assert codes(found) == [(6, "bad_number")]


def test_one_instrument_twice_is_refused_and_names_both_rows():
    found = opened("Symbol,Quantity\nAAPL,1\nVTI,1\naapl,2\n")
    assert codes(found) == [(4, "duplicate")]
    assert "row 2" in found.faults[0].message
    assert found.fatal
    assert opened("Symbol,Quantity,Currency\nRY.TO,1,CAD\nRY.TO,2,USD\n").faults == []


def test_two_accounts_in_one_file_are_never_mixed():
    found = opened(
        "Account Number,Symbol,Quantity\n111122223333,AAPL,1\n444455556666,VTI,1\n444455556666,BND,1\n"
    )
    assert codes(found) == [(3, "several_accounts")]
    assert found.fatal
    assert "444455556666" not in repr(found.faults)


def test_figures_in_another_currency_than_the_row_are_refused():
    assert codes(opened("Symbol,Quantity,Price\nAAPL,1,€5.5\n")) == [(2, "currency_mismatch")]
    assert codes(opened("Symbol,Quantity,Price\nAAPL,1,€5.5\n", account="EUR")) == []


def test_pence_become_pounds():
    found = opened("Symbol,Quantity,Price,Currency\nVOD.L,100,92.40,GBp\n")
    [(_, line)] = found.lines
    assert (line.holding.currency, line.holding.price, line.holding.market_value) == (
        "GBP",
        d("0.924"),
        d("92.4"),
    )
    mixed = opened("Symbol,Quantity,Price,Value,Currency\nVOD.L,1000,92.40,924.00,GBX\n")
    assert codes(mixed) == [(2, "contradiction")]


def test_a_currency_of_look_alike_letters_is_none():
    assert codes(opened("Symbol,Quantity,Currency\nAAPL,1,U\u017fD\n")) == [(2, "bad_currency")]


def test_the_user_maps_columns_nobody_knows():
    file = "Wat,Hoeveel,Wanneer\nAAPL,5,2026-11-20\n"
    assert opened(file).table.missing == ["symbol", "quantity"]
    found = opened(file, mapping={"symbol": "wat", "quantity": "Hoeveel"})
    assert held(found)["AAPL"][0] == 5
    for mapping in ({"symbol": "Nothing"}, {"colour": "Wat"}):
        with pytest.raises(UnreadableError) as refused:
            opened(file, mapping=mapping)
        assert refused.value.code == "bad_mapping"
    assert opened("Symbol,Quantity,Price\nA,1,x\n", mapping={"price": None}).faults == []


def test_a_declared_separator_is_believed():
    assert held(opened("sep=;\nSymbol;Quantity\nAAPL;5\n"))["AAPL"][0] == 5


@pytest.mark.parametrize("ending", ["\r\n", "\r", "\n"])
def test_every_line_ending_is_read(ending):
    assert list(held(opened("Symbol,Quantity\nAAPL,5\nVTI,6\n".replace("\n", ending)))) == ["AAPL", "VTI"]


def test_a_hundred_thousand_rows_give_every_error_a_count_and_the_first_thousand_a_place():
    rows = "".join(f"S{number},{'x' if number % 10 == 0 else number}\n" for number in range(100_000))
    found = opened("Symbol,Quantity\n" + rows)
    assert found.rows == 100_000
    assert found.counts == {"bad_number": 10_000, "too_many_holdings": 1}
    assert len(found.faults) == reading.FAULTS_KEPT
    assert len(found.lines) == MAX_HOLDINGS
    assert found.fatal
    with pytest.raises(UnreadableError) as refused:
        opened("Symbol,Quantity\n" + rows + "ONE,1\n")
    assert (refused.value.code, refused.value.row) == ("too_many_rows", 100_002)


def test_a_file_of_empty_lines_or_of_one_endless_line_is_refused_before_it_takes_long():
    with pytest.raises(UnreadableError) as refused:
        opened("Symbol,Quantity\nAAPL,1\n" + "\n" * 9_000_000)
    assert refused.value.code == "too_many_rows"
    assert codes(opened("Symbol,Quantity\nVTI,1\n" + "a," * 2_000_000 + "\n")) == [(3, "ragged")]


def test_a_row_of_words_is_compared_with_the_header_and_not_the_header_with_every_row(monkeypatch):
    folded = []

    def counting(name):
        folded.append(name)
        return fold(name)

    fold = headers.fold
    columns = ",".join(f"c{number}" for number in range(198))
    header = f"Symbol,Quantity,{columns}\n"
    table = layout(header, Choices())
    for module in (headers, skipping):
        monkeypatch.setattr(module, "fold", counting)
    found = read(header + "a,b,c\n" * 100, table, Choices(), "USD", NOW)
    assert found.counts == {"bad_number": 100}
    assert len(folded) <= 100 * 2 * 2 * 3


def test_no_more_of_a_cell_is_looked_at_than_a_column_can_be_called():
    # One character of this one becomes eighteen.
    assert len(headers.fold("\ufdfa" * 100_000)) <= 18 * headers.LONGEST_NAME

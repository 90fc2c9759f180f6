"""The file of transactions: it reads back as what was written, and nothing in it computes."""

import csv
import io
from datetime import date

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.reads import sheet
from gateway.reads.sheet import COLUMNS, TEXTS, guarded, lines

texts = st.text(st.characters(blacklist_categories=("Cs",), blacklist_characters="\x00"), max_size=20)


@given(st.lists(st.fixed_dictionaries({name: st.none() | texts for name in COLUMNS}), max_size=3))
def test_every_cell_reads_back_and_no_text_begins_a_formula(rows):
    data = lines([[row[name] for name in COLUMNS] for row in rows])
    back = list(csv.reader(io.StringIO(data.decode(), newline="")))
    assert len(back) == len(rows)
    for row, cells in zip(rows, back, strict=True):
        for name, cell in zip(COLUMNS, cells, strict=True):
            assert cell in {row[name] or "", f"'{row[name]}"}
            if name in TEXTS:
                assert cell.strip(" \u00a0\u3000\ufeff")[:1] not in set("=+-@\t\r")


@pytest.mark.parametrize(
    "text",
    ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "  =cmd|' /C calc'!A0", "\uff1d1", "\u00a0-2", "\ufeff=1"],
)
def test_what_could_be_a_formula_begins_with_an_apostrophe(text):
    assert guarded(text) == f"'{text}"


@pytest.mark.parametrize("text", ["", "AAPL", "10-K", "a=b", "'", "é"])
def test_other_texts_stay_as_they_are(text):
    assert guarded(text) == text


@pytest.fixture
def account(seed):
    return seed.account(seed.connection())


def row(seed, account, number, **more):
    identity = f"00000000-0000-4000-8000-{number:012d}"
    values = {"user_id": "alice", "account_id": account, "external_id": f"e{number}", "version": 1,
              "transaction_id": identity, "removed": False, "type": "SELL", "raw_type": "s",
              "description": "plain", "currency": "USD", "amount": "-1.50", "booked_on": date(2026, 11, 10),
              "pending": False}  # fmt: skip
    seed.insert("transactions", **(values | more))
    return identity


async def exported(api, **query):
    answer = await api.get("/v1/transactions/export", params=query)
    assert answer.status_code == 200
    return answer, list(csv.DictReader(io.StringIO(answer.text, newline="")))


async def test_the_file_has_every_row_of_the_filter_in_the_order_of_the_list(api, seed, account, monkeypatch):
    monkeypatch.setattr(sheet, "ROWS", 3)
    ids = [row(seed, account, n, booked_on=date(2026, 11, 1 + n % 3)) for n in range(10)]
    row(seed, account, 99, type="BUY", booked_on=None)
    answer, rows = await exported(api, type="SELL")
    listed = (await api.get("/v1/transactions", params={"type": "SELL"})).json()["items"]
    assert [one["id"] for one in rows] == [one["id"] for one in listed]
    assert {one["id"] for one in rows} == set(ids)
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.headers["content-disposition"] == 'attachment; filename="transactions-2026-11-21.csv"'
    assert "content-length" not in answer.headers


async def test_numbers_stay_numbers_and_texts_are_guarded_and_quoted(api, seed, account):
    row(seed, account, 1, description='=HYPERLINK("http://x","y")', traded_at="2026-11-10T09:30:00.5-05:00")
    row(seed, account, 2, description='a "quoted",\r\nbroken line')
    answer, rows = await exported(api)
    assert [one["description"] for one in rows] == [
        '\'=HYPERLINK("http://x","y")', 'a "quoted",\r\nbroken line',
    ]  # fmt: skip
    assert {one["amount"] for one in rows} == {"-1.5"}
    assert (rows[0]["traded_at"], rows[0]["quantity"], rows[0]["pending"]) == (
        "2026-11-10T14:30:00Z",
        "",
        "false",
    )
    assert answer.content.endswith(b"\r\n")
    assert answer.text.splitlines()[0] == ",".join(COLUMNS)


async def test_an_empty_file_still_names_its_columns(api):
    answer, rows = await exported(api)
    assert (answer.text, rows) == (",".join(COLUMNS) + "\r\n", [])


async def test_a_file_is_refused_like_a_list_while_the_database_is_away(bare_api):
    answer = await bare_api.get("/v1/transactions/export")
    assert (answer.status_code, answer.headers["content-type"]) == (503, "application/json")


async def test_who_comes_without_a_token_gets_no_file(api):
    answer = await api.request("GET", "/v1/transactions/export", None)
    assert isinstance(answer, httpx.Response)
    assert answer.status_code == 401

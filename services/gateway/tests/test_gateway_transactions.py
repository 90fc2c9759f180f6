"""Transactions: every filter, sums over all pages, pages that later rows do not move, and nobody else's."""

import uuid
from datetime import date

import pytest
from psycopg.types.json import Json

from contracts.ids import portfolio_id

INSTRUMENT = {"key": "AAPL", "kind": "stock", "symbol": "AAPL", "name": "Apple Inc.", "currency": "USD",
              "mic": "XNAS", "figi": None, "figi_share_class": None, "isin": None, "cusip": None,
              "provider_security_id": "p-1", "multiplier": "1", "option": None, "maturity": None}  # fmt: skip


def traded(seed, account, user="alice", **more):
    """A transaction as the consolidator writes it; returns its id."""
    row = {
        "user_id": user,
        "account_id": account,
        "external_id": str(uuid.uuid4()),
        "transaction_id": str(uuid.uuid4()),
        "version": 1,
        "removed": False,
        "type": "BUY",
        "raw_type": "buy",
        "description": "Bought",
        "currency": "USD",
        "amount": "-100.50",
        "quantity": "2",
        "price": "50.25",
        "fee": "0.10",
        "instrument_key": "AAPL",
        "instrument": Json(INSTRUMENT),
        "booked_on": date(2026, 11, 10),
        "pending": False,
    } | more
    seed.insert("transactions", **row)
    return row["transaction_id"]


@pytest.fixture
def account(seed):
    return seed.account(seed.connection())


async def listed(api, **query):
    page = (await api.get("/v1/transactions", params=query)).json()
    return [item["id"] for item in page["items"]]


async def test_a_transaction_reads_with_its_numbers_as_they_are_and_its_instrument(api, seed, account):
    one = traded(seed, account, fx_rate="1.5", option_action="BUY_TO_OPEN", broker_reference="B-1")
    page = (await api.get("/v1/transactions")).json()
    (item,) = page["items"]
    assert (item["amount"], item["quantity"], item["price"], item["fee"], item["fx_rate"]) == (
        "-100.5", "2", "50.25", "0.1", "1.5",
    )  # fmt: skip
    assert item["instrument"] == INSTRUMENT
    assert (item["booked_on"], item["counted"], item["provider"]) == ("2026-11-10", True, "snaptrade")
    assert item["journal"] == {
        "synced_to_journal": False, "journal_trade_id": None, "sync_notes": None, "updated_at": None,
    }  # fmt: skip
    assert (await api.get(f"/v1/transactions/{one}")).json() == item


async def test_cash_activities_without_an_instrument_or_amount_read_too(api, seed, account):
    traded(seed, account, type="OTHER", instrument_key=None, instrument=None, amount=None, currency=None)
    page = (await api.get("/v1/transactions")).json()
    assert (page["items"][0]["instrument"], page["items"][0]["amount"]) == (None, None)
    assert page["totals"]["currencies"] == [
        {"currency": None, "count": 1, "amount": "0", "fees": "0.1", "complete": False}
    ]


async def test_every_filter_chooses_what_it_says(api, seed, account):
    other = seed.account(seed.connection(provider="plaid"), provider="plaid")
    buy = traded(seed, account)
    sell = traded(seed, account, type="SELL", booked_on=date(2026, 11, 12))
    tesla = traded(seed, account, instrument_key="TSLA", instrument=Json(INSTRUMENT | {"symbol": "TSLA"}),
                   booked_on=date(2026, 11, 8))  # fmt: skip
    pending = traded(seed, other, pending=True, booked_on=date(2026, 11, 14))
    traded(seed, account, removed=True)
    connection = (await api.get(f"/v1/accounts/{other}")).json()["connection_id"]
    assert await listed(api) == [pending, sell, buy, tesla]
    assert await listed(api, account=account) == [sell, buy, tesla]
    assert await listed(api, connection=connection) == [pending]
    assert await listed(api, symbol="tsla") == [tesla]
    assert await listed(api, type=["SELL", "DIVIDEND"]) == [sell]
    assert await listed(api, start_date="2026-11-10", end_date="2026-11-12") == [sell, buy]
    assert await listed(api, pending=True) == [pending]
    assert await listed(api, pending=False, symbol="AAPL", type="BUY") == [buy]
    assert await listed(api, synced_to_journal=False) == [pending, sell, buy, tesla]
    assert await listed(api, synced_to_journal=True) == []
    assert await listed(api, portfolio="default") == [pending, sell, buy, tesla]


async def test_a_named_portfolio_shows_its_real_accounts_alone(api, seed, account):
    other = seed.account(seed.connection())
    mine, _ = traded(seed, account), traded(seed, other)
    made = await api.post("/v1/portfolios", {"name": "Growth", "account_ids": [account]})
    assert made.status_code in {201, 202}
    seed.insert(
        "portfolios", user_id="alice", portfolio_id=made.json()["id"], name="Growth",
        account_ids=Json([account]), version=1, deleted=False, defined_at="2026-11-21T00:00:00Z",
    )  # fmt: skip
    assert await listed(api, portfolio="growth") == [mine]
    assert (await api.get("/v1/transactions", params={"portfolio": "nothing"})).status_code == 404


@pytest.mark.parametrize(
    "query",
    [
        {"type": "NONSENSE"},
        {"account": "not-an-id"},
        {"start_date": "2026-11-12", "end_date": "2026-11-11"},
        {"start_date": "yesterday"},
        {"symbol": "\u0000"},
        {"cursor": "AAAA"},
        {"limit": 501},
    ],
)
async def test_a_filter_that_means_nothing_is_refused(api, query):
    answer = await api.get("/v1/transactions", params=query)
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "VALIDATION_FAILED")


async def test_totals_are_over_the_whole_filter_and_come_with_the_first_page(api, seed, account):
    for n in range(5):
        traded(seed, account, amount=f"{n}.25", fee="0.01")
    traded(seed, account, currency="EUR", amount="-3", fee=None, pending=True)
    traded(seed, account, currency="EUR", amount=None)
    first = (await api.get("/v1/transactions", params={"limit": 2})).json()
    assert first["totals"] == {
        "count": 7,
        "pending": 1,
        "currencies": [
            {"currency": "EUR", "count": 2, "amount": "-3", "fees": "0.1", "complete": False},
            {"currency": "USD", "count": 5, "amount": "11.25", "fees": "0.05", "complete": True},
        ],
    }
    second = (await api.get("/v1/transactions", params={"limit": 2, "cursor": first["next_cursor"]})).json()
    assert second["totals"] is None
    assert (await api.get("/v1/transactions", params={"type": "SELL"})).json()["totals"] == {
        "count": 0, "pending": 0, "currencies": [],
    }  # fmt: skip


async def test_pages_meet_while_rows_arrive_before_and_behind_them(api, seed, account):
    days = [date(2026, 11, day) for day in (20, 20, 20, 15, 15, 10, 10)]
    for day in days:
        traded(seed, account, booked_on=day)
    undated = {traded(seed, account, booked_on=None) for _ in range(2)}
    expected, seen, cursor = await listed(api), [], None
    assert set(expected[:2]) == undated
    while True:
        query = {"limit": 2} | ({"cursor": cursor} if cursor else {})
        page = (await api.get("/v1/transactions", params=query)).json()
        seen += [item["id"] for item in page["items"]]
        if len(seen) > 2:
            traded(seed, account, booked_on=date(2026, 11, 21))
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen == expected


async def test_a_second_sight_of_a_real_account_is_not_listed_twice(api, seed, account):
    twin = seed.account(seed.connection(provider="plaid"), provider="plaid")
    seed._conn.execute(
        "UPDATE portfolio.accounts SET real_account_id = %s WHERE account_id = %s",
        (seed.reals[account], twin),
    )
    mine, again = traded(seed, account), traded(seed, twin)
    assert await listed(api) == [mine]
    assert (await api.get("/v1/transactions")).json()["totals"]["count"] == 1
    assert await listed(api, account=twin) == [again]
    assert set(await listed(api, duplicates=True)) == {mine, again}
    seed._conn.execute(
        "UPDATE portfolio.real_accounts SET counted_account_id = NULL WHERE real_account_id = %s",
        (seed.reals[account],),
    )
    assert set(await listed(api)) == {mine, again}


@pytest.mark.parametrize(
    ("then", "now", "again"),
    [
        ({"stable_id": "s-1"}, {"stable_id": "s-1", "mask": "9999"}, True),
        ({"stable_id": "s-1"}, {"stable_id": "s-2"}, False),
        ({}, {}, True),
        ({"stable_id": "s-1"}, {}, True),
        ({"provider": "plaid", "stable_id": "p-1"}, {"stable_id": "s-1"}, True),
        ({"mask": None}, {"mask": None}, False),
        ({"mask": "1111"}, {}, False),
        ({"type": "ira"}, {}, False),
        ({"institution": "fidelity"}, {}, False),
        ({}, {"gone": True}, False),
        ({}, {"user": "bob"}, False),
    ],
)
async def test_of_an_account_that_was_removed_and_linked_again_each_thing_is_listed_once(
    api, seed, then, now, again
):
    before = seed.account(seed.connection(status="removed"), gone=True, **then)
    seed._conn.execute("UPDATE portfolio.accounts SET real_account_id = NULL")
    seed._conn.execute("DELETE FROM portfolio.real_accounts")
    user = now.get("user", "alice")
    after = seed.account(seed.connection(user=user), **now)
    old, new = traded(seed, before), traded(seed, after, user=user)
    mine = {old, new} if user == "alice" else {old}
    assert set(await listed(api)) == (mine - {old} if again else mine)
    assert set(await listed(api, duplicates=True)) == mine
    assert await listed(api, account=before) == [old]
    count = (await api.get("/v1/transactions")).json()["totals"]["count"]
    assert count == len(mine) - again


async def test_an_accounts_activities_tell_the_days_that_are_known_whole(api, seed, account):
    one = traded(seed, account)
    traded(seed, seed.account(seed.connection()))
    path = f"/v1/accounts/{account}/activities"
    page = (await api.get(path)).json()
    assert ([item["id"] for item in page["items"]], page["totals"]["count"]) == ([one], 1)
    assert page["coverage"] == {"from": None, "through": None}
    seed.insert("transaction_coverage", user_id="alice", account_id=account,
                covers_from=date(2020, 1, 1), covers_through=date(2026, 11, 20))  # fmt: skip
    assert (await api.get(path)).json()["coverage"] == {"from": "2020-01-01", "through": "2026-11-20"}
    assert (await api.get(path, params={"type": "SELL"})).json()["items"] == []


async def test_nobody_sees_or_marks_what_is_anothers(api, seed, account):
    one = traded(seed, account)
    for path in (f"/v1/transactions/{one}", f"/v1/accounts/{account}/activities"):
        assert (await api.get(path, "bob")).status_code == 404
    assert (await api.get("/v1/transactions", "bob")).json()["items"] == []
    assert (await api.get("/v1/transactions", "bob", params={"account": account})).json()["items"] == []
    exported = await api.get("/v1/transactions/export", "bob")
    assert len(exported.text.splitlines()) == 1
    marked = await api.request(
        "PATCH", f"/v1/transactions/{one}/journal", "bob", json={"synced_to_journal": True}
    )
    assert marked.status_code == 404
    body = {"ids": [one], "synced_to_journal": True}
    assert (await api.post("/v1/transactions/journal", body, "bob")).json() == {
        "changed": [], "unchanged": 0, "not_found": [one],
    }  # fmt: skip
    assert await listed(api, synced_to_journal=True) == []


@pytest.mark.parametrize(
    "path", ["/v1/transactions", "/v1/transactions?limit=1", "/v1/accounts/{account}/activities"]
)
async def test_an_unchanged_list_is_304_and_a_mark_changes_its_tag(api, seed, account, path):
    one = traded(seed, account)
    path = path.format(account=account)
    tag = (await api.get(path)).headers["etag"]
    assert (await api.get(path, headers={"If-None-Match": tag})).status_code == 304
    await api.request("PATCH", f"/v1/transactions/{one}/journal", json={"synced_to_journal": True})
    assert (await api.get(path, headers={"If-None-Match": tag})).status_code == 200


def mark(api, one, **body):
    return api.request("PATCH", f"/v1/transactions/{one}/journal", json=body)


async def test_a_mark_stays_and_repeating_it_changes_nothing_and_writes_no_second_audit_row(
    api, seed, account, written
):
    one, other = traded(seed, account), traded(seed, account)
    first = (await mark(api, one, synced_to_journal=True, journal_trade_id="t-1")).json()
    assert first["journal"]["synced_to_journal"] is True
    assert first["journal"]["journal_trade_id"] == "t-1"
    again = (await mark(api, one, synced_to_journal=True, journal_trade_id="t-1")).json()
    assert again == first
    assert await listed(api, synced_to_journal=True) == [one]
    assert await listed(api, synced_to_journal=False) == [other]
    assert [(row[1], row[2]) for row in written.audit()] == [("transactions.journal_marked", one)]


async def test_what_a_mark_leaves_out_stays_and_null_empties(api, seed, account):
    one = traded(seed, account)
    await mark(api, one, synced_to_journal=True, journal_trade_id="t-1", sync_notes="  seen  ")
    journal = (await mark(api, one, journal_trade_id=None)).json()["journal"]
    assert (journal["synced_to_journal"], journal["journal_trade_id"], journal["sync_notes"]) == (
        True, None, "seen",
    )  # fmt: skip
    journal = (await mark(api, one, synced_to_journal=False)).json()["journal"]
    assert (journal["synced_to_journal"], journal["sync_notes"]) == (False, "seen")


async def test_unmarking_what_was_never_marked_writes_nothing(api, seed, account, written):
    one = traded(seed, account)
    assert (await mark(api, one, synced_to_journal=False)).json()["journal"]["updated_at"] is None
    assert (await mark(api, one, journal_trade_id=None)).json()["journal"]["updated_at"] is None
    assert written.audit() == []


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"synced_to_journal": None},
        {"synced_to_journal": "perhaps"},
        {"sync_notes": "x" * 2001},
        {"sync_notes": "\u0000"},
        {"journal_trade_id": 7},
        {"else": True},
    ],
)
async def test_a_mark_that_says_nothing_or_too_much_is_refused(api, seed, account, body):
    assert (await mark(api, traded(seed, account), **body)).status_code == 422


async def test_many_are_marked_in_one_step_and_strangers_are_named(api, seed, account, written):
    ids = sorted(traded(seed, account) for _ in range(3))
    await mark(api, ids[0], synced_to_journal=True)
    stranger = str(uuid.uuid4())
    body = {"ids": [*ids, ids[1], stranger], "synced_to_journal": True}
    done = (await api.post("/v1/transactions/journal", body)).json()
    assert done == {"changed": ids[1:], "unchanged": 1, "not_found": [stranger]}
    again = (await api.post("/v1/transactions/journal", body)).json()
    assert again == {"changed": [], "unchanged": 3, "not_found": [stranger]}
    assert set(await listed(api, synced_to_journal=True)) == set(ids)
    assert [row[1] for row in written.audit()].count("transactions.journal_marked_in_bulk") == 1
    for wrong in ([], [str(uuid.uuid4()) for _ in range(501)], ["x"]):
        refused = await api.post("/v1/transactions/journal", {"ids": wrong, "synced_to_journal": True})
        assert refused.status_code == 422


async def test_the_default_portfolio_by_its_id_is_everything(api, seed, account):
    one = traded(seed, account)
    assert await listed(api, portfolio=portfolio_id("alice")) == [one]

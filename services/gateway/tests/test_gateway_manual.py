"""Accounts entered by hand: what is refused, what is told, and that two editors never overwrite each other unseen."""

import asyncio
import json
import uuid
from datetime import timedelta
from decimal import Decimal

import psycopg
import pytest
from psycopg.types.json import Json

from consolidator.apply import Applier
from consolidator.measures import Measures
from consolidator.rules import DEFAULT_RULES
from consolidator.settings import SESSION
from contracts import ids
from contracts.accounts import AccountsSnapshot, BalancesSnapshot
from contracts.envelope import decode
from contracts.holdings import HoldingsSnapshot, content_hash
from contracts.messages import ConnectionLinked, ConnectionStatusChanged
from gateway.decisions import wait
from gateway.manual import accounts, changes, previews
from gateway.manual.difference import Difference
from persistence import roles
from persistence.database import Database
from service_kit.metrics import Metrics

AAPL = {"symbol": "AAPL", "type": "stock", "quantity": "10", "price": "230.25", "cost_basis": "2000"}
CASH = {"symbol": "CUR:USD", "quantity": "1000.50"}
OPTION = {"symbol": "AAPL  270115C00260000", "quantity": "-2", "price": "12.5", "cost_per_unit": "9"}
BTC = {"symbol": "CRYPTO:BTC", "quantity": "0.123456789012345678", "price": "91000"}
BOND = {"type": "bond", "cusip": "037833100", "quantity": "10000", "price": "98.5", "market_value": "9850"}
UNKNOWABLE = [
    "Symbol,Quantity\nVTI,2\nVTI,3\n",
    'Symbol,Name,Quantity\nVTI,Total,2\nBND,"Bonds,3\nAAPL,x,5\n',
    "Account,Symbol,Quantity\n1111,VTI,2\n2222,BND,3\n",
    "Symbol;Quantity\nVTI;1.234\n",
    "What,Ever\nVTI,2\n",
    "Symbol,Quantity\nVTI,x\n",
    "Symbol,Quantity\n" + "".join(f"S{n},1\n" for n in range(5001)),
]
NO_TABLES = [
    (b"", "empty"),
    (b"Symbol,Quantity\n", "no_rows"),
    (b"Symbol,Quantity\nA,\x8d\n", "encoding"),
    (b"\x00" * 100, "encoding"),
    (b"hello", "no_table"),
]
BODY = {"name": "Shoebox", "type": "brokerage", "currency": "USD"}


@pytest.fixture
def database(migrated_database):
    with psycopg.connect(migrated_database.url(roles.GATEWAY), autocommit=True) as conn:
        yield conn


@pytest.fixture
def outbox(database):
    """The events that would be published, as their readers decode them, oldest first."""

    def told(since=0):
        rows = database.execute("SELECT body FROM gateway.outbox ORDER BY id").fetchall()
        return [decode(bytes(body)).message for (body,) in rows][since:]

    return told


async def entered(api, *holdings, user="alice", **more):
    answer = await api.post("/v1/accounts/manual", BODY | {"holdings": list(holdings)} | more, user)
    assert answer.status_code == 202, answer.text
    return answer.json()["id"]


async def put(api, account, *holdings, user="alice", tag=None):
    headers = {} if tag is None else {"If-Match": tag}
    path = f"/v1/accounts/{account}/holdings"
    return await api.request("PUT", path, user, headers=headers, json={"holdings": list(holdings)})


async def listed(api, account):
    answer = await api.get(f"/v1/accounts/{account}/holdings/manual")
    assert answer.status_code == 200, answer.text
    return {item["instrument_key"]: item for item in answer.json()["items"]}


def errors(answer):
    assert answer.status_code == 422, answer.text
    return [(one["location"], one["type"]) for one in answer.json()["error"]["details"]["errors"]]


async def test_an_account_with_its_holdings_is_told_as_a_connector_would_tell_it(api, outbox):
    answer = await api.post(
        "/v1/accounts/manual",
        BODY
        | {
            "institution": "Fidelity Investments",
            "mask": "654321",
            "holdings": [AAPL, OPTION, BTC, BOND, CASH],
        },
    )
    shown = answer.json()
    assert (answer.status_code, shown["status"], answer.headers["etag"]) == (202, "pending", '"1"')
    assert (shown["institution"], shown["institution_name"], shown["mask"]) == (
        "fidelity",
        "Fidelity",
        "4321",
    )
    linked, described, balances, held = outbox()
    own = linked.external_id
    assert shown["connection_id"] == ids.connection_id("manual", "alice", own) == linked.connection_id
    assert shown["id"] == ids.account_id("manual", "alice", own) == held.account_id
    assert linked == ConnectionLinked(
        user_id="alice", provider="manual", connection_id=linked.connection_id, external_id=own,
        institution="fidelity", institution_name="Fidelity", connection_type="manual", link_session_id=None,
        linked_at=api.clock.now(), version=1,
    )  # fmt: skip
    assert isinstance(described, AccountsSnapshot)
    [account] = described.accounts
    assert (account.name, account.mask, account.type, account.total) == ("Shoebox", "4321", "brokerage", None)
    assert isinstance(balances, BalancesSnapshot)
    assert [(one.currency, one.cash) for one in balances.balances] == [("USD", Decimal("1000.50"))]
    assert isinstance(held, HoldingsSnapshot)
    assert held.complete
    assert held.content_hash == content_hash(held.holdings)
    assert {one.clocks.version for one in (described, balances, held)} == {1}
    assert held.clocks.as_of == held.clocks.synced_at == api.clock.now()
    worth = {one.instrument.key: (one.quantity, one.market_value, one.cost_basis) for one in held.holdings}
    assert worth == {
        "AAPL": (10, Decimal("2302.50"), 2000),
        "AAPL270115C00260000": (-2, -2500, -1800),
        "CRYPTO:BTC": (Decimal(BTC["quantity"]), Decimal("11234.5678001235"), None),
        "CUSIP:037833100": (10000, 9850, None),
        "CUR:USD": (Decimal("1000.50"), Decimal("1000.50"), Decimal("1000.50")),
    }


async def test_every_change_is_told_whole_under_a_higher_version(api, outbox):
    account = await entered(api, AAPL, CASH)
    seen = len(outbox())
    api.clock.advance(timedelta(minutes=1))
    added = await api.post(f"/v1/accounts/{account}/holdings", BTC)
    assert (added.json()["version"], added.headers["etag"]) == (2, '"2"')
    own = added.json()["holding"]["id"]
    changed = await api.request("PATCH", f"/v1/accounts/{account}/holdings/{own}", json={"quantity": "2"})
    assert (changed.json()["version"], changed.json()["holding"]["quantity"]) == (3, "2")
    removed = await api.request("DELETE", f"/v1/accounts/{account}/holdings/{own}")
    assert (removed.json()["version"], removed.json()["holdings"]) == (4, 2)
    renamed = await api.request("PATCH", f"/v1/accounts/{account}", json={"name": "Box", "mask": None})
    assert (renamed.json()["version"], renamed.json()["name"]) == (5, "Box")
    held = [one for one in outbox()[seen:] if isinstance(one, HoldingsSnapshot)]
    assert [one.clocks.version for one in held] == [2, 3, 4, 5]
    assert [len(one.holdings) for one in held] == [3, 3, 2, 2]
    assert held[2].content_hash == held[3].content_hash
    assert {one.clocks.as_of for one in held} == {api.clock.now()}
    assert [one.accounts[0].name for one in outbox()[seen:] if isinstance(one, AccountsSnapshot)][-1] == "Box"
    assert not [one for one in outbox()[seen:] if isinstance(one, ConnectionLinked)]


async def test_another_institution_is_told_as_a_link(api, outbox):
    account = await entered(api, CASH)
    seen = len(outbox())
    path = f"/v1/accounts/{account}"
    answer = await api.request("PATCH", path, json={"institution": "My Credit Union", "type": "deposit"})
    assert (answer.json()["institution"], answer.json()["type"]) == ("my-credit-union", "deposit")
    linked, described, *_ = outbox()[seen:]
    assert (linked.institution, linked.version) == ("my-credit-union", 2)
    assert (described.institution, described.accounts[0].holds_securities) == ("my-credit-union", False)
    unknown = await api.request("PATCH", path, json={"institution": "=1+1"})
    assert (unknown.status_code, unknown.json()["error"]["code"]) == (404, "UNKNOWN_INSTITUTION")


async def test_a_deleted_account_is_told_removed_and_nothing_of_it_stays(api, outbox, database):
    account = await entered(api, AAPL)
    await put(api, account, CASH)
    seen = len(outbox())
    for _ in range(2):
        gone = await api.request("DELETE", f"/v1/accounts/{account}")
        assert (gone.status_code, gone.json()) == (202, {"id": account, "status": "pending"})
    [removed] = outbox()[seen:]
    assert isinstance(removed, ConnectionStatusChanged)
    assert (removed.status, removed.version, removed.provider) == ("removed", 3, "manual")
    for method, path in (("GET", "holdings/manual"), ("PUT", "holdings"), ("POST", "holdings")):
        body = {"json": {"holdings": []} if method == "PUT" else AAPL} if method != "GET" else {}
        answer = await api.request(method, f"/v1/accounts/{account}/{path}", **body)
        assert answer.status_code == 404
    database.execute("SET app.user_id = 'alice'")
    assert database.execute("SELECT count(*) FROM gateway.manual_holdings").fetchone() == (0,)


async def test_what_was_entered_is_read_back_as_it_was_entered(api):
    rows = [
        AAPL
        | {"name": "Apple Inc.", "figi": "BBG000B9XRY4", "isin": "US0378331005", "price_as_of": "2026-11-20"},
        OPTION | {"multiplier": "10"},
        {
            "name": "A house in Bern",
            "type": "other",
            "quantity": "1",
            "currency": "CHF",
            "market_value": "900000",
        },
        {"symbol": "VOD.L", "quantity": "100", "currency": "GBp", "price": "92.40"},
    ]
    account = await entered(api, *rows)
    answer = await api.get(f"/v1/accounts/{account}/holdings/manual")
    items = answer.json()["items"]
    assert [item["instrument_key"] for item in items] == [
        "AAPL", "AAPL270115C00260000", "manual:a-house-in-bern", "VOD.L",
    ]  # fmt: skip
    for row, item in zip(rows, items, strict=True):
        entered_at = row.get("price_as_of")
        expected = row | ({"price_as_of": f"{entered_at}T00:00:00Z"} if entered_at else {})
        assert {field: item[field] for field in row} == expected
        assert all(
            value is None for field, value in item.items() if field not in {*row, "id", "instrument_key"}
        )
    again = await api.get(
        f"/v1/accounts/{account}/holdings/manual", headers={"If-None-Match": answer.headers["etag"]}
    )
    assert again.status_code == 304


@pytest.mark.parametrize(
    "field", ["quantity", "price", "market_value", "cost_basis", "cost_per_unit", "multiplier"]
)
@pytest.mark.parametrize(
    "value",
    [
        1,
        1.5,
        True,
        [],
        {},
        "NaN",
        "Infinity",
        "-inf",
        "1e5",
        "1,000",
        "0x1",
        "",
        " ",
        "\u0661",
        "1" * 21,
        "0." + "1" * 19,
    ],
)
async def test_a_number_that_is_no_decimal_string_is_refused_and_says_so(bare_api, field, value):
    answer = await bare_api.post("/v1/accounts/manual", BODY | {"holdings": [CASH, AAPL | {field: value}]})
    [(location, kind)] = errors(answer)
    assert (location, kind) == (["body", "holdings", 1, field], "decimal_string")
    if isinstance(value, float):
        assert "JSON numbers" in answer.text


@pytest.mark.parametrize(
    ("row", "field", "code"),
    [
        ({"quantity": "1"}, "symbol", "missing"),
        ({"symbol": "NYSE:IBM", "quantity": "1"}, "symbol", "bad_symbol"),
        ({"symbol": "\u0410APL", "quantity": "1"}, "symbol", "bad_symbol"),
        ({"symbol": "=AAPL", "quantity": "1"}, "symbol", "bad_symbol"),
        ({"symbol": "AAPL", "type": "option", "quantity": "1"}, "symbol", "bad_option"),
        ({"symbol": "AAPL261332C00260000", "type": "option", "quantity": "1"}, "symbol", "bad_option"),
        ({"symbol": "BTC!", "type": "crypto", "quantity": "1"}, "symbol", "bad_symbol"),
        ({"symbol": "AAPL", "type": "spaceship", "quantity": "1"}, "type", "bad_type"),
        ({"symbol": "ES", "type": "future", "quantity": "1"}, "type", "bad_type"),
        ({"symbol": "CUR:EUR", "quantity": "1", "currency": "USD"}, "symbol", "currency_mismatch"),
        ({"symbol": "CUR:USD", "quantity": "1", "price": "2"}, "price", "contradiction"),
        ({"symbol": "CUR:USD", "quantity": "1", "market_value": "2"}, "market_value", "contradiction"),
        ({"symbol": "CUR:USD", "quantity": "0.00000000001"}, "quantity", "too_fine"),
        ({"symbol": "AAPL", "quantity": "1", "isin": "US0378331006"}, "isin", "bad_isin"),
        ({"symbol": "AAPL", "quantity": "1", "figi": "BBG000B9XRY5"}, "figi", "bad_figi"),
        ({"symbol": "CUSIP:037833101", "quantity": "1"}, "cusip", "bad_cusip"),
        ({"symbol": "AAPL", "quantity": "1", "price": "-1"}, "price", "out_of_range"),
        ({"symbol": "AAPL", "quantity": "-1", "market_value": "5"}, "market_value", "contradiction"),
        ({"symbol": "AAPL", "quantity": "1", "price": "10", "market_value": "1000"}, "market_value", "contradiction"),
        ({"symbol": "AAPL", "quantity": "1", "market_value": "9" * 19}, "market_value", "out_of_range"),
        ({"symbol": "AAPL", "quantity": "1", "market_value": "0." + "1" * 11}, "market_value", "too_fine"),
        ({"symbol": "AAPL", "quantity": "1", "market_value": "1" + "0" * 14}, "market_value", "out_of_range"),
        ({"symbol": "AAPL", "quantity": "1" + "0" * 17}, "quantity", "out_of_range"),
        ({"symbol": "CUR:USD", "quantity": "-1" + "0" * 14}, "quantity", "out_of_range"),
        ({"symbol": "AAPL", "quantity": "9" * 17, "price": "9" * 17}, "price", "out_of_range"),
        ({"symbol": "AAPL", "quantity": "1", "price": "1" + "0" * 14}, "price", "out_of_range"),
        ({"symbol": "VOD.L", "quantity": "1", "currency": "GBX", "price": "0." + "1" * 17}, "price", "too_fine"),
        ({"symbol": "VOD.L", "quantity": "1", "currency": "GBX", "cost_basis": "0." + "1" * 9}, "cost_basis", "too_fine"),
        ({"symbol": "CUR:GBP", "quantity": "1" * 16 + "." + "1" * 13, "currency": "GBX"}, "quantity", "too_fine"),
        ({"symbol": "M\u017fFT", "quantity": "1"}, "symbol", "bad_symbol"),
        ({"symbol": "AAPL\u0662\u0667\u0660\u0661\u0661\u0665C00260000", "quantity": "1"}, "symbol", "bad_symbol"),
        ({"name": "\U0001f4b0!", "quantity": "1"}, "name", "bad_name"),
        (BTC | {"figi": "a\x00b"}, "figi", "control_character"),
        (CASH | {"isin": "a\x00b"}, "isin", "control_character"),
        (OPTION | {"cusip": "a\x00b"}, "cusip", "control_character"),
        ({"symbol": "AAPL", "quantity": "1", "cost_basis": "1", "cost_per_unit": "1"}, "cost_per_unit", "contradiction"),
        ({"symbol": "AAPL", "quantity": "1", "multiplier": "100"}, "multiplier", "not_an_option"),
        (OPTION | {"multiplier": "0"}, "multiplier", "out_of_range"),
        ({"type": "bond", "cusip": "037833100", "quantity": "1000", "price": "98"}, "market_value", "missing"),
    ],
)  # fmt: skip
async def test_an_entry_that_can_be_no_holding_is_refused_with_its_place(bare_api, row, field, code):
    answer = await bare_api.post("/v1/accounts/manual", BODY | {"holdings": [AAPL, row]})
    assert errors(answer) == [(["body", "holdings", 1, field], code)]


async def test_a_list_with_one_bad_row_changes_nothing(api, outbox):
    account = await entered(api, CASH)
    answer = await put(api, account, AAPL, {"symbol": "NYSE:IBM", "quantity": "1"}, {"quantity": "1"})
    assert [place[2] for place, _ in errors(answer)] == [1, 2]
    assert list(await listed(api, account)) == ["CUR:USD"]
    assert len(outbox()) == 4


async def test_one_instrument_twice_is_refused_and_names_both(api):
    answer = await api.post(
        "/v1/accounts/manual", BODY | {"holdings": [AAPL, CASH, AAPL | {"symbol": "aapl"}]}
    )
    assert errors(answer) == [(["body", "holdings", 2, "symbol"], "duplicate")]
    assert "holding 0" in answer.json()["error"]["message"]
    account = await entered(api, AAPL, AAPL | {"currency": "CAD"})
    again = await api.post(f"/v1/accounts/{account}/holdings", AAPL)
    assert errors(again) == [(["body", "symbol"], "duplicate")]


@pytest.mark.parametrize(
    "mask", ["123456789", "1", "12a4", "****1234", "4111111111111111", "\u0661\u0662\u0663\u0664"]
)
async def test_a_full_account_number_is_never_taken(bare_api, mask):
    answer = await bare_api.post("/v1/accounts/manual", BODY | {"mask": mask})
    assert errors(answer) == [(["body", "mask"], "mask")]
    assert mask not in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    "change",
    [
        {"name": ""}, {"name": "a\x00b"}, {"name": "a\u202eb"}, {"name": "x" * 101}, {"type": "spaceship"},
        {"currency": "dollars"}, {"currency": ""}, {"user_id": "bob"}, {"version": 7},
        {"holdings": [AAPL] * 5001}, {"holdings": [AAPL | {"price_as_of": 5}]},
        {"holdings": [AAPL | {"price_as_of": "soon"}]}, {"holdings": [AAPL | {"name": "a\x1bb"}]},
        {"holdings": [AAPL | {"quantity": None}]}, {"holdings": "all"},
    ],
)  # fmt: skip
async def test_a_body_that_cannot_be_is_refused(bare_api, change):
    answer = await bare_api.post("/v1/accounts/manual", BODY | change)
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "VALIDATION_FAILED")


async def test_a_stale_editor_is_told_and_overwrites_nothing(api):
    account = await entered(api, AAPL)
    assert (await put(api, account, AAPL, CASH, tag='"1"')).status_code == 202
    for tag in ('"1"', 'W/"2"', '"x", "1"', "2"):
        stale = await put(api, account, tag=tag)
        assert (stale.status_code, stale.json()["error"]["code"]) == (412, "PRECONDITION_FAILED")
        assert stale.headers["etag"] == '"2"'
    assert len(await listed(api, account)) == 2
    for tag in ('"2"', "*", '"1", "4"', None):
        assert (await put(api, account, AAPL, tag=tag)).status_code == 202


async def test_of_two_editors_at_once_one_wins_and_the_other_is_told(api, outbox):
    account = await entered(api, AAPL)
    answers = await asyncio.gather(
        put(api, account, AAPL | {"quantity": "11"}, tag='"1"'), put(api, account, CASH, tag='"1"')
    )
    assert sorted(one.status_code for one in answers) == [202, 412]
    await asyncio.gather(*(put(api, account, AAPL | {"quantity": str(n)}) for n in range(1, 4)))
    held = [one for one in outbox() if isinstance(one, HoldingsSnapshot)]
    assert [one.clocks.version for one in held] == [1, 2, 3, 4, 5]
    assert (await listed(api, account))["AAPL"]["quantity"] == str(held[-1].holdings[0].quantity)


async def test_rows_that_stay_keep_their_ids(api):
    account = await entered(api, AAPL, CASH)
    before = await listed(api, account)
    await put(api, account, BTC, AAPL | {"quantity": "11"})
    after = await listed(api, account)
    assert list(after) == ["CRYPTO:BTC", "AAPL"]
    assert after["AAPL"]["id"] == before["AAPL"]["id"]


async def test_a_value_entered_for_old_figures_is_not_kept(api):
    account = await entered(api, AAPL | {"market_value": "2302.50"}, BOND, OPTION)
    rows = await listed(api, account)

    async def patch(key, **change):
        return await api.request("PATCH", f"/v1/accounts/{account}/holdings/{rows[key]['id']}", json=change)

    changed = (await patch("AAPL", quantity="20")).json()["holding"]
    assert (changed["quantity"], changed["market_value"]) == ("20", None)
    assert errors(await patch("CUSIP:037833100", quantity="20000")) == [(["body", "market_value"], "missing")]
    assert (await patch("CUSIP:037833100", quantity="20000", market_value="19700")).status_code == 202
    assert (await patch("AAPL270115C00260000", cost_basis="-1700")).json()["holding"]["cost_per_unit"] is None
    assert errors(await patch("AAPL", quantity=None)) == [(["body", "quantity"], "missing")]
    assert (await patch("AAPL", symbol="MSFT")).json()["holding"]["instrument_key"] == "MSFT"


async def test_what_a_provider_reports_cannot_be_edited(api, portfolio):
    attempts = [
        ("PATCH", "", {"name": "Mine"}), ("DELETE", "", None), ("GET", "/holdings/manual", None),
        ("PUT", "/holdings", {"holdings": []}), ("POST", "/holdings", AAPL),
        ("DELETE", f"/holdings/{uuid.uuid4()}", None), ("POST", "/import/preview", {"csv": "a,b"}),
        ("POST", "/import", {"preview_id": str(uuid.uuid4())}),
    ]  # fmt: skip
    for method, path, body in attempts:
        more = {} if body is None else {"json": body}
        answer = await api.request(method, f"/v1/accounts/{portfolio.account}{path}", **more)
        error = answer.json()["error"]
        assert (answer.status_code, error["code"]) == (409, "NOT_A_MANUAL_ACCOUNT")
        assert error["details"] == {"provider": "snaptrade"}


async def test_accounts_of_others_are_accounts_of_nobody(api, outbox):
    account = await entered(api, AAPL)
    holding = (await listed(api, account))["AAPL"]["id"]
    seen = len(outbox())
    attempts = [
        ("PATCH", "", {"name": "Mine"}), ("DELETE", "", None), ("GET", "/holdings/manual", None),
        ("PUT", "/holdings", {"holdings": []}), ("POST", "/holdings", AAPL),
        ("PATCH", f"/holdings/{holding}", {"quantity": "1"}), ("DELETE", f"/holdings/{holding}", None),
        ("POST", "/import/preview", {"csv": "Symbol,Quantity\nA,1"}),
        ("POST", "/import", {"preview_id": str(uuid.uuid4())}),
    ]  # fmt: skip
    for method, path, body in attempts:
        more = {} if body is None else {"json": body}
        bodies = []
        for wanted in (account, str(uuid.uuid4())):
            answer = await api.request(method, f"/v1/accounts/{wanted}{path}", "bob", **more)
            assert answer.status_code == 404
            bodies.append(answer.json()["error"] | {"requestId": ""})
        assert bodies[0] == bodies[1]
    assert len(outbox()) == seen
    assert (await api.request("DELETE", f"/v1/accounts/{account}/holdings/{uuid.uuid4()}")).status_code == 404


async def test_a_key_makes_a_retry_harmless(api, outbox):
    sent = {"headers": {"Idempotency-Key": "once"}, "json": BODY | {"holdings": [AAPL]}}
    first, second = [await api.request("POST", "/v1/accounts/manual", **sent) for _ in range(2)]
    assert first.json() == second.json()
    assert (first.headers.get("idempotency-replayed"), second.headers["idempotency-replayed"]) == (
        None,
        "true",
    )
    assert len(outbox()) == 4


async def test_accounts_have_a_limit(api, monkeypatch):
    monkeypatch.setattr(changes, "MAX_ACCOUNTS", 2)
    answers = await asyncio.gather(*(api.post("/v1/accounts/manual", BODY) for _ in range(4)))
    assert sorted(one.status_code for one in answers) == [202, 202, 422, 422]
    kept = next(one.json()["id"] for one in answers if one.status_code == 202)
    await api.request("DELETE", f"/v1/accounts/{kept}")
    assert (await api.post("/v1/accounts/manual", BODY)).status_code == 202


async def test_deleting_twice_at_once_is_as_harmless_as_one_after_the_other(api, outbox):
    for _ in range(4):
        account = await entered(api, AAPL)
        seen = len(outbox())
        answers = await asyncio.gather(*(api.request("DELETE", f"/v1/accounts/{account}") for _ in range(4)))
        assert [one.status_code for one in answers] == [202] * 4
        assert len(outbox()) == seen + 1


async def test_things_known_by_name_alone_are_one_only_by_the_whole_name(api):
    long = "A note of the second issue of the housing society of the upper valley, " * 2
    names = [long + "series A", long + "series B", "Ein Haus in Bern", "ein  Haus, in BERN"]
    account = await entered(api, *({"name": name, "quantity": "1"} for name in names[:3]))
    keys = list(await listed(api, account))
    assert len(keys) == 3
    assert all(len(key) < 150 for key in keys)
    other = await entered(api, {"name": names[3], "quantity": "1"})
    assert list(await listed(api, other)) == [keys[2]]


async def test_five_thousand_holdings_are_one_event_and_too_long_names_are_refused_whole(api, outbox):
    account = await entered(api, CASH)
    rows = [{"symbol": f"S{n}", "quantity": "1.5", "price": "10"} for n in range(5000)]
    assert (await put(api, account, *rows)).status_code == 202
    assert len(outbox()[-1].holdings) == 5000
    seen = len(outbox())
    wide = await put(api, account, *(row | {"name": "\U0001f4b0" * 130} for row in rows))
    assert (wide.status_code, wide.json()["error"]["details"]["reason"]) == (422, "too_large")
    assert len(outbox()) == seen
    assert len(await listed(api, account)) == 5000


async def test_amounts_are_written_down_nowhere_but_in_the_holdings(api, database):
    account = await entered(api, AAPL, CASH)
    await put(api, account, AAPL | {"quantity": "987654.5"})
    database.execute("SET app.user_id = 'alice'")
    notes = database.execute("SELECT action, details FROM gateway.audit_log ORDER BY id").fetchall()
    assert [action for action, _ in notes] == ["manual_account.created", "manual_holdings.replaced"]
    assert not any(
        word in json.dumps([details for _, details in notes]) for word in ("987654", "2000", "AAPL")
    )


async def test_a_connection_entered_by_hand_is_neither_repaired_nor_disconnected(api, seed, outbox):
    connection = seed.connection(provider="manual", institution="manual", connection_type="manual")
    attempts = [
        await api.post(f"/v1/connections/{connection}/reconnect"),
        await api.request("DELETE", f"/v1/connections/{connection}"),
        await api.post("/v1/link", {"reconnect_connection_id": connection}),
    ]
    for answer in attempts:
        error = answer.json()["error"]
        assert (answer.status_code, error["code"]) == (409, "CONFLICT")
        assert error["details"]["reason"] == "entered_by_hand"
        assert "by hand" in error["message"]
    assert not outbox()


async def test_a_change_that_shows_is_answered_as_applied(api, seed):
    made = (await api.post("/v1/accounts/manual", BODY)).json()
    connection = seed.connection(provider="manual", connection_id=made["connection_id"], institution="manual")
    seed.insert(
        "accounts", user_id="alice", account_id=made["id"], connection_id=connection, provider="manual",
        institution="manual", currency="USD", listed_version=2, gone=False,
    )  # fmt: skip
    seed.insert(
        "snapshots", user_id="alice", account_id=made["id"], state="current", version=2, content_hash="h",
        as_of=api.clock.now(), synced_at=api.clock.now(), complete=True, holdings=1,
    )  # fmt: skip
    applied = await put(api, made["id"], AAPL)
    assert (applied.status_code, applied.json()["status"]) == (200, "applied")
    pending = await put(api, made["id"], AAPL)
    assert (pending.status_code, pending.json()["status"], pending.headers["retry-after"]) == (
        202,
        "pending",
        "1",
    )


@pytest.fixture
async def consolidator(migrated_database, clock, database, monkeypatch):
    """The real consolidator, fed from the outbox for as long as a test runs."""
    monkeypatch.setattr(wait, "PATIENCE", 20.0)
    made = Database(migrated_database.url(roles.CONSOLIDATOR), settings=dict(SESSION))
    await made.open()
    applier = Applier(made, DEFAULT_RULES, clock, Measures(Metrics("consolidator")))

    async def run():
        last = 0
        while True:
            query = "SELECT id, body FROM gateway.outbox WHERE id > %s ORDER BY id"
            if rows := database.execute(query, (last,)).fetchall():
                last = rows[-1][0]
                await applier([decode(bytes(body)) for _, body in rows])
            await asyncio.sleep(0.01)

    task = asyncio.create_task(run())
    yield
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await made.close()


async def test_what_is_entered_is_part_of_the_portfolio_when_it_is_answered(api, consolidator):
    def quantities(page):
        return {row["instrument"]["key"]: row["quantity"] for row in page.json()["items"]}

    one = await api.post("/v1/accounts/manual", BODY | {"institution": "fidelity", "holdings": [AAPL, CASH]})
    two = await api.post("/v1/accounts/manual", BODY | {"holdings": [AAPL, OPTION, BTC]})
    assert [(made.status_code, made.json()["status"]) for made in (one, two)] == [(201, "applied")] * 2
    account, other = one.json()["id"], two.json()["id"]
    assert quantities(await api.get("/v1/positions")) == {
        "AAPL": "20", "AAPL270115C00260000": "-2", "CRYPTO:BTC": BTC["quantity"], "CUR:USD": "1000.5",
    }  # fmt: skip
    preview = await previewed(api, account, "Symbol,Quantity,Price\nVTI,2,300\n")
    assert (await commit(api, account, preview)).status_code == 200
    assert quantities(await api.get(f"/v1/accounts/{account}/positions")) == {"VTI": "2"}
    assert (await api.request("PATCH", f"/v1/accounts/{account}", json={"name": "Box"})).status_code == 200
    shown = (await api.get(f"/v1/accounts/{account}")).json()
    assert (shown["name"], shown["institution"], shown["provider"]) == ("Box", "fidelity", "manual")
    balances = (await api.get(f"/v1/accounts/{account}/balances")).json()["items"]
    assert balances == []
    emptied = await put(api, account)
    assert (emptied.status_code, emptied.json()["status"]) == (200, "applied")
    assert "VTI" not in quantities(await api.get("/v1/positions"))
    assert (await api.request("DELETE", f"/v1/accounts/{other}")).status_code == 204
    assert quantities(await api.get("/v1/positions")) == {}
    assert [row["id"] for row in (await api.get("/v1/accounts")).json()["items"]] == [account]


async def test_the_largest_figures_of_every_account_together_can_still_be_summed(api, consolidator):
    amount, count = "9" * 14 + ".9999999999", "9" * 17
    rows = [
        {"symbol": "MOST", "quantity": count, "market_value": amount, "cost_basis": amount},
        {"symbol": "ALSO", "quantity": "1", "market_value": amount},
        {"symbol": "CUR:USD", "quantity": amount},
    ]
    for place, institution in enumerate(["fidelity", "chase", "robinhood"]):
        body = BODY | {"institution": institution, "holdings": rows[: 3 - place % 2]}
        made = await api.post("/v1/accounts/manual", body)
        assert (made.status_code, made.json()["status"]) == (201, "applied")
    found = {row["instrument"]["key"]: row for row in (await api.get("/v1/positions")).json()["items"]}
    assert Decimal(found["MOST"]["quantity"]) == 3 * Decimal(count)
    assert Decimal(found["MOST"]["market_value"]) == 3 * Decimal(amount)


# --- imports -----------------------------------------------------------------------------------------------------


async def previewed(api, account, text, user="alice", **query):
    headers = {"Content-Type": "text/csv"}
    content = text if isinstance(text, bytes) else text.encode()
    path = f"/v1/accounts/{account}/import/preview"
    return await api.request("POST", path, user, headers=headers, content=content, params=query)


async def commit(api, account, preview, user="alice", **more):
    body = {"preview_id": preview.json()["preview_id"]} | more
    return await api.post(f"/v1/accounts/{account}/import", body, user)


async def test_a_preview_says_everything_and_changes_nothing(api, outbox):
    account = await entered(api, AAPL, CASH, BTC)
    seen = len(outbox())
    file = "Symbol;Shares;Price\nAAPL;10;230.25\nVTI;2;300.5\nBND;x;73\nCUR:USD;5;\n"
    answer = await previewed(api, account, file.encode("utf-16"))
    shown = answer.json()
    assert (shown["encoding"], shown["delimiter"], shown["decimal"]) == ("utf-16", ";", ".")
    assert shown["mapping"] == {"symbol": "Symbol", "quantity": "Shares", "price": "Price"}
    assert [(one["row"], one["column"], one["value"], one["code"]) for one in shown["errors"]] == [
        (4, "Shares", "x", "bad_number")
    ]
    assert [row["instrument_key"] for row in shown["rows"]] == ["AAPL", "VTI", "CUR:USD"]
    assert shown["would"] == {"added": 1, "changed": 2, "removed": 1, "unchanged": 0}
    assert shown["totals"]["market_value"] == [
        {"currency": "USD", "market_value": "2908.5", "complete": True}
    ]
    assert (shown["ready"], shown["missing"], shown["remembered"]) == (False, [], False)
    assert len(outbox()) == seen
    assert len(await listed(api, account)) == 3
    as_text = await api.post(f"/v1/accounts/{account}/import/preview", {"csv": file, "mode": "merge"})
    assert as_text.json()["would"] == {"added": 1, "changed": 2, "removed": 0, "unchanged": 1}


async def test_a_file_is_imported_whole_once_however_often_it_is_committed(api, outbox):
    account = await entered(api, AAPL, CASH)
    preview = await previewed(api, account, "Symbol,Quantity,Price\nVTI,2,300\nAAPL,11,230\n")
    assert preview.json()["ready"]
    seen = len(outbox())
    first = await commit(api, account, preview)
    assert first.status_code == 202
    assert {name: first.json()[name] for name in ("added", "changed", "removed", "holdings", "version")} == {
        "added": 1, "changed": 1, "removed": 1, "holdings": 2, "version": 2,
    }  # fmt: skip
    told = outbox()[seen:]
    assert [one.instrument.key for one in told[-1].holdings] == ["VTI", "AAPL"]
    await put(api, account, CASH)
    api.clock.advance(timedelta(hours=3))
    again = await commit(api, account, preview)
    assert again.json() == first.json()
    assert again.headers["idempotency-replayed"] == "true"
    assert list(await listed(api, account)) == ["CUR:USD"]
    other = await entered(api, CASH)
    at_once = await previewed(api, other, "Symbol,Quantity\nVTI,2\n")
    answers = await asyncio.gather(*(commit(api, other, at_once) for _ in range(3)))
    assert len({one.text for one in answers}) == 1
    assert (await api.get(f"/v1/accounts/{other}/holdings/manual")).json()["version"] == 2


async def test_merging_keeps_what_the_file_does_not_name(api):
    account = await entered(api, AAPL, CASH)
    before = await listed(api, account)
    await commit(
        api, account, await previewed(api, account, "Symbol,Quantity\nVTI,2\nAAPL,11\n", mode="merge")
    )
    after = await listed(api, account)
    assert list(after) == ["AAPL", "CUR:USD", "VTI"]
    assert (after["AAPL"]["quantity"], after["AAPL"]["id"]) == ("11", before["AAPL"]["id"])


async def test_one_bad_row_keeps_all_out_unless_it_is_to_be_skipped(api, outbox):
    account = await entered(api, AAPL)
    preview = await previewed(api, account, "Symbol,Quantity\nVTI,2\nBND,=1+1\n")
    seen = len(outbox())
    refused = await commit(api, account, preview)
    assert (refused.status_code, refused.json()["error"]["code"]) == (422, "IMPORT_HAS_ERRORS")
    assert len(outbox()) == seen
    assert list(await listed(api, account)) == ["AAPL"]
    done = await commit(api, account, preview, skip_bad_rows=True)
    assert (done.status_code, done.json()["skipped_rows"]) == (202, 1)
    assert list(await listed(api, account)) == ["VTI"]


async def test_what_cannot_be_known_cannot_be_imported_even_by_skipping(api):
    account = await entered(api, AAPL)
    for file in UNKNOWABLE:
        shown = (await previewed(api, account, file)).json()
        assert (shown["preview_id"], shown["expires_at"], shown["ready"]) == (None, None, False)
        assert shown["errors"] or shown["missing"]


async def test_an_import_is_refused_once_the_account_or_the_time_has_moved(api):
    account = await entered(api, AAPL)
    preview = await previewed(api, account, "Symbol,Quantity\nVTI,2\n")
    await put(api, account, AAPL, CASH)
    moved = await commit(api, account, preview)
    late = await previewed(api, account, "Symbol,Quantity\nVTI,2\n")
    api.clock.advance(timedelta(minutes=30))
    expired = await commit(api, account, late)
    for answer, reason in ((moved, "account_changed"), (expired, "expired")):
        error = answer.json()["error"]
        assert (answer.status_code, error["code"]) == (409, "PREVIEW_EXPIRED")
        assert error["details"]["reason"] == reason
    assert len(await listed(api, account)) == 2
    other = await entered(api, CASH)
    fresh = await previewed(api, account, "Symbol,Quantity\nVTI,2\n")
    assert (await commit(api, other, fresh)).status_code == 404


async def test_a_mapping_is_remembered_for_the_next_file_of_its_kind(api):
    account = await entered(api, AAPL)
    file = "Wat;Hoeveel;Prijs\nVTI;1.234;{}\n"
    mapping = json.dumps({"symbol": "Wat", "quantity": "Hoeveel", "price": "Prijs"})
    first = await previewed(api, account, file.format("2.345"), mapping=mapping, decimal=".")
    assert not first.json()["remembered"]
    await commit(api, account, first)
    second = (await previewed(api, account, file.format("2.345"))).json()
    assert (second["remembered"], second["mapping"]["price"]) == (True, "Prijs")
    assert (second["decimal"], second["rows"][0]["quantity"]) == (".", "1.234")
    proved = (await previewed(api, account, file.format("2,5"))).json()
    assert (proved["decimal"], proved["rows"][0]["quantity"]) == (",", "1234")
    other = await entered(api, CASH, user="bob")
    stranger = (await previewed(api, other, file.format("2.345"), "bob")).json()
    assert (stranger["remembered"], stranger["missing"]) == (False, ["symbol", "quantity"])


async def test_a_file_that_is_no_table_is_refused_with_its_reason(api):
    account = await entered(api, AAPL)
    for content, reason in NO_TABLES:
        answer = await previewed(api, account, content)
        error = answer.json()["error"]
        assert (answer.status_code, error["code"], error["details"]["reason"]) == (
            422,
            "FILE_UNREADABLE",
            reason,
        )


async def test_options_of_an_import_are_checked(api):
    account = await entered(api, AAPL)
    file = "Symbol,Quantity\nVTI,2\n"
    for query in (
        {"mode": "erase"}, {"delimiter": "x"}, {"decimal": ";"}, {"dates": "mars"}, {"mapping": "{"},
        {"mapping": "[1]"}, {"mapping": "[" * 3000}, {"mapping": '{"symbol": 5}'},
    ):  # fmt: skip
        answer = await previewed(api, account, file, **query)
        assert (answer.status_code, answer.json()["error"]["code"]) == (422, "VALIDATION_FAILED")
    unknown = await previewed(api, account, file, mapping='{"symbol": "Nothing"}')
    assert unknown.json()["error"]["details"]["reason"] == "bad_mapping"
    path = f"/v1/accounts/{account}/import/preview"
    other = await api.request("POST", path, headers={"Content-Type": "application/pdf"}, content=b"%PDF")
    assert (other.status_code, other.json()["error"]["code"]) == (415, "UNSUPPORTED_MEDIA_TYPE")
    for body in ('{"csv": "\\ud800"}', "{", "[]", "null", '{"csv": 5}'):
        sent = await api.request("POST", path, headers={"Content-Type": "application/json"}, content=body)
        assert sent.status_code in {400, 422}


async def test_large_bodies_are_taken_where_they_belong_and_nowhere_else(api):
    account = await entered(api, AAPL)
    rows = "".join(f"S{number},{number}.5\n" for number in range(20_000))
    shown = (await previewed(api, account, "Symbol,Quantity\n" + rows)).json()
    assert shown["totals"]["rows"] == 20_000
    assert shown["totals"]["errors"] == {"too_many_holdings": 1}
    assert (await previewed(api, account, b"x" * (10 * 1024 * 1024 + 1))).status_code == 413
    path = f"/v1/accounts/{account}"
    assert (await api.request("PUT", f"{path}/holdings", json={"x": "y" * 5_000_000})).status_code == 413
    assert (await api.request("PATCH", path, json={"name": "y" * 70_000})).status_code == 413


async def test_previews_make_room_for_each_other(api, database, monkeypatch):
    monkeypatch.setattr(previews, "MOST", 3)
    account = await entered(api, AAPL)
    made = []
    for _ in range(5):
        made.append(await previewed(api, account, "Symbol,Quantity\nVTI,2\n"))
        api.clock.advance(timedelta(minutes=1))
    database.execute("SET app.user_id = 'alice'")
    assert database.execute("SELECT count(*) FROM gateway.import_previews").fetchone() == (3,)
    assert [(await commit(api, account, one)).status_code for one in (made[0], made[-1])] == [404, 202]
    api.clock.advance(timedelta(days=2))
    await previewed(api, account, "Symbol,Quantity\nVTI,2\n")
    assert database.execute("SELECT count(*) FROM gateway.import_previews").fetchone() == (1,)


async def test_a_file_says_nothing_to_the_tables_but_its_holdings(api, database):
    account = await entered(api, AAPL)
    file = "Account Number,Symbol,Quantity,Secret\n4111222233334444,VTI,2,canary-cell\n"
    assert (await commit(api, account, await previewed(api, account, file))).status_code == 202
    database.execute("SET app.user_id = 'alice'")
    for table in ("import_previews", "import_mappings", "manual_holdings", "audit_log"):
        text = repr(database.execute(f"SELECT * FROM gateway.{table}").fetchall())
        assert "4111222233334444" not in text
        assert "canary-cell" not in text


def test_each_user_sees_their_own_rows_only(database):
    for table in ("manual_accounts", "manual_holdings", "import_previews", "import_mappings"):
        guarded = "SELECT relrowsecurity AND relforcerowsecurity FROM pg_class WHERE oid = %s::regclass"
        assert database.execute(guarded, (f"gateway.{table}",)).fetchone() == (True,)
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        database.execute("INSERT INTO gateway.import_mappings VALUES ('bob', 's', %s, now())", (Json({}),))


def test_ids_of_an_account_are_derived_from_its_user():
    one = uuid.uuid4()
    assert accounts.ids_of("alice", one) != accounts.ids_of("bob", one)
    assert Difference(1, 2, 3, 4).unchanged == 4

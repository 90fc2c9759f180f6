"""Previews, symbols and quotes over HTTP: what is refused before anybody is asked, and what a preview says."""

import asyncio
import dataclasses
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import uuid4

import httpx
import msgspec
import pytest

from contracts.errors import ErrorCode
from contracts.instruments import Instrument, InstrumentKind
from contracts.money import Money
from contracts.trading import OrderImpact, OrderRequest, OrderType, Quote, Side, SymbolMatch, TimeInForce
from contracts.trading_calls import ImpactCall, SymbolsCall
from gateway.clients.trading import http_trading_reads
from gateway.refusals import refusal
from gateway.trading import days, estimate, facts, guards, limits, previews, show
from gateway.trading.facts import At
from gateway.trading.market_data import MarketData
from gateway.trading.refused import refused
from service_kit.metrics import Metrics

MONDAY = datetime(2026, 11, 23, 15, 30, tzinfo=UTC)
CALL = "AAPL261218C00250000"


class Broker:
    """The connectors' client, answering what a test wants."""

    def __init__(self):
        self.asked = []
        self.quote = Quote(
            symbol="AAPL", bid=Decimal("9.99"), ask=Decimal("10.01"), last=Decimal(10), currency="USD"
        )
        self.impacts = OrderImpact(
            fees=Money(amount=Decimal("0.65"), currency="USD"),
            remaining_cash=Money(amount=Decimal("2899.35"), currency="USD"),
            provider_request_id="req-1",
        )
        self.matches = [
            SymbolMatch(
                instrument=Instrument(key="AAPL", kind=InstrumentKind.STOCK, symbol="AAPL", currency="USD"),
                provider_symbol_id="id-aapl",
            )
        ]
        self.fails = {}

    async def impact(self, provider, call):
        return self._answer("impact", call, self.impacts)

    async def symbols(self, provider, call):
        return self._answer("symbols", call, self.matches)

    async def quotes(self, provider, call):
        found = [self.quote] if self.quote and self.quote.symbol in call.symbols else []
        return self._answer("quotes", call, found)

    def _answer(self, what, call, answer):
        self.asked.append((what, call))
        if what in self.fails:
            raise self.fails[what]
        return answer


@pytest.fixture
def broker(api, clock):
    made = Broker()
    clock.advance((MONDAY - clock.now()).total_seconds())
    state = api.service.app.state
    state.gateway = dataclasses.replace(state.gateway, market=MarketData(made, clock))
    return made


def body(account, **more):
    return {
        "account_id": account,
        "symbol": "AAPL",
        "side": "BUY",
        "order_type": "LIMIT",
        "quantity": "10",
        "limit_price": "10",
    } | more


def market(account, **more):
    return body(account, order_type="MARKET", **more) | {"limit_price": None}


async def impact(api, account, **more):
    return await api.post("/v1/trading/impact", body(account, **more))


def error(answer, status=None):
    found = answer.json()["error"]
    assert status is None or answer.status_code == status, found
    return found


async def test_a_preview_says_of_every_number_where_it_comes_from(api, broker, portfolio, written):
    answer = await impact(api, portfolio.account)
    assert answer.status_code == 200, answer.text
    shown = answer.json()
    money = {name: (one["amount"], one["source"]) for name, one in shown["figures"].items()}
    assert money == {
        "price": ("10", "estimate"),
        "notional": ("100", "estimate"),
        "cost": ("100", "estimate"),
        "fees": ("0.65", "broker"),
        "total": ("100.65", "estimate"),
        "remaining_cash": ("2899.35", "broker"),
        "cash": ("3000.1", "broker"),
        "buying_power": ("6000", "broker"),
    }
    assert shown["broker_preview"] is True
    assert shown["provider_request_id"] == "req-1"
    assert shown["expires_at"] == (MONDAY + timedelta(minutes=5)).isoformat()
    assert {one["guard"] for one in shown["guards"]} >= {"capability", "price_collar", "market_hours"}
    assert [one[1] for one in written.audit()] == ["order.previewed"]


async def test_what_was_previewed_can_be_found_as_it_was_priced(api, broker, portfolio):
    shown = (await impact(api, portfolio.account)).json()
    gateway = api.service.app.state.gateway
    async with gateway.database.transaction("alice") as conn:
        kept = await previews.find(conn, "alice", shown["preview_id"], lock=True)
        assert await previews.find(conn, "alice", uuid4()) is None
    assert kept.priced.notional == 100
    assert kept.priced.cost == 100
    assert kept.shown == shown
    assert kept.order.symbol == "AAPL"
    async with gateway.database.transaction("bob") as conn:
        assert await previews.find(conn, "bob", shown["preview_id"]) is None


async def test_without_a_broker_preview_the_numbers_are_estimates_and_unknown_fees_are_not_zero(
    api, broker, portfolio
):
    broker.fails["impact"] = refusal(ErrorCode.NOT_SUPPORTED)
    shown = (await impact(api, portfolio.account)).json()
    assert shown["broker_preview"] is False
    assert shown["figures"]["fees"] == {"amount": None, "currency": None, "source": "unavailable"}
    assert shown["figures"]["total"]["source"] == "unavailable"
    assert shown["figures"]["remaining_cash"] == {"amount": "2900.1", "currency": "USD", "source": "estimate"}
    codes = [one["code"] for one in shown["warnings"]]
    assert {"broker_preview_not_offered", "fees_unknown"} <= set(codes)


@pytest.mark.parametrize(
    ("connection", "account", "code", "reason"),
    [
        ({"provider": "plaid", "institution": "chase"}, {}, "TRADING_NOT_SUPPORTED", "provider"),
        ({"provider": "manual", "institution": "manual"}, {}, "TRADING_NOT_SUPPORTED", "manual"),
        ({"institution": "fidelity"}, {}, "TRADING_NOT_SUPPORTED", "coverage"),
        ({"connection_type": "read"}, {}, "TRADING_NOT_SUPPORTED", "read_only_connection"),
        ({}, {"status": "closed"}, "ACCOUNT_NOT_TRADABLE", "account_closed"),
        ({}, {"holds_securities": False}, "ACCOUNT_NOT_TRADABLE", "cash_only"),
        ({}, {"trading": False}, "ACCOUNT_NOT_TRADABLE", "account_not_enabled"),
        ({"status": "broken"}, {}, "CONNECTION_BROKEN", "broken"),
        ({"status": "stale_cache"}, {}, "CONNECTION_BROKEN", "stale_cache"),
        ({"status": "removed"}, {}, "CONNECTION_GONE", "removed"),
    ],
)
async def test_an_account_that_cannot_trade_is_refused_with_its_own_reason_before_anybody_is_asked(
    api, broker, seed, connection, account, code, reason
):
    provider = connection.get("provider", "snaptrade")
    institution = connection.get("institution", "charles-schwab")
    made = seed.account(
        seed.connection(**connection),
        provider=provider,
        institution=institution,
        external_id="external",
        **{"trading": reason == "account_closed"} | account,
    )
    found = error(await impact(api, made))
    assert (found["code"], found["details"]["reason"]) == (code, reason)
    told = (await api.get(f"/v1/accounts/{made}/trading")).json()
    assert told["can_trade"] is False
    assert reason in [one["reason"] for one in told["reasons"]]
    assert broker.asked == []


async def test_the_gate_comes_before_the_form(api, broker, portfolio):
    found = error(await impact(api, portfolio.other_account, quantity=None, limit_price=None))
    assert found["code"] == "TRADING_NOT_SUPPORTED"


async def test_an_account_that_can_trade_says_so_and_what_it_is_held_to(api, broker, portfolio):
    told = (await api.get(f"/v1/accounts/{portfolio.account}/trading")).json()
    assert told["can_trade"] is True
    assert told["reasons"] == []
    assert told["limits"]["max_order_notional"] == "25000"
    assert told["market"] == {"session": "regular", "opens_at": None}


async def test_somebody_elses_account_does_not_exist(api, broker, portfolio):
    assert error(await api.post("/v1/trading/impact", body(portfolio.account), user="mallory"), 404)
    assert (await api.get(f"/v1/accounts/{portfolio.account}/trading", user="mallory")).status_code == 404
    quotes = f"/v1/quotes?account_id={portfolio.account}&symbols=AAPL"
    assert (await api.get(quotes, user="mallory")).status_code == 404
    assert broker.asked == []


@pytest.mark.parametrize(
    ("change", "place", "kind"),
    [
        ({"quantity": None}, ["body", "quantity"], "one_amount"),
        ({"notional": "5"}, ["body", "quantity"], "one_amount"),
        ({"quantity": "0"}, ["body", "quantity"], "not_positive"),
        ({"limit_price": None}, ["body", "limit_price"], "missing"),
        ({"stop_price": "3"}, ["body", "stop_price"], "not_of_this_type"),
        ({"symbol": "ÄPL"}, ["body", "symbol"], None),
        ({"symbol": "*"}, ["body", "symbol"], "unknown_symbol"),
        ({"side": "BUY_TO_OPEN"}, ["body", "side"], "side"),
        ({"symbol": CALL}, ["body", "side"], "side"),
        ({"time_in_force": "GTD"}, ["body", "expires_on"], "missing"),
        ({"expires_on": "2026-12-01"}, ["body", "expires_on"], "only_gtd"),
        ({"time_in_force": "GTD", "expires_on": "2020-01-01"}, ["body", "expires_on"], "range"),
        ({"provider_symbol_id": "id-other"}, ["body", "provider_symbol_id"], "not_of_symbol"),
        ({"currency": "CAD"}, ["body", "currency"], "not_of_symbol"),
    ],
)
async def test_a_faulty_order_names_the_field(api, broker, portfolio, change, place, kind):
    found = error(await impact(api, portfolio.account, **change), 422)
    wrong = found["details"]["errors"][0]
    assert wrong["location"] == place
    assert kind in {None, wrong["type"]}
    assert "impact" not in [what for what, _ in broker.asked]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"side": "SELL", "quantity": "51"}, "INSUFFICIENT_QUANTITY"),
        ({"quantity": "601"}, "INSUFFICIENT_BUYING_POWER"),
        ({"quantity": "2501"}, "ORDER_TOO_LARGE"),
        ({"limit_price": "11.2"}, "PRICE_OUT_OF_RANGE"),
        ({"side": "SELL", "limit_price": "8.9"}, "PRICE_OUT_OF_RANGE"),
    ],
)
async def test_what_a_guard_refuses_never_reaches_the_broker(api, broker, portfolio, written, change, code):
    found = error(await impact(api, portfolio.account, **change))
    assert found["code"] == code
    assert "impact" not in [what for what, _ in broker.asked]
    assert written.audit()[-1][1] == "order.preview_refused"


async def test_an_order_that_nobody_can_value_is_refused(api, broker, portfolio):
    broker.quote, broker.impacts = None, OrderImpact()
    found = error(await api.post("/v1/trading/impact", market(portfolio.account)), 422)
    assert (found["code"], found["details"]["reason"]) == ("ORDER_TOO_LARGE", "unpriced")


async def test_a_quote_that_fails_is_said_and_a_limit_order_goes_on(api, broker, portfolio):
    broker.fails["quotes"] = refusal(ErrorCode.PROVIDER_UNAVAILABLE)
    answer = await impact(api, portfolio.account)
    codes = {one["code"] for one in answer.json()["warnings"]}
    assert {"quote_unavailable", "price_not_checked"} <= codes


@pytest.mark.parametrize("code", [ErrorCode.CONNECTION_BROKEN, ErrorCode.SIGNATURE_INVALID])
async def test_a_broken_connection_found_on_the_way_is_told(api, broker, portfolio, code):
    broker.fails["quotes"] = refusal(code)
    assert error(await impact(api, portfolio.account))["code"] == code


async def test_what_the_broker_would_refuse_is_refused_with_its_words(api, broker, portfolio):
    broker.fails["impact"] = refusal(ErrorCode.PROVIDER_REFUSED, "Market is closed.")
    found = error(await impact(api, portfolio.account), 422)
    assert (found["code"], found["message"]) == ("ORDER_REJECTED", "Market is closed.")


async def test_an_option_is_valued_by_its_limit_and_by_what_the_broker_says(api, broker, portfolio):
    broker.impacts = OrderImpact(cost=Money(amount=Decimal("130.65"), currency="USD"))
    asked = {"symbol": CALL, "side": "BUY_TO_OPEN", "quantity": "1"}
    shown = (await impact(api, portfolio.account, **asked, limit_price="1.3")).json()
    assert shown["order"]["legs"][0]["symbol"] == CALL
    assert shown["figures"]["cost"] == {"amount": "130.65", "currency": "USD", "source": "broker"}
    assert "quotes" not in [what for what, _ in broker.asked]
    shown = (await api.post("/v1/trading/impact", market(portfolio.account, **asked))).json()
    assert shown["figures"]["notional"]["amount"] == "130.65"


async def test_an_order_is_in_the_currency_it_is_quoted_in(api, broker, portfolio):
    broker.quote = Quote(symbol="RY.TO", ask=Decimal(10), currency="CAD")
    shown = (await impact(api, portfolio.account, symbol="RY.TO")).json()
    assert shown["order"]["currency"] == "CAD"
    assert shown["figures"]["cost"]["currency"] == "CAD"
    assert "buying_power_unknown" in {one["code"] for one in shown["warnings"]}


async def test_a_switch_stops_previews_and_says_who_turned_it(api, broker, portfolio):
    admin = api.headers("carol", admin=True)
    for scope in ({"scope": "global"}, {"scope": "provider", "provider": "snaptrade"},
                  {"scope": "user", "user_id": "alice"}):  # fmt: skip
        path = "/v1/admin/trading/switches"
        off = scope | {"enabled": False, "reason": "a test"}
        assert (await api.request("PUT", path, None, admin, json=off)).status_code == 200
        found = error(await impact(api, portfolio.account), 409)
        assert found["code"] == "TRADING_DISABLED"
        assert found["details"] == {
            "scope": scope["scope"], "reason": "a test", "guard": "switch", "also": []
        }  # fmt: skip
        assert (await api.request("PUT", path, None, admin, json=off | {"enabled": True})).status_code == 200
    assert (await impact(api, portfolio.account)).status_code == 200


async def test_limits_are_only_ever_tightened(api, broker, portfolio):
    admin, path = api.headers("carol", admin=True), "/v1/admin/trading/limits"

    async def put(scope, order, day):
        sent = scope | {"max_order_notional": order, "max_day_notional": day}
        return await api.request("PUT", path, None, admin, json=sent)

    everybody, alice = {"scope": "global"}, {"scope": "user", "user_id": "alice"}
    assert (await put(everybody, "25001", None)).status_code == 422
    assert (await put(everybody, "500", None)).status_code == 200
    assert (await put(alice, "501", None)).status_code == 422
    assert (await put(alice, "50", "0")).status_code == 422
    assert (await put(alice, "50", "1000")).status_code == 200
    assert error(await impact(api, portfolio.account))["details"]["limit"] == "50"
    assert (await put(alice, None, None)).status_code == 200
    assert (await impact(api, portfolio.account)).status_code == 200
    shown = (await api.request("GET", path, None, admin)).json()
    assert [one["scope"] for one in shown["items"]] == ["settings", "global"]


async def test_only_admins_reach_switches_and_limits(api, broker):
    for path in ("/v1/admin/trading/switches", "/v1/admin/trading/limits"):
        assert (await api.get(path)).status_code == 403
        assert (await api.request("PUT", path, json={"scope": "global", "enabled": True})).status_code == 403


@pytest.mark.parametrize(
    "sent",
    [
        {"scope": "user", "enabled": False},
        {"scope": "provider", "enabled": False, "user_id": "x", "provider": "plaid"},
        {"scope": "global", "enabled": False, "provider": "plaid"},
    ],
)
async def test_a_switch_names_what_its_scope_is_of(api, broker, sent):
    admin = api.headers("carol", admin=True)
    answer = await api.request("PUT", "/v1/admin/trading/switches", None, admin, json=sent)
    assert answer.status_code == 422


async def test_symbols_are_searched_once_and_remembered(api, broker, portfolio, clock):
    for _ in range(2):
        found = (await api.get("/v1/symbols/search?q=aapl")).json()
    assert [one["provider_symbol_id"] for one in found["items"]] == ["id-aapl"]
    assert len(broker.asked) == 1
    own = (await api.get(f"/v1/symbols/search?q=AAPL&account_id={portfolio.account}")).json()
    assert own["account_id"] == portfolio.account
    assert len(broker.asked) == 2
    clock.advance(601)
    await api.get("/v1/symbols/search?q=AAPL")
    assert len(broker.asked) == 3
    plaid = await api.get(f"/v1/symbols/search?q=AAPL&account_id={portfolio.other_account}")
    assert error(plaid, 409)["details"]["reason"] == "provider"


async def test_quotes_are_asked_for_once_in_five_seconds(api, broker, portfolio, clock):
    path = f"/v1/quotes?account_id={portfolio.account}&symbols=aapl,ODD,AAPL"
    for _ in range(2):
        found = (await api.get(path)).json()
    assert [one["last"] for one in found["items"]] == ["10"]
    assert found["missing"] == ["ODD"]
    assert [call.symbols for _, call in broker.asked] == [["AAPL", "ODD"], ["ODD"]]
    clock.advance(6)
    await api.get(path)
    assert broker.asked[-1][1].symbols == ["AAPL", "ODD"]


@pytest.mark.parametrize("symbols", [",", "*", ",".join(f"A{n}" for n in range(11))])
async def test_quotes_of_nothing_or_too_much_are_refused(api, broker, portfolio, symbols):
    answer = await api.get("/v1/quotes", params={"account_id": portfolio.account, "symbols": symbols})
    assert answer.status_code == 422


async def test_offered_shares_cannot_be_sold_again(api, broker, portfolio, seed):
    seed.insert(
        "orders", user_id="alice", account_id=portfolio.account, broker_order_id="b-1", status="accepted",
        raw_status="ACCEPTED", side="SELL", instrument_key="AAPL", instrument=msgspec_json("AAPL"),
        order_type="LIMIT", time_in_force="GTC", quantity="45", filled_quantity="5", limit_price="12",
        currency="USD", placed_at=MONDAY - timedelta(days=3), first_seen_at=MONDAY - timedelta(days=3), version=3,
    )  # fmt: skip
    assert (await impact(api, portfolio.account, side="SELL", quantity="10")).status_code == 200
    found = error(await impact(api, portfolio.account, side="SELL", quantity="11"), 422)
    assert found["details"]["available"] == "10"


def msgspec_json(key):
    return f'{{"key": "{key}", "kind": "stock", "symbol": "{key}", "multiplier": "1"}}'


async def own_order(gateway, account, state, moved, *, broker_ids="[]", filled=None, quantity="40"):
    order = OrderRequest(symbol="AAPL", side="SELL", order_type="MARKET", time_in_force="DAY",
                         quantity=Decimal(quantity))  # fmt: skip
    intent, connection = uuid4(), uuid4()
    async with gateway.database.transaction("alice") as conn:
        await conn.execute(
            """INSERT INTO gateway.order_intents (user_id, intent_id, account_id, connection_id, provider, symbol,
                side, request, fingerprint, notional, currency, day, client_order_id, key, state, broker_order_ids,
                filled_quantity, created_at, updated_at)
            VALUES ('alice', %s, %s, %s, 'snaptrade', 'AAPL', 'SELL', %s, 'f', 400, 'USD', %s, %s, %s, %s, %s, %s,
                %s, %s)""",
            (intent, account, connection, msgspec.json.encode(previews.stored(order)).decode(), moved.date(),
             uuid4(), str(uuid4()), state, broker_ids, filled, moved, moved),
        )  # fmt: skip
    return intent


@pytest.mark.parametrize(
    ("state", "filled", "after", "available"),
    [
        ("ACCEPTED", None, True, "10"),
        ("ACCEPTED", "30", False, "40"),
        ("FILLED", "40", True, "10"),
        ("FILLED", "40", False, "50"),
        ("CANCELLED", "15", True, "35"),
        ("REJECTED", None, True, "50"),
        ("NEEDS_USER", None, True, "10"),
    ],
)
async def test_our_own_orders_count_until_the_holdings_show_them(
    api, broker, portfolio, state, filled, after, available
):
    gateway = api.service.app.state.gateway
    as_of = datetime(2026, 11, 21, 14, 30, tzinfo=UTC)
    moved = as_of + timedelta(minutes=5 if after else -5)
    await own_order(gateway, portfolio.account, state, moved, filled=filled)
    async with gateway.database.transaction("alice") as conn:
        found = await facts.load(gateway, conn, At("alice", portfolio.account, MONDAY))
    assert show.plain(guards.free_to_close(found, "AAPL", "SELL")) == available


async def test_an_order_in_both_records_counts_once(api, broker, portfolio, seed):
    gateway = api.service.app.state.gateway
    seed.insert(
        "orders", user_id="alice", account_id=portfolio.account, broker_order_id="b-1", status="accepted",
        raw_status="ACCEPTED", side="SELL", instrument_key="AAPL", instrument=msgspec_json("AAPL"),
        order_type="MARKET", time_in_force="DAY", quantity="40", currency="USD", placed_at=MONDAY,
        first_seen_at=MONDAY, version=3,
    )  # fmt: skip
    await own_order(gateway, portfolio.account, "ACCEPTED", MONDAY, broker_ids='["b-1"]')
    async with gateway.database.transaction("alice") as conn:
        found = await facts.load(gateway, conn, At("alice", portfolio.account, MONDAY))
    assert guards.free_to_close(found, "AAPL", "SELL") == 10


async def test_a_second_click_and_an_unverified_order_are_refused_unless_confirmed(api, broker, portfolio):
    gateway = api.service.app.state.gateway
    sold = {"side": "SELL", "order_type": "MARKET", "limit_price": None, "quantity": "10"}
    before = MONDAY - timedelta(seconds=59)
    first = await own_order(gateway, portfolio.account, "UNKNOWN", before, quantity="10")
    found = error(await impact(api, portfolio.account, **sold), 409)
    assert (found["code"], found["details"]["order_id"]) == ("DUPLICATE_SUSPECTED", str(first))
    assert found["details"]["also"] == ["ORDER_BEING_VERIFIED"]
    found = error(await impact(api, portfolio.account, **sold, confirm_duplicate=True), 409)
    assert found["code"] == "ORDER_BEING_VERIFIED"
    confirmed = {"confirm_duplicate": True, "confirm_unverified": True}
    answer = await impact(api, portfolio.account, **sold, **confirmed)
    codes = {one["code"] for one in answer.json()["warnings"]}
    assert {"duplicate_confirmed", "unverified_confirmed"} <= codes


async def test_a_days_orders_are_counted_once_and_given_back_once(api, broker, portfolio):
    gateway, account = api.service.app.state.gateway, portfolio.account
    day = MONDAY.date()
    async with gateway.database.transaction("alice") as conn:
        await days.lock(conn, "alice", account, day, "USD")
        await days.take(conn, "alice", account, day=day, currency="USD", notional=Decimal(99_950), now=MONDAY)
    found = error(await impact(api, account), 422)
    assert (found["code"], found["details"]["left"]) == ("DAILY_LIMIT_EXCEEDED", "50")
    async with gateway.database.transaction("alice") as conn:
        known = await facts.load(gateway, conn, At("alice", account, MONDAY), lock=True)
        assert known.last_order_at == MONDAY
        await days.give_back(conn, "alice", day, "USD", Decimal(99_950))
        assert (await limits.load(conn, "alice", gateway.settings.trading_limits)).max_day_notional == 100_000
    assert (await impact(api, account)).status_code == 200


async def test_orders_sent_at_once_never_pass_the_daily_limit_together(api, broker, portfolio, seed):
    """Five at a time, over two accounts: each waits for the others' day, and sees what they took."""
    gateway, other = api.service.app.state.gateway, seed.account(portfolio.connection)
    seed.balance(other)
    held_to = dataclasses.replace(
        gateway.settings.trading_limits, max_day_notional=Decimal(350), gap=timedelta(0)
    )
    order = OrderRequest(symbol="AAPL", side=Side.BUY, order_type=OrderType.LIMIT, limit_price=Decimal(10),
                         time_in_force=TimeInForce.DAY, quantity=Decimal(10))  # fmt: skip
    priced = estimate.priced(order, None)

    async def claim(account):
        async with gateway.database.transaction("alice") as conn:
            known = await facts.load(gateway, conn, At("alice", account, MONDAY), priced=priced, lock=True)
            if refused(guards.guard(known, order, held_to, MONDAY, among=guards.PLACING)):
                return 0
            await days.take(
                conn, "alice", account, day=known.day, currency="USD", notional=priced.notional, now=MONDAY
            )
            return 1

    let_through = await asyncio.gather(*(claim(one) for one in (portfolio.account, other) * 5))
    assert sum(let_through) == 3
    assert (await api.get(f"/v1/accounts/{other}/trading")).json()["limits"]["ordered_today"] == [
        {"amount": "300", "currency": "USD"}
    ]


async def test_the_client_speaks_the_internal_api_and_passes_on_what_users_should_know(settings, clock):
    seen = []

    def answer(request):
        seen.append((request.url.path, msgspec.json.decode(request.content)))
        if request.url.path.endswith("impact"):
            error = {"code": "NOT_SUPPORTED", "message": "no", "requestId": "r", "details": {}}
            return httpx.Response(409, json={"error": error})
        if request.url.path.endswith("symbols"):
            return httpx.Response(200, json={"symbols": []})
        return httpx.Response(500, json={"error": {"code": "INTERNAL"}})

    client = http_trading_reads(
        settings, settings.connectors, Metrics("gateway"), clock, httpx.MockTransport(answer)
    )
    order = OrderRequest(
        symbol="A", side="BUY", order_type="MARKET", time_in_force="DAY", quantity=Decimal("1.5")
    )
    call = ImpactCall(user_id="u", connection_id="c", account_id="a", external_id="e", order=order)
    with pytest.raises(Exception) as caught:
        await client.impact("snaptrade", call)
    assert caught.value.code == "NOT_SUPPORTED"
    assert await client.symbols("snaptrade", SymbolsCall(user_id="u", text="x")) == []
    assert seen[0][0] == "/internal/v1/trading/impact"
    assert seen[0][1]["order"]["quantity"] == "1.5"
    with pytest.raises(Exception) as caught:
        await client.quotes("unheard-of", call)
    assert caught.value.code == "PROVIDER_DISABLED"
    with pytest.raises(Exception) as caught:
        await client.quotes("snaptrade", call)
    assert caught.value.code == "PROVIDER_UNAVAILABLE"
    await client.aclose()

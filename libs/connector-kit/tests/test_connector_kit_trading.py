"""The internal API of trading: what was done is told as it was, and nothing is done twice."""

import asyncio
from dataclasses import replace
from decimal import Decimal

import httpx
import msgspec
import pytest
import structlog
from structlog.testing import capture_logs

from connector_kit import breaker, connections, internal_trading, priority
from connector_kit.background import Background
from connector_kit.build import HANDLER_SECONDS
from connector_kit.finish import finish
from connector_kit.internal_api import mount
from connector_kit.priority import Priority
from connector_kit.sync import sync
from connector_kit.testing import FakeAdapter, FakeConnection
from connector_kit.trading import Once
from contracts.errors import (
    ErrorCode,
    GoneError,
    OutcomeUnknownError,
    RefusedError,
    RepairNeededError,
    TransientError,
)
from contracts.ids import account_id
from contracts.trading import OrderImpact, OrderRequest, OrderType, Placed, Side, TimeInForce
from contracts.trading_calls import OrdersFound, QuotesFound, SymbolsFound
from persistence.database import DatabaseUnavailable
from service_kit.auth import ServiceAuth
from service_kit.health import Health
from service_kit.metrics import Metrics
from service_kit.web import create_app

BUY = OrderRequest(
    symbol="AAPL",
    side=Side.BUY,
    order_type=OrderType.LIMIT,
    time_in_force=TimeInForce.DAY,
    quantity=Decimal("1.5"),
    limit_price=Decimal("190.25"),
)
ACCOUNT = account_id("fake", "u1", "acc-1")
CHANGING = ("place", "replace", "cancel")


@pytest.fixture(autouse=True)
def every_line():
    """Whatever level another test made the loggers keep to."""
    kept = structlog.get_config()
    structlog.reset_defaults()
    yield
    structlog.configure(**kept)


@pytest.fixture
def background() -> Background:
    return Background()


@pytest.fixture
async def client(engine, background):
    app = create_app("fake", engine.settings, Health(), Metrics("fake"))
    mount(app, engine, background)
    auth = ServiceAuth(engine.settings.service_auth_secret, issuer="gateway", audience="fake-connector")
    transport = httpx.ASGITransport(app)
    url = "http://kit/internal/v1/trading"
    async with httpx.AsyncClient(transport=transport, base_url=url, auth=auth) as made:
        yield made
    await background.drain()


@pytest.fixture
async def connection(engine, begun) -> str:
    """A connection that trades and was read once."""
    done = await finish(
        engine,
        await begun("s1", "u1", FakeConnection("item-1", "token-1", connection_type="trade")),
        user_id="u1",
    )
    (identity,) = done.progress.connection_ids
    await sync(engine, identity, trigger="link")
    return identity


def call(connection: str, **more: object) -> dict[str, object]:
    """The body of a call; what a kind of call does not have, it ignores."""
    values = {
        "user_id": "u1",
        "connection_id": connection,
        "account_id": ACCOUNT,
        "external_id": "acc-1",
        "order": msgspec.to_builtins(BUY),
        "client_order_id": "c-1",
        "broker_order_id": "broker-1",
        "symbols": ["AAPL"],
        "text": "AAPL",
    }
    return values | more


async def test_an_order_is_placed_once_and_answered_with_its_ids(client, adapter, connection):
    with capture_logs() as logs:
        answer = await client.post("/place", json=call(connection))
    assert answer.status_code == 200
    placed = msgspec.json.decode(answer.content, type=Placed)
    assert placed.broker_order_ids == ["broker-1"]
    (made,) = adapter.desk.placements
    assert (made.account, made.order, made.client_order_id) == ("acc-1", BUY, "c-1")
    (line,) = [one for one in logs if one["event"] == "trading.settled"]
    assert (line["outcome"], line["provider_request_id"]) == ("done", "fake-1")
    assert (line["client_order_id"], line["broker_order_ids"]) == ("c-1", ["broker-1"])
    assert "token-1" not in str(logs)


async def test_the_same_order_handed_over_twice_is_sent_once(client, adapter, connection):
    answers = await asyncio.gather(*(client.post("/place", json=call(connection)) for _ in range(5)))
    assert len(adapter.desk.placements) == 1
    assert sorted(answer.status_code for answer in answers) == [200, 502, 502, 502, 502]
    again = await client.post("/place", json=call(connection))
    assert again.json()["error"]["code"] == "ORDER_OUTCOME_UNKNOWN"
    assert "sent" not in again.json()["error"]["details"]
    assert len(adapter.desk.placements) == 1


def test_what_was_handed_over_long_ago_is_forgotten():
    once = Once(most=2)
    assert [once.first(name) for name in ("a", "b", "a", "c", "a")] == [True, True, False, True, True]


REFUSED = RefusedError(
    "You do not have enough cash.",
    code=ErrorCode.ORDER_REJECTED,
    provider="fake",
    provider_code="1068",
    provider_request_id="req-1",
    status=400,
)
NOT_OPEN = RefusedError("it is filled", code=ErrorCode.ORDER_NOT_OPEN, provider="fake")
OTHER_REFUSAL = RefusedError("no user", code=ErrorCode.SNAPTRADE_NOT_REGISTERED, provider="fake")
SLOW = TransientError("slow down", code=ErrorCode.RATE_LIMITED, provider="fake").waiting(7)
UNKNOWN = OutcomeUnknownError("?", code=ErrorCode.ORDER_OUTCOME_UNKNOWN, provider="fake")
BROKEN = RepairNeededError("reconnect", code=ErrorCode.CONNECTION_BROKEN, provider="fake")
GONE = GoneError("gone", code=ErrorCode.CONNECTION_GONE, provider="fake")


@pytest.mark.parametrize("operation", CHANGING)
@pytest.mark.parametrize(
    ("error", "status", "code", "sent"),
    [
        (REFUSED, 422, "ORDER_REJECTED", None),
        (NOT_OPEN, 409, "ORDER_NOT_OPEN", None),
        (OTHER_REFUSAL, 422, "ORDER_REJECTED", None),
        (SLOW, 503, "RATE_LIMITED", False),
        (UNKNOWN, 502, "ORDER_OUTCOME_UNKNOWN", None),
        (BROKEN, 502, "ORDER_OUTCOME_UNKNOWN", None),
        (GONE, 502, "ORDER_OUTCOME_UNKNOWN", None),
        (ValueError("a defect"), 502, "ORDER_OUTCOME_UNKNOWN", None),
        (TimeoutError(), 502, "ORDER_OUTCOME_UNKNOWN", None),
    ],
)
async def test_each_end_is_told_as_what_it_is(
    client, adapter, connection, operation, error, status, code, sent
):
    adapter.failures[operation] = [error]
    answer = await client.post(f"/{operation}", json=call(connection))
    told = answer.json()["error"]
    assert (answer.status_code, told["code"]) == (status, code)
    assert told["details"].get("sent") is sent
    assert "a defect" not in answer.text
    assert adapter.asked.count(operation) == 1
    assert adapter.desk.placements == []


async def test_a_refusal_carries_the_brokers_words(client, adapter, connection):
    adapter.failures["place"] = [REFUSED]
    told = (await client.post("/place", json=call(connection))).json()["error"]
    assert told["message"] == "You do not have enough cash."
    assert told["details"] == {
        "provider": "fake",
        "provider_code": "1068",
        "provider_request_id": "req-1",
        "broker_message": "You do not have enough cash.",
    }


@pytest.mark.parametrize("path", [*CHANGING, "impact", "orders", "quotes", "symbols"])
@pytest.mark.parametrize(
    "changes",
    [
        {"user_id": "mallory"},
        {"connection_id": "nothing"},
        {"account_id": "nothing"},
        {"external_id": "another"},
    ],
)
async def test_what_is_not_the_users_is_as_unknown_as_any(client, adapter, connection, path, changes):
    before = list(adapter.asked)
    answer = await client.post(f"/{path}", json=call(connection, **changes))
    told = answer.json()["error"]
    assert (answer.status_code, told["code"], told["details"]) == (404, "NOT_FOUND", {"sent": False})
    assert adapter.asked == before


@pytest.mark.parametrize("path", [*CHANGING, "impact", "orders", "quotes", "symbols"])
async def test_nobody_may_call_without_a_token(client, connection, path):
    assert (await client.post(f"/{path}", json=call(connection), auth=None)).status_code == 401


class Untrading(FakeAdapter):
    place = None


@pytest.mark.parametrize("path", [*CHANGING, "impact", "orders", "quotes", "symbols"])
async def test_a_provider_without_trading_says_so(engine, background, path):
    app = create_app("fake", engine.settings, Health(), Metrics("fake"))
    mount(app, replace(engine, adapter=Untrading()), background)
    auth = ServiceAuth(engine.settings.service_auth_secret, issuer="gateway", audience="fake-connector")
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://kit/internal/v1/trading", auth=auth
    ) as made:
        body = call("c") | ({"connection_id": None, "account_id": None} if path == "symbols" else {})
        answer = await made.post(f"/{path}", json=body)
    told = answer.json()["error"]
    assert (answer.status_code, told["code"]) == (409, "TRADING_NOT_SUPPORTED")
    assert told["details"] == {"sent": False}


@pytest.mark.parametrize("path", ["place", "replace", "impact"])
async def test_a_connection_that_only_reads_places_nothing(client, engine, adapter, begun, path):
    done = await finish(engine, await begun(), user_id="u1")
    (identity,) = done.progress.connection_ids
    await sync(engine, identity, trigger="link")
    before = list(adapter.asked)
    answer = await client.post(f"/{path}", json=call(identity))
    told = answer.json()["error"]
    assert (answer.status_code, told["code"]) == (409, "ACCOUNT_NOT_TRADABLE")
    assert told["details"] == {"sent": False, "reason": "read_only_connection"}
    assert adapter.asked == before


async def test_while_an_institution_fails_nothing_is_placed_but_orders_can_be_cancelled(
    client, engine, adapter, connection
):
    await client.post("/place", json=call(connection))
    async with engine.database.transaction() as conn:
        for _ in range(breaker.FAILURES):
            await breaker.note(conn, "fake", "example", ErrorCode.INSTITUTION_UNAVAILABLE)
    answer = await client.post("/place", json=call(connection, client_order_id="c-2"))
    told = answer.json()["error"]
    assert (answer.status_code, told["code"]) == (503, "INSTITUTION_UNAVAILABLE")
    assert told["details"]["sent"] is False
    assert len(adapter.desk.placements) == 1
    assert (await client.post("/cancel", json=call(connection))).status_code == 200


async def test_a_database_that_is_away_sends_nothing(client, adapter, connection, monkeypatch):
    async def away(*_args: object, **_more: object) -> None:
        raise DatabaseUnavailable("away")

    monkeypatch.setattr("connector_kit.trading.connections.find", away)
    answer = await client.post("/place", json=call(connection))
    told = answer.json()["error"]
    assert (answer.status_code, told["code"], told["details"]["sent"]) == (503, "UNAVAILABLE", False)
    assert adapter.desk.placements == []


async def test_preparations_that_take_too_long_send_nothing(client, adapter, connection, monkeypatch):
    async def slow(*_args: object, **_more: object) -> None:
        await asyncio.sleep(60)

    monkeypatch.setattr("connector_kit.trading.connections.find", slow)
    monkeypatch.setattr(internal_trading, "PREPARED_WITHIN", 0.02)
    answer = await client.post("/place", json=call(connection))
    assert (answer.status_code, answer.json()["error"]["details"]["sent"]) == (503, False)
    assert adapter.desk.placements == []


@pytest.mark.parametrize("hangs_up", [True, False])
async def test_who_hangs_up_or_waits_too_long_does_not_end_the_call(
    client, adapter, connection, background, monkeypatch, hangs_up
):
    begun, go_on = asyncio.Event(), asyncio.Event()
    place = adapter.place

    async def slow(*args: object) -> Placed:
        begun.set()
        await go_on.wait()
        return await place(*args)

    monkeypatch.setattr(adapter, "place", slow)
    if not hangs_up:
        monkeypatch.setattr(internal_trading, "ANSWERED_WITHIN", 0.02)
    request = asyncio.create_task(client.post("/place", json=call(connection)))
    await begun.wait()
    if hangs_up:
        request.cancel()
        with pytest.raises(asyncio.CancelledError):
            await request
    else:
        assert (await request).json()["error"]["code"] == "ORDER_OUTCOME_UNKNOWN"
    with capture_logs() as logs:
        go_on.set()
        await background.drain()
    assert len(adapter.desk.placements) == 1
    (line,) = [one for one in logs if one["event"] == "trading.settled"]
    assert (line["outcome"], line["broker_order_ids"]) == ("done", ["broker-1"])


async def test_a_call_that_is_cut_off_is_in_the_log(client, adapter, connection, background, monkeypatch):
    begun = asyncio.Event()

    async def forever(*_args: object) -> Placed:
        begun.set()
        await asyncio.sleep(60)
        raise AssertionError

    monkeypatch.setattr(adapter, "place", forever)
    request = asyncio.create_task(client.post("/place", json=call(connection)))
    await begun.wait()
    with capture_logs() as logs:
        for task in list(background._tasks):
            task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await request
    assert "trading.cut_off" in {one["event"] for one in logs}


async def test_what_is_placed_goes_before_what_nobody_waits_for(client, adapter, connection, monkeypatch):
    seen: list[Priority] = []
    place = adapter.place

    async def looking(*args: object) -> Placed:
        seen.append(priority.current())
        return await place(*args)

    monkeypatch.setattr(adapter, "place", looking)
    await client.post("/place", json=call(connection))
    assert seen == [Priority.INTERACTIVE]


async def test_orders_quotes_symbols_and_previews_are_read(client, engine, adapter, connection):
    await client.post("/place", json=call(connection))
    async with engine.database.transaction() as conn:
        await conn.execute(
            """INSERT INTO sync.catalogue_instruments (provider, ref, symbol, tradable, fractional)
               VALUES ('fake', 'ins_1', 'AAPL', false, true)"""
        )
    orders = await client.post("/orders", json=call(connection))
    assert [one.broker_order_id for one in msgspec.json.decode(orders.content, type=OrdersFound).orders] == [
        "broker-1"
    ]
    quotes = await client.post("/quotes", json=call(connection))
    assert [one.last for one in msgspec.json.decode(quotes.content, type=QuotesFound).quotes] == [200]
    found = await client.post("/symbols", json=call(connection))
    first, second = msgspec.json.decode(found.content, type=SymbolsFound).symbols
    assert (first.instrument.symbol, first.tradable, first.fractional) == ("AAPL", True, True)
    assert (second.instrument.symbol, second.fractional) == ("AAPLX", None)
    everywhere = await client.post("/symbols", json={"user_id": "u1", "text": "aapl"})
    assert len(msgspec.json.decode(everywhere.content, type=SymbolsFound).symbols) == 2
    shown = await client.post("/impact", json=call(connection))
    preview = msgspec.json.decode(shown.content, type=OrderImpact)
    assert (preview.fees.amount, preview.remaining_cash) == (1, None)


async def test_a_preview_that_is_refused_says_why(client, adapter, connection):
    by_amount = msgspec.to_builtins(msgspec.structs.replace(BUY, quantity=None, notional=Decimal(10)))
    none = await client.post("/impact", json=call(connection, order=by_amount))
    assert (none.status_code, none.json()["error"]["code"]) == (409, "NOT_SUPPORTED")
    adapter.failures["impact"] = [REFUSED]
    refused = await client.post("/impact", json=call(connection))
    assert (refused.status_code, refused.json()["error"]["code"]) == (422, "ORDER_REJECTED")


@pytest.mark.parametrize("sent", [b"", b"{}", b"not json", b'{"user_id": 5}'])
@pytest.mark.parametrize("path", CHANGING)
async def test_a_body_that_is_no_call_places_nothing(client, adapter, path, sent):
    answer = await client.post(f"/{path}", content=sent)
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "VALIDATION_FAILED")
    assert adapter.asked == []


def test_an_answer_is_given_before_the_request_is_given_up():
    assert internal_trading.PREPARED_WITHIN + internal_trading.ANSWERED_WITHIN < HANDLER_SECONDS


async def test_a_repair_for_trading_is_finished_by_an_adapter_that_knows_what_it_is_for(
    engine, adapter, begun, connection, monkeypatch
):
    asked = []
    ask = adapter.finish_link

    def looking(question):
        asked.append(question.need_trading)
        return ask(question)

    monkeypatch.setattr(adapter, "finish_link", looking)
    upgraded = FakeConnection("item-1", "token-1", connection_type="trade")
    again = await begun("s2", "u1", upgraded, need_trading=True, reconnect_connection_id=connection)
    done = await finish(engine, again, user_id="u1")
    assert done.progress.connection_ids == [connection]
    assert asked == [True]
    assert (await connections.find(engine.database, "fake", connection)).connection_type == "trade"


async def test_a_connection_that_is_linked_anew_to_trade_trades_at_once(client, engine, adapter, begun):
    done = await finish(engine, await begun(), user_id="u1")
    (identity,) = done.progress.connection_ids
    await sync(engine, identity, trigger="link")
    assert (await client.post("/place", json=call(identity))).status_code == 409
    upgraded = FakeConnection("item-1", "token-1", connection_type="trade")
    again = await begun("s2", "u1", upgraded, need_trading=True, reconnect_connection_id=identity)
    await finish(engine, again, user_id="u1")
    assert (await client.post("/place", json=call(identity))).status_code == 200

"""Trading against a SnapTrade that answers over HTTP and misbehaves on demand; its own ledger says what it took."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import uuid4

import pytest

from contracts.errors import ErrorCode, OutcomeUnknownError, RefusedError, TransientError
from contracts.linking import BeginLink, ConnectionAccess, FinishLink, LinkedConnection, LinkOutcome
from contracts.orders import OrderStatus
from contracts.statuses import LinkStatus
from contracts.trading import AccountRef, OrderLeg, OrderRequest, OrderType, Side, TimeInForce

from .conftest import Sandbox, link_request

D = Decimal
CALL = "AAPL280121C00250000"


class Desk:
    """A connection that trades, its account, and the ledger."""

    def __init__(self, sandbox: Sandbox, connector, access: ConnectionAccess, account: AccountRef) -> None:
        self.sandbox = sandbox
        self.connector = connector
        self.access = access
        self.account = account

    async def place(self, client_order_id: str | None = None, **changes: object):
        return await self.connector.place(
            self.access, self.account, order(**changes), client_order_id or str(uuid4())
        )

    async def recent(self):
        return await self.connector.recent_orders(self.access, self.account)

    async def chaos(self, kind: str, **more: object) -> None:
        await self.sandbox.control("POST", "/trading/chaos", kind=kind, **more)

    async def conditions(self, **more: object) -> None:
        await self.sandbox.control("PUT", "/trading", **more)

    async def ledger(self) -> list[dict]:
        return (await self.sandbox.control("GET", "/placements"))["placements"]


def order(**changes: object) -> OrderRequest:
    """A limit order far below the market, so that it stays open."""
    values = {
        "symbol": "AAPL",
        "side": Side.BUY,
        "order_type": OrderType.LIMIT,
        "time_in_force": TimeInForce.GTC,
        "quantity": D(1),
        "limit_price": D("1.25"),
    }
    return OrderRequest(**values | changes)


async def link(sandbox, connector, user, reconnect=None, **request):
    """Begin a session, and the way to finish it."""
    asked = BeginLink(request=link_request(**request), user=user, reconnect=reconnect, webhook_url=None)
    start = (await connector.begin_link(asked)).start

    async def ended():
        question = FinishLink(
            session_token=None,
            user=user,
            known=frozenset([reconnect.external_id] if reconnect else []),
            reconnect_external_id=reconnect.external_id if reconnect else None,
            need_trading=bool(request.get("need_trading")),
        )
        answers = [one async for one in connector.finish_link(question)]
        assert isinstance(answers[-1], LinkOutcome)
        return [one for one in answers if isinstance(one, LinkedConnection)], answers[-1].status

    return start, ended


@pytest.fixture
async def desk(sandbox, commercial) -> Desk:
    user = await commercial.enroll("u-42")
    start, ended = await link(sandbox, commercial, user, need_trading=True)
    await sandbox.at_the_portal(start.url)
    (one,), _ = await ended()
    access = ConnectionAccess(user_id="u-42", external_id=one.external_id, user=user, secret=None)
    accounts = await commercial.accounts(access, await commercial.state(access))
    account = next(each for each in accounts if each.capabilities.trading)
    ref = AccountRef(account_id=account.account_id, external_id=account.external_id)
    return Desk(sandbox, commercial, access, ref)


async def test_an_order_arrives_with_its_client_order_id_and_digits(desk):
    placed = await desk.place("0b8cbb0a-2c6c-5f0f-8a2e-0d2f7f6b6a11", quantity=D("1.123456"))
    (row,) = await desk.ledger()
    assert (row["kind"], row["accepted"]) == ("place", True)
    assert row["client_order_id"] == "0b8cbb0a-2c6c-5f0f-8a2e-0d2f7f6b6a11"
    assert (row["symbol"], row["side"], row["quantity"]) == ("AAPL", "BUY", "1.123456")
    assert (row["order_type"], row["limit_price"]) == ("Limit", "1.25")
    assert placed.broker_order_ids == [row["broker_order_id"]]
    assert placed.provider_request_id == row["request_id"]
    (found,) = await desk.recent()
    assert found == placed.orders[0]
    assert (found.status, found.limit_price) == (OrderStatus.ACCEPTED, D("1.25"))
    assert found.account_id == desk.account.account_id


@pytest.mark.parametrize(
    ("kind", "more", "error", "accepted"),
    [
        ("accept_then_drop", {}, OutcomeUnknownError, True),
        ("drop_before", {}, OutcomeUnknownError, False),
        ("drop_then_accept", {"seconds": 0.05}, OutcomeUnknownError, None),
        ("accept_then_error", {}, OutcomeUnknownError, True),
        ("accept_then_error", {"status": 502}, OutcomeUnknownError, True),
        ("error_before", {"status": 503}, OutcomeUnknownError, False),
        ("accept_then_timed_out", {}, OutcomeUnknownError, True),
        ("accept_then_timed_out", {"code": "1012"}, OutcomeUnknownError, True),
        ("accept_then_timed_out", {"code": "1068"}, OutcomeUnknownError, True),
        ("accept_then_malformed", {"shape": "truncated"}, OutcomeUnknownError, True),
        ("accept_then_malformed", {"shape": "html"}, OutcomeUnknownError, True),
        ("accept_then_malformed", {"shape": "empty"}, OutcomeUnknownError, True),
        ("accept_then_malformed", {"shape": "no_id"}, OutcomeUnknownError, True),
        ("reject", {}, RefusedError, False),
        ("accept_then_wait", {"seconds": 0.1}, None, True),
        ("accept_late", {"seconds": 0.1}, None, True),
        ("reject_later", {"seconds": 0.1}, None, True),
    ],
)
@pytest.mark.parametrize("endpoint", ["place", "options", "replace"])
async def test_each_mishap_is_told_right_and_sent_once(desk, kind, more, error, accepted, endpoint):
    legs = [OrderLeg(symbol=CALL, side=Side.SELL_TO_CLOSE, quantity=D(1))]
    changes = {"legs": legs, "limit_price": D(900)} if endpoint == "options" else {}
    before = []
    if endpoint == "replace":
        before = (await desk.place()).broker_order_ids
    await desk.chaos(kind, endpoints=[endpoint], **more)

    async def call():
        if endpoint == "replace":
            return await desk.connector.replace(desk.access, desk.account, before[0], order())
        return await desk.place(**changes)

    if error is None:
        assert (await call()).broker_order_ids
    else:
        with pytest.raises(error) as raised:
            await call()
        wanted = ErrorCode.ORDER_REJECTED if error is RefusedError else ErrorCode.ORDER_OUTCOME_UNKNOWN
        assert raised.value.code is wanted
    (row,) = [one for one in await desk.ledger() if one["kind"] == endpoint]
    assert row["chaos"] == kind
    assert accepted is None or row["accepted"] == accepted


async def test_a_second_order_within_a_second_that_the_broker_turns_away_is_not_placed(desk):
    await desk.conditions(pace=True)
    await desk.place()
    with pytest.raises(TransientError) as slow:
        await desk.place()
    assert (slow.value.code, slow.value.wait) == (ErrorCode.RATE_LIMITED, 1)
    assert [row["accepted"] for row in await desk.ledger()] == [True, False]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"quantity": D(100_000), "limit_price": D(1000)}, "You do not have enough cash to make this trade."),
        ({"side": Side.SELL, "quantity": D(5000), "limit_price": D(1000)}, ""),
        ({"symbol": "NOSUCH"}, "could not be found"),
    ],
)
async def test_a_refusal_is_told_in_the_brokers_words(desk, changes, words):
    with pytest.raises(RefusedError) as refused:
        await desk.place(**changes)
    assert refused.value.code is ErrorCode.ORDER_REJECTED
    assert words in refused.value.message
    assert refused.value.provider_code in {"1012", "1068"}
    assert refused.value.provider_request_id
    assert [row["accepted"] for row in await desk.ledger()] == [False]


async def test_market_orders_by_units_and_by_amount_fill(desk):
    bought = await desk.place(order_type=OrderType.MARKET, time_in_force=TimeInForce.DAY, limit_price=None)
    assert bought.orders[0].status is OrderStatus.FILLED
    by_amount = await desk.place(
        order_type=OrderType.MARKET,
        time_in_force=TimeInForce.DAY,
        limit_price=None,
        quantity=None,
        notional=D("50.5"),
    )
    assert by_amount.orders[0].filled_quantity > 0


async def test_stops_good_till_dates_and_extended_hours_are_taken(desk):
    soon = (datetime.now(UTC) + timedelta(days=3)).date()
    for changes in (
        {"side": Side.SELL, "order_type": OrderType.STOP, "limit_price": None, "stop_price": D(2)},
        {"side": Side.SELL, "order_type": OrderType.STOP_LIMIT, "stop_price": D(3)},
        {"time_in_force": TimeInForce.GTD, "expires_on": soon},
        {"extended_hours": True},
    ):
        assert (await desk.place(**changes)).orders[0].status is not OrderStatus.REJECTED
    assert [row["accepted"] for row in await desk.ledger()] == [True] * 4


async def test_options_are_placed_as_legs_and_cancelled_as_one_order(desk):
    legs = [
        OrderLeg(symbol="AAPL280121C00300000", side=Side.BUY_TO_OPEN, quantity=D(1)),
        OrderLeg(symbol="AAPL280121C00320000", side=Side.SELL_TO_OPEN, quantity=D(1)),
    ]
    await desk.conditions(fills=False)
    placed = await desk.place(legs=legs, price_effect="DEBIT", limit_price=D("0.05"))
    assert len(placed.broker_order_ids) == 2
    assert {one.broker_order_id for one in await desk.recent()} == set(placed.broker_order_ids)
    await desk.connector.cancel(desk.access, desk.account, placed.broker_order_ids[1])
    assert {one.status for one in await desk.recent()} == {OrderStatus.CANCELED}


async def test_an_order_is_cancelled_once_and_a_filled_one_not_at_all(desk):
    (order_id,) = (await desk.place()).broker_order_ids
    await desk.connector.cancel(desk.access, desk.account, order_id)
    for wanted in (order_id, "nobody's"):
        with pytest.raises(RefusedError) as refused:
            await desk.connector.cancel(desk.access, desk.account, wanted)
        expected = ErrorCode.ORDER_NOT_OPEN if wanted == order_id else ErrorCode.ORDER_REJECTED
        assert refused.value.code is expected
    (open_id,) = (await desk.place()).broker_order_ids
    await desk.chaos("accept_then_drop", endpoints=["cancel"])
    with pytest.raises(OutcomeUnknownError):
        await desk.connector.cancel(desk.access, desk.account, open_id)
    assert sum(row["kind"] == "cancel" for row in await desk.ledger()) == 4


async def test_a_replaced_order_has_the_new_id_and_price(desk):
    (old,) = (await desk.place()).broker_order_ids
    new = await desk.connector.replace(
        desk.access, desk.account, old, order(limit_price=D("1.5"), quantity=D(2))
    )
    assert new.broker_order_ids != [old]
    found = {one.broker_order_id: one for one in await desk.recent()}
    assert found[old].status is OrderStatus.REPLACED
    assert (found[new.broker_order_ids[0]].limit_price, found[new.broker_order_ids[0]].quantity) == (
        D("1.5"),
        2,
    )


async def test_a_preview_tells_what_the_broker_knows_and_places_nothing(desk):
    await desk.conditions(commission="1.5")
    shown = await desk.connector.impact(desk.access, desk.account, order())
    assert (shown.fees.amount, shown.fees.currency, shown.cost) == (D("1.5"), "USD", None)
    assert shown.remaining_cash.amount > 0
    assert shown.provider_request_id
    await desk.conditions(commission_known=False)
    assert (await desk.connector.impact(desk.access, desk.account, order())).fees is None
    legs = [OrderLeg(symbol=CALL, side=Side.SELL_TO_CLOSE, quantity=D(1))]
    options = await desk.connector.impact(desk.access, desk.account, order(legs=legs, limit_price=D(5)))
    assert (options.cost.amount, options.fees.amount) == (D(-500), D("2.15"))
    assert await desk.ledger() == []


async def test_a_preview_that_is_not_there_and_one_that_is_refused_differ(desk):
    with pytest.raises(RefusedError) as refused:
        await desk.connector.impact(desk.access, desk.account, order(quantity=D(10**6)))
    assert (refused.value.code, refused.value.provider_code) == (ErrorCode.ORDER_REJECTED, "1068")
    await desk.conditions(impact=False)
    for changes in ({}, {"legs": [OrderLeg(symbol=CALL, side=Side.SELL_TO_CLOSE, quantity=D(1))]}):
        with pytest.raises(RefusedError) as refused:
            await desk.connector.impact(desk.access, desk.account, order(**changes))
        assert refused.value.code is ErrorCode.NOT_SUPPORTED
    by_amount = order(
        quantity=None, notional=D(5), order_type=OrderType.MARKET, time_in_force=TimeInForce.DAY
    )
    for wanted in (by_amount, order(symbol="NOSUCH")):
        with pytest.raises(RefusedError) as refused:
            await desk.connector.impact(desk.access, desk.account, wanted)
        assert refused.value.code is ErrorCode.NOT_SUPPORTED


async def test_an_id_of_another_symbol_is_refused_before_anything_is_sent(desk):
    (found, *_) = await desk.connector.search_symbols(desk.access, desk.account, "MSFT")
    for symbol_id in (found.provider_symbol_id, str(uuid4())):
        with pytest.raises(RefusedError):
            await desk.place(provider_symbol_id=symbol_id)
        with pytest.raises(RefusedError):
            await desk.connector.impact(desk.access, desk.account, order(provider_symbol_id=symbol_id))
    assert await desk.ledger() == []
    placed = await desk.place(symbol="MSFT", provider_symbol_id=found.provider_symbol_id)
    assert placed.orders[0].instrument.key == "MSFT"


@pytest.mark.parametrize(
    ("status", "body"), [(403, {"detail": "off", "code": "1141"}), (501, {"error": "not here"})]
)
async def test_without_a_live_list_the_last_day_is_read_from_the_cache(desk, status, body):
    await desk.sandbox.fault("GET /accounts/{accountId}/recentOrders", "status", status=status, body=body)
    await desk.recent()
    calls = str(await desk.sandbox.control("GET", "/calls?provider=snaptrade"))
    assert "/orders" in calls


async def test_a_list_that_fails_is_no_empty_list(desk):
    await desk.sandbox.fault("GET /accounts/{accountId}/recentOrders", "status", status=503, body={})
    with pytest.raises(TransientError):
        await desk.recent()


async def test_quotes_are_of_what_is_known_and_of_no_option(desk):
    found = await desk.connector.quotes(desk.access, desk.account, ["MSFT", "NOSUCH", CALL, "AAPL", "AAPL"])
    assert {one.symbol for one in found} == {"MSFT", "AAPL"}
    assert all(one.bid < one.last < one.ask and one.currency == "USD" for one in found)
    assert await desk.connector.quotes(desk.access, desk.account, [CALL]) == []
    with pytest.raises(RefusedError) as refused:
        await desk.connector.quotes(desk.access, desk.account, [f"S{number}" for number in range(11)])
    assert refused.value.code is ErrorCode.VALIDATION_FAILED


async def test_a_search_without_letters_asks_nothing(desk):
    assert await desk.connector.search_symbols(desk.access, desk.account, " 株 ") == []
    (first, *_) = await desk.connector.search_symbols(None, None, "ááPL")
    assert first.provider_symbol_id


async def test_a_read_connection_takes_no_order_until_a_reconnect_makes_it_trade(sandbox, commercial):
    user = await commercial.enroll("u-42")
    start, ended = await link(sandbox, commercial, user, allow_trading=False)
    await sandbox.at_the_portal(start.url)
    (one,), _ = await ended()
    access = ConnectionAccess(user_id="u-42", external_id=one.external_id, user=user, secret=None)
    assert one.connection_type == "read"
    accounts = await commercial.accounts(access, await commercial.state(access))
    assert not any(each.capabilities.trading for each in accounts)
    ref = AccountRef(account_id=accounts[0].account_id, external_id=accounts[0].external_id)
    with pytest.raises(RefusedError) as refused:
        await commercial.place(access, ref, order(), str(uuid4()))
    assert (refused.value.code, refused.value.provider_code) == (ErrorCode.ORDER_REJECTED, "1066")

    start, ended = await link(sandbox, commercial, user, reconnect=access, need_trading=True)
    assert await ended() == ([], LinkStatus.PENDING)
    await sandbox.at_the_portal(start.url)
    (repaired,), status = await ended()
    assert (repaired.external_id, repaired.connection_type) == (access.external_id, "trade")
    assert status is LinkStatus.COMPLETED
    state = await commercial.state(access)
    assert state.connection_type == "trade"
    upgraded = await commercial.accounts(access, state)
    assert {each.account_id: each.capabilities.trading for each in upgraded}[ref.account_id]
    assert (await commercial.place(access, ref, order(), str(uuid4()))).broker_order_ids

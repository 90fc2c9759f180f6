"""Placing over HTTP and through crashes. The oracle is what the broker received, never our own tables."""

import asyncio
import dataclasses
from collections import Counter as Tally
from datetime import timedelta
from decimal import Decimal
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg.types.json import Json

from contracts.errors import ErrorCode
from contracts.instruments import Instrument, InstrumentKind
from contracts.messages import SyncConnection
from contracts.orders import Order, OrderStatus
from contracts.trading import OrderRequest, OrderType, Quote, Side, TimeInForce
from gateway.clients.placing import Accepted, Lost, Refused, Unsent
from gateway.decisions.decider import Decider
from gateway.refusals import refusal
from gateway.trading import claim, estimate, intents, orders, place, previews, reconcile, show, switches
from gateway.trading import facts as known
from gateway.trading.facts import At
from gateway.trading.market_data import MarketData
from gateway.trading.place import Counter
from gateway.trading.settle import Desk, Why, settle
from gateway.trading.states import FINAL, Event, State
from gateway.trading.values import Confirmed
from gateway.trading.watch import Watch
from persistence.database import Database, DatabaseUnavailable

AAPL = OrderRequest(
    symbol="AAPL",
    side=Side.BUY,
    order_type=OrderType.LIMIT,
    time_in_force=TimeInForce.DAY,
    quantity=Decimal(10),
    limit_price=Decimal(10),
)


class Broker:
    """A broker behind the port ``Placing``: a ledger of everything it received, and a script of what it answers."""

    def __init__(self, clock):
        self.clock = clock
        self.received = []
        self.cancels = []
        self.replaced = []
        self.book = []
        self.script = None
        self.listing_fails = None
        self.invisible_until = None
        self.listings = 0
        self.at_listing = None
        self.came = asyncio.Event()

    def record(self, call, **changes):
        order = call.order
        values = {
            "account_id": call.account_id,
            "broker_order_id": f"b-{len(self.book) + 1}",
            "status": OrderStatus.ACCEPTED,
            "raw_status": "ACCEPTED",
            "side": order.side.value,
            "instrument": Instrument(key=order.symbol, kind=InstrumentKind.STOCK),
            "order_type": order.order_type.value,
            "time_in_force": order.time_in_force.value,
            "quantity": order.quantity,
            "limit_price": order.limit_price,
            "placed_at": self.clock.now(),
        } | changes
        self.book.append(Order(**values))
        return self.book[-1]

    async def place(self, provider, call):
        self.received.append(call)
        self.came.set()
        await asyncio.sleep(0)
        if self.script is not None:
            return await self.script(call)
        return Accepted((self.record(call).broker_order_id,), "req-1")

    async def cancel(self, provider, call):
        self.cancels.append(call)
        return Accepted() if self.script is None else await self.script(call)

    async def replace(self, provider, call):
        self.replaced.append(call)
        if self.script is not None:
            return await self.script(call)
        return Accepted((self.record(call).broker_order_id,), "req-2")

    async def orders(self, provider, call):
        self.listings += 1
        await asyncio.sleep(0)
        if self.at_listing is not None:
            await self.at_listing()
        if self.listing_fails is not None:
            raise self.listing_fails
        hidden = self.invisible_until is not None and self.clock.now() < self.invisible_until
        return [one for one in self.book if not (hidden and one.placed_at >= self.hidden_from)]

    def hide(self, seconds):
        self.hidden_from, self.invisible_until = (
            self.clock.now(),
            self.clock.now() + timedelta(seconds=seconds),
        )

    def now_is(self, number, **changes):
        self.book[number] = Order(
            **({f: getattr(self.book[number], f) for f in Order.__struct_fields__} | changes)
        )

    @property
    def most_per_intent(self):
        return max(Tally(call.client_order_id for call in self.received).values(), default=0)


class Reads:
    """Quotes for everything."""

    async def quotes(self, provider, call):
        return [Quote(symbol=symbol, last=Decimal(10), currency="USD") for symbol in call.symbols]


@dataclasses.dataclass
class Place:
    """An account, a broker and the counter between them."""

    api: object
    broker: Broker
    desk: Desk
    watch: Watch
    account: str
    clock: object
    database: Database

    async def preview(self, order=AAPL, user="alice", account=None, notional=None):
        """A preview as the first step keeps it."""
        identity, now = UUID(account or self.account), self.clock.now()
        async with self.desk.gateway.database.transaction(user) as conn:
            facts = await known.load(self.desk.gateway, conn, At(user, identity, now))
            priced = estimate.priced(order, Quote(symbol=order.symbol, last=Decimal(10), currency="USD"))
            kept = previews.Preview(
                user_id=user,
                preview_id=uuid4(),
                account_id=identity,
                connection_id=facts.account.connection_id,
                provider=facts.account.provider,
                order=order,
                fingerprint=orders.fingerprint(str(identity), order),
                shown={"figures": show.figures(facts, order, priced, None)},
                notional=notional or priced.notional,
                currency=order.currency,
                created_at=now,
                expires_at=now + previews.TTL,
            )
            await previews.insert(conn, kept)
        return str(kept.preview_id)

    async def post(self, preview_id, key="k-1", user="alice", **more):
        headers = {} if key is None else {"Idempotency-Key": key}
        body = {"preview_id": preview_id} | more
        return await self.api.request("POST", "/v1/trading/place", user, headers=headers, json=body)

    async def placed(self, order=AAPL, key="k-1", **more):
        return await self.post(await self.preview(order), key, **more)

    async def later(self, seconds, turns=1):
        """Time passes, and whoever watches looks."""
        self.clock.advance(seconds)
        return sum([await self.watch.turn() for _ in range(turns)])

    async def settle(self, seconds=600):
        """Long enough for everything that happens by itself."""
        passed, step = 0, 5
        while passed < seconds:
            self.clock.advance(step)
            await self.watch.turn()
            passed, step = passed + step, step + 5

    async def order(self, order_id, user="alice"):
        answer = await self.api.get(f"/v1/orders/{order_id}", user)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def intent(self, key="k-1", user="alice"):
        async with self.database.transaction(user) as conn:
            return await intents.by_key(conn, user, key)

    async def ordered_today(self, user="alice"):
        async with self.database.transaction(user) as conn:
            row = await (await conn.execute("SELECT sum(notional) FROM gateway.trading_days")).fetchone()
        return row[0] or Decimal(0)

    def restarted(self, broker=None):
        """Another process on the same database."""
        desk = dataclasses.replace(self.desk, placing=broker or self.broker)
        return dataclasses.replace(self, desk=desk, watch=Watch(desk))


@pytest.fixture
async def shop(api, clock, seed):
    connection = seed.connection()
    account = seed.account(connection, external_id="acc-1")
    broker, state = Broker(clock), api.service.app.state
    gateway = dataclasses.replace(state.gateway, market=MarketData(Reads(), clock))
    desk = Desk(gateway, broker, state.orders.desk.measures)
    state.gateway, state.orders = gateway, Counter(desk)
    made = Place(api, broker, desk, Watch(desk), account, clock, gateway.database)
    made.connection = connection
    yield made
    await state.orders.drain()


def error(answer, status):
    assert answer.status_code == status, answer.text
    return answer.json()["error"]


class TestPlacing:
    async def test_an_order_is_placed_and_its_history_is_whole(self, shop, written):
        answer = await shop.placed()
        assert answer.status_code == 201, answer.text
        shown = answer.json()
        assert (shown["state"], shown["broker_order_ids"]) == ("ACCEPTED", ["b-1"])
        assert answer.headers["Location"] == f"/v1/orders/{shown['order_id']}"
        (call,) = shop.broker.received
        assert call.client_order_id == shown["client_order_id"]
        assert (call.external_id, call.order) == ("acc-1", AAPL)
        story = await shop.order(shown["order_id"])
        assert [(one["from"], one["to"]) for one in story["history"]] == [
            (None, "CONFIRMED"),
            ("CONFIRMED", "SUBMITTING"),
            ("SUBMITTING", "ACCEPTED"),
        ]
        assert story["history"][-1]["provider_request_id"] == "req-1"
        actions = [action for _, action, object_id, _ in written.audit() if object_id == shown["order_id"]]
        assert actions == ["order.confirmed", "order.submitting", "order.accepted"]
        text = shop.api.metrics.render().decode()
        assert 'onefolio_orders_total{state="ACCEPTED"} 1.0' in text

    async def test_submitting_is_committed_with_its_baseline_before_the_broker_is_asked(
        self, shop, migrated_database
    ):
        seen = []

        async def script(call):
            with psycopg.connect(migrated_database.admin_url) as conn:
                seen.append(conn.execute("SELECT state, baseline FROM gateway.order_intents").fetchone())
            return Accepted(("x",))

        shop.broker.record((await self.call(shop)), broker_order_id="before")
        shop.broker.script = script
        await shop.placed()
        assert seen == [("SUBMITTING", ["before"])]

    async def call(self, shop):
        class Call:
            order, account_id = AAPL, shop.account

        return Call()

    async def test_a_missing_key_is_400_and_nothing_is_kept(self, shop):
        assert error(await shop.placed(key=None), 400)["code"] == "IDEMPOTENCY_KEY_MISSING"
        assert not shop.broker.received

    async def test_the_same_key_finds_the_same_answer(self, shop):
        preview = await shop.preview()
        first = await shop.post(preview)
        shop.clock.advance(3600)
        again = await shop.post(preview)
        assert (again.status_code, again.content) == (first.status_code, first.content)
        assert again.headers["Idempotency-Replayed"] == "true"
        assert "Idempotency-Replayed" not in first.headers
        assert len(shop.broker.received) == 1

    async def test_the_same_key_with_another_body_is_refused(self, shop):
        preview = await shop.preview()
        await shop.post(preview)
        assert (
            error(await shop.post(preview, confirm_duplicate=True), 422)["code"] == "IDEMPOTENCY_KEY_REUSED"
        )
        assert error(await shop.post(await shop.preview()), 422)["code"] == "IDEMPOTENCY_KEY_REUSED"
        assert len(shop.broker.received) == 1

    async def test_a_key_that_is_running_is_409_and_then_replayed(self, shop):
        gate = asyncio.Event()

        async def script(call):
            await gate.wait()
            return Accepted(("x",))

        shop.broker.script = script
        preview = await shop.preview()
        first = asyncio.create_task(shop.post(preview))
        await shop.broker.came.wait()
        running = await shop.post(preview)
        assert error(running, 409)["code"] == "REQUEST_IN_PROGRESS"
        assert running.headers["Retry-After"] == "1"
        gate.set()
        assert (await first).status_code == 201
        assert (await shop.post(preview)).headers["Idempotency-Replayed"] == "true"
        assert len(shop.broker.received) == 1

    async def test_fifty_clicks_with_one_key_are_one_call(self, shop):
        preview = await shop.preview()
        answers = await asyncio.gather(*(shop.post(preview) for _ in range(50)))
        assert {one.status_code for one in answers} <= {201, 409}
        assert (
            sum("Idempotency-Replayed" not in one.headers for one in answers if one.status_code == 201) == 1
        )
        assert len(shop.broker.received) == 1

    async def test_a_second_tab_is_a_suspected_duplicate_unless_it_is_confirmed(self, shop):
        one, other = await shop.preview(), await shop.preview()
        assert (await shop.post(one, "tab-1")).status_code == 201
        shop.clock.advance(2)
        assert error(await shop.post(other, "tab-2"), 409)["code"] == "DUPLICATE_SUSPECTED"
        assert len(shop.broker.received) == 1
        assert (await shop.post(other, "tab-2", confirm_duplicate=True)).status_code == 201
        assert len(shop.broker.received) == 2

    async def test_two_tabs_at_the_same_moment_place_one_order(self, shop):
        pages = [await shop.preview() for _ in range(4)]
        answers = await asyncio.gather(*(shop.post(one, f"tab-{n}") for n, one in enumerate(pages)))
        assert min(one.status_code for one in answers) == 201
        assert len(shop.broker.received) == 1

    async def test_one_order_a_second_and_account(self, shop):
        await shop.placed()
        msft = OrderRequest(**({f: getattr(AAPL, f) for f in AAPL.__struct_fields__} | {"symbol": "MSFT"}))
        refused = await shop.placed(msft, "k-2")
        assert error(refused, 429)["code"] == "ORDER_RATE_LIMITED"
        assert refused.headers["Retry-After"] == "1"
        shop.clock.advance(1)
        assert (await shop.placed(msft, "k-2")).status_code == 201

    async def test_a_preview_is_placed_once_though_the_keys_differ(self, shop):
        preview = await shop.preview()
        await shop.post(preview)
        shop.clock.advance(61)
        refused = error(await shop.post(preview, "k-2"), 409)
        assert (refused["code"], refused["details"]["reason"]) == ("PREVIEW_EXPIRED", "used")

    async def test_an_old_preview_is_refused(self, shop, written):
        preview = await shop.preview()
        shop.clock.advance(300)
        assert error(await shop.post(preview), 409)["code"] == "PREVIEW_EXPIRED"
        assert not shop.broker.received
        assert written.audit()[-1][1] == "order.not_let_through"

    async def test_a_preview_that_was_tampered_with_is_refused(self, shop, migrated_database):
        preview = await shop.preview()
        with psycopg.connect(migrated_database.admin_url) as conn:
            conn.execute(
                """UPDATE gateway.order_previews SET request = (jsonb_set(request::jsonb, '{quantity}', '"99"'))::json"""
            )
        assert error(await shop.post(preview), 409)["code"] == "PREVIEW_MISMATCH"
        assert not shop.broker.received

    async def test_a_strangers_preview_does_not_exist(self, shop):
        preview = await shop.preview()
        assert error(await shop.post(preview, user="mallory"), 404)["code"] == "NOT_FOUND"
        assert error(await shop.post("nothing"), 404)["code"] == "NOT_FOUND"

    async def test_a_strangers_order_does_not_exist(self, shop):
        shown = (await shop.placed()).json()
        for method, path in (("GET", ""), ("POST", "/cancel")):
            answer = await shop.api.request(method, f"/v1/orders/{shown['order_id']}{path}", "mallory")
            assert answer.status_code == 404
        assert (await shop.api.get("/v1/trading/orders", "mallory")).json()["items"] == []

    async def test_an_expired_token_places_nothing(self, shop):
        preview, headers = await shop.preview(), shop.api.headers("alice")
        shop.clock.advance(24 * 3600)
        body = {"preview_id": preview}
        answer = await shop.api.request("POST", "/v1/trading/place", None, headers=headers, json=body)
        assert answer.status_code == 401
        assert not shop.broker.received

    async def test_a_connection_that_broke_since_the_preview_is_refused(self, shop, migrated_database):
        preview = await shop.preview()
        with psycopg.connect(migrated_database.admin_url) as conn:
            conn.execute("UPDATE portfolio.connections SET status = 'broken'")
        assert error(await shop.post(preview), 409)["code"] == "CONNECTION_BROKEN"
        assert not shop.broker.received

    async def test_a_switch_thrown_while_the_baseline_is_taken_stops_the_order(self, shop):
        async def thrown():
            async with shop.database.transaction() as conn:
                await switches.turn(
                    conn, "global", enabled=False, reason="halt", by="admin:root", now=shop.clock.now()
                )

        shop.broker.at_listing = thrown
        refused = error(await shop.placed(), 409)
        assert (refused["code"], refused["details"]["sent"]) == ("TRADING_DISABLED", False)
        assert not shop.broker.received
        assert await shop.ordered_today() == 0

    async def test_without_a_baseline_nothing_is_sent_and_the_day_gets_its_money_back(self, shop):
        shop.broker.listing_fails = refusal(ErrorCode.PROVIDER_UNAVAILABLE)
        preview = await shop.preview()
        first = await shop.post(preview)
        assert error(first, 503)["code"] == "PROVIDER_UNAVAILABLE"
        assert not shop.broker.received
        assert await shop.ordered_today() == 0
        shop.broker.listing_fails = None
        again = await shop.post(preview)
        assert (again.status_code, again.content) == (503, first.content)
        assert not shop.broker.received

    async def test_the_list_of_orders_goes_on_page_by_page(self, shop):
        for number in range(3):
            shop.clock.advance(61)
            assert (await shop.placed(key=f"k-{number}")).status_code == 201
        first = (await shop.api.get("/v1/trading/orders?limit=2")).json()
        rest = (await shop.api.get(f"/v1/trading/orders?limit=2&cursor={first['next_cursor']}")).json()
        times = [one["created_at"] for one in first["items"] + rest["items"]]
        assert (len(times), times, rest["next_cursor"]) == (3, sorted(times, reverse=True), None)


class TestOutcomes:
    @pytest.mark.parametrize(
        ("outcome", "status", "code"),
        [
            (Refused(ErrorCode.ORDER_REJECTED, "no", "1068", "req"), 422, "ORDER_REJECTED"),
            (Unsent(ErrorCode.PROVIDER_UNAVAILABLE, "away"), 503, "PROVIDER_UNAVAILABLE"),
            (Unsent(ErrorCode.CONNECTION_BROKEN, "broken"), 409, "CONNECTION_BROKEN"),
        ],
    )
    async def test_what_surely_was_not_placed_is_rejected_and_given_back(self, shop, outcome, status, code):
        async def script(call):
            return outcome

        shop.broker.script = script
        preview = await shop.preview()
        first = await shop.post(preview)
        assert error(first, status)["code"] == code
        assert (await shop.intent()).state is State.REJECTED
        assert await shop.ordered_today() == 0
        assert (await shop.post(preview)).content == first.content
        await shop.settle()
        assert len(shop.broker.received) == 1

    @pytest.mark.parametrize("accepted", [True, False])
    @pytest.mark.parametrize("how", ["lost", "raises"])
    async def test_no_certain_answer_is_202_and_never_a_second_call(self, shop, accepted, how):
        async def script(call):
            if accepted:
                shop.broker.record(call)
            if how == "raises":
                raise OSError("reset")
            return Lost("timeout")

        shop.broker.script = script
        answer = await shop.placed()
        assert (answer.status_code, answer.json()["state"]) == (202, "UNKNOWN")
        assert await shop.ordered_today() == 100
        await shop.settle()
        assert (await shop.intent()).state is (State.ACCEPTED if accepted else State.NEEDS_USER)
        assert await shop.ordered_today() == 100
        assert len(shop.broker.received) == 1

    async def test_an_order_that_shows_late_is_found_late(self, shop):
        async def script(call):
            shop.broker.record(call)
            return Lost("timeout")

        shop.broker.script = script
        shop.broker.hide(100)
        shown = (await shop.placed()).json()
        await shop.later(5)
        await shop.later(10)
        await shop.later(45)
        assert (await shop.intent()).state is State.UNKNOWN
        assert (await shop.intent()).looks == 3
        await shop.later(240)
        story = await shop.order(shown["order_id"])
        assert (story["state"], story["broker_order_ids"]) == ("ACCEPTED", ["b-1"])

    async def test_two_that_could_be_it_wait_for_a_person(self, shop):
        async def script(call):
            shop.broker.record(call)
            shop.broker.record(call)
            return Lost("timeout")

        shop.broker.script = script
        await shop.placed()
        await shop.settle()
        found = await shop.intent()
        assert (found.state, found.broker_order_ids, found.next_look_at) == (State.NEEDS_USER, (), None)

    async def test_a_look_that_cannot_see_is_no_look(self, shop):
        async def script(call):
            shop.broker.record(call)
            return Lost("timeout")

        shop.broker.script = script
        await shop.placed()
        shop.broker.listing_fails = refusal(ErrorCode.PROVIDER_UNAVAILABLE)
        await shop.settle(1200)
        assert ((await shop.intent()).state, (await shop.intent()).looks) == (State.UNKNOWN, 0)
        shop.broker.listing_fails = None
        await shop.settle(60)
        assert (await shop.intent()).state is State.ACCEPTED

    async def test_while_one_is_verified_another_of_the_symbol_waits_unless_confirmed(self, shop):
        async def script(call):
            return Lost("timeout")

        shop.broker.script = script
        await shop.placed()
        shop.clock.advance(61)
        more = OrderRequest(
            **({f: getattr(AAPL, f) for f in AAPL.__struct_fields__} | {"quantity": Decimal(3)})
        )
        assert error(await shop.placed(more, "k-2"), 409)["code"] == "ORDER_BEING_VERIFIED"
        assert (await shop.placed(more, "k-2", confirm_unverified=True)).status_code == 202
        assert len(shop.broker.received) == 2

    async def test_two_alike_of_unknown_fate_never_claim_one_order(self, shop):
        calls = []

        async def script(call):
            calls.append(call)
            if len(calls) == 2:
                shop.broker.record(call)
            return Lost("timeout")

        shop.broker.script = script
        await shop.placed()
        shop.clock.advance(2)
        again = await shop.placed(key="k-2", confirm_duplicate=True, confirm_unverified=True)
        assert again.status_code == 202
        await shop.settle()
        assert [(await shop.intent(key)).state for key in ("k-1", "k-2")] == [State.NEEDS_USER] * 2

    async def test_an_answer_that_comes_after_all_is_believed(self, shop):
        gate = asyncio.Event()

        async def script(call):
            await gate.wait()
            return Accepted(("late",), "req-late")

        shop.broker.script = script
        first = asyncio.create_task(shop.placed())
        await shop.broker.came.wait()
        await shop.settle(180)
        assert (await shop.intent()).state is State.UNKNOWN
        assert (await shop.intent()).answer_status == 202
        gate.set()
        await first
        found = await shop.intent()
        assert (found.state, found.broker_order_ids, len(shop.broker.received)) == (
            State.ACCEPTED,
            ("late",),
            1,
        )

    async def test_a_late_refusal_rejects_nothing(self, shop):
        gate = asyncio.Event()

        async def script(call):
            await gate.wait()
            return Refused(ErrorCode.ORDER_REJECTED, "no")

        shop.broker.script = script
        first = asyncio.create_task(shop.placed())
        await shop.broker.came.wait()
        await shop.settle(180)
        gate.set()
        await first
        assert (await shop.intent()).state is State.UNKNOWN

    async def test_a_user_who_hangs_up_stops_nothing(self, shop):
        gate = asyncio.Event()

        async def script(call):
            await gate.wait()
            return Accepted(("x",))

        shop.broker.script = script
        first = asyncio.create_task(shop.placed())
        await shop.broker.came.wait()
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        gate.set()
        await shop.api.service.app.state.orders.drain()
        assert (await shop.intent()).state is State.ACCEPTED


class TestOperators:
    async def unknown(self, shop):
        async def script(call):
            return Lost("timeout")

        shop.broker.script = script
        shown = (await shop.placed()).json()
        await shop.settle()
        return shown["order_id"]

    async def ask(self, shop, method, path, **options):
        headers = shop.api.headers("root", admin=True)
        return await shop.api.request(
            method, f"/v1/admin/orders/unknown{path}", None, headers=headers, **options
        )

    async def test_an_operator_sees_what_waits_and_says_what_it_was(self, shop, written):
        order_id = await self.unknown(shop)
        (item,) = (await self.ask(shop, "GET", "")).json()["items"]
        assert (item["order_id"], item["user_id"], item["baseline"]) == (order_id, "alice", [])
        body = {"as": "accepted", "broker_order_id": "x-9", "reason": "seen on the broker's site"}
        answer = await self.ask(shop, "POST", f"/{order_id}/resolve", json=body)
        assert (answer.status_code, answer.json()["state"]) == (200, "ACCEPTED")
        assert (await self.ask(shop, "GET", "")).json()["items"] == []
        story = await shop.order(order_id)
        assert (story["history"][-1]["by"], story["history"][-1]["reason"]) == ("admin", body["reason"])
        assert ("alice", "order.accepted") in [row[:2] for row in written.audit()]

    async def test_an_operator_may_say_that_it_is_not_there(self, shop):
        order_id = await self.unknown(shop)
        body = {"as": "rejected", "reason": "not in the broker's records"}
        answer = await self.ask(shop, "POST", f"/{order_id}/resolve", json=body)
        assert answer.json()["state"] == "REJECTED"
        assert await shop.ordered_today() == 0
        again = await self.ask(shop, "POST", f"/{order_id}/resolve", json=body)
        assert error(again, 409)["code"] == "CONFLICT"

    async def test_an_order_of_another_intent_cannot_be_given_to_it(self, shop):
        await shop.placed(key="k-0")
        shop.clock.advance(61)
        order_id = await self.unknown(shop)
        body = {"as": "accepted", "broker_order_id": "b-1", "reason": "a guess"}
        assert (
            error(await self.ask(shop, "POST", f"/{order_id}/resolve", json=body), 409)["code"] == "CONFLICT"
        )

    async def test_only_admins_come_in(self, shop):
        order_id = await self.unknown(shop)
        assert (await shop.api.get("/v1/admin/orders/unknown")).status_code == 403
        body = {"as": "rejected", "reason": "mine"}
        answer = await shop.api.post(f"/v1/admin/orders/unknown/{order_id}/resolve", body)
        assert answer.status_code == 403

    @pytest.mark.parametrize(
        "body",
        [
            {"as": "accepted", "reason": "no id"},
            {"as": "rejected", "broker_order_id": "x", "reason": "an id"},
            {"as": "unknown", "reason": "?"},
            {"as": "rejected"},
        ],
    )
    async def test_half_a_verdict_is_none(self, shop, body):
        answer = await self.ask(shop, "POST", f"/{uuid4()}/resolve", json=body)
        assert answer.status_code == 422


class TestFollowing:
    async def test_an_order_is_followed_to_its_end_and_the_account_is_read_again(self, shop, written):
        shown = (await shop.placed()).json()
        shop.broker.now_is(0, status=OrderStatus.PARTIALLY_FILLED, filled_quantity=Decimal(4))
        await shop.later(5)
        assert (await shop.order(shown["order_id"]))["state"] == "PARTIALLY_FILLED"
        shop.broker.now_is(
            0, status=OrderStatus.FILLED, filled_quantity=Decimal(10), average_price=Decimal("9.9")
        )
        await shop.later(5)
        story = await shop.order(shown["order_id"])
        assert (story["state"], story["final"], story["filled_quantity"], story["average_price"]) == (
            "FILLED",
            True,
            "10",
            "9.9",
        )
        commands = [one for one in written.facts() if isinstance(one, SyncConnection)]
        assert [one.trigger for one in commands] == ["order", "order"]
        assert len({one.idempotency_id for one in commands}) == 2
        listings = shop.broker.listings
        await shop.settle(3600)
        assert shop.broker.listings == listings

    async def test_a_final_state_stays_whatever_the_broker_says_later(self, shop):
        shown = (await shop.placed()).json()
        shop.broker.now_is(0, status=OrderStatus.FILLED, filled_quantity=Decimal(10))
        await shop.later(5)
        found = await shop.intent()
        for event in Event:
            assert await settle(shop.desk, found, event, Why("test")) is None
        shop.broker.now_is(0, status=OrderStatus.CANCELED)
        await shop.settle(600)
        assert (await shop.order(shown["order_id"]))["state"] == "FILLED"

    async def test_a_broker_that_turns_it_down_gives_the_day_its_money_back(self, shop):
        await shop.placed()
        shop.broker.now_is(0, status=OrderStatus.REJECTED)
        await shop.later(5)
        assert (await shop.intent()).state is State.REJECTED
        assert await shop.ordered_today() == 0

    async def test_an_old_order_is_read_from_what_was_synchronised(self, shop, seed):
        shown = (await shop.placed()).json()
        await shop.later(5)
        shop.broker.book.clear()
        await shop.settle(60)
        listings = shop.broker.listings
        shop.clock.advance(25 * 3600)
        seed.insert(
            "orders", user_id="alice", account_id=shop.account, broker_order_id="b-1", version=1, status="expired",
            raw_status="EXPIRED", side="BUY", instrument_key="AAPL", instrument=Json({"symbol": "AAPL"}),
            order_type="LIMIT", time_in_force="DAY", placed_at=shop.clock.now() - timedelta(hours=25),
            updated_at=shop.clock.now(), first_seen_at=shop.clock.now(),
        )  # fmt: skip
        await shop.watch.turn()
        assert shop.broker.listings == listings
        assert (await shop.order(shown["order_id"]))["state"] == "EXPIRED"

    async def test_several_instances_look_at_an_order_once(self, shop):
        await shop.placed()
        shop.clock.advance(5)
        others = [shop.restarted() for _ in range(3)]
        before = shop.broker.listings
        looked = await asyncio.gather(shop.watch.turn(), *(one.watch.turn() for one in others))
        assert (sum(looked), shop.broker.listings - before) == (1, 1)


class TestCancelling:
    async def cancel(self, shop, order_id):
        return await shop.api.post(f"/v1/orders/{order_id}/cancel")

    async def test_a_wish_is_sent_once_and_shows_when_the_broker_did_it(self, shop):
        order_id = (await shop.placed()).json()["order_id"]
        answers = await asyncio.gather(*(self.cancel(shop, order_id) for _ in range(10)))
        assert {one.status_code for one in answers} == {202}
        assert [call.broker_order_id for call in shop.broker.cancels] == ["b-1"]
        shop.broker.now_is(0, status=OrderStatus.CANCELED)
        await shop.later(2)
        assert (await shop.order(order_id))["state"] == "CANCELLED"
        assert error(await self.cancel(shop, order_id), 409)["code"] == "ORDER_NOT_OPEN"

    async def test_a_fill_that_was_faster_wins(self, shop):
        order_id = (await shop.placed()).json()["order_id"]
        await self.cancel(shop, order_id)
        shop.broker.now_is(0, status=OrderStatus.FILLED, filled_quantity=Decimal(10))
        await shop.later(2)
        assert (await shop.order(order_id))["state"] == "FILLED"

    @pytest.mark.parametrize(
        ("outcome", "status", "left"),
        [
            (Refused(ErrorCode.ORDER_NOT_OPEN, "filled"), 409, False),
            (Unsent(ErrorCode.PROVIDER_UNAVAILABLE, "away"), 503, False),
            (Lost("timeout"), 202, True),
        ],
    )
    async def test_what_became_of_a_wish(self, shop, outcome, status, left):
        order_id = (await shop.placed()).json()["order_id"]

        async def script(call):
            return outcome

        shop.broker.script = script
        assert (await self.cancel(shop, order_id)).status_code == status
        assert ((await shop.order(order_id))["cancel_requested_at"] is not None) is left
        assert len(shop.broker.cancels) == 1

    async def test_an_order_that_is_being_verified_cannot_be_cancelled(self, shop):
        async def script(call):
            return Lost("timeout")

        shop.broker.script = script
        order_id = (await shop.placed()).json()["order_id"]
        assert error(await self.cancel(shop, order_id), 409)["code"] == "ORDER_BEING_VERIFIED"
        assert not shop.broker.cancels


class TestReplacing:
    async def replace(self, shop, order_id, key="r-1", **body):
        headers = {} if key is None else {"Idempotency-Key": key}
        return await shop.api.request("POST", f"/v1/orders/{order_id}/replace", headers=headers, json=body)

    async def opened(self, shop):
        order_id = (await shop.placed()).json()["order_id"]
        shop.clock.advance(2)
        return order_id

    async def test_a_new_order_takes_the_place_of_the_old_one(self, shop):
        order_id = await self.opened(shop)
        answer = await self.replace(shop, order_id, limit_price="10.5")
        assert answer.status_code == 201, answer.text
        new = answer.json()
        assert (new["limit_price"], new["replaces_order_id"]) == ("10.5", order_id)
        old = await shop.order(order_id)
        assert (old["state"], old["replaced_by_order_id"]) == ("REPLACED", new["order_id"])
        (call,) = shop.broker.replaced
        assert (call.broker_order_id, call.order.limit_price) == ("b-1", Decimal("10.5"))
        assert await shop.ordered_today() == 105
        again = await self.replace(shop, order_id, limit_price="10.5")
        assert again.headers["Idempotency-Replayed"] == "true"
        assert len(shop.broker.replaced) == 1
        text = shop.api.metrics.render().decode()
        assert 'onefolio_orders_total{state="REPLACED"} 1.0' in text

    async def test_an_unknown_replacement_is_found_by_what_is_new(self, shop):
        order_id = await self.opened(shop)

        async def script(call):
            shop.broker.record(call)
            return Lost("timeout")

        shop.broker.script = script
        answer = await self.replace(shop, order_id, limit_price="10.5")
        assert answer.status_code == 202
        await shop.settle(60)
        assert (await shop.order(answer.json()["order_id"]))["state"] == "ACCEPTED"
        assert (await shop.order(order_id))["state"] == "REPLACED"

    async def test_a_refused_replacement_leaves_the_old_order(self, shop):
        order_id = await self.opened(shop)

        async def script(call):
            return Refused(ErrorCode.ORDER_REJECTED, "no")

        shop.broker.script = script
        assert error(await self.replace(shop, order_id, limit_price="10.5"), 422)["code"] == "ORDER_REJECTED"
        assert (await shop.order(order_id))["state"] == "ACCEPTED"
        assert await shop.ordered_today() == 100

    @pytest.mark.parametrize(
        ("body", "status", "code"),
        [
            ({}, 422, "VALIDATION_FAILED"),
            ({"limit_price": "10"}, 422, "VALIDATION_FAILED"),
            ({"stop_price": "10"}, 422, "VALIDATION_FAILED"),
            ({"limit_price": "100"}, 422, "PRICE_OUT_OF_RANGE"),
            ({"quantity": "100000"}, 422, "ORDER_TOO_LARGE"),
        ],
    )
    async def test_a_replacement_is_guarded_like_an_order(self, shop, body, status, code):
        order_id = await self.opened(shop)
        assert error(await self.replace(shop, order_id, **body), status)["code"] == code
        assert not shop.broker.replaced

    async def test_a_key_is_needed(self, shop):
        order_id = await self.opened(shop)
        answer = await self.replace(shop, order_id, key=None, limit_price="10.5")
        assert error(answer, 400)["code"] == "IDEMPOTENCY_KEY_MISSING"


class TestLimits:
    async def test_orders_side_by_side_never_exceed_the_day(self, shop, seed, api):
        accounts = [seed.account(shop.connection, external_id=f"acc-{n}") for n in range(8)]
        limit = shop.desk.gateway.settings.trading_max_day_notional
        worth = limit / 5

        async def one(number, account):
            order = OrderRequest(
                **({f: getattr(AAPL, f) for f in AAPL.__struct_fields__} | {"quantity": worth / 10})
            )
            preview = await shop.preview(order, account=account)
            return await shop.post(preview, f"k-{number}")

        answers = await asyncio.gather(*(one(n, account) for n, account in enumerate(accounts)))
        codes = Tally(one.status_code for one in answers)
        assert codes == {201: 5, 422: 3}
        assert await shop.ordered_today() == limit
        assert len(shop.broker.received) == 5


class Killed:
    """Drives a coroutine and cancels it at its n-th wait, as a process that dies there would end it."""

    def __init__(self, coroutine, at):
        self.coroutine, self.at, self.waits = coroutine, at, 0

    def __await__(self):
        inner = self.coroutine.__await__()
        try:
            waited = next(inner)
            while True:
                self.waits += 1
                if self.waits == self.at:
                    waited = inner.throw(asyncio.CancelledError())
                else:
                    value = yield waited
                    waited = inner.send(value)
        except StopIteration as stop:
            return stop.value


class TestCrashes:
    """The process dies at every wait; another one comes up. Never two calls, never lost."""

    async def run(self, shop, at, key, script, order):
        shop.broker.script = script
        who = Decider("alice", "user:alice", "request", key)
        wanted = claim.wish(UUID(await shop.preview(order)), Confirmed(True, True), key)
        driver = Killed(place.place(shop.desk, who, wanted), at)
        try:
            await driver
        except asyncio.CancelledError:
            return True
        return False

    async def ended(self, shop, key, calls_before, *, accepts, order):
        intent, calls = await shop.intent(key), shop.broker.received[calls_before:]
        assert len(calls) <= 1
        if intent is None:
            assert not calls
            return
        if intent.state is State.ACCEPTED:
            assert (len(calls), accepts) == (1, True)
            assert set(intent.broker_order_ids) <= {one.broker_order_id for one in shop.broker.book}
        elif intent.state is State.REJECTED:
            assert not calls
        else:
            assert intent.state is State.NEEDS_USER
            assert intent.submitted_at is not None
            assert not (calls and accepts)

    @pytest.mark.parametrize("accepts", [True, False])
    async def test_a_crash_at_any_wait_never_doubles_and_never_loses(self, shop, accepts):
        async def script(call):
            if accepts:
                shop.broker.record(call)
            await asyncio.sleep(0)
            return Lost("timeout")

        crashed, at, checked = True, 0, 0
        while crashed:
            at += 1
            order = OrderRequest(
                **({f: getattr(AAPL, f) for f in AAPL.__struct_fields__} | {"symbol": f"S{at}"})
            )
            key, before = f"k-{at}", len(shop.broker.received)
            crashed = await self.run(shop, at, key, script, order)
            shop.clock.advance(2)
            for seconds in (121, 6, 11, 46, 241):
                await shop.later(seconds)
            await self.ended(shop, key, before, accepts=accepts, order=order)
            checked += 1
        assert checked > 20
        assert shop.broker.most_per_intent == 1
        outcomes = Tally(one.state for one in await self.everything(shop))
        assert outcomes[State.REJECTED] > 0
        assert outcomes[State.ACCEPTED if accepts else State.NEEDS_USER] > 0

    async def everything(self, shop):
        async with shop.database.transaction("alice") as conn:
            return await intents.page(conn, "alice", account_id=None, after=None, limit=10_000)

    async def test_a_crash_at_any_wait_of_a_look_leaves_it_to_the_next(self, shop):
        async def script(call):
            shop.broker.record(call)
            return Lost("timeout")

        shop.broker.script = script
        crashed, at = True, 0
        while crashed:
            at += 1
            order = OrderRequest(
                **({f: getattr(AAPL, f) for f in AAPL.__struct_fields__} | {"symbol": f"S{at}"})
            )
            shop.clock.advance(2)
            await shop.placed(order, f"k-{at}")
            found = await shop.intent(f"k-{at}")
            try:
                await Killed(reconcile.look(shop.desk, found), at)
                crashed = False
            except asyncio.CancelledError:
                await shop.later(6)
            # What is found is believed when it is found twice.
            await shop.later(61)
            await shop.later(61)
            ended = await shop.intent(f"k-{at}")
            assert (ended.state, len(ended.broker_order_ids)) == (State.ACCEPTED, 1)
        assert at > 10
        assert len(shop.broker.received) == at

    async def test_a_row_left_by_a_dead_process_is_never_sent_again(self, shop):
        class Dead(BaseException):
            pass

        async def script(call):
            shop.broker.record(call)
            raise Dead

        shop.broker.script = script
        who = Decider("alice", "user:alice", "request", "k-1")
        preview = await shop.preview()
        with pytest.raises(Dead):
            await place.place(shop.desk, who, claim.wish(UUID(preview), Confirmed(), "k-1"))
        assert (await shop.intent()).state is State.SUBMITTING
        assert error(await shop.post(preview), 409)["code"] == "REQUEST_IN_PROGRESS"
        fresh = shop.restarted()
        await fresh.later(119)
        assert (await shop.intent()).state is State.SUBMITTING
        await fresh.later(1)
        assert (await shop.intent()).state is State.UNKNOWN
        assert (await shop.post(preview)).status_code == 202
        await fresh.later(5)
        await fresh.later(10)
        assert (await shop.intent()).state is State.ACCEPTED
        assert len(shop.broker.received) == 1

    async def test_a_process_that_slept_after_committing_sends_nothing(self, shop, monkeypatch):
        moved = settle

        async def sleepy(*args, **options):
            found = await moved(*args, **options)
            shop.clock.advance(61)
            return found

        monkeypatch.setattr(place.settle, "settle", sleepy)
        answer = await shop.placed()
        assert error(answer, 409)["code"] == "REQUEST_IN_PROGRESS"
        assert not shop.broker.received

    async def test_a_submission_that_cannot_be_committed_is_not_sent(self, shop, monkeypatch):
        real, broken = place.settle.settle, []

        async def away(desk, intent, event, *rest):
            if event is Event.SUBMIT and not broken:
                broken.append(event)
                raise DatabaseUnavailable("gone")
            return await real(desk, intent, event, *rest)

        monkeypatch.setattr(place.settle, "settle", away)
        refused = error(await shop.placed(), 503)
        assert (refused["code"], refused["details"]["sent"]) == ("UNAVAILABLE", False)
        assert not shop.broker.received
        assert await shop.ordered_today() == 0

    async def test_an_answer_is_written_down_when_the_database_comes_back(self, shop, monkeypatch):
        real, failures = place.settle.settle, []

        async def away(desk, intent, event, *rest):
            if event is Event.ACCEPT and len(failures) < 3:
                failures.append(event)
                raise DatabaseUnavailable("gone")
            return await real(desk, intent, event, *rest)

        monkeypatch.setattr(place.settle, "settle", away)
        monkeypatch.setattr(place, "KEEP_TRYING", (0, 0, 0, 0))
        assert (await shop.placed()).status_code == 201
        assert len(shop.broker.received) == 1

    async def test_every_order_ends_or_waits_for_a_person(self, shop):
        outcomes = [Accepted(("x",)), Refused(ErrorCode.ORDER_REJECTED, "no"), Lost("?")]
        for number, outcome in enumerate(outcomes):

            async def script(call, outcome=outcome):
                return outcome

            shop.broker.script = script
            shop.clock.advance(2)
            await shop.placed(key=f"k-{number}", confirm_duplicate=True, confirm_unverified=True)
        await shop.settle(900)
        states = {one.state for one in await self.everything(shop)}
        assert states <= FINAL | {State.ACCEPTED, State.NEEDS_USER}

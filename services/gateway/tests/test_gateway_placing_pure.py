"""What orders may become, which of a broker's orders is ours, and what answers mean: the parts without any I/O."""

import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from uuid import UUID, uuid4

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.errors import MEANING, ErrorCode
from contracts.instruments import Instrument, InstrumentKind
from contracts.orders import Order, OrderStatus
from contracts.trading import OrderLeg, OrderRequest, OrderType, Placed, Side, TimeInForce
from gateway.clients.placing import Accepted, Lost, Refused, Unsent, judged
from gateway.trading import follow
from gateway.trading.follow import Leg, news, pause
from gateway.trading.intents import Intent, client_order_id, stems
from gateway.trading.matching import Certainty, match
from gateway.trading.states import FINAL, MOVES, OPEN, UNDER_WAY, UNVERIFIED, Event, State, after
from gateway.trading.story import answered, plain

NOW = datetime(2026, 11, 21, 14, 30, tzinfo=UTC)
LIMIT = OrderRequest(
    symbol="AAPL",
    side=Side.BUY,
    order_type=OrderType.LIMIT,
    time_in_force=TimeInForce.DAY,
    quantity=Decimal(10),
    limit_price=Decimal("230.5"),
)
ACCOUNT = UUID(int=1)


def intent(state: State = State.UNKNOWN, order: OrderRequest = LIMIT, **changes) -> Intent:
    values = {
        "user_id": "alice",
        "intent_id": uuid4(),
        "preview_id": uuid4(),
        "account_id": ACCOUNT,
        "external_id": "ext",
        "connection_id": UUID(int=2),
        "provider": "snaptrade",
        "order": order,
        "fingerprint": "f",
        "asked": "a",
        "notional": Decimal(2305),
        "currency": "USD",
        "day": NOW.date(),
        "client_order_id": uuid4(),
        "key": "k",
        "state": state,
        "created_at": NOW,
        "updated_at": NOW,
        "submitted_at": NOW,
        "baseline": ("old",),
    }
    return Intent(**(values | changes))


def at_broker(order_id: str = "new", **changes) -> Order:
    values = {
        "account_id": str(ACCOUNT),
        "broker_order_id": order_id,
        "status": OrderStatus.ACCEPTED,
        "raw_status": "ACCEPTED",
        "side": "BUY",
        "instrument": Instrument(key=changes.pop("symbol", "AAPL"), kind=InstrumentKind.STOCK),
        "order_type": "LIMIT",
        "time_in_force": "DAY",
        "quantity": Decimal(10),
        "limit_price": Decimal("230.50"),
        "placed_at": NOW + timedelta(seconds=1),
    }
    return Order(**(values | changes))


class TestStates:
    @given(st.sampled_from(State), st.lists(st.sampled_from(Event), max_size=30))
    def test_no_sequence_of_events_leaves_a_final_state(self, state, events):
        for event in events:
            if state in FINAL:
                assert after(state, event) is None
            state = after(state, event) or state

    @given(st.lists(st.sampled_from([one for one in Event if one is not Event.CONFIRM_ABSENT]), max_size=40))
    def test_an_unknown_order_never_becomes_rejected_unless_a_person_or_the_brokers_record_says_so(
        self, events
    ):
        state, held_by_broker = State.UNKNOWN, False
        for event in events:
            state = after(state, event) or state
            held_by_broker = held_by_broker or state is State.ACCEPTED
            assert state is not State.REJECTED or held_by_broker

    def test_only_a_person_rejects_what_is_unverified(self):
        to_rejected = {
            event for (state, event), to in MOVES.items() if state in UNVERIFIED and to is State.REJECTED
        }
        assert to_rejected == {Event.CONFIRM_ABSENT}

    def test_nothing_leads_back_to_a_state_in_which_an_order_could_be_sent(self):
        assert {key for key, to in MOVES.items() if to in UNDER_WAY} == {(State.CONFIRMED, Event.SUBMIT)}

    def test_every_state_is_of_one_kind(self):
        kinds = [UNDER_WAY, UNVERIFIED, OPEN, FINAL]
        assert all(sum(state in kind for kind in kinds) == 1 for state in State)

    def test_every_state_that_is_not_final_has_a_way_on(self):
        assert {state for state, _ in MOVES} == set(State) - FINAL


class TestMatching:
    def test_the_one_new_order_that_is_like_it_is_found(self):
        look = match(intent(), [at_broker("old"), at_broker()], [])
        assert (look.certainty, look.broker_order_ids) == (Certainty.FOUND, ("new",))

    @pytest.mark.parametrize(
        "changes",
        [
            {"symbol": "MSFT"},
            {"side": "SELL"},
            {"order_type": "MARKET"},
            {"order_type": "STOP_LIMIT"},
            {"quantity": Decimal(11)},
            {"quantity": None},
            {"limit_price": Decimal(231)},
            {"limit_price": None},
            {"placed_at": NOW - timedelta(seconds=61)},
        ],
    )
    def test_what_differs_in_anything_is_not_it(self, changes):
        assert match(intent(), [at_broker(**changes)], []).certainty is Certainty.NOTHING

    def test_the_brokers_clock_may_be_a_minute_behind(self):
        found = match(intent(), [at_broker(placed_at=NOW - timedelta(seconds=59))], [])
        assert found.certainty is Certainty.FOUND

    def test_two_that_are_like_it_are_no_certainty(self):
        look = match(intent(), [at_broker("a"), at_broker("b")], [])
        assert (look.certainty, look.broker_order_ids, look.candidates) == (Certainty.SEVERAL, (), 2)

    def test_an_order_without_a_time_is_no_certainty(self):
        assert match(intent(), [at_broker(placed_at=None)], []).certainty is Certainty.SEVERAL

    def test_an_order_of_another_intent_is_not_it(self):
        other = intent(State.FILLED, broker_order_ids=("new",))
        assert match(intent(), [at_broker()], [other]).certainty is Certainty.NOTHING

    @pytest.mark.parametrize("state", [State.SUBMITTING, State.UNKNOWN, State.NEEDS_USER])
    def test_what_another_of_unknown_fate_could_own_is_nobodys_for_certain(self, state):
        assert match(intent(), [at_broker()], [intent(state)]).certainty is Certainty.SEVERAL

    def test_another_that_looks_different_is_no_rival(self):
        other = intent(order=msgspec.structs.replace(LIMIT, quantity=Decimal(3)))
        assert match(intent(), [at_broker()], [other]).certainty is Certainty.FOUND

    def test_another_that_was_never_submitted_is_no_rival(self):
        other = intent(State.CONFIRMED, submitted_at=None)
        assert match(intent(), [at_broker()], [other]).certainty is Certainty.FOUND

    def test_legs_of_one_order_are_found_together(self):
        legs = [
            OrderLeg(symbol="AAPL270115C00260000", side=Side.BUY_TO_OPEN, quantity=Decimal(1)),
            OrderLeg(symbol="AAPL270115C00270000", side=Side.SELL_TO_OPEN, quantity=Decimal(1)),
        ]
        spread = msgspec.structs.replace(
            LIMIT, symbol=legs[0].symbol, side=legs[0].side, legs=legs, price_effect="DEBIT"
        )
        records = [
            at_broker(f"new#{leg.symbol}", symbol=leg.symbol, side=leg.side.value, quantity=Decimal(1))
            for leg in legs
        ]
        found = match(intent(order=spread), records, [])
        assert (found.certainty, found.broker_order_ids) == (Certainty.FOUND, ("new",))
        assert match(intent(order=spread), records[:1], []).certainty is Certainty.NOTHING

    def test_an_order_changed_in_place_keeps_its_id_and_its_time(self):
        old = intent(State.ACCEPTED, broker_order_ids=("old",), submitted_at=NOW - timedelta(hours=1))
        new = intent(replaces_broker_order_id="old", replaces_intent_id=old.intent_id)
        changed = at_broker("old", placed_at=NOW - timedelta(hours=1))
        assert match(new, [changed], [old]).broker_order_ids == ("old",)
        unchanged = at_broker("old", limit_price=Decimal(200))
        assert match(new, [unchanged], [old]).certainty is Certainty.NOTHING

    @given(
        st.lists(
            st.builds(
                at_broker,
                st.sampled_from(["old", "a", "b", "c"]),
                side=st.sampled_from(["BUY", "SELL"]),
                quantity=st.sampled_from([Decimal(10), Decimal(5)]),
                placed_at=st.sampled_from([None, NOW, NOW - timedelta(hours=2)]),
            ),
            max_size=6,
            unique_by=lambda one: one.broker_order_id,
        ),
        st.lists(st.sampled_from(["a", "b"]), max_size=2, unique=True),
        st.randoms(use_true_random=False),
    )
    def test_what_is_found_is_new_and_free_and_like_it_in_whatever_order_it_is_listed(
        self, listed, claimed, random
    ):
        others = [intent(State.ACCEPTED, broker_order_ids=(one,)) for one in claimed]
        mine = intent()
        look = match(mine, listed, others)
        shuffled = random.sample(listed, len(listed))
        assert match(mine, shuffled, others) == look
        if look.certainty is Certainty.FOUND:
            (order_id,) = look.broker_order_ids
            (found,) = [one for one in listed if one.broker_order_id == order_id]
            assert order_id != "old"
            assert order_id not in claimed
            assert (found.side, found.quantity, found.placed_at) == ("BUY", Decimal(10), NOW)


class TestFollowing:
    def legs(self, *statuses, filled="0", price=None):
        return [
            Leg(f"x#{n}", OrderStatus(status), Decimal(filled), price) for n, status in enumerate(statuses)
        ]

    @pytest.mark.parametrize(
        ("statuses", "filled", "event"),
        [
            (["pending"], "0", None),
            (["accepted"], "0", None),
            (["other"], "0", None),
            (["cancel_pending"], "0", None),
            (["accepted"], "3", Event.FILL_PARTLY),
            (["partially_filled"], "3", Event.FILL_PARTLY),
            (["filled"], "10", Event.FILL),
            (["canceled"], "0", Event.CANCEL),
            (["canceled"], "3", Event.CANCEL),
            (["expired"], "0", Event.EXPIRE),
            (["replaced"], "0", Event.REPLACE),
            (["rejected"], "0", Event.TURN_DOWN),
            (["rejected"], "3", Event.CANCEL),
            (["filled", "filled"], "1", Event.FILL),
            (["filled", "accepted"], "1", Event.FILL_PARTLY),
            (["filled", "canceled"], "1", Event.CANCEL),
        ],
    )
    def test_what_a_brokers_record_means(self, statuses, filled, event):
        found = news(intent(State.ACCEPTED), self.legs(*statuses, filled=filled))
        assert (found.event if found else None) is event

    def test_no_record_is_no_news(self):
        assert news(intent(State.ACCEPTED), []) is None

    def test_the_same_part_is_news_once(self):
        known = intent(State.PARTIALLY_FILLED, filled_quantity=Decimal(3))
        assert news(known, self.legs("partially_filled", filled="3")) is None
        more = news(known, self.legs("partially_filled", filled="4", price=Decimal(230)))
        assert (more.filled_quantity, more.average_price) == (Decimal(4), Decimal(230))

    @given(st.lists(st.sampled_from(OrderStatus), max_size=3), st.sampled_from(["0", "1"]))
    def test_whatever_a_broker_reports_can_happen_to_an_accepted_order(self, statuses, filled):
        found = news(intent(State.ACCEPTED), self.legs(*statuses, filled=filled))
        assert found is None or after(State.ACCEPTED, found.event) is not None

    def test_orders_are_looked_at_less_and_less_often(self):
        waits = [pause(intent(State.ACCEPTED, looks=looks), NOW) for looks in range(9)]
        assert waits == sorted(waits)
        assert pause(intent(State.ACCEPTED), NOW + timedelta(days=1)) == follow.SELDOM


def error_body(code: str, **details) -> bytes:
    return json.dumps({"error": {"code": code, "message": "words", "details": details}}).encode()


class TestAnswers:
    def test_a_readable_answer_with_an_order_is_a_placement(self):
        body = msgspec.json.encode(Placed(broker_order_ids=["x"], orders=[], provider_request_id="r"))
        assert judged(200, body) == Accepted(("x",), "r")

    @pytest.mark.parametrize(
        ("status", "body"),
        [
            (200, b"{"),
            (200, b"{}"),
            (200, b'{"broker_order_ids": [], "orders": []}'),
            (200, b'{"broker_order_ids": [""], "orders": []}'),
            (302, b""),
            (400, b"request timed out"),
            (400, error_body("SOMETHING_NEW")),
            (408, error_body("REQUEST_TIMEOUT")),
            (409, error_body("CONFLICT")),
            (429, error_body("RATE_LIMITED")),
            (500, error_body("INTERNAL")),
            (502, error_body("ORDER_OUTCOME_UNKNOWN")),
            (502, error_body("ORDER_REJECTED")),
            (503, error_body("UNAVAILABLE")),
            (503, error_body("PROVIDER_UNAVAILABLE", sent="no")),
            (504, error_body("TIMEOUT")),
            (500, b"\xff\xfe"),
            (422, b"[]"),
        ],
    )
    def test_whatever_leaves_a_doubt_is_lost(self, status, body):
        assert isinstance(judged(status, body), Lost)

    @pytest.mark.parametrize("code", sorted(ErrorCode))
    def test_a_word_that_nothing_was_sent_is_taken_with_every_known_code(self, code):
        assert judged(MEANING[code].status, error_body(code, sent=False)) == Unsent(code, "words")

    def test_a_clear_refusal_is_one(self):
        body = error_body("ORDER_REJECTED", provider_code="1068", provider_request_id="r")
        assert judged(422, body) == Refused(ErrorCode.ORDER_REJECTED, "words", "1068", "r")

    @pytest.mark.parametrize("code", ["UNAUTHENTICATED", "NOT_FOUND", "CONNECTION_BROKEN", "CONNECTION_GONE"])
    def test_what_the_connector_turned_away_was_not_sent(self, code):
        assert isinstance(judged(MEANING[ErrorCode(code)].status, error_body(code)), Unsent)

    @given(st.integers(500, 599), st.sampled_from(ErrorCode))
    def test_no_failure_of_a_server_alone_is_ever_a_refusal(self, status, code):
        assert isinstance(judged(status, error_body(code)), Lost)

    @given(st.integers(100, 599), st.binary(max_size=40))
    def test_garbage_is_lost(self, status, body):
        assert isinstance(judged(status, body), Lost)

    def test_a_cancel_needs_no_ids(self):
        assert judged(200, b"{}", cancel=True) == Accepted()


class TestStory:
    @pytest.mark.parametrize(
        ("state", "status"), [(State.ACCEPTED, 201), (State.UNKNOWN, 202), (State.NEEDS_USER, 202)]
    )
    def test_an_order_at_the_broker_is_created_and_one_of_unknown_fate_is_not_yet(self, state, status):
        assert answered(intent(state), "req")[0] == status

    def test_a_rejection_has_the_status_of_its_code(self):
        status, body = answered(
            intent(State.REJECTED, error_code="PROVIDER_UNAVAILABLE", error="away"), "req", {"sent": False}
        )
        assert (status, body["error"]["code"], body["error"]["details"]["sent"]) == (
            503,
            "PROVIDER_UNAVAILABLE",
            False,
        )

    def test_numbers_have_no_exponent(self):
        assert [plain(Decimal(text)) for text in ("1E+3", "0.10", "0E-9", "1E-8")] == [
            "1000",
            "0.1",
            "0",
            "0.00000001",
        ]

    def test_the_providers_id_of_an_intent_is_always_the_same(self):
        one = uuid4()
        assert client_order_id(one) == client_order_id(one) != client_order_id(uuid4())

    def test_ids_of_legs_are_the_orders(self):
        assert stems(["x#AAPL", "x#MSFT", "y"]) == ("x", "y")

    def test_an_order_with_a_day_shows_it(self):
        dated = msgspec.structs.replace(LIMIT, time_in_force=TimeInForce.GTD, expires_on=date(2026, 12, 1))
        assert answered(intent(State.ACCEPTED, order=dated), "r")[1]["expires_on"] == "2026-12-01"

"""The guard and the ledger's moves: pure, so any history may be thrown at them."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.messages import RefreshOutcome
from gateway.guards.budget import Exhausted, Limits, Spent, exhausted, next_day
from gateway.guards.prices import SHORTEST_GAP, PriceList, Subscription, Terms
from gateway.guards.prices import Basis as PerWhat
from gateway.guards.refresh import Granted, Past, Reason, Refused, decide
from gateway.guards.settle import FINAL, ChargeState, settled
from gateway.ledger.forecast import Refreshes, ahead, forecast
from gateway.ledger.subscriptions import Billed, counts, due

NOW = datetime(2026, 11, 21, 14, 30, tzinfo=UTC)
SNAPTRADE = Terms(price=Decimal("0.05"), every=timedelta(minutes=5))
PLAID = Terms(price=Decimal("0.10"), every=timedelta(hours=24), estimated=True, override=True)
FREE = Terms(price=None, every=timedelta(minutes=5))
NO_LIMITS = Limits(None, None)
ago = st.none() | st.timedeltas(timedelta(0), timedelta(days=3)).map(lambda since: NOW - since)
pasts = st.builds(Past, paid_at=ago, tried_at=ago, read_at=ago)
amounts = st.decimals(0, 5, places=2)
terms = st.sampled_from([SNAPTRADE, PLAID, FREE])
limits = st.builds(Limits, user=st.none() | amounts, everybody=st.none() | amounts)
spendings = st.builds(Spent, user=amounts, everybody=amounts)


@given(terms, pasts, spendings, limits, st.booleans())
def test_nothing_is_granted_within_a_minute_or_beyond_a_budget(terms, past, spent, limits, confirmed):
    verdict = decide(terms, past, spent, limits, NOW, confirmed=confirmed)
    if isinstance(verdict, Refused):
        return
    earlier = [one for one in (past.paid_at, past.tried_at, past.read_at) if one is not None]
    assert all(NOW - one >= SHORTEST_GAP for one in earlier)
    if verdict.price:
        assert limits.user is None or spent.user + verdict.price <= limits.user
        assert limits.everybody is None or spent.everybody + verdict.price <= limits.everybody


@given(terms, pasts, spendings, limits, st.booleans())
def test_a_refused_request_passes_at_the_time_it_was_told_if_nothing_happens(
    terms, past, spent, limits, confirmed
):
    verdict = decide(terms, past, spent, limits, NOW, confirmed=confirmed)
    if not isinstance(verdict, Refused):
        return
    assert NOW < verdict.retry_at <= verdict.next_refresh_at
    price = terms.price or Decimal(0)
    unspent = Spent() if next_day(NOW) <= verdict.retry_at else spent
    later = decide(terms, past, unspent, limits, verdict.retry_at, confirmed=confirmed)
    if exhausted(price, unspent, limits) is None and terms.every <= timedelta(days=1):
        waited_for_tomorrow = verdict.reason in {Reason.USER_BUDGET, Reason.GLOBAL_BUDGET}
        assert isinstance(later, Granted) or waited_for_tomorrow


@given(pasts, spendings, limits)
def test_an_override_is_offered_only_where_it_helps(past, spent, limits):
    for one in (SNAPTRADE, PLAID, FREE):
        verdict = decide(one, past, Spent(), NO_LIMITS, NOW, confirmed=False)
        if isinstance(verdict, Refused) and verdict.override:
            assert one.override
        confirmed = decide(one, past, spent, limits, NOW, confirmed=True)
        assert not (isinstance(confirmed, Refused) and confirmed.override)


@given(terms, pasts, spendings, limits)
def test_confirming_never_makes_it_worse(terms, past, spent, limits):
    if isinstance(decide(terms, past, spent, limits, NOW, confirmed=False), Granted):
        assert isinstance(decide(terms, past, spent, limits, NOW, confirmed=True), Granted)


@pytest.mark.parametrize(
    ("terms", "since", "confirmed", "expected"),
    [
        (PLAID, timedelta(hours=24), False, None),
        (PLAID, timedelta(hours=24) - timedelta(microseconds=1), False, Reason.TOO_SOON),
        (PLAID, timedelta(seconds=60), True, None),
        (PLAID, timedelta(seconds=59), True, Reason.JUST_REFRESHED),
        (PLAID, timedelta(seconds=1), False, Reason.TOO_SOON),
        (SNAPTRADE, timedelta(minutes=5), False, None),
        (SNAPTRADE, timedelta(minutes=4, seconds=59), True, Reason.TOO_SOON),
        (PLAID, timedelta(seconds=-5), True, Reason.JUST_REFRESHED),
    ],
)
def test_intervals_have_exact_boundaries(terms, since, confirmed, expected):
    past = Past(paid_at=NOW - since, tried_at=NOW - since)
    verdict = decide(terms, past, Spent(), NO_LIMITS, NOW, confirmed=confirmed)
    assert getattr(verdict, "reason", None) is expected


def test_what_the_provider_did_not_take_holds_nobody_up_for_longer_than_a_minute():
    past = Past(paid_at=None, tried_at=NOW - timedelta(seconds=59))
    assert decide(PLAID, past, Spent(), NO_LIMITS, NOW, confirmed=False).reason is Reason.JUST_REFRESHED
    past = Past(paid_at=None, tried_at=NOW - timedelta(seconds=60))
    assert isinstance(decide(PLAID, past, Spent(), NO_LIMITS, NOW, confirmed=False), Granted)


def test_a_budget_may_be_spent_to_the_last_cent():
    price = Decimal("0.05")
    limits = Limits(user=Decimal("1.00"), everybody=Decimal("25.00"))
    assert exhausted(price, Spent(Decimal("0.95"), Decimal("24.95")), limits) is None
    assert exhausted(price, Spent(Decimal("0.96"), Decimal("0.96")), limits) is Exhausted.USER
    assert exhausted(price, Spent(Decimal(0), Decimal("24.96")), limits) is Exhausted.EVERYBODY
    assert exhausted(Decimal(0), Spent(Decimal(99), Decimal(99)), limits) is None


def test_a_budget_begins_again_at_midnight_utc_wherever_the_clock_stands():
    assert next_day(datetime(2026, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)) == datetime(
        2027, 1, 1, tzinfo=UTC
    )
    tokyo = datetime.fromisoformat("2026-11-22T08:00:00+09:00")
    assert next_day(tokyo) == datetime(2026, 11, 22, tzinfo=UTC)


def test_where_the_provider_reads_at_every_call_nothing_is_bought():
    prices = PriceList({"snaptrade": SNAPTRADE})
    assert prices.terms("snaptrade", realtime=False) is SNAPTRADE
    assert prices.terms("snaptrade", realtime=True).price is None
    assert prices.terms("snaptrade", realtime=False, unsupported=True).price is None
    assert prices.terms("acme", realtime=False).price is None


def _heard(words):
    state, moves = ChargeState.RESERVED, []
    for word in words:
        if (to := settled(state, word)) is not None:
            moves.append((state, to))
            state = to
    return state, moves


@given(st.lists(st.sampled_from(RefreshOutcome), max_size=8))
def test_words_in_any_order_move_the_days_spend_once(words):
    state, moves = _heard(words)
    assert sum(to in FINAL for _, to in moves) == (state in FINAL)
    final = [word for word in words if word is not RefreshOutcome.UNKNOWN]
    assert (state in FINAL) == bool(final)


@pytest.mark.parametrize("final", [RefreshOutcome.ACCEPTED, RefreshOutcome.REFUSED])
def test_the_end_is_the_same_in_every_order(final):
    words = [RefreshOutcome.UNKNOWN, RefreshOutcome.UNKNOWN, final, final]
    assert len({_heard(order)[0] for order in permutations(words)}) == 1


def test_a_month_is_charged_once_per_user_or_item():
    prices = PriceList(
        subscriptions={
            "snaptrade": Subscription(Decimal("2.00"), PerWhat.USER),
            "plaid": Subscription(Decimal("0.35"), PerWhat.CONNECTION, estimated=True),
        }
    )
    ids = [f"0f8b5f0e-5b1d-5d6e-9a53-0c6f0c1f7a0{digit}" for digit in range(4)]
    found = [
        Billed("snaptrade", "alice", ids[0]),
        Billed("snaptrade", "alice", ids[1]),
        Billed("plaid", "alice", ids[2]),
        Billed("plaid", "bob", ids[3]),
        Billed("acme", "bob", ids[0]),
    ]
    charges = due(found, prices, NOW)
    assert sorted(charge.amount for charge in charges.values()) == [Decimal("0.35")] * 2 + [Decimal("2.00")]
    assert due(reversed(found), prices, NOW + timedelta(days=9)).keys() == charges.keys()
    assert due(found, prices, NOW + timedelta(days=10)).keys().isdisjoint(charges)
    assert counts(found, prices) == {"snaptrade": 1, "plaid": 2}


def test_the_forecast_is_the_sum_of_its_parts():
    prices = PriceList(
        refreshes={"snaptrade": SNAPTRADE},
        subscriptions={"snaptrade": Subscription(Decimal("2.00"), PerWhat.USER)},
    )
    halfway = datetime(2026, 11, 16, tzinfo=UTC)
    spent = {"snaptrade": Refreshes(charged=Decimal("1.40"), open=Decimal("0.10"))}
    made = forecast(spent, {"snaptrade": 3}, prices, halfway)
    assert made["refreshes"][0]["run_rate_rest_of_month"] == "1.50"
    assert made["subscriptions"][0]["forecast"] == "6.00"
    assert made["total"] == "9.00"


moments = st.timedeltas(timedelta(0), timedelta(days=2000)).map(lambda since: NOW + since)


@given(moments, amounts)
def test_the_rest_of_a_month_never_costs_less_than_nothing_nor_a_month_of_such_days(moment, spent):
    assert 0 <= ahead(spent, moment) <= spent * 31

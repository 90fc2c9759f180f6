"""What a run must fetch, decided from what the provider says and what was noted."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from connector_kit import due
from connector_kit.due import CLOCK_SLACK, history_due, holdings_due, holdings_mark, nothing_moved, orders_due
from connector_kit.streams import NOT_SUPPORTED, WHOLE, Note, Stream
from contracts.accounts import AccountStatus, AccountType, Capabilities, ProviderAccount
from contracts.linking import ConnectionState
from contracts.money import Money
from contracts.statuses import ConnectionStatus

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
FULL = timedelta(days=1)
ACCOUNT = ProviderAccount(
    account_id="a1",
    external_id="x1",
    name="One",
    type=AccountType.BROKERAGE,
    raw_type="brokerage",
    currency="USD",
    total=Money(amount=Decimal(10), currency="USD"),
    holdings_as_of=NOW - timedelta(hours=3),
)
STATE = ConnectionState(
    status=ConnectionStatus.ACTIVE,
    connection_type="read",
    realtime=False,
    data_as_of=NOW,
    data_ready=True,
    mark="m1",
)

times = st.timedeltas(timedelta(-20), timedelta(10)).map(lambda ago: NOW + ago)
ages = st.timedeltas(timedelta(0), FULL - timedelta(microseconds=1))
totals = st.none() | st.decimals(-1000, 1000, places=2).map(lambda n: Money(amount=n, currency="USD"))
accounts = st.builds(
    lambda as_of, total, status, realtime, orders: msgspec.structs.replace(
        ACCOUNT,
        holdings_as_of=as_of,
        total=total,
        status=status,
        capabilities=Capabilities(realtime=realtime),
        orders_as_of=orders,
    ),
    st.none() | times,
    totals,
    st.sampled_from(AccountStatus),
    st.booleans(),
    st.none() | times,
)


def noted(account: ProviderAccount, age: timedelta, stream: Stream = Stream.HOLDINGS) -> Note:
    mark = holdings_mark(account) if stream is Stream.HOLDINGS else due.orders_mark(account)
    return Note(account.account_id, stream, mark=mark, read_at=NOW - age)


@given(accounts, ages)
def test_an_account_that_was_read_and_says_the_same_is_not_fetched(account, age):
    known = account.holdings_as_of is not None and not account.capabilities.realtime
    assert holdings_due(account, noted(account, age), NOW, FULL) is not known


@given(accounts, accounts, ages)
def test_an_account_that_says_anything_else_is_fetched(account, other, age):
    if holdings_mark(account) != holdings_mark(other):
        assert holdings_due(other, noted(account, age), NOW, FULL)


@given(accounts, st.timedeltas(FULL, FULL * 30))
def test_whatever_it_says_an_account_is_fetched_when_its_last_read_is_old(account, age):
    assert holdings_due(account, noted(account, age), NOW, FULL)
    assert holdings_due(account, noted(account, -CLOCK_SLACK - age), NOW, FULL)


@given(accounts)
def test_an_account_nobody_has_read_or_whose_mark_was_forgotten_is_fetched(account):
    assert holdings_due(account, None, NOW, FULL)
    assert holdings_due(account, Note("a1", Stream.HOLDINGS, read_at=NOW), NOW, FULL)


@given(st.timedeltas(timedelta(0), FULL * 2))
def test_an_account_that_is_suddenly_empty_is_fetched_until_it_has_been_so_for_a_while(later):
    held = due.holdings_read(ACCOUNT, None, empty=False, now=NOW)
    first = due.holdings_read(ACCOUNT, held, empty=True, now=NOW)
    assert holdings_due(ACCOUNT, first, NOW, FULL)
    assert due.unconfirmed({first.key: first})
    again = due.holdings_read(ACCOUNT, first, empty=True, now=NOW + later)
    confirmed = later >= due.CONFIRM_AFTER
    assert holdings_due(ACCOUNT, again, NOW + later, FULL) is not confirmed
    filled = due.holdings_read(ACCOUNT, again, empty=False, now=NOW + later)
    assert filled == due.holdings_read(ACCOUNT, None, empty=False, now=NOW + later)


def test_an_account_that_was_always_empty_is_believed_at_once():
    first = due.holdings_read(ACCOUNT, None, empty=True, now=NOW)
    assert not holdings_due(ACCOUNT, first, NOW, FULL)
    later = due.holdings_read(ACCOUNT, first, empty=True, now=NOW + FULL)
    assert not holdings_due(ACCOUNT, later, NOW + FULL, FULL)
    assert not due.unconfirmed({later.key: later})


def test_the_same_total_written_otherwise_is_no_change():
    long = msgspec.structs.replace(ACCOUNT, total=Money(amount=Decimal("10.000"), currency="USD"))
    assert holdings_mark(long) == holdings_mark(ACCOUNT)


@given(accounts, ages)
def test_orders_follow_the_holdings_that_were_read_since(account, age):
    orders = noted(account, age, Stream.ORDERS)
    later = Note("a1", Stream.HOLDINGS, read_at=orders.read_at + timedelta(seconds=1))
    before = Note("a1", Stream.HOLDINGS, read_at=orders.read_at)
    has_orders = account.status is AccountStatus.OPEN
    assert orders_due(account, orders, later, NOW, FULL) is has_orders
    assert not orders_due(account, orders, before, NOW, FULL)
    assert orders_due(account, None, None, NOW, FULL) is has_orders


def test_orders_that_moved_are_fetched_though_holdings_did_not():
    moved = msgspec.structs.replace(ACCOUNT, orders_as_of=NOW)
    kept = Note("a1", Stream.ORDERS, mark=(NOW - FULL).isoformat(), read_at=NOW)
    assert orders_due(moved, kept, None, NOW, FULL)


@given(st.timedeltas(timedelta(0), timedelta(days=30)))
def test_what_an_institution_does_not_have_is_asked_for_once_a_week(age):
    kept = Note("a1", Stream.ORDERS, mark=NOT_SUPPORTED, read_at=NOW - age)
    read = Note("a1", Stream.HOLDINGS, read_at=NOW)
    assert orders_due(ACCOUNT, kept, read, NOW, FULL) is (age >= due.ASK_AGAIN)
    assert history_due(ACCOUNT, kept, NOW) is (age >= due.ASK_AGAIN)


@given(st.timedeltas(timedelta(0), timedelta(days=3)))
def test_a_history_is_fetched_once_a_day(age):
    kept = Note("a1", Stream.HISTORY, read_at=NOW - age)
    assert history_due(ACCOUNT, kept, NOW) is ((NOW - age).date() != NOW.date())
    assert history_due(ACCOUNT, None, NOW)


@given(ages)
def test_nothing_moved_only_while_the_connection_itself_says_so(age):
    kept = Note(WHOLE, Stream.STATE, mark="m1", read_at=NOW - age)
    assert nothing_moved(STATE, kept, NOW, FULL)
    for other in (
        {"mark": "m2"},
        {"mark": None},
        {"realtime": True},
        {"data_ready": False},
        {"status": ConnectionStatus.STALE_CACHE},
    ):
        assert not nothing_moved(msgspec.structs.replace(STATE, **other), kept, NOW, FULL)
    assert not nothing_moved(STATE, None, NOW, FULL)
    assert not nothing_moved(STATE, kept, NOW + FULL, FULL)


def test_after_a_repair_everything_is_fetched_but_what_is_not_there():
    notes = {
        note.key: note
        for note in (
            Note(WHOLE, Stream.STATE, mark="m1", read_at=NOW),
            Note(WHOLE, Stream.TRANSACTIONS, cursor="c", read_at=NOW),
            noted(ACCOUNT, timedelta(0)),
            Note("a1", Stream.ORDERS, mark=NOT_SUPPORTED, read_at=NOW),
        )
    }
    after = due.forgotten(notes)
    assert after[WHOLE, Stream.TRANSACTIONS].cursor == "c"
    assert after["a1", Stream.ORDERS].mark == NOT_SUPPORTED
    assert holdings_due(ACCOUNT, after["a1", Stream.HOLDINGS], NOW, FULL)
    assert not nothing_moved(STATE, after[WHOLE, Stream.STATE], NOW, FULL)
    assert due.ever_whole(after)


def test_everything_is_as_old_as_its_oldest_part():
    second = msgspec.structs.replace(ACCOUNT, account_id="a2")
    notes = {
        ("a1", "holdings"): noted(ACCOUNT, timedelta(hours=5)),
        ("a2", "holdings"): noted(second, timedelta(hours=1)),
    }
    assert due.whole_since([ACCOUNT, second], notes, NOW) == NOW - timedelta(hours=5)
    assert due.whole_since([], {}, NOW) == NOW
    assert due.accounts_in(notes) == 2

"""What the engine decides without touching anything."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector_kit import names, policy
from connector_kit.snapshots import GAP_CACHE, GAP_FIRST_FETCH, GAP_UNTOLD, Origin, account_snapshots, merged
from contracts.accounts import AccountType, Balance, ProviderAccount
from contracts.connectors import AccountRead
from contracts.errors import (
    ErrorCode,
    GoneError,
    OutcomeUnknownError,
    RefusedError,
    RepairNeededError,
    TransientError,
)
from contracts.holdings import Holding
from contracts.instruments import Instrument, InstrumentKind
from contracts.linking import ConnectionState
from contracts.statuses import ConnectionStatus

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
DAY = timedelta(days=1)
ORIGIN = Origin("u", "fake", "c", "example", NOW, 7)
CHANCES = st.floats(0, 1, exclude_max=True)


def holding(key: str, quantity: str, value: str | None = None, currency: str = "USD", **more) -> Holding:
    return Holding(
        instrument=Instrument(key=key, kind=InstrumentKind.STOCK),
        quantity=Decimal(quantity),
        currency=currency,
        market_value=None if value is None else Decimal(value),
        **more,
    )


def state(status: ConnectionStatus = ConnectionStatus.ACTIVE, *, ready: bool = True) -> ConnectionState:
    return ConnectionState(
        status=status, connection_type="read", realtime=False, data_as_of=NOW, data_ready=ready
    )


def account_read(*holdings: Holding, as_of: datetime | None = NOW, cash: str = "1", **more) -> AccountRead:
    account = ProviderAccount(
        account_id="a",
        external_id="x",
        name=None,
        type=AccountType.BROKERAGE,
        raw_type=None,
        currency="USD",
        holdings_as_of=as_of,
    )
    values = {"complete": True, "balances": [Balance(currency="USD", cash=Decimal(cash))]} | more
    return AccountRead(account=account, holdings=list(holdings), **values)


def error(kind=TransientError, code=ErrorCode.PROVIDER_UNAVAILABLE):
    return kind("text", code=code, provider="fake")


rows = st.lists(
    st.tuples(
        st.sampled_from(["AAPL", "MSFT", "CUR:USD"]),
        st.sampled_from(["USD", "CAD"]),
        st.decimals(-(10**18), 10**18, places=18, allow_nan=False),
        st.none() | st.decimals(-(10**15), 10**15, places=10, allow_nan=False),
    ),
    max_size=12,
)


@given(rows)
def test_merging_conserves_quantities_exactly_and_names_each_key_once(given_rows):
    given_holdings = [
        holding(key, str(quantity), None if value is None else str(value), currency)
        for key, currency, quantity, value in given_rows
    ]
    result = merged(given_holdings)
    keys = [(one.instrument.key, one.currency) for one in result]
    assert len(keys) == len(set(keys))
    for one in result:
        mine = [
            h for h in given_holdings if (h.instrument.key, h.currency) == (one.instrument.key, one.currency)
        ]
        assert Fraction(one.quantity) == sum(Fraction(h.quantity) for h in mine)
        assert (one.market_value is None) == any(h.market_value is None for h in mine)


def test_a_price_and_its_time_come_from_a_row_that_has_one():
    (one,) = merged([holding("A", "1", "2"), holding("A", "2", "4", price=Decimal(2), price_as_of=NOW)])
    assert (one.quantity, one.market_value, one.price, one.price_as_of) == (3, 6, 2, NOW)


def test_a_snapshot_carries_the_clocks_and_the_version_of_its_run():
    balances, holdings = account_snapshots(ORIGIN, state(), account_read(holding("A", "1"), as_of=NOW - DAY))
    assert holdings.clocks == balances.clocks
    assert (holdings.clocks.as_of, holdings.clocks.synced_at, holdings.clocks.version) == (NOW - DAY, NOW, 7)


def test_a_providers_future_is_our_present():
    _, holdings = account_snapshots(ORIGIN, state(), account_read(as_of=NOW + DAY))
    assert holdings.clocks.as_of == NOW


@pytest.mark.parametrize(
    ("seen", "read", "complete", "gap"),
    [
        (state(), account_read(), True, None),
        (state(ready=False), account_read(holding("A", "1")), False, GAP_FIRST_FETCH),
        (state(ConnectionStatus.STALE_CACHE), account_read(), False, GAP_CACHE),
        (state(ConnectionStatus.STALE_CACHE), account_read(holding("A", "1")), True, None),
        (state(), account_read(complete=False, gap="page 3 of 5"), False, "page 3 of 5"),
        (state(), account_read(complete=False), False, GAP_UNTOLD),
    ],
)
def test_only_a_whole_answer_is_complete(seen, read, complete, gap):
    _, holdings = account_snapshots(ORIGIN, seen, read)
    assert (holdings.complete, holdings.gap) == (complete, gap)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "1e30", "0.1234567890123456789"])
def test_a_number_that_cannot_be_kept_refuses_the_account(number):
    with pytest.raises(TransientError) as refused:
        account_snapshots(ORIGIN, state(), account_read(holding("A", number)))
    assert refused.value.code is ErrorCode.PROVIDER_PROTOCOL


@pytest.mark.parametrize("number", ["NaN", "1e20", "0.12345678901"])
def test_a_balance_that_cannot_be_kept_refuses_the_account(number):
    with pytest.raises(TransientError):
        account_snapshots(ORIGIN, state(), account_read(cash=number))


@given(CHANCES)
def test_a_run_is_spread_by_a_tenth_at_most(chance):
    wait = policy.after_success(ConnectionStatus.ACTIVE, DAY, chance).wait
    assert DAY * 0.9 <= wait <= DAY * 1.1


def test_what_is_gone_rests_and_what_is_broken_is_asked_once_a_day():
    assert policy.after_success(ConnectionStatus.REVOKED, DAY, 0.5).wait is None
    assert policy.after_success(ConnectionStatus.BROKEN, timedelta(hours=1), 0.5).wait == DAY


@given(st.integers(0, 40), CHANCES)
def test_transient_failures_back_off_and_never_come_before_the_providers_own_advice(failures, chance):
    advised = error().waiting(500.0)
    wait = policy.after_failure(advised, failures, DAY, chance).wait.total_seconds()
    assert 500 <= wait <= policy.RETRY_AFTER_MAX * 1.5 + 500


def test_each_error_says_what_comes_next():
    broken = policy.after_failure(error(RepairNeededError), 0, DAY, 0.5)
    assert (broken.status, broken.wait) == (ConnectionStatus.BROKEN, DAY)
    gone = policy.after_failure(error(GoneError), 0, DAY, 0.5)
    assert (gone.status, gone.wait) == (ConnectionStatus.REVOKED, None)
    assert policy.after_failure(error(RefusedError), 1, DAY, 0.5).paused is None
    assert policy.after_failure(error(RefusedError), 2, DAY, 0.5).paused == "PROVIDER_UNAVAILABLE"
    assert policy.after_failure(error(OutcomeUnknownError), 2, DAY, 0.5).paused
    ours = error(RefusedError, ErrorCode.PROVIDER_CREDENTIALS_INVALID)
    assert policy.after_failure(ours, 10, DAY, 0.5).paused is None


@given(st.integers(1, 10), CHANCES)
def test_only_transient_reads_are_tried_again_and_at_most_four_times(attempt, chance):
    for kind in (GoneError, RefusedError, RepairNeededError, OutcomeUnknownError):
        assert policy.read_again_in(error(kind), attempt, chance) is None
    wait = policy.read_again_in(error(), attempt, chance)
    assert (wait is None) == (attempt >= policy.READ_ATTEMPTS)


def test_a_long_wait_and_a_first_fetch_are_left_to_the_next_run():
    assert policy.read_again_in(error().waiting(3600.0), 1, 0.5) is None
    assert policy.read_again_in(error(code=ErrorCode.DATA_NOT_READY), 1, 0.5) is None
    assert policy.read_again_in(error().waiting(2.0), 1, 0.0) == 2.0


@pytest.mark.parametrize(
    ("text", "slug"),
    [
        ("Bank of America", "bank-of-america"),
        ("E*TRADE", "etrade"),
        ("J.P. Morgan", "jp-morgan"),
        ("Société Générale", "societe-generale"),
        ("招商", None),
        ("", None),
        (None, None),
        ("a" * 63 + " b", "a" * 63),
    ],
)
def test_slugs(text, slug):
    assert names.slug(text) == slug


@pytest.mark.parametrize(
    ("requested", "requested_ref", "linked_ref", "linked_name", "slug"),
    [
        ("chase", "ins_3", "ins_3", "Chase Bank", "chase"),
        ("my bank", None, "ins_3", "Chase Bank", "chase-bank"),
        ("my bank", None, "ins_3", None, "my bank"),
        ("chase", "ins_3", None, None, "chase"),
        ("chase", "ins_3", "ins_4", "Wells Fargo", "wells-fargo"),
        ("chase", "ins_3", "ins_4", None, "ins-4"),
        (None, None, "ins_4", "Wells Fargo", "wells-fargo"),
        (None, None, None, None, "unknown"),
    ],
)
def test_whose_institution_it_is(requested, requested_ref, linked_ref, linked_name, slug):
    given_ = {"requested": requested, "requested_ref": requested_ref}
    assert names.institution_slug(**given_, linked_ref=linked_ref, linked_name=linked_name) == slug


def test_a_token_and_its_digest_are_known_by_the_same_name():
    known = names.digest("link-sandbox-1")
    assert known.startswith("sha256:")
    assert names.digest(known) == known

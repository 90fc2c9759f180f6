"""The suite every connector passes. It decides when a connector is done.

A connector's tests subclass ``ConnectorConformance`` and give it a ``ground`` fixture: the adapter, and what must
be done at the provider (a sandbox, or recorded answers) for the cases. What a ground cannot do it leaves out; the
case that needs it is skipped and says why.

    class TestPlaidConformance(ConnectorConformance):
        @pytest.fixture
        async def ground(self, sandbox): ...

What numbers must become is proved by a second suite, ``connector_kit.golden.suite``, against golden files.
"""
# ruff: noqa: S101  a suite of tests states what must hold by assert

from collections import Counter
from datetime import datetime

import pytest

from connector_kit.conformance_activity import ActivityConformance
from connector_kit.conformance_trading import TradingConformance
from connector_kit.ground import (
    LEAST,
    Ground,
    Journey,
    access_to,
    ask,
    begin,
    no_float,
    possible,
    read_all,
    travel,
)
from connector_kit.snapshots import Origin, account_snapshots, merged
from contracts.connectors import AccountRead, powers
from contracts.errors import MEANING, GoneError, ProviderError
from contracts.linking import ConnectionAccess, ConnectionState, FinishLink
from contracts.signals import Meaning, WebhookDelivery
from contracts.statuses import ConnectionStatus, LinkStatus
from persistence.secrets import SecretName

__all__ = ["LEAST", "ConnectorConformance", "Ground", "Journey", "no_float"]


class ConnectorConformance(ActivityConformance, TradingConformance):
    """What every connector does."""

    async def test_its_powers_are_those_of_its_methods(self, ground: Ground) -> None:
        """Never skipped."""
        assert powers(ground.adapter) == ground.powers
        assert powers(ground.adapter) >= LEAST

    async def test_its_name_is_a_slug(self, ground: Ground) -> None:
        """Never skipped."""
        slug = ground.adapter.provider
        assert slug == slug.lower().strip()
        assert SecretName((slug, "user_secret")).path == f"{slug}/user_secret"

    async def test_beginning_gives_a_page_that_expires(self, ground: Ground) -> None:
        """Never skipped."""
        begun, _ = await begin(ground)
        assert begun.start.url.startswith(("https://", "http://127.0.0.1", "http://localhost"))
        assert begun.start.expires_at.tzinfo is not None

    async def test_a_session_nobody_finished_is_pending(self, ground: Ground) -> None:
        """Never skipped."""
        begun, user = await begin(ground)
        question = FinishLink(session_token=begun.session_token, user=user, known=frozenset())
        linked, outcome = await ask(ground, question)
        assert linked == []
        assert outcome is not None
        assert outcome.status is LinkStatus.PENDING

    async def test_a_session_the_user_gave_up_is_over(self, ground: Ground) -> None:
        """Skipped where the provider does not say that a user gave up."""
        possible(ground.abandon_at_provider, "this provider does not say that a user gave up")
        begun, user = await begin(ground)
        assert ground.abandon_at_provider is not None
        await ground.abandon_at_provider(begun)
        question = FinishLink(session_token=begun.session_token, user=user, known=frozenset())
        linked, outcome = await ask(ground, question)
        assert linked == []
        assert outcome is not None
        assert outcome.status in {LinkStatus.ABANDONED, LinkStatus.FAILED, LinkStatus.PENDING}

    async def test_a_finished_session_hands_over_its_connection(self, ground: Ground) -> None:
        """Never skipped."""
        journey = await travel(ground)
        assert journey.outcome is not None
        assert journey.outcome.status is LinkStatus.COMPLETED
        assert journey.linked
        for one in journey.linked:
            assert one.external_id
            assert one.connection_type in {"read", "trade"}
            assert one.secret is None or one.secret not in repr(one)
            assert one.secret is None or one.source, "what is exchanged once must be recognisable"

    async def test_finishing_again_hands_over_nothing_new(self, ground: Ground) -> None:
        """Never skipped."""
        journey = await travel(ground)
        again, outcome = await ask(ground, journey.question)
        known = {one.external_id for one in journey.linked}
        assert {one.external_id for one in again} <= known
        assert all(one.secret is None for one in again)
        assert outcome is None or outcome.status in {LinkStatus.COMPLETED, LinkStatus.PENDING}

    async def test_a_new_connection_can_be_read(self, ground: Ground) -> None:
        """Never skipped."""
        state, accounts, reads = await read_all(ground, access_to(ground, await travel(ground)))
        assert state.status is ConnectionStatus.ACTIVE
        assert accounts
        ids = [account.account_id for account in accounts]
        assert len(ids) == len(set(ids))
        assert {read.account.account_id for read in reads} == set(ids)
        assert all(read.complete or read.gap for read in reads)

    async def test_reading_twice_gives_the_same(self, ground: Ground) -> None:
        """Never skipped."""
        access = access_to(ground, await travel(ground))
        _, accounts, reads = await read_all(ground, access)
        _, accounts_again, reads_again = await read_all(ground, access)
        assert accounts == accounts_again
        order = sorted(reads, key=lambda read: read.account.account_id)
        assert order == sorted(reads_again, key=lambda read: read.account.account_id)

    async def test_cash_is_there_once_for_each_account_and_currency(self, ground: Ground) -> None:
        """Never skipped."""
        _, _, reads = await read_all(ground, access_to(ground, await travel(ground)))
        for read in reads:
            cash = Counter(
                (row.instrument.key, row.currency)
                for row in read.holdings
                if row.instrument.key.startswith("CUR:")
            )
            assert all(count == 1 for count in cash.values()), cash
            assert all(key == f"CUR:{currency}" for key, currency in cash)

    async def test_an_instrument_is_there_once_for_each_account_and_currency(self, ground: Ground) -> None:
        """Never skipped."""
        _, _, reads = await read_all(ground, access_to(ground, await travel(ground)))
        for read in reads:
            assert len(merged(read.holdings)) == len(read.holdings)

    async def test_no_number_has_been_a_float(self, ground: Ground) -> None:
        """Never skipped."""
        state, accounts, reads = await read_all(ground, access_to(ground, await travel(ground)))
        for value in (state, *accounts, *reads):
            assert no_float(value)

    async def test_everything_read_can_be_published(self, ground: Ground) -> None:
        """Never skipped."""
        state, _, reads = await read_all(ground, access_to(ground, await travel(ground)))
        origin = Origin("u", ground.adapter.provider, "c", "i", ground_now(reads, state), 1)
        for read in reads:
            balances, holdings = account_snapshots(origin, state, read)
            assert balances.account_id == holdings.account_id == read.account.account_id

    async def test_masks_never_show_an_account_number(self, ground: Ground) -> None:
        """Never skipped."""
        _, accounts, _ = await read_all(ground, access_to(ground, await travel(ground)))
        assert all(account.mask is None or len(account.mask) <= 4 for account in accounts)

    async def test_values_nobody_knows_do_no_harm(self, ground: Ground) -> None:
        """Skipped where the provider has no enumerations to extend."""
        possible(ground.unknown_values, "this provider has no values to make unknown")
        access = access_to(ground, await travel(ground))
        assert ground.unknown_values is not None
        await ground.unknown_values()
        _, accounts, reads = await read_all(ground, access)
        assert len(reads) == len(accounts)

    async def test_a_connection_that_needs_repair_says_so(self, ground: Ground) -> None:
        """Skipped where connections of this provider cannot break."""
        possible(ground.break_connection, "connections of this provider cannot break")
        access = access_to(ground, await travel(ground))
        assert ground.break_connection is not None
        await ground.break_connection(access)
        state = await ground.adapter.state(access)
        assert state.status in {ConnectionStatus.BROKEN, ConnectionStatus.STALE_CACHE}

    async def test_an_unreadable_answer_is_an_error_of_ours(self, ground: Ground) -> None:
        """Skipped for recorded answers."""
        possible(ground.spoil_answers, "recorded answers cannot be spoilt")
        access = access_to(ground, await travel(ground))
        assert ground.spoil_answers is not None
        await ground.spoil_answers()
        with pytest.raises(ProviderError) as raised:
            await read_all(ground, access)
        is_ours(raised.value, ground, access)

    async def test_a_failing_provider_is_an_error_of_ours(self, ground: Ground) -> None:
        """Skipped for recorded answers."""
        possible(ground.fail_answers, "recorded answers cannot fail")
        access = access_to(ground, await travel(ground))
        assert ground.fail_answers is not None
        await ground.fail_answers()
        with pytest.raises(ProviderError) as raised:
            await ground.adapter.state(access)
        is_ours(raised.value, ground, access)

    async def test_unlinking_twice_is_done_once(self, ground: Ground) -> None:
        """Never skipped."""
        access = access_to(ground, await travel(ground))
        await ground.adapter.unlink(access)
        await ground.adapter.unlink(access)
        with pytest.raises(GoneError):
            await read_all(ground, access)

    async def test_webhooks_mean_what_they_should(self, ground: Ground) -> None:
        """Skipped where the provider sends none."""
        possible(ground.deliveries, "no deliveries were given")
        for delivery, meaning in ground.deliveries:
            assert meaning in {signal.meaning for signal in ground.adapter.signals(delivery)}

    @pytest.mark.parametrize("body", ["", "{}", "[]", "null", "not json", '{"a": {"b": [1]}}'])
    async def test_an_unknown_webhook_is_ignored(self, ground: Ground, body: str) -> None:
        """Never skipped."""
        delivery = WebhookDelivery(
            delivery_id="d",
            provider=ground.adapter.provider,
            kind="nobody-knows",
            received_at=datetime.fromisoformat("2026-11-21T00:00:00+00:00"),
            body=body,
        )
        meanings = {signal.meaning for signal in ground.adapter.signals(delivery)}
        assert meanings <= {Meaning.IGNORED}


def is_ours(error: ProviderError, ground: Ground, access: ConnectionAccess) -> None:
    """State that an error carries a code of ours and no secret."""
    assert error.code in MEANING
    assert error.provider == ground.adapter.provider
    secrets = [access.secret, access.user.secret if access.user else None]
    assert not any(secret and secret in f"{error} {error.message}" for secret in secrets)


def ground_now(reads: list[AccountRead], state: ConnectionState) -> datetime:
    """A moment at which everything read was true."""
    times = [read.account.holdings_as_of for read in reads] + [state.data_as_of]
    known = [time for time in times if time is not None]
    return max(known, default=datetime.fromisoformat("2026-11-21T00:00:00+00:00"))

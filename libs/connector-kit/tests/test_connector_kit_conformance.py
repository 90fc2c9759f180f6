"""The suite itself: the provider in memory passes it, and adapters with a known fault do not."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from decimal import Decimal

import msgspec
import pytest

from connector_kit.conformance import ConnectorConformance, Ground
from connector_kit.testing import FakeAdapter, FakeConnection
from contracts.connectors import AccountRead
from contracts.errors import ErrorCode, TransientError
from contracts.linking import ConnectionAccess, LinkBegun
from contracts.signals import Meaning, Signal, WebhookDelivery
from contracts.statuses import ConnectionStatus, LinkStatus


class Tolerant(FakeAdapter):
    """A webhook nobody can read is ignored."""

    def signals(self, delivery: WebhookDelivery) -> list[Signal]:
        try:
            return super().signals(delivery)
        except msgspec.DecodeError:
            return [Signal(meaning=Meaning.IGNORED)]


def ground_of(adapter: FakeAdapter, request) -> Ground:
    async def finish(begun: LinkBegun) -> None:
        session = adapter.sessions[begun.session_token]
        session.brings, session.status = [FakeConnection("item-1", "token-1")], LinkStatus.COMPLETED

    async def abandon(begun: LinkBegun) -> None:
        adapter.sessions[begun.session_token].status = LinkStatus.ABANDONED

    async def break_it(access: ConnectionAccess) -> None:
        adapter.connections[access.external_id].status = ConnectionStatus.BROKEN

    async def fail() -> None:
        adapter.failures["state"] = [
            TransientError("down", code=ErrorCode.PROVIDER_UNAVAILABLE, provider="fake")
        ]

    body = msgspec.json.encode([Signal(meaning=Meaning.DATA_READY)]).decode()
    delivery = WebhookDelivery(
        delivery_id="d", provider="fake", kind="k", received_at=datetime(2026, 11, 21, tzinfo=UTC), body=body
    )
    return Ground(
        adapter=adapter,
        request=request,
        finish_at_provider=finish,
        abandon_at_provider=abandon,
        break_connection=break_it,
        fail_answers=fail,
        deliveries=((delivery, Meaning.DATA_READY),),
    )


@pytest.fixture
def ground(request_link) -> Ground:
    return ground_of(Tolerant(), request_link())


class TestFakeConformance(ConnectorConformance):
    pass


class TestFakeWithUsersConformance(ConnectorConformance):
    @pytest.fixture
    def ground(self, request_link) -> Ground:
        return ground_of(Tolerant(keeps_users=True), request_link())


class CashTwice(Tolerant):
    async def holdings(self, connection, state, accounts) -> AsyncIterator[AccountRead]:
        async for read in super().holdings(connection, state, accounts):
            cash = [row for row in read.holdings if row.instrument.key.startswith("CUR:")]
            yield msgspec.structs.replace(read, holdings=[*read.holdings, *cash])


class Floats(Tolerant):
    async def holdings(self, connection, state, accounts) -> AsyncIterator[AccountRead]:
        async for read in super().holdings(connection, state, accounts):
            first = msgspec.structs.replace(read.holdings[0], quantity=1.5)
            yield msgspec.structs.replace(read, holdings=[first])


class Flickers(Tolerant):
    def __init__(self) -> None:
        super().__init__()
        self.reads = 0

    async def holdings(self, connection, state, accounts) -> AsyncIterator[AccountRead]:
        self.reads += 1
        async for read in super().holdings(connection, state, accounts):
            first = msgspec.structs.replace(read.holdings[0], quantity=Decimal(self.reads))
            yield msgspec.structs.replace(read, holdings=[first])


class ExchangesAgain(Tolerant):
    async def finish_link(self, link):
        self.sessions[link.session_token].exchanged.clear()
        async for answer in super().finish_link(msgspec.structs.replace(link, done=frozenset())):
            yield answer


class CrashesOnWebhooks(FakeAdapter):
    pass


class UnlinksLoudly(Tolerant):
    async def unlink(self, connection) -> None:
        self._found(connection)
        await super().unlink(connection)


@pytest.mark.parametrize(
    ("faulty", "case"),
    [
        (CashTwice, "test_cash_is_there_once_for_each_account_and_currency"),
        (CashTwice, "test_an_instrument_is_there_once_for_each_account_and_currency"),
        (Floats, "test_no_number_has_been_a_float"),
        (Flickers, "test_reading_twice_gives_the_same"),
        (ExchangesAgain, "test_finishing_again_hands_over_nothing_new"),
        (UnlinksLoudly, "test_unlinking_twice_is_done_once"),
    ],
)
async def test_the_suite_finds_a_planted_fault(faulty, case, request_link):
    ground = ground_of(faulty(), request_link())
    with pytest.raises(Exception):  # noqa: B017  whatever way the case fails, it must not pass
        await getattr(ConnectorConformance(), case)(ground)


async def test_the_suite_finds_an_adapter_that_breaks_on_webhooks(request_link):
    ground = ground_of(CrashesOnWebhooks(), request_link())
    with pytest.raises(msgspec.DecodeError):
        await ConnectorConformance().test_an_unknown_webhook_is_ignored(ground, "not json")

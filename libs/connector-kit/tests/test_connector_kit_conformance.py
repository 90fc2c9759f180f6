"""The suite itself: the provider in memory passes it, and adapters with a known fault do not."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from connector_kit.conformance import ConnectorConformance, Ground
from connector_kit.testing import FETCHED, FakeAdapter, FakeConnection, order_of, trade_of
from contracts.connectors import POWERS, AccountRead
from contracts.errors import ErrorCode, OutcomeUnknownError, RefusedError, TransientError
from contracts.linking import ConnectionAccess, LinkBegun
from contracts.signals import Meaning, Signal, WebhookDelivery
from contracts.statuses import ConnectionStatus, LinkStatus
from contracts.trading import OrderRequest, OrderType, Side, TimeInForce

BUY = OrderRequest(
    symbol="AAPL",
    side=Side.BUY,
    order_type=OrderType.LIMIT,
    time_in_force=TimeInForce.GTC,
    quantity=Decimal(1),
    limit_price=Decimal(1),
)


class Tolerant(FakeAdapter):
    """A webhook nobody can read is ignored."""

    def signals(self, delivery: WebhookDelivery) -> list[Signal]:
        try:
            return super().signals(delivery)
        except msgspec.DecodeError:
            return [Signal(meaning=Meaning.IGNORED)]


def trading_of(adapter: FakeAdapter) -> dict[str, Any]:
    async def placements() -> int:
        return len(adapter.desk.placements)

    async def lose() -> None:
        lost = OutcomeUnknownError("?", code=ErrorCode.ORDER_OUTCOME_UNKNOWN, provider="fake")
        adapter.failures["place:after"] = [lost]

    async def refuse() -> None:
        adapter.failures["place"] = [RefusedError("no", code=ErrorCode.ORDER_REJECTED, provider="fake")]

    return {"placements": placements, "lose_next_placement": lose, "refuse_next_placement": refuse}


def ground_of(adapter: FakeAdapter, request) -> Ground:
    async def finish(begun: LinkBegun) -> None:
        session = adapter.sessions[begun.session_token]
        brought = FakeConnection(
            "item-1",
            "token-1",
            marked=True,
            orders={"acc-1": [order_of("acc-1", 1)]},
            connection_type="trade",
        )
        for number in range(1, 7):
            brought.trade("acc-1", number)
        brought.activities += [("acc-1", "t-2"), ("acc-1", trade_of("acc-1", 7))]
        session.brings, session.status = [brought], LinkStatus.COMPLETED
        session.mask = None

    async def link_again(begun: LinkBegun) -> None:
        await finish(begun)
        adapter.sessions[begun.session_token].mask = "cc-1"

    async def change(access: ConnectionAccess) -> None:
        adapter.connections[access.external_id].fetched_at += timedelta(hours=1)

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
    adapter.page_size = 2
    return Ground(
        adapter=adapter,
        powers=frozenset(POWERS),
        transactions=6,
        change_at_provider=change,
        link_again_at_provider=link_again,
        request=request,
        finish_at_provider=finish,
        abandon_at_provider=abandon,
        break_connection=break_it,
        fail_answers=fail,
        order=BUY,
        **trading_of(adapter),
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


class ForgetsTheCursor(Tolerant):
    async def transactions(self, connection, state, accounts, cursor, version):
        page = await super().transactions(connection, state, accounts, cursor, version)
        beyond = str(int(page.cursor.split()[0]) + 1) if page.has_more else page.cursor
        return msgspec.structs.replace(page, cursor=beyond)


class AsksWithoutNeed(Tolerant):
    async def transactions(self, connection, state, accounts, cursor, version):
        unmarked = msgspec.structs.replace(state, mark=None)
        return await super().transactions(connection, unmarked, accounts, cursor, version)


class NeverChanges(Tolerant):
    async def state(self, connection):
        state = await super().state(connection)
        return msgspec.structs.replace(state, mark="always", data_as_of=FETCHED)


class TakesEveryLogin(Tolerant):
    async def finish_link(self, link):
        async for answer in super().finish_link(msgspec.structs.replace(link, accounts=[], done=frozenset())):
            yield answer


class CrashesOnWebhooks(FakeAdapter):
    pass


class UnlinksLoudly(Tolerant):
    async def unlink(self, connection) -> None:
        self._found(connection)
        await super().unlink(connection)


class PlacesTwice(Tolerant):
    async def place(self, connection, account, order, client_order_id):
        await super().place(connection, account, order, client_order_id)
        return await super().place(connection, account, order, client_order_id)


class TakesALostAnswerForARefusal(Tolerant):
    async def place(self, connection, account, order, client_order_id):
        try:
            return await super().place(connection, account, order, client_order_id)
        except OutcomeUnknownError as error:
            raise RefusedError("no", code=ErrorCode.ORDER_REJECTED, provider="fake") from error


class KeepsWhatItRefuses(Tolerant):
    async def place(self, connection, account, order, client_order_id):
        if refusal := self.failures.pop("place", None):
            await super().place(connection, account, order, client_order_id)
            raise refusal[0]
        return await super().place(connection, account, order, client_order_id)


@pytest.mark.parametrize(
    ("faulty", "case"),
    [
        (CashTwice, "test_cash_is_there_once_for_each_account_and_currency"),
        (CashTwice, "test_an_instrument_is_there_once_for_each_account_and_currency"),
        (Floats, "test_no_number_has_been_a_float"),
        (Flickers, "test_reading_twice_gives_the_same"),
        (ExchangesAgain, "test_finishing_again_hands_over_nothing_new"),
        (ForgetsTheCursor, "test_pages_lose_and_double_nothing_wherever_a_run_breaks_off"),
        (AsksWithoutNeed, "test_transactions_that_were_told_cost_no_further_call"),
        (NeverChanges, "test_what_changed_is_seen_without_reading_it"),
        (TakesEveryLogin, "test_a_login_that_is_linked_already_is_refused_before_it_costs"),
        (PlacesTwice, "test_an_order_is_sent_once_and_found_under_its_id"),
        (TakesALostAnswerForARefusal, "test_a_lost_answer_leaves_the_outcome_unknown"),
        (KeepsWhatItRefuses, "test_a_refused_order_is_not_there"),
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

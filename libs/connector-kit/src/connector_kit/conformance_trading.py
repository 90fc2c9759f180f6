"""The part of the suite about trading: an order is sent once, and what became of it is never told wrong."""
# ruff: noqa: S101  a suite of tests states what must hold by assert

from decimal import Decimal
from uuid import uuid4

import pytest

from connector_kit.ground import Ground, access_to, no_float, possible, read_all, travel
from contracts.connectors import TradingConnector
from contracts.errors import MEANING, ErrorCode, OutcomeUnknownError, RefusedError, TransientError
from contracts.linking import ConnectionAccess
from contracts.orders import OrderStatus
from contracts.trading import AccountRef, OrderImpact, OrderRequest, Placed

Seat = tuple[TradingConnector, ConnectionAccess, AccountRef, OrderRequest]
NO_TRADING = "this connector does not trade"
OPEN = frozenset({OrderStatus.PENDING, OrderStatus.ACCEPTED, OrderStatus.PARTIALLY_FILLED, OrderStatus.OTHER})
CLOSED = frozenset({OrderStatus.CANCELED, OrderStatus.CANCEL_PENDING})


async def seat(ground: Ground) -> Seat:
    """A connection that can trade, its first account that can, and an order for it that stays open."""
    adapter = ground.adapter
    possible(isinstance(adapter, TradingConnector), NO_TRADING)
    possible(ground.order, "no order was given")
    access = access_to(ground, await travel(ground))
    _, accounts, _ = await read_all(ground, access)
    account = next(one for one in accounts if one.capabilities.trading)
    assert isinstance(adapter, TradingConnector)
    assert ground.order is not None
    at = AccountRef(account_id=account.account_id, external_id=account.external_id)
    return adapter, access, at, ground.order


async def place(where: Seat) -> Placed:
    """Place the order of the ground."""
    adapter, access, account, order = where
    return await adapter.place(access, account, order, str(uuid4()))


async def ids(where: Seat) -> set[str]:
    """The broker's ids of the recent orders."""
    adapter, access, account, _ = where
    return {one.broker_order_id for one in await adapter.recent_orders(access, account)}


class TradingConformance:
    """What every connector that trades does."""

    async def test_an_order_is_sent_once_and_found_under_its_id(self, ground: Ground) -> None:
        """Skipped where the connector does not trade."""
        where = await seat(ground)
        before = await ids(where)
        placed = await place(where)
        assert placed.broker_order_ids
        assert await ids(where) - before == set(placed.broker_order_ids)
        assert no_float(placed)
        if ground.placements is not None:
            assert await ground.placements() == 1

    async def test_a_lost_answer_leaves_the_outcome_unknown(self, ground: Ground) -> None:
        """Skipped where the connector does not trade or no answer can be lost."""
        where = await seat(ground)
        possible(ground.lose_next_placement, "no answer can be lost here")
        assert ground.lose_next_placement is not None
        await ground.lose_next_placement()
        with pytest.raises(OutcomeUnknownError) as raised:
            await place(where)
        assert raised.value.code is ErrorCode.ORDER_OUTCOME_UNKNOWN
        if ground.placements is not None:
            assert await ground.placements() == 1

    async def test_a_refused_order_is_not_there(self, ground: Ground) -> None:
        """Skipped where the connector does not trade or nothing can be refused."""
        where = await seat(ground)
        possible(ground.refuse_next_placement, "nothing can be refused here")
        assert ground.refuse_next_placement is not None
        before = await ids(where)
        await ground.refuse_next_placement()
        with pytest.raises(RefusedError) as raised:
            await place(where)
        assert raised.value.code is ErrorCode.ORDER_REJECTED
        assert await ids(where) == before

    async def test_an_order_that_makes_no_sense_is_refused(self, ground: Ground) -> None:
        """Skipped where the connector does not trade."""
        adapter, access, account, order = await seat(ground)
        nonsense = OrderRequest(
            symbol="NO SUCH THING",
            side=order.side,
            order_type=order.order_type,
            time_in_force=order.time_in_force,
            quantity=Decimal(1),
            limit_price=order.limit_price,
        )
        before = await ids((adapter, access, account, order))
        with pytest.raises((RefusedError, OutcomeUnknownError)) as raised:
            await adapter.place(access, account, nonsense, str(uuid4()))
        assert raised.value.code in {ErrorCode.ORDER_REJECTED, ErrorCode.ORDER_OUTCOME_UNKNOWN}
        assert await ids((adapter, access, account, order)) == before

    async def test_an_open_order_is_cancelled_and_only_once(self, ground: Ground) -> None:
        """Skipped where the connector does not trade."""
        where = await seat(ground)
        adapter, access, account, _ = where
        (order_id,) = (await place(where)).broker_order_ids
        await adapter.cancel(access, account, order_id)
        found = {one.broker_order_id: one for one in await adapter.recent_orders(access, account)}
        assert found[order_id].status in CLOSED
        with pytest.raises((RefusedError, OutcomeUnknownError)):
            await adapter.cancel(access, account, order_id)

    async def test_a_replaced_order_is_one_order(self, ground: Ground) -> None:
        """Skipped where the connector does not trade."""
        where = await seat(ground)
        adapter, access, account, order = where
        (old,) = (await place(where)).broker_order_ids
        replaced = await adapter.replace(access, account, old, order)
        found = {one.broker_order_id: one for one in await adapter.recent_orders(access, account)}
        assert set(replaced.broker_order_ids) <= set(found)
        assert len([one for one in found.values() if one.status in OPEN]) == 1

    async def test_a_preview_tells_money_or_nothing(self, ground: Ground) -> None:
        """Skipped where the connector does not trade."""
        adapter, access, account, order = await seat(ground)
        try:
            shown = await adapter.impact(access, account, order)
        except RefusedError as error:
            code: ErrorCode | None = error.code
        else:
            code = None
            assert isinstance(shown, OrderImpact)
            assert no_float(shown)
        assert code in {None, ErrorCode.NOT_SUPPORTED, ErrorCode.ORDER_REJECTED}

    async def test_a_symbol_is_found_with_the_exact_one_first(self, ground: Ground) -> None:
        """Skipped where the connector does not trade."""
        adapter, access, account, order = await seat(ground)
        of_account = await adapter.search_symbols(access, account, order.symbol)
        of_all = await adapter.search_symbols(None, None, order.symbol)
        for found in (of_account, of_all):
            assert found[0].instrument.symbol == order.symbol
            assert all(one.provider_symbol_id for one in found)

    async def test_a_quote_is_in_exact_numbers_under_the_symbol_that_was_asked(self, ground: Ground) -> None:
        """Skipped where the connector does not trade."""
        adapter, access, account, order = await seat(ground)
        (quote,) = await adapter.quotes(access, account, [order.symbol, "ZZZZ9"])
        assert quote.symbol == order.symbol
        assert no_float(quote)

    async def test_an_account_that_is_not_there_takes_no_order(self, ground: Ground) -> None:
        """Skipped where the connector does not trade."""
        adapter, access, _, order = await seat(ground)
        possible(ground.placements, "nobody counts placements here")
        assert ground.placements is not None
        nowhere = AccountRef(account_id="nowhere", external_id=str(uuid4()))
        with pytest.raises((RefusedError, TransientError, OutcomeUnknownError)) as raised:
            await adapter.place(access, nowhere, order, str(uuid4()))
        assert raised.value.code in MEANING

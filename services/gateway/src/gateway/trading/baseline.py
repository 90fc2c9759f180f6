"""The broker's order ids from before an order is sent: what is there later and was not then, is new."""

from contracts.orders import Order
from contracts.trading_calls import OrdersCall
from gateway.clients.placing import Placing
from gateway.trading.intents import Intent, stems


async def listed(placing: Placing, intent: Intent) -> list[Order]:
    """The orders of the intent's account, as the broker has them right now.

    Raises:
        ApiError: the connector or its provider does not answer.
    """
    call = OrdersCall(
        user_id=intent.user_id,
        connection_id=str(intent.connection_id),
        account_id=str(intent.account_id),
        external_id=intent.external_id,
    )
    return await placing.orders(intent.provider, call)


async def taken(placing: Placing, intent: Intent) -> tuple[str, ...]:
    """The ids of the account's orders, one each.

    Raises:
        ApiError: as of ``listed``; then the order must not be sent, for it could not be found again.
    """
    return stems(order.broker_order_id for order in await listed(placing, intent))

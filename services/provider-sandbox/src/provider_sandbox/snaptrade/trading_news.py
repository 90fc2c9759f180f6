"""Tells listeners what happens to orders: TRADE_UPDATE, and the sync of an account after a fill."""

from typing import TYPE_CHECKING
from uuid import uuid4

from provider_sandbox.snaptrade.brokerages import brokerage_id
from provider_sandbox.snaptrade.trading_model import TradeOrder
from provider_sandbox.snaptrade.trading_wire import event_order

if TYPE_CHECKING:
    from provider_sandbox.snaptrade.face import SnapTradeFace


class News:
    """The desk's audience: turns changes into webhooks of a face."""

    def __init__(self, face: "SnapTradeFace") -> None:
        self._face = face

    def changed(self, order: TradeOrder) -> None:
        """Send TRADE_UPDATE for an order placed through a connection that is still there."""
        if not self._face.settings.snaptrade_webhook_url or order.connection is None:
            return
        connection = self._face.store.connection(order.connection)
        account_id = None if connection is None else connection.accounts.get(order.account_key)
        if connection is None or account_id is None:
            return
        extra = {
            "webookId": str(uuid4()),  # the provider sends both spellings, with different values
            "accountId": account_id,
            "brokerageId": brokerage_id(self._face.institution(connection)),
            "details": {"orders": [event_order(order, self._face.state.world.securities)]},
        }
        self._face.state.spawn(self._face.emit_for(connection, "TRADE_UPDATE", extra))

    def traded(self, account_key: str) -> None:
        """Sync the account on every connection that shows it, where the conditions say so."""
        if self._face.trading.conditions_for(account_key).sync_after_fill:
            self._face.state.spawn(self._sync(account_key))

    async def _sync(self, account_key: str) -> None:
        await self._face.account_changed(account_key)

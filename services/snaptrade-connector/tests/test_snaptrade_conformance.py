"""The suite every connector passes, against the sandbox's SnapTrade, with both kinds of key."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial

import pytest

from connector_kit.conformance import ConnectorConformance, Ground
from contracts.connectors import POWERS
from contracts.linking import ConnectionAccess, LinkBegun
from contracts.signals import Meaning, WebhookDelivery
from contracts.trading import OrderRequest, OrderType, Side, TimeInForce

from .conftest import Sandbox, link_request

FAR_BELOW = OrderRequest(
    symbol="AAPL",
    side=Side.BUY,
    order_type=OrderType.LIMIT,
    time_in_force=TimeInForce.GTC,
    quantity=Decimal(1),
    limit_price=Decimal(1),
)
FEW = 5
"""Transactions at once: the demo account's twelve take three pages."""


def delivery(event: str, **members: object) -> WebhookDelivery:
    body = {"eventType": event, "userId": "u-42", "webhookId": "w-1", **members}
    return WebhookDelivery(
        delivery_id="w-1",
        provider="snaptrade",
        kind=event,
        received_at=datetime(2026, 11, 21, tzinfo=UTC),
        body=json.dumps(body),
    )


def ground_of(sandbox: Sandbox, connector) -> Ground:
    async def finish(begun: LinkBegun) -> None:
        assert (await sandbox.at_the_portal(begun.start.url)).status_code in {302, 303}

    async def abandon(begun: LinkBegun) -> None:
        await sandbox.at_the_portal(begun.start.url, action="abandon")

    async def break_it(access: ConnectionAccess) -> None:
        await sandbox.control("POST", f"/connections/{access.external_id}/break")

    async def change(_: ConnectionAccess) -> None:
        await sandbox.control("PUT", "/accounts/schwab-demo/holdings", security="AAPL", quantity="51")

    async def spoil() -> None:
        await sandbox.fault("GET /accounts/{accountId}/positions/all", "truncate")

    async def fail() -> None:
        await sandbox.fault("*", "status", status=503, body={"detail": "down", "code": "3002"})

    async def placements() -> int:
        return (await sandbox.control("GET", "/placements/counts"))["received"]

    async def chaos(kind: str) -> None:
        await sandbox.control("POST", "/trading/chaos", kind=kind)

    return Ground(
        order=FAR_BELOW,
        placements=placements,
        lose_next_placement=partial(chaos, "accept_then_drop"),
        refuse_next_placement=partial(chaos, "reject"),
        adapter=connector,
        powers=frozenset(POWERS),
        transactions=12,
        change_at_provider=change,
        request=link_request(),
        finish_at_provider=finish,
        abandon_at_provider=abandon,
        break_connection=break_it,
        spoil_answers=spoil,
        fail_answers=fail,
        deliveries=(
            (delivery("CONNECTION_ADDED", brokerageAuthorizationId="c"), Meaning.LINK_FINISHED),
            (delivery("ACCOUNT_HOLDINGS_UPDATED", brokerageAuthorizationId="c"), Meaning.DATA_READY),
            (delivery("CONNECTION_BROKEN", brokerageAuthorizationId="c"), Meaning.NEEDS_REPAIR),
        ),
    )


class TestCommercialKey(ConnectorConformance):
    @pytest.fixture
    async def ground(self, sandbox):
        connector = sandbox.connector(page=FEW)
        yield ground_of(sandbox, connector)
        await connector.aclose()


class TestPersonalKey(ConnectorConformance):
    @pytest.fixture
    async def ground(self, sandbox):
        connector = sandbox.connector("personal", page=FEW)
        yield ground_of(sandbox, connector)
        await connector.aclose()

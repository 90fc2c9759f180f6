"""The suite every connector passes, against the sandbox's Plaid."""

import json
from datetime import UTC, datetime

import httpx
import pytest

from connector_kit.conformance import ConnectorConformance, Ground
from connector_kit.limits import Gate
from contracts.linking import ConnectionAccess, LinkBegun, LinkRequest
from contracts.signals import Meaning, WebhookDelivery
from plaid_connector.adapter import PlaidAdapter
from plaid_connector.client import PlaidClient, headers
from plaid_connector.settings import PlaidSettings
from provider_sandbox.running import RunningSandbox

from .test_plaid_live import sandbox, visit

__all__ = ["sandbox"]


def delivery(kind: str, code: str, **members: object) -> WebhookDelivery:
    body = {"webhook_type": kind, "webhook_code": code, "item_id": "item", **members}
    return WebhookDelivery(
        delivery_id="d",
        provider="plaid",
        kind=f"{kind}/{code}",
        received_at=datetime(2026, 11, 21, tzinfo=UTC),
        body=json.dumps(body),
    )


async def control(running: RunningSandbox, method: str, path: str, **body: object) -> None:
    async with httpx.AsyncClient(base_url=running.urls.control, trust_env=False) as client:
        answer = await client.request(method, f"/_control{path}", json=body)
        assert answer.is_success, answer.text


class TestPlaid(ConnectorConformance):
    @pytest.fixture
    async def ground(self, sandbox: RunningSandbox):
        async def finish(begun: LinkBegun) -> None:
            await visit(begun.start.url)

        async def abandon(begun: LinkBegun) -> None:
            await visit(begun.start.url, outcome="cancel")

        async def break_it(access: ConnectionAccess) -> None:
            await control(sandbox, "POST", f"/connections/{access.external_id}/break")

        async def spoil() -> None:
            path = "POST /investments/holdings/get"
            await control(sandbox, "POST", "/faults", provider="plaid", endpoint=path, kind="truncate")

        async def fail() -> None:
            await control(
                sandbox, "POST", "/faults", provider="plaid", endpoint="*", kind="status", status=503, body={}
            )

        async def change(_: ConnectionAccess) -> None:
            await control(
                sandbox,
                "PUT",
                "/accounts/chase-invest-demo/holdings",
                security="AAPL",
                quantity="123",
                announce=False,
            )

        # Everything is asked again after each page here: the limits are not what is tested.
        for name in ("plaid", "plaid-item"):
            await control(sandbox, "PUT", "/rate-limit", name=name, limit=0)
        settings = PlaidSettings.model_construct(
            page=4, investments_transactions=True, preselect_institution=True
        )
        http = httpx.AsyncClient(
            base_url=sandbox.urls.plaid, headers=headers("id", "secret"), transport=Gate("plaid").transport()
        )
        adapter = PlaidAdapter(PlaidClient(http, {}), settings)
        yield Ground(
            adapter=adapter,
            powers=frozenset({"accounts", "holdings", "refresh", "transactions", "webhooks"}),
            request=LinkRequest(
                link_session_id="s",
                user_id="u",
                institution="chase",
                institution_ref="ins_56",
                need_trading=False,
                allow_trading=False,
                redirect_uri=None,
            ),
            finish_at_provider=finish,
            abandon_at_provider=abandon,
            break_connection=break_it,
            spoil_answers=spoil,
            fail_answers=fail,
            deliveries=(
                (delivery("LINK", "SESSION_FINISHED", link_token="link"), Meaning.LINK_FINISHED),
                (delivery("HOLDINGS", "DEFAULT_UPDATE"), Meaning.DATA_READY),
                (
                    delivery("ITEM", "ERROR", error={"error_code": "ITEM_LOGIN_REQUIRED"}),
                    Meaning.NEEDS_REPAIR,
                ),
            ),
            transactions=12,
            change_at_provider=change,
            link_again_at_provider=finish,
        )
        await adapter.aclose()
        await control(sandbox, "POST", "/reset")

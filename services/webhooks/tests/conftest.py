"""A letter box to post to: its database, its broker, its life."""

import asyncio
import hashlib
import json
import time
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from types import SimpleNamespace

import httpx
import jwt
import psycopg
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from psycopg.rows import dict_row

from messaging.bus import BrokerUnreachableError, Bus
from messaging.rabbit import RabbitBus
from messaging.topology import onefolio
from persistence import roles
from persistence.testing import MigratedDatabase, database_template, migrated_database
from service_kit.run import Service
from webhooks.settings import WebhooksSettings
from webhooks.verifiers import snaptrade

__all__ = ["database_template", "migrated_database"]

KEY = "made-up-consumer-key"
ALL = "SELECT provider, kind, state, age, body, summary, headers, attempts, error FROM webhooks.webhook_events ORDER BY id"


@pytest.fixture(scope="session")
def migration_owners() -> Mapping[str, str]:
    return {"webhooks": "webhooks.migrations"}


@pytest.fixture
def database_role_url(migrated_database: MigratedDatabase) -> str:
    return migrated_database.url(roles.WEBHOOKS)


@pytest.fixture
def make_settings(database_role_url: str):
    def make(amqp_url: str = "amqp://guest:guest@127.0.0.1:1/", **more: object) -> WebhooksSettings:
        return WebhooksSettings(
            service_auth_secret="s" * 32,
            database_url=database_role_url,
            amqp_url=amqp_url,
            snaptrade_consumer_key=KEY,
            **more,
        )

    return make


@asynccontextmanager
async def running(service: Service) -> AsyncIterator[httpx.AsyncClient]:
    """The service's life without a process: start, answer, drain, stop."""
    for step in service.on_start:
        await step()
    tasks = [asyncio.ensure_future(step()) for step in service.background]
    transport = httpx.ASGITransport(app=service.app)
    try:
        async with httpx.AsyncClient(transport=transport, base_url="http://letterbox") as http:
            yield http
    finally:
        for step in service.on_drain:
            await step()
        await asyncio.gather(*tasks)
        for step in service.on_stop:
            await step()


@asynccontextmanager
async def killed_at_the_end(service: Service) -> AsyncIterator[httpx.AsyncClient]:
    """The service's life, ended without any of the closing steps of publishing."""
    for step in service.on_start:
        await step()
    tasks = [asyncio.ensure_future(step()) for step in service.background]
    transport = httpx.ASGITransport(app=service.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://letterbox") as http:
        yield http
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    for step in service.on_stop:
        await step()


@asynccontextmanager
async def connector(amqp_url: str, provider: str = "snaptrade") -> AsyncIterator[SimpleNamespace]:
    """The connector's end of the queue."""
    bus: Bus = await RabbitBus.open(amqp_url, onefolio(), "test")
    subscription = await bus.subscribe(f"{provider}-connector", 10)

    async def next_one(wait: float = 20.0):
        async with asyncio.timeout(wait):
            held = await subscription.next()
            await subscription.ack([held])
            return held.delivery

    async def nothing_more(wait: float = 0.7) -> bool:
        try:
            await next_one(wait)
        except TimeoutError:
            return True
        return False

    yield SimpleNamespace(next=next_one, nothing_more=nothing_more)
    await bus.close()


async def no_broker() -> Bus:
    raise BrokerUnreachableError("no broker in this test")


def snaptrade_body(**members: object) -> dict[str, object]:
    return {
        "webhookId": str(uuid.uuid4()),
        "clientId": "ACME",
        "eventTimestamp": datetime.now(UTC).isoformat(),
        "userId": "u-42",
        "eventType": "ACCOUNT_HOLDINGS_UPDATED",
        "accountId": "a-1",
        "webhookSecret": "canary-webhook-secret",
    } | members


def signed(body: dict[str, object], key: str = KEY) -> tuple[bytes, dict[str, str]]:
    headers = {"Signature": snaptrade.sign(body, key), "Content-Type": "application/json"}
    text = json.dumps(body, indent=2, ensure_ascii=False)
    # A surrogate alone has no UTF-8; JSON can only escape it.
    return (json.dumps(body) if "\ud800" in text else text).encode(), headers


async def post(http: httpx.AsyncClient, body: dict[str, object], key: str = KEY) -> httpx.Response:
    content, headers = signed(body, key)
    return await http.post("/webhooks/snaptrade", content=content, headers=headers)


class PlaidSigner:
    """A key pair of Plaid's."""

    def __init__(self, kid: str | None = None) -> None:
        self.kid = kid or str(uuid.uuid4())
        self.private = ec.generate_private_key(ec.SECP256R1())

    def jwk(self, expired_at: int | None = None) -> dict[str, object]:
        public = jwt.algorithms.ECAlgorithm.to_jwk(self.private.public_key(), as_dict=True)
        own = {"alg": "ES256", "kid": self.kid, "use": "sig", "created_at": 1, "expired_at": expired_at}
        return public | own

    def headers(self, body: bytes, iat: float | None = None, **claims: object) -> dict[str, str]:
        claims = {
            "iat": int(time.time()) if iat is None else iat,
            "request_body_sha256": hashlib.sha256(body).hexdigest(),
        } | claims
        token = jwt.encode(claims, self.private, algorithm="ES256", headers={"kid": self.kid})
        return {"Plaid-Verification": token, "Content-Type": "application/json"}


@pytest.fixture
def box() -> SimpleNamespace:
    """What tests need to run a letter box and to post to it."""
    return SimpleNamespace(
        running=running,
        killed_at_the_end=killed_at_the_end,
        connector=connector,
        no_broker=no_broker,
        post=post,
        signed=signed,
        body=snaptrade_body,
        signer=PlaidSigner,
        key=KEY,
    )


@pytest.fixture
def events(migrated_database: MigratedDatabase):
    """All rows of the table, as the administrator sees them."""

    def read() -> list[dict[str, object]]:
        with psycopg.connect(migrated_database.admin_url, row_factory=dict_row) as admin:
            return admin.execute(ALL).fetchall()

    return read

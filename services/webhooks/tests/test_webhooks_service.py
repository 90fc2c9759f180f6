"""The letter box with its real database and broker: nothing lost, nothing twice, nothing forged."""

import asyncio
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
import uuid
from datetime import UTC, datetime, timedelta
from functools import partial

import httpx
import psycopg
import pytest

from contracts import envelope
from contracts.signals import WebhookDelivery
from messaging.bus import Bus
from messaging.memory import MemoryBus
from messaging.topology import onefolio
from service_kit.clock import FakeClock
from service_kit.http_client import outbound_client
from service_kit.run import free_port
from service_kit.settings import load
from webhooks import main
from webhooks.main import build
from webhooks.publish import rabbit
from webhooks.settings import WebhooksSettings

REQUIRED = {"SERVICE_AUTH_SECRET": "s" * 32, "DATABASE_URL": "x", "AMQP_URL": "x"}
CANARY = "canary-webhook-secret"
LINK_TOKEN = "link-sandbox-0a1b2c3d-1111-4222-8333-944455566677"
PUBLIC_TOKEN = "public-sandbox-5c1d2e3f-aaaa-4bbb-8ccc-ddddeeeeffff"


def counted(service, kind: str, result: str, provider: str = "snaptrade") -> bool:
    """Whether the metrics page shows exactly one such delivery."""
    line = f'onefolio_webhooks_total{{provider="{provider}",result="{result}",type="{kind}"}} 1.0'
    return line in service


async def metrics(http: httpx.AsyncClient) -> str:
    return (await http.get("/metrics")).text


def read(delivery) -> WebhookDelivery:
    message = envelope.decode(delivery.body).message
    assert isinstance(message, WebhookDelivery)
    return message


class TestWithABroker:
    """From the provider's POST to the connector's queue."""

    async def test_a_delivery_reaches_the_connector_without_its_secrets(
        self, box, make_settings, amqp_vhost_url, events
    ):
        body = box.body()
        async with box.connector(amqp_vhost_url) as connector:
            async with box.running(build(make_settings(amqp_vhost_url))) as http:
                answer = await box.post(http, body)
                delivery = await connector.next()
                page = await metrics(http)
            assert await connector.nothing_more()
        assert (answer.status_code, answer.json()) == (200, {"status": "accepted"})
        assert delivery.routing_key == "connector.snaptrade.webhook"
        message = read(delivery)
        assert (message.provider, message.kind) == ("snaptrade", "ACCOUNT_HOLDINGS_UPDATED")
        assert json.loads(message.body) == body | {"webhookSecret": "[removed]"}
        assert CANARY.encode() not in delivery.body
        (row,) = events()
        assert row["state"] == "published"
        assert row["age"] == "fresh"
        assert row["summary"]["accountId"] == "a-1"
        assert CANARY not in str(row)
        assert counted(page, "ACCOUNT_HOLDINGS_UPDATED", "stored")

    async def test_copies_are_answered_and_published_once(self, box, make_settings, amqp_vhost_url, events):
        body = box.body()
        async with box.connector(amqp_vhost_url) as connector:
            async with box.running(build(make_settings(amqp_vhost_url))) as http:
                answers = await asyncio.gather(*(box.post(http, body) for _ in range(40)))
                await connector.next()
            assert await connector.nothing_more()
        assert {answer.status_code for answer in answers} == {200}
        assert len(events()) == 1

    async def test_deliveries_taken_in_without_a_broker_go_out_when_it_comes(
        self, box, make_settings, amqp_vhost_url, events
    ):
        bodies = [box.body() for _ in range(3)]
        async with box.killed_at_the_end(build(make_settings(), opening=box.no_broker)) as http:
            answers = [await box.post(http, body) for body in bodies]
            assert (await http.get("/readyz")).status_code == 200
        assert [answer.status_code for answer in answers] == [200] * 3
        assert {row["state"] for row in events()} == {"stored"}
        async with box.connector(amqp_vhost_url) as connector:
            async with box.running(build(make_settings(amqp_vhost_url))) as http:
                got = [read(await connector.next()) for _ in bodies]
                assert (await box.post(http, bodies[0])).status_code == 200
            assert await connector.nothing_more()
        ids = {json.loads(message.body)["webhookId"] for message in got}
        assert ids == {body["webhookId"] for body in bodies}

    async def test_a_broker_that_comes_later_gets_what_was_taken_in_before(
        self, box, make_settings, amqp_vhost_url, events
    ):
        there = False

        async def opening() -> Bus:
            return await (rabbit(amqp_vhost_url, [])() if there else box.no_broker())

        service = build(make_settings(), opening=opening)
        async with box.connector(amqp_vhost_url) as connector, box.running(service) as http:
            assert (await box.post(http, box.body())).status_code == 200
            assert events()[0]["state"] == "stored"
            there = True
            await connector.next()
        assert events()[0]["state"] == "published"

    async def test_a_delivery_published_twice_after_a_crash_has_one_event_id(
        self, box, make_settings, amqp_vhost_url, migrated_database
    ):
        async with box.connector(amqp_vhost_url) as connector:
            async with box.running(build(make_settings(amqp_vhost_url))) as http:
                await box.post(http, box.body())
                first = await connector.next()
            with psycopg.connect(migrated_database.admin_url) as admin:
                admin.execute("UPDATE webhooks.webhook_events SET state = 'stored', published_at = NULL")
            async with box.running(build(make_settings(amqp_vhost_url))):
                second = await connector.next()
        assert first.event_id == second.event_id
        assert read(first) == read(second)

    @pytest.mark.slow
    async def test_a_process_killed_after_storing_publishes_once_when_it_is_back(
        self, box, amqp_vhost_url, database_role_url
    ):
        body = box.body()
        content, headers = box.signed(body)
        async with box.connector(amqp_vhost_url) as connector:
            with process(database_role_url, "amqp://guest:guest@127.0.0.1:1/", box.key) as (first, url):
                async with httpx.AsyncClient(base_url=url, trust_env=False) as http:
                    assert (
                        await http.post("/webhooks/snaptrade", content=content, headers=headers)
                    ).status_code == 200
                first.send_signal(signal.SIGKILL)
                first.wait()
            with process(database_role_url, amqp_vhost_url, box.key) as (second, url):
                message = read(await connector.next())
                async with httpx.AsyncClient(base_url=url, trust_env=False) as http:
                    assert (
                        await http.post("/webhooks/snaptrade", content=content, headers=headers)
                    ).status_code == 200
                assert await connector.nothing_more()
                second.terminate()
                assert await asyncio.to_thread(second.wait, 20) == 0
        assert json.loads(message.body)["webhookId"] == body["webhookId"]


class process:  # noqa: N801 - reads as a verb where it is used
    """The letter box as its own process, killed at the end if it is still there."""

    def __init__(self, database_url: str, amqp_url: str, key: str) -> None:
        self.port = free_port()
        environment = {
            **{name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ},
            "SERVICE_AUTH_SECRET": "s" * 32,
            "DATABASE_URL": database_url,
            "AMQP_URL": amqp_url,
            "SNAPTRADE_CONSUMER_KEY": key,
            "PORT": str(self.port),
        }
        self.child = subprocess.Popen(
            [sys.executable, "-m", "webhooks"], env=environment, stdout=subprocess.DEVNULL
        )

    def __enter__(self) -> tuple[subprocess.Popen[bytes], str]:
        url = f"http://127.0.0.1:{self.port}"
        deadline = time.monotonic() + 30
        while not self.ready(url):
            assert self.child.poll() is None, "the letter box ended"
            assert time.monotonic() < deadline, "the letter box did not start"
            time.sleep(0.1)
        return self.child, url

    def __exit__(self, *_: object) -> None:
        if self.child.poll() is None:
            self.child.kill()
        self.child.wait()

    @staticmethod
    def ready(url: str) -> bool:
        try:
            return httpx.get(f"{url}/readyz", trust_env=False).status_code == 200
        except httpx.TransportError:
            return False


class TestAnswers:
    """What a provider, or somebody who pretends to be one, hears."""

    @pytest.fixture
    async def http(self, box, make_settings):
        async with box.running(build(make_settings(), opening=box.no_broker)) as client:
            yield client

    async def test_a_forged_one_is_not_told_why_and_leaves_nothing(self, http, box, events):
        answers = [
            await box.post(http, box.body(), key="wrong"),
            await http.post(
                "/webhooks/snaptrade", content=b"{}", headers={"Content-Type": "application/json"}
            ),
            await http.post(
                "/webhooks/snaptrade",
                content=b'{"a":1,"a":1}',
                headers={"Content-Type": "application/json", "Signature": "x"},
            ),
        ]
        assert {answer.status_code for answer in answers} == {401}
        assert len({answer.json()["error"]["message"] for answer in answers}) == 1
        assert events() == []
        page = await metrics(http)
        assert 'result="forged",type="unknown"} 3.0' in page
        assert 'onefolio_webhook_refusals_total{provider="snaptrade",reason="bad_signature"} 1.0' in page

    async def test_a_signature_that_is_not_ascii_is_only_wrong(self, http, box):
        content, headers = box.signed(box.body())
        raw = [(b"content-type", b"application/json"), (b"signature", "é".encode())]
        answer = await http.post("/webhooks/snaptrade", content=content, headers=raw)
        assert answer.status_code == 401
        assert headers["Signature"]

    @pytest.mark.parametrize(
        "path", ["/webhooks/acme", "/webhooks/SNAPTRADE", "/webhooks/plaid", "/webhooks/"]
    )
    async def test_nobody_else_is_served(self, http, box, path, events):
        content, headers = box.signed(box.body())
        assert (await http.post(path, content=content, headers=headers)).status_code == 404
        assert events() == []

    async def test_a_body_too_large_is_refused(self, http, box):
        content, headers = box.signed(box.body(padding="x" * 70_000))
        assert (await http.post("/webhooks/snaptrade", content=content, headers=headers)).status_code == 413

    async def test_what_is_no_json_is_refused(self, http, box):
        content, headers = box.signed(box.body())
        headers["Content-Type"] = "text/plain"
        assert (await http.post("/webhooks/snaptrade", content=content, headers=headers)).status_code == 415

    async def test_an_event_nobody_knows_is_stored_and_counted_as_other(self, http, box, events):
        assert (await box.post(http, box.body(eventType="SOMETHING\x00_NEW\ud800"))).status_code == 200
        assert events()[0]["kind"] == "SOMETHING?_NEW?"
        assert counted(await metrics(http), "other", "stored")

    async def test_any_text_in_an_authentic_body_can_be_stored(self, http, box, events):
        body = box.body(note="\ud800 \x00 é 漢 🙂 \u2028", userId="u\x00")
        assert (await box.post(http, body)).status_code == 200
        assert json.loads(events()[0]["body"])["note"] == body["note"]

    async def test_the_same_event_written_otherwise_is_a_copy(self, http, box, events):
        body = box.body()
        content, headers = box.signed(body)
        again = json.dumps(dict(reversed(body.items()))).encode()
        for bytes_sent in (content, again):
            answer = await http.post("/webhooks/snaptrade", content=bytes_sent, headers=headers)
            assert answer.status_code == 200
        assert len(events()) == 1
        assert counted(await metrics(http), "ACCOUNT_HOLDINGS_UPDATED", "duplicate")


class TestAge:
    """SnapTrade's retries begin after half an hour."""

    @pytest.fixture
    async def aged(self, box, make_settings, events):
        bus = MemoryBus(onefolio())

        async def opening() -> Bus:
            return bus

        async def post(minutes: float, **settings: object) -> tuple[int, list[dict[str, object]], int]:
            clock = FakeClock(datetime.now(UTC))
            sent = clock.now() - timedelta(minutes=minutes)
            service = build(make_settings(**settings), clock=clock, opening=opening)
            async with box.running(service) as http:
                answer = await box.post(http, box.body(eventTimestamp=sent.isoformat()))
            return answer.status_code, events(), await bus.depth("snaptrade-connector")

        return post

    async def test_a_late_one_is_taken_as_such(self, aged):
        status, rows, published = await aged(45)
        assert (status, rows[0]["age"], rows[0]["state"], published) == (200, "late", "published", 1)

    async def test_one_of_yesterday_is_kept_as_evidence_only(self, aged):
        status, rows, published = await aged(25 * 60)
        assert (status, rows[0]["age"], rows[0]["state"], published) == (400, "too_old", "refused", 0)

    async def test_strictly_a_late_one_is_refused(self, aged):
        status, rows, published = await aged(45, snaptrade_strict_age=True)
        assert (status, rows[0]["state"], published) == (400, "refused", 0)

    async def test_one_from_the_future_is_forged(self, aged):
        assert await aged(-2) == (401, [], 0)


class TestPlaid:
    """Plaid's deliveries, with a Plaid that answers for its keys."""

    @pytest.fixture
    def signer(self, box):
        return box.signer()

    @pytest.fixture
    def plaid(self, monkeypatch, signer):
        """Plaid's side: what it answers can be changed."""
        side = {"status": 200, "asked": 0}

        def answer(request: httpx.Request) -> httpx.Response:
            side["asked"] += 1
            if side["status"] != 200:
                return httpx.Response(side["status"], json={"error_code": "INTERNAL_SERVER_ERROR"})
            if json.loads(request.content)["key_id"] != signer.kid:
                return httpx.Response(400, json={"error_code": "INVALID_WEBHOOK_VERIFICATION_KEY_ID"})
            return httpx.Response(200, json={"key": signer.jwk(), "request_id": "r"})

        mocked = partial(outbound_client, transport=httpx.MockTransport(answer))
        monkeypatch.setattr(main, "outbound_client", mocked)
        return side

    @pytest.fixture
    def bus(self):
        return MemoryBus(onefolio())

    @pytest.fixture
    async def http(self, box, make_settings, plaid, bus):
        async def opening() -> Bus:
            return bus

        settings = make_settings(plaid_base_url="https://plaid.test", plaid_client_id="c", plaid_secret="s3")
        async with box.running(build(settings, opening=opening)) as client:
            yield client

    def finished(self) -> bytes:
        body = {
            "webhook_type": "LINK",
            "webhook_code": "SESSION_FINISHED",
            "status": "SUCCESS",
            "link_session_id": "s-1",
            "link_token": LINK_TOKEN,
            "public_tokens": [PUBLIC_TOKEN],
        }
        return json.dumps(body, indent=2).encode()

    async def test_a_finished_link_is_published_with_a_digest_for_its_token(self, http, bus, signer, events):
        body = self.finished()
        answer = await http.post("/webhooks/plaid", content=body, headers=signer.headers(body))
        assert answer.status_code == 200
        subscription = await bus.subscribe("plaid-connector", 1)
        async with asyncio.timeout(20):
            held = await subscription.next()
        message = read(held.delivery)
        await subscription.ack([held])
        await subscription.close()
        found = json.loads(message.body)
        assert message.kind == "LINK/SESSION_FINISHED"
        assert found["link_token"] == f"sha256:{hashlib.sha256(LINK_TOKEN.encode()).hexdigest()}"
        assert found["public_tokens"] == ["[removed]"]
        assert LINK_TOKEN not in str(events())
        assert PUBLIC_TOKEN not in str(events())

    async def test_a_copy_is_known_and_a_new_event_with_the_same_body_is_new(self, http, signer, events):
        body = self.finished()
        now = int(time.time())
        for iat in (now, now, now - 30):
            answer = await http.post("/webhooks/plaid", content=body, headers=signer.headers(body, iat=iat))
            assert answer.status_code == 200
        assert len(events()) == 2

    async def test_keys_are_asked_for_once(self, http, signer, plaid):
        for number in range(20):
            body = json.dumps({"n": number}).encode()
            await http.post("/webhooks/plaid", content=body, headers=signer.headers(body))
        assert plaid["asked"] == 1

    async def test_another_key_pair_is_forged(self, http, box, signer, events):
        body = self.finished()
        for other in (box.signer(signer.kid), box.signer()):
            answer = await http.post("/webhooks/plaid", content=body, headers=other.headers(body))
            assert answer.status_code == 401
        assert events() == []

    async def test_while_plaid_does_not_answer_it_is_asked_to_send_again(self, http, signer, plaid, events):
        body = self.finished()
        headers = signer.headers(body)
        plaid["status"] = 500
        answer = await http.post("/webhooks/plaid", content=body, headers=headers)
        assert (answer.status_code, "retry-after" in answer.headers) == (503, True)
        plaid["status"] = 200
        assert (await http.post("/webhooks/plaid", content=body, headers=headers)).status_code == 200
        assert len(events()) == 1

    async def test_a_flood_of_made_up_keys_costs_plaid_ten_look_ups(self, http, box, plaid):
        body = self.finished()
        other = box.signer()
        codes = set()
        for _ in range(30):
            other.kid = str(uuid.uuid4())
            codes.add(
                (await http.post("/webhooks/plaid", content=body, headers=other.headers(body))).status_code
            )
        assert codes == {401, 503}
        assert plaid["asked"] == 10


class TestWithoutTheDatabase:
    """Never 200 for what is not kept."""

    async def test_while_it_is_away_the_provider_is_asked_to_send_again(
        self, box, make_settings, migrated_database, database_url, events
    ):
        body = box.body()
        async with box.running(build(make_settings(), opening=box.no_broker)) as http:
            accept_connections(database_url, migrated_database.admin_url, "false")
            away = await box.post(http, body)
            ready = await http.get("/readyz")
            accept_connections(database_url, migrated_database.admin_url, "true")
            answer = await again(partial(box.post, http, body))
        assert (away.status_code, away.headers["retry-after"]) == (503, "30")
        assert away.json()["error"]["code"] == "UNAVAILABLE"
        assert ready.status_code == 503
        assert answer.status_code == 200
        assert len(events()) == 1

    async def test_a_defect_is_no_200_either(self, box, make_settings, migrated_database, events):
        async with box.running(build(make_settings(), opening=box.no_broker)) as http:
            with psycopg.connect(migrated_database.admin_url, autocommit=True) as admin:
                admin.execute("ALTER TABLE webhooks.webhook_events RENAME TO away")
                answer = await box.post(http, box.body())
                admin.execute("ALTER TABLE webhooks.away RENAME TO webhook_events")
        assert answer.status_code == 500
        assert events() == []


def accept_connections(server_url: str, url: str, whether: str) -> None:
    """Take a database away from everybody, or give it back."""
    name = psycopg.conninfo.conninfo_to_dict(url)["dbname"]
    with psycopg.connect(server_url, autocommit=True) as admin:
        admin.execute(f"ALTER DATABASE {name} WITH ALLOW_CONNECTIONS {whether}")
        if whether == "false":
            admin.execute(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = %s", (name,)
            )


async def again(post) -> httpx.Response:
    """Send until it is taken, as a provider does."""
    async with asyncio.timeout(30):
        while (answer := await post()).status_code == 503:  # noqa: ASYNC110 - a provider polls as well
            await asyncio.sleep(0.1)
    return answer


class TestRetention:
    """Old rows go, unpublished ones never."""

    async def test_only_old_and_settled_rows_go(self, box, make_settings, migrated_database, events):
        service = build(make_settings(), opening=box.no_broker)
        relay = service.background[0].__self__
        async with box.killed_at_the_end(service) as http:
            for kind in ("OLD", "YOUNG", "STUCK"):
                await box.post(http, box.body(eventType=kind))
            with psycopg.connect(migrated_database.admin_url) as admin:
                admin.execute("UPDATE webhooks.webhook_events SET state = 'published' WHERE kind <> 'STUCK'")
                admin.execute(
                    "UPDATE webhooks.webhook_events SET received_at = now() - interval '31 days' WHERE kind <> 'YOUNG'"
                )
            await relay.purge()
        assert [row["kind"] for row in events()] == ["YOUNG", "STUCK"]


class TestSettings:
    """Refused loudly when wrong."""

    @pytest.mark.parametrize(
        ("given", "word"),
        [
            ({}, "no provider is configured"),
            ({"PLAID_CLIENT_ID": "x"}, "together"),
            ({"SNAPTRADE_CONSUMER_KEY": "canary", "PLAID_SECRET": "canary"}, "together"),
            ({"SNAPTRADE_CONSUMER_KEY": "canary", "WEBHOOK_RETENTION_DAYS": "1"}, "WEBHOOK_RETENTION_DAYS"),
        ],
    )
    def test_half_a_configuration_is_refused(self, monkeypatch, capsys, given, word):
        for name in ("SNAPTRADE_CONSUMER_KEY", "PLAID_BASE_URL", "PLAID_CLIENT_ID", "PLAID_SECRET"):
            monkeypatch.delenv(name, raising=False)
        for name, value in (REQUIRED | given).items():
            monkeypatch.setenv(name, value)
        with pytest.raises(SystemExit) as caught:
            load(WebhooksSettings)
        assert caught.value.code == 78
        error = capsys.readouterr().err
        assert word in error
        assert "canary" not in error

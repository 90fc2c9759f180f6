"""Logins that come a second time: refused before they cost, or found again where the provider keeps their connection."""

import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import msgspec
import psycopg
import pytest

from connector_kit import links, signals
from connector_kit.finish import finish
from connector_kit.links import begin
from connector_kit.sync import sync
from connector_kit.testing import FakeConnection
from contracts.holdings import HoldingsSnapshot
from contracts.ids import connection_id
from contracts.linking import FinishLink, LinkedConnection, LinkOutcome
from contracts.messages import ConnectionLinked
from contracts.signals import Meaning, Signal, WebhookDelivery
from contracts.statuses import ConnectionStatus, LinkStatus

SAME_LOGIN = "auth-s"


@pytest.fixture
def admin(migrated_database):
    with psycopg.connect(migrated_database.admin_url, autocommit=True) as connection:
        yield connection


@pytest.fixture
async def linked(engine, adapter, bus, begun) -> str:
    """A connection that was linked and read long ago."""
    await begun()
    (connection,) = (await finish(engine, "s1", user_id="u1")).fresh
    await sync(engine, connection, trigger="link")
    bus.sent.clear()
    return connection


def webhook(meaning: Meaning, **more: object) -> WebhookDelivery:
    return WebhookDelivery(
        delivery_id=uuid.uuid4().hex,
        provider="fake",
        kind="k",
        received_at=datetime.now(UTC),
        body=msgspec.json.encode([Signal(meaning=meaning, **more)]).decode(),
    )


class TestWhereEachLoginCosts:
    async def test_a_login_that_is_linked_already_is_refused_before_the_exchange(
        self, engine, adapter, bus, begun, linked
    ):
        await begun("s2", "u1", FakeConnection("item-2", "token-2"))
        adapter.sessions["link-s2"].mask = "cc-1"
        exchanges = adapter.asked.count("exchange")
        done = await finish(engine, "s2", user_id="u1")
        assert (done.progress.status, done.progress.reason) == (LinkStatus.FAILED, "ALREADY_LINKED")
        assert (done.progress.duplicate_of, done.fresh) == (linked, [])
        assert await links.progress(engine, "s2", "u1") == done.progress
        assert adapter.asked.count("exchange") == exchanges
        assert bus.of(ConnectionLinked) == []

    async def test_another_users_accounts_make_no_duplicate(self, engine, adapter, begun, linked):
        await begun("s2", "u2", FakeConnection("item-2", "token-2"))
        adapter.sessions["link-s2"].mask = "cc-1"
        assert (await finish(engine, "s2", user_id="u2")).progress.status is LinkStatus.COMPLETED

    async def test_what_was_refused_once_may_be_linked_when_the_first_is_gone(
        self, engine, adapter, begun, linked
    ):
        await begun("s2", "u1", FakeConnection("item-2", "token-2"))
        adapter.sessions["link-s2"].mask = "cc-1"
        await finish(engine, "s2", user_id="u1")
        adapter.sessions["link-s2"].mask = None
        progress = (await finish(engine, "s2", user_id="u1")).progress
        assert (progress.status, progress.duplicate_of) == (LinkStatus.COMPLETED, None)

    async def test_a_repair_of_the_same_login_is_no_duplicate(self, engine, adapter, begun, linked):
        await begun("s2", "u1", reconnect_connection_id=linked)
        adapter.sessions["link-s2"].brings, adapter.sessions["link-s2"].mask = [], "cc-1"
        assert (await finish(engine, "s2", user_id="u1")).progress.status is LinkStatus.COMPLETED


@pytest.fixture
async def kept(engine, adapter, bus, request_link, monkeypatch, admin) -> list[str]:
    """A provider that keeps one connection per login; a connection was linked long ago, session s2 has begun.

    The list says which connections the provider shows to have been linked again.
    """
    adapter.keeps_users = True
    adapter.connections[SAME_LOGIN] = FakeConnection(SAME_LOGIN, "unused", institution_ref="SCHWAB")
    again: list[str] = []

    async def finish_link(link: FinishLink) -> AsyncIterator[LinkedConnection | LinkOutcome]:
        assert link.begun_at is not None
        mine = [
            one
            for one in adapter.connections.values()
            if one.external_id not in link.known or one.external_id in {link.hint, *again}
        ]
        for one in mine:
            yield LinkedConnection(
                external_id=one.external_id,
                secret=None,
                institution_ref=one.institution_ref,
                institution_name=one.institution_name,
                connection_type="read",
            )
        yield LinkOutcome(status=LinkStatus.COMPLETED if mine else LinkStatus.PENDING)

    monkeypatch.setattr(adapter, "finish_link", finish_link)
    await begin(engine, request_link("s1", institution_ref="SCHWAB"))
    (connection,) = (await finish(engine, "s1", user_id="u1")).fresh
    await sync(engine, connection, trigger="link")
    admin.execute("UPDATE sync.link_intents SET settled_at = settled_at - interval '30 days'")
    await begin(engine, request_link("s2", institution_ref="SCHWAB"))
    bus.sent.clear()
    return again


async def status_of(engine, session: str) -> LinkStatus:
    return (await links.progress(engine, session, "u1")).status


class TestWhereALoginKeepsItsConnection:
    async def test_it_is_found_by_the_users_word(self, engine, kept):
        assert (await finish(engine, "s2", user_id="u1")).progress.status is LinkStatus.PENDING
        done = await finish(engine, "s2", user_id="u1", hint=SAME_LOGIN)
        identity = connection_id("fake", "u1", SAME_LOGIN)
        assert (done.progress.status, done.fresh) == (LinkStatus.COMPLETED, [identity])

    @pytest.mark.parametrize("meaning", [Meaning.LINK_FINISHED, Meaning.REPAIRED])
    async def test_it_is_found_and_read_when_the_provider_speaks_of_it(self, engine, bus, kept, meaning):
        said = webhook(meaning, external_connection_id=SAME_LOGIN, external_user_id="u1")
        await signals.handle(engine, said)
        assert await status_of(engine, "s2") is LinkStatus.COMPLETED
        assert len(bus.of(HoldingsSnapshot)) == 1

    async def test_the_providers_word_on_another_institution_ends_no_session(
        self, engine, adapter, bus, kept
    ):
        adapter.connections[SAME_LOGIN].institution_ref = "FIDELITY"
        said = webhook(Meaning.LINK_FINISHED, external_connection_id=SAME_LOGIN, external_user_id="u1")
        await signals.handle(engine, said)
        assert await status_of(engine, "s2") is LinkStatus.PENDING
        assert len(bus.of(HoldingsSnapshot)) == 1

    async def test_late_word_of_an_earlier_session_ends_no_session(self, engine, admin, kept):
        admin.execute(
            "UPDATE sync.link_intents SET settled_at = clock_timestamp() WHERE link_session_id = 's1'"
        )
        said = webhook(Meaning.LINK_FINISHED, external_connection_id=SAME_LOGIN, external_user_id="u1")
        await signals.handle(engine, said)
        assert await status_of(engine, "s2") is LinkStatus.PENDING

    async def test_the_repair_of_one_connection_ends_no_session_for_another(self, engine, request_link, kept):
        first = connection_id("fake", "u1", SAME_LOGIN)
        await begin(engine, request_link("s3", institution_ref="SCHWAB", reconnect_connection_id=first))
        await signals.handle(engine, webhook(Meaning.REPAIRED, external_connection_id=SAME_LOGIN))
        found = [await status_of(engine, session) for session in ("s2", "s3")]
        assert found == [LinkStatus.PENDING, LinkStatus.COMPLETED]

    async def test_that_it_changed_is_a_proof_only_when_the_session_is_over(self, engine, admin, kept):
        kept.append(SAME_LOGIN)
        assert (await finish(engine, "s2", user_id="u1")).progress.status is LinkStatus.PENDING
        admin.execute(
            """UPDATE sync.link_intents SET expires_at = clock_timestamp() - interval '1 second'
                WHERE link_session_id = 's2'"""
        )
        done = await finish(engine, "s2", user_id="u1")
        assert (done.progress.status, len(done.fresh)) == (LinkStatus.COMPLETED, 1)

    async def test_a_new_connection_ends_the_session_whatever_else_changed(self, engine, adapter, kept):
        kept.append(SAME_LOGIN)
        adapter.connections["auth-2"] = FakeConnection("auth-2", "unused", institution_ref="SCHWAB")
        done = await finish(engine, "s2", user_id="u1")
        assert done.progress.connection_ids == [connection_id("fake", "u1", "auth-2")]


async def test_a_repair_the_provider_tells_of_ends_the_session_that_was_begun_for_it(
    engine, adapter, bus, begun, linked
):
    adapter.connections["item-1"].status = ConnectionStatus.BROKEN
    await sync(engine, linked, trigger="schedule")
    await begun("s2", "u1", reconnect_connection_id=linked)
    adapter.sessions["link-s2"].brings = []
    await begun("s3", "u1", FakeConnection("item-3", "token-3"))
    adapter.sessions["link-s3"].status = LinkStatus.PENDING
    adapter.sessions["link-s3"].brings = []
    adapter.connections["item-1"].status = ConnectionStatus.ACTIVE
    bus.sent.clear()
    await signals.handle(engine, webhook(Meaning.REPAIRED, external_connection_id="item-1"))
    assert await status_of(engine, "s2") is LinkStatus.COMPLETED
    assert await status_of(engine, "s3") is LinkStatus.PENDING
    assert len(bus.of(HoldingsSnapshot)) == 1

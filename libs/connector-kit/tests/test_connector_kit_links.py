"""Link sessions: begun once, finished any number of times, never losing a token."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import psycopg
import pytest

from connector_kit import links
from connector_kit.finish import finish
from connector_kit.links import begin
from connector_kit.sync import sync
from connector_kit.testing import FakeAdapter, FakeConnection
from contracts.errors import ErrorCode, RefusedError, TransientError
from contracts.linking import FinishLink, LinkedConnection, LinkOutcome
from contracts.messages import ConnectionLinked, ConnectionStatusChanged
from contracts.statuses import ConnectionStatus, LinkStatus
from messaging.bus import NotConfirmedError
from persistence.secrets import access_token, user_secret
from service_kit.api_errors import ApiError


@pytest.fixture
def rows(migrated_database):
    def query(text: str) -> list:
        with psycopg.connect(migrated_database.admin_url) as admin:
            return admin.execute(text).fetchall()

    return query


@pytest.fixture
def users(adapter) -> FakeAdapter:
    adapter.keeps_users = True
    return adapter


async def test_a_finished_session_stores_the_token_and_announces_the_connection(engine, bus, begun):
    await begun()
    done = await finish(engine, "s1", user_id="u1")
    assert done.progress.status is LinkStatus.COMPLETED
    (linked,) = bus.of(ConnectionLinked)
    assert (linked.institution, linked.external_id, linked.version) == ("example", "item-1", 1)
    assert done.fresh == done.progress.connection_ids == [linked.connection_id]
    secret = await engine.secrets.get(access_token("fake", "u1", "example", "item-1"))
    assert "token-1" in secret.value.get_secret_value()


async def test_finishing_twice_links_once(engine, adapter, bus, begun):
    await begun()
    await finish(engine, "s1", user_id="u1")
    again = await finish(engine, "s1", user_id="u1")
    assert again.progress.status is LinkStatus.COMPLETED
    assert again.fresh == []
    assert len(bus.of(ConnectionLinked)) == 1
    assert adapter.asked.count("exchange") == 1


async def test_many_finishers_at_once_exchange_once(engine, adapter, bus, begun):
    await begun()
    results = await asyncio.gather(*(finish(engine, "s1", user_id="u1") for _ in range(8)))
    assert adapter.asked.count("exchange") == 1
    assert len(bus.of(ConnectionLinked)) == 1
    assert sum(len(done.fresh) for done in results) == 1


async def test_a_crash_after_the_exchange_loses_no_token(engine, adapter, bus, begun, monkeypatch):
    await begun()

    async def crash(*_args: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("connector_kit.connections.record", crash)
        with pytest.raises(KeyboardInterrupt):
            await finish(engine, "s1", user_id="u1")
    assert await engine.secrets.get(access_token("fake", "u1", "example", "item-1"))
    assert bus.sent == []
    done = await finish(engine, "s1", user_id="u1")
    assert done.progress.status is LinkStatus.COMPLETED
    assert len(done.fresh) == 1
    assert len(bus.of(ConnectionLinked)) == 1
    assert adapter.asked.count("exchange") == 1
    assert await sync(engine, done.fresh[0], trigger="link")


async def test_an_unconfirmed_announcement_is_made_again(engine, bus, begun):
    await begun()
    bus.refuse = 1
    with pytest.raises(NotConfirmedError):
        await finish(engine, "s1", user_id="u1")
    done = await finish(engine, "s1", user_id="u1")
    assert done.progress.status is LinkStatus.COMPLETED
    assert len(bus.of(ConnectionLinked)) == 1


async def test_a_foreign_session_is_not_found(engine, adapter, begun):
    await begun()
    asked = list(adapter.asked)
    assert await finish(engine, "s1", user_id="mallory") is None
    assert await links.progress(engine, "s1", "mallory") is None
    assert adapter.asked == asked


async def test_an_unfinished_session_stays_pending(engine, request_link):
    await begin(engine, request_link())
    done = await finish(engine, "s1", user_id="u1")
    assert done.progress.status is LinkStatus.PENDING
    assert done.fresh == []


async def test_a_session_that_ran_out_is_expired_and_late_proof_outranks_it(
    engine, adapter, begun, request_link
):
    adapter.expires_at = datetime(2020, 1, 1, tzinfo=UTC)
    await begin(engine, request_link())
    assert (await links.progress(engine, "s1", "u1")).status is LinkStatus.EXPIRED
    assert (await finish(engine, "s1", user_id="u1")).progress.status is LinkStatus.EXPIRED
    session = adapter.sessions["link-s1"]
    session.brings, session.status = [FakeConnection("item-1", "token-1")], LinkStatus.COMPLETED
    done = await finish(engine, "s1", user_id="u1")
    assert done.progress.status is LinkStatus.COMPLETED
    assert len(done.fresh) == 1


async def test_one_session_may_bring_two_connections_and_a_chosen_institution_wins(engine, bus, begun):
    await begun(
        "s1",
        "u1",
        FakeConnection("item-1", "t1"),
        FakeConnection("item-2", "t2", institution_ref="ins_9", institution_name="Bank of Elsewhere"),
    )
    done = await finish(engine, "s1", user_id="u1")
    assert len(done.fresh) == 2
    assert [one.institution for one in bus.of(ConnectionLinked)] == ["example", "bank-of-elsewhere"]


async def test_a_transient_failure_leaves_the_session_free_to_be_asked_again(engine, adapter, begun):
    await begun()
    adapter.failures["finish_link"] = [
        TransientError("down", code=ErrorCode.PROVIDER_UNAVAILABLE, provider="fake")
    ]
    with pytest.raises(TransientError):
        await finish(engine, "s1", user_id="u1")
    assert (await finish(engine, "s1", user_id="u1")).progress.status is LinkStatus.COMPLETED


async def test_a_refused_session_has_failed(engine, adapter, begun):
    await begun()
    adapter.failures["finish_link"] = [RefusedError("no", code=ErrorCode.PROVIDER_REFUSED, provider="fake")]
    done = await finish(engine, "s1", user_id="u1")
    assert done.progress.status is LinkStatus.FAILED
    assert done.progress.reason == "PROVIDER_REFUSED"


async def test_linking_the_same_connection_again_makes_it_active_under_a_higher_version(
    engine, adapter, bus, begun, rows
):
    await begun("s1")
    (connection,) = (await finish(engine, "s1", user_id="u1")).fresh
    adapter.connections["item-1"].status = ConnectionStatus.BROKEN
    await sync(engine, connection, trigger="user")
    assert rows("SELECT status FROM sync.sync_state") == [("broken",)]
    await begun("s2", "u1", FakeConnection("item-1", "token-2"), reconnect_connection_id=connection)
    done = await finish(engine, "s2", user_id="u1")
    assert done.fresh == [connection]
    broken, active = bus.of(ConnectionStatusChanged)
    assert (broken.status, active.status) == (ConnectionStatus.BROKEN, ConnectionStatus.ACTIVE)
    assert broken.version < bus.of(ConnectionLinked)[1].version < active.version
    assert rows("SELECT status FROM sync.sync_state") == [("active",)]


async def test_a_repair_that_hands_nothing_over_still_reads_the_repaired_connection(engine, adapter, begun):
    await begun("s1")
    (connection,) = (await finish(engine, "s1", user_id="u1")).fresh
    await begun("s2", "u1", reconnect_connection_id=connection)
    adapter.sessions["link-s2"].brings = []
    done = await finish(engine, "s2", user_id="u1")
    assert done.progress.status is LinkStatus.COMPLETED
    assert done.fresh == done.progress.connection_ids == [connection]


async def test_another_users_connection_cannot_be_repaired(engine, begun, request_link):
    await begun()
    (connection,) = (await finish(engine, "s1", user_id="u1")).fresh
    with pytest.raises(ApiError) as refused:
        await begin(engine, request_link("s2", "mallory", reconnect_connection_id=connection))
    assert refused.value.status == 404


async def test_beginning_twice_gives_the_same_page_and_asks_the_provider_once(engine, adapter, request_link):
    first = await begin(engine, request_link())
    assert await begin(engine, request_link()) == first
    assert adapter.asked.count("begin_link") == 1


async def test_a_session_id_of_another_user_is_not_found(engine, request_link):
    await begin(engine, request_link())
    with pytest.raises(ApiError) as refused:
        await begin(engine, request_link(user="mallory"))
    assert refused.value.status == 404


async def test_a_session_that_could_not_be_begun_can_be_begun_again(engine, adapter, request_link):
    adapter.failures["begin_link"] = [
        TransientError("down", code=ErrorCode.PROVIDER_UNAVAILABLE, provider="fake")
    ]
    with pytest.raises(TransientError):
        await begin(engine, request_link())
    assert (await begin(engine, request_link())).url


async def test_many_sessions_at_once_register_the_user_once(engine, users, request_link):
    await asyncio.gather(*(begin(engine, request_link(f"s{n}")) for n in range(6)))
    assert users.asked.count("enroll") == 1
    secret = await engine.secrets.get(user_secret("fake", "u1"))
    assert secret.value.get_secret_value() == "secret-of-u1"


async def test_a_registration_whose_answer_was_lost_is_not_repeated_under_its_name(
    engine, users, request_link, rows
):
    users.failures["enroll"] = [TransientError("lost", code=ErrorCode.TIMEOUT, provider="fake")]
    with pytest.raises(TransientError):
        await begin(engine, request_link())
    await begin(engine, request_link())
    assert list(users.users) == ["u1.2"]
    assert rows("SELECT external_user_id, state FROM sync.provider_users") == [("u1.2", "registered")]


async def test_a_refused_registration_may_use_the_name_again(engine, users, request_link):
    users.failures["enroll"] = [RefusedError("no", code=ErrorCode.PROVIDER_REFUSED, provider="fake")]
    with pytest.raises(RefusedError):
        await begin(engine, request_link())
    await begin(engine, request_link())
    assert list(users.users) == ["u1"]


async def test_no_secret_stands_in_the_database_in_clear(engine, users, begun, rows):
    await begun()
    await finish(engine, "s1", user_id="u1")
    tables = ("provider_users", "sync_state", "link_intents", "secrets", "deks", "handled_commands")
    dump = "".join(str(rows(f"SELECT * FROM sync.{table}")) for table in tables)
    for canary in ("token-1", "secret-of-u1", "link-s1", "provider.invalid"):
        assert canary not in dump
        assert canary.encode().hex() not in dump


@pytest.fixture
def by_difference(adapter, monkeypatch) -> list[LinkedConnection]:
    """A provider whose sessions are not told apart: what is new is whatever was not known before."""
    there: list[LinkedConnection] = []

    async def finish_link(link: FinishLink) -> AsyncIterator[LinkedConnection | LinkOutcome]:
        fresh = [one for one in there if one.external_id not in link.known or one.external_id == link.hint]
        for one in fresh:
            yield one
        yield LinkOutcome(status=LinkStatus.COMPLETED if fresh else LinkStatus.PENDING)

    monkeypatch.setattr(adapter, "finish_link", finish_link)
    return there


def authorization(external_id: str, ref: str) -> LinkedConnection:
    return LinkedConnection(
        external_id=external_id,
        secret=None,
        institution_ref=ref,
        institution_name=ref.title(),
        connection_type="read",
    )


@pytest.mark.parametrize("first_to_look", ["s1", "s2"])
async def test_of_two_open_sessions_none_takes_the_connection_of_the_other(
    engine, bus, request_link, by_difference, first_to_look
):
    for session, slug, ref in (("s1", "charles-schwab", "SCHWAB"), ("s2", "fidelity", "FIDELITY")):
        await begin(engine, request_link(session, institution=slug, institution_ref=ref))
    by_difference.append(authorization("auth-f", "FIDELITY"))
    await finish(engine, first_to_look, user_id="u1")
    waiting = (await finish(engine, "s1", user_id="u1")).progress
    done = (await finish(engine, "s2", user_id="u1")).progress
    assert (waiting.status, waiting.connection_ids) == (LinkStatus.PENDING, [])
    assert (done.status, len(done.connection_ids)) == (LinkStatus.COMPLETED, 1)
    by_difference.append(authorization("auth-s", "SCHWAB"))
    late = (await finish(engine, "s1", user_id="u1")).progress
    assert (late.status, len(late.connection_ids)) == (LinkStatus.COMPLETED, 1)
    linked = {event.external_id: event.institution for event in bus.of(ConnectionLinked)}
    assert linked == {"auth-s": "charles-schwab", "auth-f": "fidelity"}


async def test_a_session_begun_again_and_the_one_given_up_both_find_the_connection(
    engine, request_link, by_difference
):
    for session in ("s1", "s2"):
        await begin(engine, request_link(session, institution_ref="SCHWAB"))
    by_difference.append(authorization("auth-s", "SCHWAB"))
    found = [(await finish(engine, session, user_id="u1")).progress.status for session in ("s1", "s2")]
    assert found == [LinkStatus.COMPLETED, LinkStatus.COMPLETED]


async def test_a_user_who_chose_another_institution_than_asked_is_still_linked(
    engine, request_link, by_difference
):
    await begin(engine, request_link("s1", institution_ref="SCHWAB"))
    by_difference.append(authorization("auth-f", "FIDELITY"))
    assert (await finish(engine, "s1", user_id="u1")).progress.status is LinkStatus.COMPLETED


async def test_a_connection_that_is_claimed_by_its_id_is_taken_whoever_else_waits_for_it(
    engine, request_link, by_difference
):
    for session, ref in (("s1", "SCHWAB"), ("s2", "FIDELITY")):
        await begin(engine, request_link(session, institution_ref=ref))
    by_difference.append(authorization("auth-f", "FIDELITY"))
    done = await finish(engine, "s1", user_id="u1", hint="auth-f")
    assert done.progress.status is LinkStatus.COMPLETED

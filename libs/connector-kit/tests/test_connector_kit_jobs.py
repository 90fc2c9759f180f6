"""Daily jobs: once among replicas, again after a crash, and what each of them does."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import psycopg
import pytest

from connector_kit import catalogue, housekeeping, job_table, jobs, orphan_table, orphans
from connector_kit.finish import finish
from connector_kit.job_table import Hold
from connector_kit.jobs import Jobs
from connector_kit.testing import FakeAdapter
from contracts.connectors import CatalogueInstitution, CatalogueInstrument
from contracts.errors import ErrorCode, RefusedError, TransientError
from persistence.secrets import SecretNotFoundError, access_token
from service_kit.api_errors import ApiError

LEASE = timedelta(seconds=20)


@pytest.fixture
def admin(migrated_database):
    with psycopg.connect(migrated_database.admin_url, autocommit=True) as connection:
        yield connection


@pytest.fixture
def done(monkeypatch):
    """Replaces the jobs by one that notes its runs."""
    runs: list[str] = []

    async def work(_engine) -> dict:
        await asyncio.sleep(0.01)
        runs.append("run")
        return {"found": len(runs)}

    monkeypatch.setattr(jobs, "jobs_of", lambda _engine: {"work": work})
    return runs


async def test_among_replicas_a_job_is_done_once(engine, done):
    await job_table.want(engine.database, "fake", "work")
    await asyncio.gather(*(Jobs(engine).look() for _ in range(5)))
    assert done == ["run"]
    (status,) = await job_table.listed(engine.database, "fake")
    assert status.result == {"found": 1}
    assert not status.running
    assert status.next_at - status.finished_at > timedelta(hours=20)


async def test_a_job_that_was_never_seen_waits_a_little_first(engine, done, admin):
    await Jobs(engine).look()
    assert done == []
    admin.execute("UPDATE sync.jobs SET next_at = clock_timestamp()")
    await Jobs(engine).look()
    await Jobs(engine).look()
    assert done == ["run"]


async def test_a_job_whose_process_died_is_done_by_another(engine, done, admin):
    await job_table.want(engine.database, "fake", "work")
    assert await job_table.claim(engine.database, Hold("fake", "work", "dead"), LEASE, timedelta(0))
    await Jobs(engine).look()
    assert done == []
    admin.execute("UPDATE sync.jobs SET lease_until = clock_timestamp()")
    await Jobs(engine).look()
    assert done == ["run"]
    assert not await job_table.finish(engine.database, Hold("fake", "work", "dead"), {}, LEASE)
    assert not await job_table.renew(engine.database, Hold("fake", "work", "dead"), LEASE)


async def test_a_wish_during_a_run_is_served_after_it(engine, done):
    hold = Hold("fake", "work", "me")
    await job_table.want(engine.database, "fake", "work")
    assert await job_table.claim(engine.database, hold, LEASE, timedelta(0))
    await job_table.want(engine.database, "fake", "work")
    await job_table.finish(engine.database, hold, {}, timedelta(days=1))
    await Jobs(engine).look()
    assert done == ["run"]


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (
            TransientError("down", code=ErrorCode.PROVIDER_UNAVAILABLE, provider="fake"),
            "PROVIDER_UNAVAILABLE",
        ),
        (KeyError("on purpose"), "KeyError"),
    ],
)
async def test_a_failed_job_is_tried_again_soon(engine, monkeypatch, error, told):
    async def work(_engine) -> dict:
        raise error

    monkeypatch.setattr(jobs, "jobs_of", lambda _engine: {"work": work})
    await job_table.want(engine.database, "fake", "work")
    await Jobs(engine).look()
    (status,) = await job_table.listed(engine.database, "fake")
    assert status.result == {"error": told}
    assert status.next_at - status.finished_at < timedelta(hours=1)


async def test_a_job_cut_short_is_as_due_as_before(engine, monkeypatch):
    begun = asyncio.Event()

    async def work(_engine) -> dict:
        begun.set()
        await asyncio.Event().wait()
        return {}

    monkeypatch.setattr(jobs, "jobs_of", lambda _engine: {"work": work})
    await job_table.want(engine.database, "fake", "work")
    runner = Jobs(engine)
    task = asyncio.create_task(runner.run())
    await begun.wait()
    await runner.stop()
    await task
    assert await job_table.claim(engine.database, Hold("fake", "work", "other"), LEASE, timedelta(0))


def test_what_an_adapter_does_not_serve_is_no_job(engine):
    class Least:
        provider = "fake"

    assert set(jobs.jobs_of(engine)) == {"housekeeping", "orphans", "catalogue"}
    assert set(jobs.jobs_of(replace(engine, adapter=Least()))) == {"housekeeping", "orphans"}


def institution(ref: str, **more) -> CatalogueInstitution:
    return CatalogueInstitution(ref=ref, name=ref.title(), **({"allows_trading": True} | more))


def rows(admin, table: str, columns: str) -> list[tuple]:
    return admin.execute(f"SELECT {columns} FROM sync.{table} ORDER BY 1, 2").fetchall()


async def test_the_catalogue_follows_the_provider(engine, adapter, admin):
    old = {
        institution("a"): [CatalogueInstrument(symbol="AAPL"), CatalogueInstrument(symbol="OLD")],
        institution("b", allows_trading=False): [CatalogueInstrument(symbol="NEVER")],
        institution("gone"): [],
    }
    adapter.catalogue = old
    assert await catalogue.refresh(engine) == {"institutions": 3, "instruments": 2}
    adapter.catalogue = {
        institution("a", available=True): [CatalogueInstrument(symbol="AAPL", name="Apple", tradable=True)],
        institution("b", allows_trading=False): [],
    }
    await catalogue.refresh(engine)
    assert rows(admin, "catalogue_institutions", "ref, available") == [("a", True), ("b", None)]
    assert rows(admin, "catalogue_instruments", "symbol, name") == [("AAPL", "Apple")]


async def test_an_empty_or_refused_catalogue_erases_nothing(engine, adapter, admin):
    adapter.catalogue = {institution("a"): [CatalogueInstrument(symbol="AAPL")]}
    await catalogue.refresh(engine)
    refused = RefusedError("no", code=ErrorCode.NOT_SUPPORTED, provider="fake")
    adapter.failures["instruments"] = [refused]
    await catalogue.refresh(engine)
    adapter.catalogue = {}
    await catalogue.refresh(engine)
    assert rows(admin, "catalogue_instruments", "symbol, ref") == [("AAPL", "a")]
    assert rows(admin, "catalogue_institutions", "ref, name") == [("a", "A")]


async def test_housekeeping_forgets_what_is_old_and_nothing_else(engine, begun, admin):
    await begun()
    await finish(engine, "s1", user_id="u1")
    admin.execute(
        """INSERT INTO sync.limits (key, tat, blocked_until) VALUES
               ('fake/old', clock_timestamp() - interval '2 days', NULL),
               ('fake/blocked', clock_timestamp() - interval '2 days', clock_timestamp() + interval '1 h'),
               ('fake/new', clock_timestamp(), NULL), ('other/old', clock_timestamp() - interval '2 days', NULL);
           INSERT INTO sync.streams (connection_id, account_id, stream, user_id, version)
               SELECT connection_id, '', 'x', user_id, 1 FROM sync.sync_state"""
    )
    assert (await housekeeping.tidy(engine))["limits"] == 1
    assert [row[0] for row in rows(admin, "limits", "key, tat")] == ["fake/blocked", "fake/new", "other/old"]
    before = rows(admin, "streams", "connection_id, stream")
    assert before
    admin.execute("UPDATE sync.sync_state SET status = 'removed'")
    assert (await housekeeping.tidy(engine))["streams"] == len(before)


@pytest.fixture
def adapter() -> FakeAdapter:
    return FakeAdapter(keeps_users=True)


@pytest.fixture
async def linked(engine, begun, admin) -> None:
    await begun()
    await finish(engine, "s1", user_id="u1")
    admin.execute("UPDATE sync.link_intents SET settled_at = settled_at - interval '2 h'")


async def found(engine) -> list[tuple[str, str, str | None]]:
    await orphans.search(engine)
    listed = await orphan_table.listed(engine.database, "fake", resolved=False)
    return sorted((one.kind, one.user_id, one.external_id) for one in listed)


async def test_where_both_sides_agree_there_is_no_orphan(engine, linked):
    assert await found(engine) == []


async def test_a_user_and_a_connection_that_only_the_provider_has_are_found(engine, adapter, linked, admin):
    adapter.users["stranger"] = "secret"
    admin.execute("UPDATE sync.sync_state SET status = 'removed'")
    orphaned = await found(engine)
    assert ("user", "stranger", None) in orphaned
    assert ("connection", "u1", "item-1") in orphaned


async def test_who_is_linking_right_now_has_no_orphans(engine, adapter, linked, admin, begun):
    await begun("s2")
    admin.execute("UPDATE sync.sync_state SET status = 'removed'")
    assert await found(engine) == []


async def test_a_connection_that_only_we_have_is_found_and_read_again(engine, adapter, linked, admin):
    adapter.connections.clear()
    assert await found(engine) == [("missing", "u1", "item-1")]
    (orphan,) = await orphan_table.listed(engine.database, "fake", resolved=False)
    resolved = await orphans.remove(engine, orphan.orphan_id)
    assert resolved.resolution == "is read again"
    assert admin.execute("SELECT next_sync_at <= clock_timestamp() FROM sync.sync_state").fetchone() == (
        True,
    )


async def test_a_secret_of_no_connection_is_found_and_removed_with_its_item(engine, linked, admin, adapter):
    name = access_token("fake", "u1", "example", "item-1")
    admin.execute("UPDATE sync.sync_state SET status = 'removed', secret_name = NULL")
    assert ("secret", "u1", name.path) in await found(engine)
    for orphan in await orphan_table.listed(engine.database, "fake", resolved=False):
        assert (await orphans.remove(engine, orphan.orphan_id)).resolution == "removed"
    assert adapter.connections["item-1"].removed
    with pytest.raises(SecretNotFoundError):
        await engine.secrets.get(name)
    assert await found(engine) == []


async def test_an_orphan_that_was_adopted_meanwhile_is_left_alone(engine, adapter, linked, admin):
    admin.execute("UPDATE sync.sync_state SET status = 'removed'")
    await found(engine)
    admin.execute("UPDATE sync.sync_state SET status = 'active'")
    for orphan in await orphan_table.listed(engine.database, "fake", resolved=False):
        assert (await orphans.remove(engine, orphan.orphan_id)).resolution == "belongs to somebody by now"
    assert adapter.asked.count("unlink") == 0


async def test_what_is_no_orphan_any_more_resolves_itself(engine, adapter, linked):
    adapter.users["stranger"] = "secret"
    assert await found(engine) == [("user", "stranger", None)]
    del adapter.users["stranger"]
    assert await found(engine) == []
    (past,) = await orphan_table.listed(engine.database, "fake", resolved=True)
    assert past.resolution == "not found any more"
    assert (await orphans.remove(engine, past.orphan_id)).resolution == "not found any more"
    assert adapter.asked.count("forget") == 0


async def test_a_user_that_only_the_provider_has_is_removed_once(engine, adapter, linked):
    adapter.users["stranger"] = "secret"
    await found(engine)
    (orphan,) = await orphan_table.listed(engine.database, "fake", resolved=False)
    for _ in range(2):
        assert (await orphans.remove(engine, orphan.orphan_id)).resolution == "removed"
    assert adapter.asked.count("forget") == 1
    assert set(adapter.users) == {"u1"}


async def test_a_provider_that_does_not_answer_proves_nothing(engine, adapter, linked, monkeypatch):
    adapter.users["stranger"] = "secret"
    await found(engine)
    adapter.failures["remotes"] = [
        TransientError("down", code=ErrorCode.PROVIDER_UNAVAILABLE, provider="fake")
    ]
    adapter.users.pop("stranger")
    with pytest.raises(TransientError):
        await orphans.search(engine)
    assert len(await orphan_table.listed(engine.database, "fake", resolved=False)) == 1


async def test_connections_of_a_user_whose_secret_is_lost_are_not_missing(engine, adapter, linked):
    for name in await engine.secrets.names("fake/user_secret"):
        await engine.secrets.delete(name)
    adapter.connections.clear()
    assert await found(engine) == []


async def test_there_is_nothing_to_remove_where_nothing_was_found(engine):
    with pytest.raises(ApiError):
        await orphans.remove(engine, "no-such")

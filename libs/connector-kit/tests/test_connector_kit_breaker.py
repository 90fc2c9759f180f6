"""Breakers: open after failures in a row, one probe at a time, closed by the first success."""

import uuid
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from connector_kit import breaker, connections
from connector_kit.claiming import Want, claim_due
from connector_kit.connections import Found
from connector_kit.policy import Next
from contracts.errors import ErrorCode, TransientError
from contracts.statuses import ConnectionStatus

DOWN = ErrorCode.INSTITUTION_UNAVAILABLE
OUTAGE = ErrorCode.PROVIDER_UNAVAILABLE
INSERT = """
INSERT INTO sync.sync_state (connection_id, provider, user_id, external_id, institution, connection_type, status,
    fence, frequency_seconds, next_sync_at, last_synced_at, started_at)
SELECT %(institution)s || n, 'fake', 'user-' || %(institution)s || n, 'x' || n, %(institution)s, 'read', 'active',
       nextval('sync.versions'), 3600, clock_timestamp(), clock_timestamp(), clock_timestamp() - interval '6 hours'
  FROM generate_series(1, 3) n
"""


@pytest.fixture
def admin(migrated_database):
    with psycopg.connect(migrated_database.admin_url, autocommit=True) as connection:
        for institution in ("good", "bad"):
            connection.execute(INSERT, {"institution": institution})
        yield connection


@pytest.fixture
def ended(database):
    """Says that a run at an institution ended with this code."""

    async def note(institution: str, code: str | None, times: int = 1) -> None:
        for _ in range(times):
            async with database.transaction() as conn:
                await breaker.note(conn, "fake", institution, code)

    return note


async def claimed(database) -> set[str]:
    want = Want(uuid.uuid4().hex, timedelta(seconds=20), 10, 10)
    rounds = await claim_due(database, "fake", want)
    return {claim.connection.institution for one in rounds for claim in one}


def opened(admin, institution: str) -> int | None:
    """How many times as long as the first time it is open."""
    row = admin.execute(
        "SELECT round(extract(epoch FROM open_until - clock_timestamp()) / %s) FROM sync.breakers"
        " WHERE institution = %s",
        (int(breaker.OPEN_FIRST.total_seconds()), institution),
    ).fetchone()
    return None if row is None or row[0] is None else int(row[0])


def let_time_pass(admin) -> None:
    admin.execute("UPDATE sync.breakers SET open_until = clock_timestamp() WHERE open_until IS NOT NULL")


async def test_an_institution_that_fails_in_a_row_is_left_alone(database, admin, ended):
    await ended("bad", DOWN, breaker.FAILURES)
    assert await claimed(database) == {"good"}
    assert opened(admin, "bad") == 1


@pytest.mark.parametrize("between", [None, ErrorCode.CONNECTION_BROKEN, ErrorCode.DATA_NOT_READY])
async def test_an_answer_in_between_starts_the_count_anew(database, admin, ended, between):
    await ended("bad", DOWN, breaker.FAILURES - 1)
    await ended("bad", between)
    await ended("bad", DOWN, breaker.FAILURES - 1)
    assert await claimed(database) == {"good", "bad"}


async def test_our_own_limits_and_faults_say_nothing_of_the_provider(admin, ended):
    await ended("bad", DOWN, breaker.FAILURES - 1)
    for code in breaker.SAYS_NOTHING:
        await ended("bad", code, 3)
    assert opened(admin, "bad") is None
    await ended("bad", DOWN)
    assert opened(admin, "bad") == 1


async def test_a_provider_that_fails_everywhere_is_left_alone_as_a_whole(database, admin, ended):
    for _ in range(breaker.FAILURES):
        await ended("good", OUTAGE)
        await ended("bad", OUTAGE)
    assert opened(admin, "*") == 1
    assert await claimed(database) == set()


async def test_a_provider_that_fails_at_one_institution_is_not_closed_for_the_others(database, admin, ended):
    for _ in range(breaker.FAILURES):
        await ended("bad", OUTAGE)
        await ended("good", None)
    assert opened(admin, "*") is None
    assert opened(admin, "bad") == 1
    assert await claimed(database) == {"good"}


async def test_one_probe_goes_through_when_the_time_is_over(database, admin, ended):
    await ended("bad", DOWN, breaker.FAILURES)
    admin.execute("UPDATE sync.sync_state SET next_sync_at = NULL WHERE institution = 'good'")
    let_time_pass(admin)
    want = Want("h", timedelta(seconds=20), 10, 10)
    rounds = await claim_due(database, "fake", want)
    assert [len(one) for one in rounds] == [1]
    assert await claimed(database) == set()
    found = Found(status=ConnectionStatus.ACTIVE, synced_at=datetime.now(UTC))
    await connections.save(database, rounds[0][0], found, Next(wait=timedelta(hours=1)))
    assert await claimed(database) == {"bad"}


async def test_a_provider_wide_breaker_lets_one_probe_through(database, admin, ended):
    for institution in ("good", "bad") * breaker.FAILURES:
        await ended(institution, OUTAGE)
    let_time_pass(admin)
    admin.execute("DELETE FROM sync.breakers WHERE institution <> '*'")
    assert len(await claimed(database)) == 1
    assert await claimed(database) == set()


async def test_each_failed_probe_doubles_the_time_up_to_a_quarter_of_an_hour(database, admin, ended):
    await ended("bad", DOWN, breaker.FAILURES)
    times = [opened(admin, "bad")]
    for _ in range(8):
        let_time_pass(admin)
        await claimed(database)
        admin.execute(
            "UPDATE sync.sync_state SET lease_holder = NULL, lease_until = NULL, next_sync_at = clock_timestamp()"
        )
        await ended("bad", DOWN)
        times.append(opened(admin, "bad"))
    assert times == [1, 2, 4, 8, 16, 32, 64, 90, 90]
    await ended("bad", None)
    assert opened(admin, "bad") is None
    await ended("bad", DOWN, breaker.FAILURES)
    assert opened(admin, "bad") == 1


async def test_failures_that_were_on_their_way_do_not_lengthen_it(admin, ended):
    await ended("bad", DOWN, breaker.FAILURES + 20)
    assert opened(admin, "bad") == 1


async def test_a_persons_call_fails_at_once_and_says_when_to_come_back(database, admin, ended):
    await breaker.check(database, "fake", "bad")
    await ended("bad", DOWN, breaker.FAILURES)
    with pytest.raises(TransientError) as refused:
        await breaker.check(database, "fake", "bad")
    assert refused.value.code is DOWN
    assert 0 < refused.value.wait <= 60
    await breaker.check(database, "fake", "good")
    await breaker.check(database, "fake", None)


async def test_what_a_run_met_is_noted_when_it_is_recorded(database, admin):
    for _ in range(breaker.FAILURES):
        rounds = await claim_due(database, "fake", Want(uuid.uuid4().hex, timedelta(seconds=20), 10, 10))
        for claim in (claim for one in rounds for claim in one if claim.connection.institution == "bad"):
            found = Found(status=ConnectionStatus.ACTIVE, error_code=DOWN)
            await connections.save(database, claim, found, Next(wait=timedelta(0)))
    assert [one.institution for one in await breaker.listed(database, "fake")] == ["bad"]

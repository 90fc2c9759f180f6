"""Leases: one worker per row, and a zombie's writes refused."""

import asyncio
from datetime import timedelta

import pytest

from persistence.lease import LeaseLostError, Leases
from persistence.ledger import PostgresLedger

LEASES = Leases("sync.sync_state", ("provider", "connection_id"))
MINUTE = timedelta(minutes=1)
EXPIRED = timedelta(0)


@pytest.fixture
async def due(connector):
    """Five rows that are due, one that is not, one that never is."""
    async with connector.transaction() as conn:
        for number in range(5):
            await conn.execute(
                "INSERT INTO sync.sync_state VALUES ('plaid', %s, clock_timestamp() - make_interval(mins => %s))",
                (f"c{number}", number),
            )
        await conn.execute(
            "INSERT INTO sync.sync_state VALUES ('plaid', 'later', clock_timestamp() + interval '1 hour'),"
            " ('plaid', 'never', NULL), ('other', 'c0', clock_timestamp())"
        )
    return connector


async def claim(database, owner="w1", duration=MINUTE, limit=10, **where):
    async with database.transaction() as conn:
        return await LEASES.claim(conn, owner, duration, limit, where or {"provider": "plaid"})


async def test_due_rows_are_claimed_once_the_longest_due_first(due):
    first = await claim(due, limit=2)
    assert {lease.key for lease in first} == {("plaid", "c4"), ("plaid", "c3")}
    second = await claim(due)
    assert {lease.key[1] for lease in second} == {"c0", "c1", "c2"}
    assert await claim(due) == []
    assert all(lease.fence == 1 for lease in first + second)


async def test_workers_claiming_at_once_share_the_rows_out(due):
    shares = await asyncio.gather(*(claim(due, f"w{n}", limit=2) for n in range(4)))
    keys = [lease.key for share in shares for lease in share]
    assert len(keys) == len(set(keys)) == 5


async def test_a_lease_that_ran_out_is_claimed_again_with_a_higher_fence(due):
    stale = await claim(due, "zombie", EXPIRED)
    fresh = await claim(due, "w2")
    assert {lease.key for lease in fresh} == {lease.key for lease in stale}
    assert {lease.fence for lease in fresh} == {2}
    async with due.transaction() as conn:
        with pytest.raises(LeaseLostError):
            await LEASES.guard(conn, stale[0])
        with pytest.raises(LeaseLostError):
            await LEASES.renew(conn, stale[0], MINUTE)
        assert await LEASES.release(conn, stale[0], MINUTE) is False
        await LEASES.guard(conn, fresh[0])


async def test_one_that_ran_out_unclaimed_can_be_renewed(due):
    (stale, *_) = await claim(due, "slow", EXPIRED)
    async with due.transaction() as conn:
        renewed = await LEASES.renew(conn, stale, MINUTE)
    assert renewed.until > stale.until
    assert renewed.fence == stale.fence
    assert stale.key not in {lease.key for lease in await claim(due, "w2")}


async def test_a_released_row_is_due_when_it_was_told(due):
    leases = await claim(due)
    async with due.transaction() as conn:
        assert await LEASES.release(conn, leases[0], timedelta(hours=1)) is True
        assert await LEASES.release(conn, leases[1]) is True
    again = await claim(due)
    assert [lease.key for lease in again] == [leases[1].key]
    assert again[0].fence == 2


async def test_one_row_can_be_claimed_out_of_turn_unless_it_is_held(due):
    async with due.transaction() as conn:
        lease = await LEASES.claim_one(conn, "w1", MINUTE, ("plaid", "never"))
        assert lease is not None
        assert lease.fence == 1
        assert await LEASES.claim_one(conn, "w2", MINUTE, ("plaid", "never")) is None
        assert await LEASES.claim_one(conn, "w2", MINUTE, ("plaid", "absent")) is None


async def test_a_guard_keeps_others_from_claiming_until_the_write_is_committed(due):
    (lease, *_) = await claim(due, "slow", EXPIRED)
    async with due.transaction() as conn:
        await LEASES.guard(conn, lease)
        assert lease.key not in {other.key for other in await claim(due, "w2")}


async def test_the_lease_counts_by_the_databases_clock(due):
    async with due.transaction() as conn:
        leases = await LEASES.claim(conn, "w1", MINUTE, 1)
        cursor = await conn.execute("SELECT %s - clock_timestamp()", (leases[0].until,))
        left = (await cursor.fetchone())[0]
    assert timedelta(seconds=30) < left <= MINUTE


class TestAttemptLedger:
    """Counts survive what a consumer does not."""

    async def test_tries_are_counted_per_consumer_and_message(self, connector):
        ledger = PostgresLedger(connector, "sync")
        assert [await ledger.begin("q", "e1") for _ in range(3)] == [1, 2, 3]
        assert await ledger.begin("q", "e2") == 1
        assert await ledger.begin("other", "e1") == 1

    async def test_a_message_that_is_done_starts_again_at_one(self, connector):
        ledger = PostgresLedger(connector, "sync")
        await ledger.begin("q", "e1")
        await ledger.done("q", "e1")
        await ledger.done("q", "e1")
        assert await ledger.begin("q", "e1") == 1

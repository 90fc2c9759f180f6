"""What is kept of deliveries, for how long, and that nothing of it needs anybody's hand."""

import asyncio
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from messaging.bus import Bus
from messaging.memory import MemoryBus
from messaging.topology import onefolio
from service_kit.clock import FakeClock
from webhooks.main import build


@pytest.fixture
def bus():
    return MemoryBus(onefolio())


@pytest.fixture
def opening(bus):
    async def opened() -> Bus:
        return bus

    return opened


def age(migrated_database, days):
    with psycopg.connect(migrated_database.admin_url) as admin:
        admin.execute(
            "UPDATE webhooks.webhook_events SET received_at = received_at - make_interval(days => %s)",
            (days,),
        )


async def left(events, wanted):
    """The kinds that are kept, once they are the wanted ones or time is up."""
    for _ in range(200):
        found = [row["kind"] for row in events()]
        if found == wanted:
            return found
        await asyncio.sleep(0.05)
    return found


@pytest.mark.parametrize(("days", "kept"), [(31, ["YOUNG"]), (29, ["OLD", "YOUNG"])])
async def test_old_deliveries_go_by_themselves_while_the_service_runs(
    box, make_settings, migrated_database, events, opening, days, kept
):
    async with box.running(build(make_settings(), opening=opening)) as http:
        await box.post(http, box.body(eventType="OLD"))
    age(migrated_database, days)
    async with box.running(build(make_settings(), opening=opening)) as http:
        await box.post(http, box.body(eventType="YOUNG"))
        assert await left(events, kept) == kept


async def test_what_was_refused_as_too_old_goes_like_everything_else(
    box, make_settings, migrated_database, events, opening
):
    sent = datetime.now(UTC) - timedelta(days=2)
    async with box.running(build(make_settings(), opening=opening)) as http:
        answer = await box.post(http, box.body(eventTimestamp=sent.isoformat()))
    assert (answer.status_code, events()[0]["state"]) == (400, "refused")
    age(migrated_database, 31)
    async with box.running(build(make_settings(), opening=opening)):
        assert await left(events, []) == []


async def test_what_nobody_could_be_told_of_is_kept_however_old(
    box, make_settings, migrated_database, events, opening, bus
):
    async with box.killed_at_the_end(build(make_settings(), opening=box.no_broker)) as http:
        await box.post(http, box.body(eventType="STUCK"))
    age(migrated_database, 400)
    async with box.running(build(make_settings(), opening=opening)):
        for _ in range(200):
            if await bus.depth("snaptrade-connector"):
                break
            await asyncio.sleep(0.05)
    assert await bus.depth("snaptrade-connector") == 1


async def test_a_late_retry_is_taken_once_however_often_and_however_late_it_comes(
    box, make_settings, events, opening, bus
):
    clock = FakeClock(datetime.now(UTC))
    body = box.body(eventTimestamp=(clock.now() - timedelta(minutes=31)).isoformat())
    async with box.running(build(make_settings(), clock=clock, opening=opening)) as http:
        for minutes in (0, 30, 120, 600):
            clock.advance(timedelta(minutes=minutes))
            assert (await box.post(http, body)).status_code == 200
        clock.advance(timedelta(hours=24))
        assert (await box.post(http, body)).status_code == 400
        forged = await box.post(http, body | {"eventTimestamp": clock.now().isoformat()}, key="another key")
        assert forged.status_code == 401
        page = (await http.get("/metrics")).text
    assert [(row["age"], row["state"]) for row in events()] == [("late", "published")]
    assert await bus.depth("snaptrade-connector") == 1
    assert 'result="duplicate",type="ACCOUNT_HOLDINGS_UPDATED"} 3.0' in page


async def test_a_kind_nobody_knows_is_stored_published_and_counted(box, make_settings, events, opening, bus):
    async with box.running(build(make_settings(), opening=opening)) as http:
        assert (await box.post(http, box.body(eventType="SOMETHING_NEW"))).status_code == 200
        page = (await http.get("/metrics")).text
    assert [(row["kind"], row["state"]) for row in events()] == [("SOMETHING_NEW", "published")]
    assert await bus.depth("snaptrade-connector") == 1
    assert 'onefolio_webhooks_total{provider="snaptrade",result="stored",type="other"} 1.0' in page

"""What every bus must do; run by the memory bus and by RabbitMQ."""

import asyncio
import json
from collections import Counter
from itertools import chain, pairwise

import pytest

from messaging.bus import (
    MAX_BODY,
    Delivery,
    MessageTooLargeError,
    NotConfirmedError,
    Outgoing,
    UnroutableError,
)
from messaging.consume import EachConsumer, Habits
from messaging.consume_batches import BatchConsumer
from messaging.ledger import MemoryLedger
from messaging.measures import EventMetrics
from messaging.parking import Parking
from messaging.policy import DONE, Park, PermanentError, Retry, TransientError
from messaging.topology import DROP_HEAD, Binding, Tier, Topology, WorkQueue
from service_kit.metrics import Metrics

TIERS = (Tier("50ms", 50), Tier("150ms", 150), Tier("300ms", 300))
ONE_TIER = (Tier("20ms", 20),)


def topology(tiers=TIERS, **options):
    work = WorkQueue("work", (Binding("onefolio.events", "onefolio.#"),), "tests", tiers, **options)
    return Topology(("onefolio.events", "onefolio.commands"), (work,))


def event(number=0, *, key="onefolio.test.v1", **options):
    body = options.pop("body", json.dumps({"n": number}).encode())
    return Outgoing("onefolio.events", key, body, f"event-{number}", key, **options)


def number(delivery: Delivery) -> int:
    return json.loads(delivery.body)["n"]


async def until(condition, limit=15.0):
    """Wait for a state, not for a time."""
    async with asyncio.timeout(limit):
        while not condition():  # noqa: ASYNC110 - any state of a test, with nobody to set an event
            await asyncio.sleep(0.01)


async def until_parked(bus, count=1):
    parking = Parking(bus, "work")
    async with asyncio.timeout(15):
        while len(found := await parking.list()) < count:  # noqa: ASYNC110 - the broker does not tell
            await asyncio.sleep(0.05)
    return found


class Consuming:
    """A consumer for the length of a block."""

    def __init__(self, consumer):
        self.consumer = consumer

    async def __aenter__(self):
        await self.consumer.start()
        return self.consumer

    async def __aexit__(self, *_):
        await self.consumer.stop(grace=2)


class BusSuite:
    async def test_a_published_message_reaches_its_handler(self, make_bus):
        bus = await make_bus(topology())
        seen: list[Delivery] = []

        async def handle(delivery):
            seen.append(delivery)

        async with Consuming(EachConsumer(bus, "work", lambda one: one, handle)):
            await bus.publish(event(7, headers={"traceparent": "00-1"}))
            await until(lambda: seen)
        (one,) = seen
        assert (one.queue, one.exchange, one.routing_key) == ("work", "onefolio.events", "onefolio.test.v1")
        assert (one.event_id, one.type, one.attempt, one.redelivered) == (
            "event-7",
            "onefolio.test.v1",
            1,
            False,
        )
        assert one.headers["traceparent"] == "00-1"
        assert one.published_at is not None

    async def test_an_unroutable_message_raises(self, make_bus):
        bus = await make_bus(topology())
        with pytest.raises(UnroutableError):
            await bus.publish(event(key="elsewhere.test.v1"))
        await bus.publish(event(1))

    async def test_a_missing_queue_raises(self, make_bus):
        bus = await make_bus(topology())
        with pytest.raises(UnroutableError):
            await bus.publish(Outgoing("", "nowhere", b"{}", "1", "x"))

    async def test_publishing_many_reports_each_result(self, make_bus):
        bus = await make_bus(topology())
        results = await bus.publish_many([event(1), event(2, key="elsewhere"), event(3)])
        assert [type(result) for result in results] == [type(None), UnroutableError, type(None)]

    async def test_a_full_queue_refuses(self, make_bus):
        bus = await make_bus(topology(max_length=5))
        # The broker may let a few more in than its limit says.
        results = [(await bus.publish_many([event(n)]))[0] for n in range(30)]
        refused = [result for result in results if result is not None]
        assert len(refused) > 15
        assert {type(result) for result in refused} == {NotConfirmedError}

    async def test_a_queue_that_drops_its_oldest_never_refuses(self, make_bus):
        bus = await make_bus(topology(max_length=3, overflow=DROP_HEAD))
        for n in range(8):
            await bus.publish(event(n))
        subscription = await bus.subscribe("work", 10)
        found = []
        while 7 not in found:
            async with asyncio.timeout(15):
                found.append(number((await subscription.next()).delivery))
        assert found == list(range(8 - len(found), 8))
        assert len(found) < 8
        await subscription.close()

    async def test_a_retry_waits_longer_each_time_and_keeps_its_origin(self, make_bus):
        bus = await make_bus(topology())
        times, deliveries = [], []

        async def handle(delivery):
            times.append(asyncio.get_running_loop().time())
            deliveries.append(delivery)
            if len(deliveries) < 4:
                raise TransientError("the database is away")

        async with Consuming(EachConsumer(bus, "work", lambda one: one, handle)):
            await bus.publish(event(1))
            await until(lambda: len(deliveries) == 4)
        waits = [later - earlier for earlier, later in pairwise(times)]
        assert all(wait >= tier.milliseconds / 1000 for wait, tier in zip(waits, TIERS, strict=True))
        assert [one.attempt for one in deliveries] == [1, 2, 3, 4]
        assert {(one.exchange, one.routing_key, one.event_id) for one in deliveries} == {
            ("onefolio.events", "onefolio.test.v1", "event-1")
        }
        assert deliveries[-1].headers["onefolio-reason"] == "the database is away"
        assert not [name for name in deliveries[-1].headers if name == "x-death"]

    async def test_a_permanent_error_parks_at_once_with_the_reason(self, make_bus):
        bus = await make_bus(topology())

        async def handle(delivery):
            raise PermanentError("schema too old, token=abc123secret")

        async with Consuming(EachConsumer(bus, "work", lambda one: one, handle)):
            await bus.publish(event(1))
            (parked,) = await until_parked(bus)
        assert parked.reason.startswith("schema too old")
        assert "abc123secret" not in parked.reason + parked.error
        assert (parked.attempts, parked.event_id, parked.type) == (1, "event-1", "onefolio.test.v1")
        assert "handle" in parked.error
        assert parked.first_failed_at is not None

    async def test_an_unknown_error_is_parked_after_its_retries(self, make_bus):
        bus = await make_bus(topology(ONE_TIER))
        tries = Counter()

        async def handle(delivery):
            tries[number(delivery)] += 1
            if number(delivery) == 0:
                raise KeyError("a bug")

        async with Consuming(EachConsumer(bus, "work", lambda one: one, handle)):
            await bus.publish_many([event(n) for n in range(20)])
            (parked,) = await until_parked(bus)
        assert parked.attempts == 6
        assert parked.reason.startswith("gave up after 6 attempts")
        assert tries[0] == 6
        assert all(tries[n] == 1 for n in range(1, 20))

    async def test_a_poisoned_body_is_not_retried(self, make_bus):
        bus = await make_bus(topology(ONE_TIER))
        seen = []

        def decode(delivery):
            try:
                return number(delivery)
            except ValueError as error:
                raise PermanentError("not JSON") from error

        async def handle(batch):
            seen.extend(batch)
            return [DONE] * len(batch)

        async with Consuming(BatchConsumer(bus, "work", decode, handle)):
            await bus.publish_many([event(1), event(2, body=b"{not json"), event(3)])
            (parked,) = await until_parked(bus)
            await until(lambda: sorted(seen) == [1, 3])
        assert (parked.body, parked.attempts, parked.reason) == (b"{not json", 1, "not JSON")

    async def test_a_handler_that_is_cancelled_from_inside_loses_nothing(self, make_bus):
        bus = await make_bus(topology(ONE_TIER))
        tries = []

        async def handle(delivery):
            tries.append(delivery.attempt)
            if delivery.attempt == 1:
                raise asyncio.CancelledError

        async with Consuming(EachConsumer(bus, "work", lambda one: one, handle)):
            await bus.publish(event(1))
            await until(lambda: tries == [1, 2])

    async def test_a_handler_past_its_deadline_is_retried(self, make_bus):
        bus = await make_bus(topology(ONE_TIER))
        tries = []

        async def handle(delivery):
            tries.append(delivery.attempt)
            if delivery.attempt == 1:
                await asyncio.Event().wait()

        async with Consuming(EachConsumer(bus, "work", lambda one: one, handle, habits=Habits(deadline=0.1))):
            await bus.publish(event(1))
            await until(lambda: tries == [1, 2])

    async def test_a_duplicate_is_delivered_with_the_same_event_id(self, make_bus):
        bus = await make_bus(topology())
        seen = []

        async def handle(delivery):
            seen.append(delivery.event_id)

        async with Consuming(EachConsumer(bus, "work", lambda one: one, handle)):
            await bus.publish_many([event(1), event(1)])
            await until(lambda: len(seen) == 2)
        assert seen == ["event-1", "event-1"]

    async def test_a_batch_takes_what_is_there_and_keeps_to_its_limit(self, make_bus):
        bus = await make_bus(topology())
        await bus.publish_many([event(n) for n in range(95)])
        sizes, seen = [], []

        async def handle(batch):
            sizes.append(len(batch))
            seen.extend(batch)
            await asyncio.sleep(0.05)
            return [DONE] * len(batch)

        consumer = BatchConsumer(bus, "work", number, handle, limit=30, habits=Habits(prefetch=60))
        async with Consuming(consumer):
            await until(lambda: len(seen) == 95)
        assert sorted(seen) == list(range(95))
        assert max(sizes) == 30
        assert await self.left(bus) == 0

    async def test_one_bad_message_of_a_batch_does_not_block_the_others(self, make_bus):
        bus = await make_bus(topology(ONE_TIER))
        await bus.publish_many([event(n) for n in range(10)])
        done, calls = [], []

        async def handle(batch):
            calls.append(len(batch))
            if 3 in batch:
                raise ZeroDivisionError
            done.extend(batch)
            return [DONE] * len(batch)

        async with Consuming(BatchConsumer(bus, "work", number, handle)):
            (parked,) = await until_parked(bus)
            await until(lambda: len(done) == 9)
        assert parked.event_id == "event-3"
        assert sorted(done) == [0, 1, 2, 4, 5, 6, 7, 8, 9]

    async def test_each_message_of_a_batch_has_its_own_outcome(self, make_bus):
        bus = await make_bus(topology(ONE_TIER))
        done = Counter()

        async def handle(batch):
            outcomes = []
            for one in batch:
                done[number(one)] += 1
                first = one.attempt == 1
                outcomes.append({0: Park("no"), 1: Retry("later") if first else DONE}.get(number(one), DONE))
            return outcomes

        async with Consuming(BatchConsumer(bus, "work", lambda one: one, handle)):
            await bus.publish_many([event(n) for n in range(5)])
            await until(lambda: done[1] == 2 and len(done) == 5)
            (parked,) = await until_parked(bus)
        assert parked.reason == "no"
        assert done == {0: 1, 1: 2, 2: 1, 3: 1, 4: 1}
        assert await self.left(bus) == 0

    async def test_when_the_surroundings_fail_the_whole_batch_waits(self, make_bus):
        bus = await make_bus(topology(ONE_TIER))
        calls, done = [], []

        async def handle(batch):
            calls.append(len(batch))
            if len(calls) == 1:
                raise TransientError("no database")
            done.extend(batch)
            return [DONE] * len(batch)

        await bus.publish_many([event(n) for n in range(10)])
        async with Consuming(BatchConsumer(bus, "work", number, handle)):
            await until(lambda: len(done) == 10)
        assert sorted(done) == list(range(10))

    async def test_a_wrong_number_of_outcomes_settles_nothing_as_done(self, make_bus):
        bus = await make_bus(topology(ONE_TIER))

        async def handle(batch):
            return []

        async with Consuming(BatchConsumer(bus, "work", number, handle)):
            await bus.publish(event(1))
            (parked,) = await until_parked(bus)
        assert "0 outcomes for 1 messages" in parked.reason

    async def test_a_batch_is_not_acknowledged_before_its_handler_returned(self, make_bus):
        bus = await make_bus(topology())
        entered, release = asyncio.Event(), asyncio.Event()

        async def hang(batch):
            entered.set()
            await release.wait()
            return [DONE] * len(batch)

        consumer = BatchConsumer(bus, "work", number, hang)
        await consumer.start()
        await bus.publish_many([event(n) for n in range(5)])
        await entered.wait()
        await consumer.stop(grace=0.05)
        assert await self.left(bus) == 5

    async def test_stopping_leaves_what_was_not_started_to_others(self, make_bus):
        bus = await make_bus(topology())
        await bus.publish_many([event(n) for n in range(20)])
        started, entered, release = [], asyncio.Event(), asyncio.Event()

        async def slow(batch):
            started.extend(batch)
            entered.set()
            await release.wait()
            return [DONE] * len(batch)

        consumer = BatchConsumer(bus, "work", number, slow, limit=4, habits=Habits(prefetch=12))
        await consumer.start()
        await entered.wait()
        stopping = asyncio.create_task(consumer.stop(grace=5))
        await asyncio.sleep(0.05)
        release.set()
        await stopping
        rest = []

        async def quick(batch):
            rest.extend(batch)
            return [DONE] * len(batch)

        async with Consuming(BatchConsumer(bus, "work", number, quick)):
            await until(lambda: len(rest) + len(started) >= 20)
        assert sorted(rest + started) == list(range(20))

    async def test_stopping_waits_for_a_running_handler(self, make_bus):
        bus = await make_bus(topology())
        entered, release, ended = asyncio.Event(), asyncio.Event(), []

        async def slow(delivery):
            entered.set()
            await release.wait()
            ended.append(number(delivery))

        consumer = EachConsumer(bus, "work", lambda one: one, slow)
        await consumer.start()
        await bus.publish(event(1))
        await entered.wait()
        stopping = asyncio.create_task(consumer.stop(grace=5))
        await asyncio.sleep(0.05)
        release.set()
        await stopping
        assert ended == [1]
        assert await self.left(bus) == 0

    async def test_three_consumers_share_one_queue(self, make_bus):
        bus = await make_bus(topology())
        seen = {name: [] for name in "abc"}

        def handler(name):
            async def handle(batch):
                seen[name].extend(batch)
                await asyncio.sleep(0.005)
                return [DONE] * len(batch)

            return handle

        consumers = [
            BatchConsumer(bus, "work", number, handler(name), limit=5, habits=Habits(prefetch=10))
            for name in seen
        ]
        for consumer in consumers:
            await consumer.start()
        await bus.publish_many([event(n) for n in range(150)])
        await until(lambda: sum(map(len, seen.values())) >= 150)
        for consumer in consumers:
            await consumer.stop(grace=2)
        assert sorted(chain(*seen.values())) == list(range(150))
        assert all(seen.values())

    async def test_a_message_that_keeps_killing_its_consumer_is_parked(self, make_bus):
        bus = await make_bus(topology())
        ledger = MemoryLedger()
        await bus.publish_many([event(n) for n in range(10)])
        done, crashes = set(), 0

        async def handle(batch):
            if 4 in batch:
                crashed.set()
                await asyncio.Event().wait()
            done.update(batch)
            return [DONE] * len(batch)

        while crashes < 8 and len(done) < 9:
            crashed = asyncio.Event()
            habits = Habits(prefetch=10, ledger=ledger)
            consumer = BatchConsumer(bus, "work", number, handle, habits=habits)
            await consumer.start()
            waiting = asyncio.create_task(crashed.wait())
            finished = asyncio.create_task(until(lambda: len(done) == 9))
            await asyncio.wait([waiting, finished], return_when=asyncio.FIRST_COMPLETED)
            waiting.cancel()
            finished.cancel()
            crashes += crashed.is_set()
            if crashed.is_set():
                await consumer.stop(grace=0)
        (parked,) = await until_parked(bus)
        await consumer.stop(grace=1)
        assert parked.event_id == "event-4"
        assert "ended 3 times" in parked.reason
        assert done == set(range(10)) - {4}

    async def test_a_message_that_killed_its_consumer_three_times_is_parked_by_the_next(self, make_bus):
        bus = await make_bus(topology())
        ledger = MemoryLedger()
        for _ in range(3):
            await ledger.begin("work", "event-1")
        done = []

        async def handle(delivery):
            done.append(delivery.event_id)

        await bus.publish_many([event(1), event(2)])
        crashed = await bus.subscribe("work", 2)
        await crashed.next()
        await crashed.next()
        await crashed.close()
        async with Consuming(
            EachConsumer(bus, "work", lambda one: one, handle, habits=Habits(ledger=ledger))
        ):
            (parked,) = await until_parked(bus)
            await until(lambda: done)
        assert (parked.event_id, done) == ("event-1", ["event-2"])
        assert await ledger.begin("work", "event-1") == 1

    async def test_a_ledger_that_is_away_delays_its_message(self, make_bus):
        bus = await make_bus(topology(ONE_TIER))
        done = []

        class Away(MemoryLedger):
            async def begin(self, consumer, event_id):
                raise ConnectionError("no database")

        async def handle(delivery):
            done.append((delivery.attempt, delivery.redelivered))

        await bus.publish(event(1))
        crashed = await bus.subscribe("work", 1)
        await crashed.next()
        await crashed.close()
        async with Consuming(
            EachConsumer(bus, "work", lambda one: one, handle, habits=Habits(ledger=Away()))
        ):
            await until(lambda: done)
        assert done == [(2, False)]

    async def test_parked_messages_are_listed_shown_replayed_and_dropped(self, make_bus):
        bus = await make_bus(topology())
        healthy = False
        done = []

        async def handle(delivery):
            if not healthy:
                raise PermanentError("broken")
            done.append(delivery)

        async with Consuming(EachConsumer(bus, "work", lambda one: one, handle)):
            await bus.publish_many([event(n) for n in range(3)])
            found = await until_parked(bus, 3)
            assert sorted(one.event_id for one in found) == ["event-0", "event-1", "event-2"]
            parking = Parking(bus, "work")
            shown = await parking.show("event-1")
            assert shown is not None
            assert shown.routing_key == "onefolio.test.v1"
            assert await parking.show("event-9") is None
            healthy = True
            assert await parking.replay("event-1") == 1
            assert await parking.replay("event-1") == 0
            await until(lambda: done)
            assert await parking.drop("event-0") == 1
            assert [one.event_id for one in await parking.list()] == ["event-2"]
            assert await parking.replay() == 1
            await until(lambda: len(done) == 2)
        assert [(one.event_id, one.attempt) for one in done] == [("event-1", 1), ("event-2", 1)]
        assert {one.routing_key for one in done} == {"onefolio.test.v1"}

    async def test_what_happened_is_counted(self, make_bus):
        bus = await make_bus(topology(ONE_TIER))
        metrics = Metrics("test")

        async def handle(delivery):
            return {0: Park("no"), 1: DONE}[number(delivery)]

        habits = Habits(metrics=EventMetrics(metrics))
        async with Consuming(EachConsumer(bus, "work", lambda one: one, handle, habits=habits)):
            await bus.publish_many([event(0), event(1)])
            await until_parked(bus)
            labels = {"queue": "work", "type": "other"}
            await until(lambda: metrics.value("onefolio_events_total", result="done", **labels) == 1)
            await until(lambda: metrics.value("onefolio_events_total", result="parked", **labels) == 1)
        assert metrics.value("onefolio_event_lag_seconds_count", queue="work") == 1

    def test_a_message_too_large_is_refused_before_it_is_sent(self):
        with pytest.raises(MessageTooLargeError, match="4194305 bytes"):
            event(body=b"x" * (MAX_BODY + 1))

    async def left(self, bus):
        """What is in the queue, counted by holding it: broker counters lag."""
        looking = await bus.fetch("work", 1000)
        count = 0
        try:
            while True:
                await looking.next()
                count += 1
        except Exception as error:
            if "nothing more" not in str(error):
                raise
        await looking.close()
        return count

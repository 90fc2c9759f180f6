"""Settling: the only place where messages are acknowledged, retried, parked or handed back."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from messaging.bus import Bus, BusError, Held, Outgoing, Subscription
from messaging.letters import failed
from messaging.measures import EventMetrics
from messaging.policy import Ack, Decision, Delay, Outcome, Park, decide
from service_kit.clock import Clock, SystemClock

log = structlog.get_logger(__name__)

REPUBLISH_PAUSES = (0.2, 1.0, 3.0)
_RESULT = {Ack: "done", Delay: "retried", Park: "parked"}


@dataclass(frozen=True, slots=True)
class Settled:
    """A delivery with what its handler made of it."""

    held: Held
    outcome: Outcome


class Settler:
    """Carries out the policy for one work queue: publish first, confirmed; acknowledge second.

    A crash in between leaves the message twice, never not at all.
    """

    def __init__(
        self, bus: Bus, queue: str, *, metrics: EventMetrics | None = None, clock: Clock | None = None
    ) -> None:
        self._bus = bus
        self._queue = bus.topology.queue(queue)
        self._metrics = metrics
        self._clock = clock or SystemClock()

    async def settle(
        self, subscription: Subscription, settled: Sequence[Settled], *, in_order: bool = False
    ) -> None:
        """Settle deliveries; `in_order` says that all given out before the last of them are settled with it."""
        decisions = [decide(one.outcome, one.held.delivery.attempt, self._queue.tiers) for one in settled]
        stuck = await self._republish(settled, decisions)
        ready = [one.held for one in settled if one.held not in stuck]
        await subscription.ack(ready, and_all_before=in_order and not stuck)
        if stuck:
            await subscription.requeue(list(stuck))
        for one, decision in zip(settled, decisions, strict=True):
            self._note(one, "requeued" if one.held in stuck else _RESULT[type(decision)], decision)

    async def _republish(self, settled: Sequence[Settled], decisions: Sequence[Decision]) -> set[Held]:
        """Publish what is retried or parked; return the ones the broker would not take."""
        letters = {
            one.held: letter
            for one, decision in zip(settled, decisions, strict=True)
            if (letter := self._letter(one, decision)) is not None
        }
        for pause in (*REPUBLISH_PAUSES, None):
            if not letters:
                break
            results = await self._bus.publish_many(list(letters.values()))
            letters = {
                held: letter
                for (held, letter), error in zip(letters.items(), results, strict=True)
                if error is not None and _noted(error, letter)
            }
            if letters and pause is not None:
                await asyncio.sleep(pause)
        return set(letters)

    def _letter(self, one: Settled, decision: Decision) -> Outgoing | None:
        error = getattr(one.outcome, "error", None)
        now = self._clock.now()
        if isinstance(decision, Delay):
            target = self._queue.retry(decision.tier)
            return failed(one.held.delivery, target, decision.reason, error, now)
        if isinstance(decision, Park):
            return failed(one.held.delivery, self._queue.parked, decision.reason, error, now)
        return None

    def _note(self, one: Settled, result: str, decision: Decision) -> None:
        delivery = one.held.delivery
        if self._metrics is not None:
            self._metrics.settled(delivery, result, self._clock.now())
        if not isinstance(decision, Ack):
            log.warning(
                "message.not_done",
                result=result,
                queue=delivery.queue,
                type=delivery.type,
                event_id=delivery.event_id,
                attempt=delivery.attempt,
                reason=decision.reason,
            )


def _noted(error: BusError, letter: Outgoing) -> bool:
    log.warning(
        "message.republish_failed", target=letter.routing_key, event_id=letter.event_id, error=str(error)
    )
    return True

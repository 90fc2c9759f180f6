"""The transaction that lets an order through: the key, the preview, every guard once more, and the row that is the order."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import blake2b
from typing import Any
from uuid import UUID, uuid4

from contracts.errors import ErrorCode
from contracts.trading import OrderRequest
from gateway import commands
from gateway.decisions.decider import Decider
from gateway.guards.budget import day_of
from gateway.refusals import not_found, refusal
from gateway.trading import days, facts, guards, intents, limits, orders, previews, settle, story
from gateway.trading.facts import At
from gateway.trading.intents import Intent
from gateway.trading.previews import Preview
from gateway.trading.refused import check
from gateway.trading.settle import Desk, Why
from gateway.trading.states import State
from gateway.trading.values import Confirmed, Facts
from persistence.database import Connection
from service_kit.api_errors import ApiError

SOON = {"Retry-After": "1"}


@dataclass(frozen=True, slots=True)
class Wish:
    """A request to place what was previewed; ``intent_id`` is what the order will be called."""

    preview_id: UUID
    confirmed: Confirmed
    key: str
    intent_id: UUID

    @property
    def asked(self) -> str:
        """A digest of what the key stands for."""
        body = {"preview_id": str(self.preview_id), "duplicate": self.confirmed.duplicate}
        return digest("place", body | {"unverified": self.confirmed.unverified})


@dataclass(frozen=True, slots=True)
class Claimed:
    """The order, and whether it was let through just now; else the key had been used before."""

    intent: Intent
    fresh: bool


def wish(preview_id: UUID, confirmed: Confirmed, key: str | None) -> Wish:
    """What a request asks for.

    Raises:
        ApiError: 400, it has no key.
    """
    return Wish(preview_id, confirmed, required(key), uuid4())


def required(key: str | None) -> str:
    """The key of a request that cannot go without.

    Raises:
        ApiError: 400 ``IDEMPOTENCY_KEY_MISSING``.
    """
    if key is None:
        raise refusal(ErrorCode.IDEMPOTENCY_KEY_MISSING)
    return key


def digest(action: str, body: Mapping[str, Any]) -> str:
    """A digest that is equal exactly when action and body are."""
    return blake2b(f"{action}\n{story.text(dict(sorted(body.items())))}".encode(), digest_size=16).hexdigest()


async def claim(desk: Desk, who: Decider, wanted: Wish) -> Claimed:
    """Let an order through, once.

    Raises:
        ApiError: 404 no such preview of the user's; 409 it ran out of time or was used, or a guard says no; 422 a guard
            says no, or the key came with another request before; 429 too fast. Nothing is kept then, not even the key.
    """

    async def once() -> Claimed:
        async with desk.gateway.database.transaction(who.user_id) as conn:
            return await _claimed(desk, conn, who, wanted)

    try:
        claimed = await desk.gateway.database.retrying(once)
    except ApiError as error:
        await note_refusal(desk, who, wanted.preview_id, error)
        raise
    if claimed.fresh:
        settle.settled(desk, claimed.intent)
    return claimed


async def known(conn: Connection, who: Decider, key: str, asked: str, intent_id: UUID) -> Claimed | None:
    """What a key stands for already; our own row is fresh, for its commit may have lost its confirmation.

    Raises:
        ApiError: 422 ``IDEMPOTENCY_KEY_REUSED``, the key came with another request before.
    """
    found = await intents.by_key(conn, who.user_id, key)
    if found is None:
        return None
    if found.asked != asked:
        raise refusal(ErrorCode.IDEMPOTENCY_KEY_REUSED)
    return Claimed(found, found.intent_id == intent_id)


async def judge(
    desk: Desk,
    conn: Connection,
    user_id: str,
    *,
    found: Facts,
    order: OrderRequest,
    confirmed: Confirmed,
    among: Sequence[guards.Guard] = guards.PLACING,
) -> None:
    """Ask the guards under the lock.

    Raises:
        ApiError: the first that says no.
    """
    held = await limits.load(conn, user_id, desk.gateway.settings.trading_limits)
    check(guards.guard(found, order, held, desk.now(), confirmed=confirmed, among=among))


async def enter(
    conn: Connection, intent: Intent, who: Decider, now: datetime, reason: str | None = None
) -> bool:
    """Write an order down as confirmed, and count it against the day; False where key or preview are taken."""
    if not await intents.insert(conn, intent):
        return False
    if intent.notional is not None:
        await days.take(
            conn,
            intent.user_id,
            intent.account_id,
            day=intent.day,
            currency=intent.currency,
            notional=intent.notional,
            now=now,
        )
    why = Why(who.by, reason, who.request_id)
    await settle.write_down(conn, intent, State.CONFIRMED, why, now, move_number=0)
    return True


async def _claimed(desk: Desk, conn: Connection, who: Decider, wanted: Wish) -> Claimed:
    before = await known(conn, who, wanted.key, wanted.asked, wanted.intent_id)
    if before is not None:
        return before
    preview = await previews.find(conn, who.user_id, wanted.preview_id, lock=True)
    if preview is None:
        raise not_found("preview")
    # Whoever held the preview before us may have come with the same key.
    before = await known(conn, who, wanted.key, wanted.asked, wanted.intent_id)
    if before is not None:
        return before
    await _usable(desk, conn, preview)
    return await _let_through(desk, conn, who, wanted, preview)


async def _let_through(desk: Desk, conn: Connection, who: Decider, wanted: Wish, preview: Preview) -> Claimed:
    now = desk.now()
    at = At(who.user_id, preview.account_id, now, preview.currency)
    found = await facts.load(desk.gateway, conn, at, priced=preview.priced, lock=True)
    _unchanged(preview, found)
    await judge(desk, conn, who.user_id, found=found, order=preview.order, confirmed=wanted.confirmed)
    intent = _intent(who, wanted, preview, found, now)
    if await enter(conn, intent, who, now):
        return Claimed(intent, fresh=True)
    before = await known(conn, who, wanted.key, wanted.asked, wanted.intent_id)
    if before is None:
        raise refusal(ErrorCode.REQUEST_IN_PROGRESS, headers=SOON)
    return before


async def _usable(desk: Desk, conn: Connection, preview: Preview) -> None:
    used = await intents.by_preview(conn, preview.user_id, preview.preview_id)
    if used is not None:
        details = {"reason": "used", "order_id": str(used.intent_id)}
        message = "This preview was placed already; preview the order again for another one."
        raise refusal(ErrorCode.PREVIEW_EXPIRED, message, details=details)
    if desk.now() >= preview.expires_at:
        details = {"reason": "expired", "expired_at": preview.expires_at.isoformat()}
        raise refusal(ErrorCode.PREVIEW_EXPIRED, "The preview ran out of time.", details=details)


def _unchanged(preview: Preview, found: Facts) -> None:
    """Refuse what is no longer what was previewed: another connection, or an order that does not fit its mark."""
    account = found.account
    same = (account.connection_id, account.provider) == (preview.connection_id, preview.provider)
    if not same or orders.fingerprint(str(preview.account_id), preview.order) != preview.fingerprint:
        raise refusal(ErrorCode.PREVIEW_MISMATCH)


def _intent(who: Decider, wanted: Wish, preview: Preview, found: Facts, now: datetime) -> Intent:
    return Intent(
        user_id=who.user_id,
        intent_id=wanted.intent_id,
        preview_id=preview.preview_id,
        account_id=preview.account_id,
        external_id=found.account.external_id,
        connection_id=preview.connection_id,
        provider=preview.provider,
        order=preview.order,
        fingerprint=preview.fingerprint,
        asked=wanted.asked,
        notional=preview.notional,
        currency=preview.currency,
        day=day_of(now),
        client_order_id=intents.client_order_id(wanted.intent_id),
        key=wanted.key,
        state=State.CONFIRMED,
        created_at=now,
        updated_at=now,
    )


async def note_refusal(desk: Desk, who: Decider, of: UUID, error: ApiError) -> None:
    """Write down that an order was not let through, though nothing else of it is kept."""
    async with desk.gateway.database.transaction(who.user_id) as conn:
        details = {"by": who.by, "code": str(error.code)}
        await commands.note(
            conn,
            who.user_id,
            "order.not_let_through",
            of,
            details=details,
            request_id=who.request_id,
            now=desk.now(),
        )

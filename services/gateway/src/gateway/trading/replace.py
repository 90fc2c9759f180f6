"""Replacing an open order by another: a new order of ours, linked to the old one, sent by one call like every other."""

from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from uuid import UUID, uuid4

from contracts.errors import ErrorCode
from contracts.trading import OrderRequest, Quote
from gateway.decisions.decider import Decider
from gateway.guards.budget import day_of
from gateway.refusals import refusal
from gateway.trading import claim, estimate, facts, guards, intents, orders, settle
from gateway.trading.cancel import must_be_open
from gateway.trading.claim import Claimed
from gateway.trading.facts import At
from gateway.trading.intents import Intent
from gateway.trading.orders import Asked, OrderFaultsError
from gateway.trading.place import Answer, through
from gateway.trading.refused import faulty
from gateway.trading.settle import Desk
from gateway.trading.states import State
from gateway.trading.values import Confirmed, Facts, Priced
from persistence.database import Connection
from service_kit.api_errors import ApiError

REPLACING: tuple[guards.Guard, ...] = (*guards.PLACING, guards.price_collar)
"""A replacement has no preview, so its price is checked here."""


@dataclass(frozen=True, slots=True)
class Amendment:
    """What is to be different; None leaves it. ``intent_id`` is what the new order will be called."""

    order_id: UUID
    key: str
    intent_id: UUID
    confirmed: Confirmed
    quantity: Decimal | None = None
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None

    @property
    def asked(self) -> str:
        """A digest of what the key stands for."""
        body = {
            "order_id": str(self.order_id),
            "quantity": _text(self.quantity),
            "limit_price": _text(self.limit_price),
            "stop_price": _text(self.stop_price),
            "duplicate": self.confirmed.duplicate,
            "unverified": self.confirmed.unverified,
        }
        return claim.digest("replace", body)


@dataclass(frozen=True, slots=True)
class Wanted:
    """The new order and what it is worth."""

    order: OrderRequest
    priced: Priced
    quote: Quote | None


def new_id() -> UUID:
    """What a new order is called."""
    return uuid4()


async def replace_order(desk: Desk, who: Decider, amendment: Amendment) -> Answer:
    """Replace an open order.

    Raises:
        ApiError: 404 no such order; 409 it is not open, or has several legs; 422 nothing or nothing possible is asked
            for; a guard says no; of the key as when placing.
    """
    try:
        claimed = await _claim(desk, who, amendment)
    except ApiError as error:
        await claim.note_refusal(desk, who, amendment.order_id, error)
        raise
    return await through(desk, who, claimed)


def amended(old: OrderRequest, amendment: Amendment, now: datetime) -> OrderRequest:
    """The new order; pure.

    Raises:
        ApiError: 409 several legs, or an amount of money, cannot be replaced; 422 it is no order, or the same.
    """
    if len(old.legs) > 1 or old.quantity is None:
        message = (
            "An order of several legs, or for an amount of money, cannot be replaced; cancel it instead."
        )
        raise refusal(ErrorCode.NOT_SUPPORTED, message)
    asked = Asked(
        order_type=old.order_type,
        time_in_force=old.time_in_force,
        symbol=old.symbol,
        side=old.side,
        quantity=old.quantity if amendment.quantity is None else amendment.quantity,
        limit_price=old.limit_price if amendment.limit_price is None else amendment.limit_price,
        stop_price=old.stop_price if amendment.stop_price is None else amendment.stop_price,
        extended_hours=old.extended_hours,
        expires_on=old.expires_on,
        provider_symbol_id=old.provider_symbol_id,
        currency=old.currency,
    )
    try:
        new = orders.read(asked, today=day_of(now), currency=old.currency)
    except OrderFaultsError as error:
        raise faulty(error) from error
    if new == old:
        raise refusal(ErrorCode.VALIDATION_FAILED, "This is the order as it is; say what is to be different.")
    return new


async def _claim(desk: Desk, who: Decider, amendment: Amendment) -> Claimed:
    async with desk.gateway.database.transaction(who.user_id) as conn:
        before = await claim.known(conn, who, amendment.key, amendment.asked, amendment.intent_id)
        if before is not None:
            return before
        old = await must_be_open(conn, who.user_id, amendment.order_id)
        account = await facts.account(conn, who.user_id, old.account_id)
    order = amended(old.order, amendment, desk.now())
    quote = None
    if not order.legs:
        found = await desk.gateway.market.quotes(who.user_id, account, [order.symbol], fresh=True)
        quote = found.get(order.symbol)
    wanted = Wanted(order, estimate.priced(order, quote), quote)

    async def once() -> Claimed:
        async with desk.gateway.database.transaction(who.user_id) as conn:
            return await _claimed(desk, conn, who, amendment, wanted)

    claimed = await desk.gateway.database.retrying(once)
    if claimed.fresh:
        settle.settled(desk, claimed.intent)
    return claimed


async def _claimed(
    desk: Desk, conn: Connection, who: Decider, amendment: Amendment, wanted: Wanted
) -> Claimed:
    now = desk.now()
    before = await claim.known(conn, who, amendment.key, amendment.asked, amendment.intent_id)
    if before is not None:
        return before
    old = await must_be_open(conn, who.user_id, amendment.order_id)
    before = await claim.known(conn, who, amendment.key, amendment.asked, amendment.intent_id)
    if before is not None:
        return before
    if old.cancel_requested_at is not None:
        raise refusal(ErrorCode.ORDER_NOT_OPEN, "The order is being cancelled.")
    at = At(who.user_id, old.account_id, now, wanted.order.currency)
    found = await facts.load(desk.gateway, conn, at, priced=wanted.priced, quote=wanted.quote, lock=True)
    without = _without(found, old)
    await claim.judge(
        desk,
        conn,
        who.user_id,
        found=without,
        order=wanted.order,
        confirmed=amendment.confirmed,
        among=REPLACING,
    )
    intent = _intent(who, amendment, wanted, old, now)
    if not await claim.enter(conn, intent, who, now, f"replaces {old.intent_id}"):
        raise refusal(ErrorCode.REQUEST_IN_PROGRESS, headers=claim.SOON)
    return Claimed(intent, fresh=True)


def _without(found: Facts, old: Intent) -> Facts:
    """The facts as if the order that is replaced were not there: what it offers and binds is free for the new one."""
    kept, gone = [], 0
    for known in found.orders:
        mine = (known.symbol, known.side, known.quantity) == (
            old.order.symbol,
            old.order.side.value,
            old.order.quantity,
        )
        if mine and known.is_open and not gone:
            gone += 1
        else:
            kept.append(known)
    others = tuple(one for one in found.intents if one.intent_id != old.intent_id)
    return replace(found, orders=tuple(kept), intents=others)


def _intent(who: Decider, amendment: Amendment, wanted: Wanted, old: Intent, now: datetime) -> Intent:
    return Intent(
        user_id=who.user_id,
        intent_id=amendment.intent_id,
        preview_id=None,
        account_id=old.account_id,
        external_id=old.external_id,
        connection_id=old.connection_id,
        provider=old.provider,
        order=wanted.order,
        fingerprint=orders.fingerprint(str(old.account_id), wanted.order),
        asked=amendment.asked,
        notional=wanted.priced.notional,
        currency=wanted.order.currency,
        day=day_of(now),
        client_order_id=intents.client_order_id(amendment.intent_id),
        key=amendment.key,
        state=State.CONFIRMED,
        created_at=now,
        updated_at=now,
        replaces_intent_id=old.intent_id,
        replaces_broker_order_id=old.broker_order_ids[0],
    )


def _text(number: Decimal | None) -> str | None:
    return None if number is None else str(number)

"""The first of the two steps: what an order would do, and whether it may be placed. Nothing is ordered here."""

from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import msgspec

from contracts.errors import ErrorCode
from contracts.trading import OrderImpact, OrderRequest, Quote
from contracts.trading_calls import ImpactCall
from gateway import commands
from gateway.context import Gateway
from gateway.decisions.decider import Decider
from gateway.guards.budget import day_of
from gateway.refusals import refusal
from gateway.trading import estimate, guards, limits, orders, previews, show
from gateway.trading import facts as known
from gateway.trading.facts import At
from gateway.trading.orders import Asked, OrderFaultsError
from gateway.trading.refused import check, faulty, wrong
from gateway.trading.rules import Fault
from gateway.trading.values import Account, Confirmed, Facts, Finding, Limits, Priced, warning
from service_kit.api_errors import ApiError

PREVIEWED, REFUSED = "order.previewed", "order.preview_refused"
SILENT = frozenset(
    {
        ErrorCode.NOT_SUPPORTED,
        ErrorCode.RATE_LIMITED,
        ErrorCode.DATA_NOT_READY,
        ErrorCode.PROVIDER_UNAVAILABLE,
        ErrorCode.PROVIDER_PROTOCOL,
        ErrorCode.INSTITUTION_UNAVAILABLE,
    }
)
"""Of these a quote, or the broker's preview, is missing, and the order is not wrong."""
NO_CURRENCY = "XXX"


@dataclass(frozen=True, slots=True)
class Wanted:
    """The order a user wants to see, and what they confirmed."""

    account_id: UUID
    asked: Asked
    confirmed: Confirmed = field(default_factory=Confirmed)


@dataclass(frozen=True, slots=True)
class Judged:
    """An order with everything that was found out about it."""

    facts: Facts
    order: OrderRequest
    findings: list[Finding]
    impact: OrderImpact | None


async def preview(gateway: Gateway, who: Decider, wanted: Wanted) -> dict[str, Any]:
    """What the order would do; kept for five minutes, in which it can be placed.

    Raises:
        ApiError: 404, no such account; the first guard's refusal; 422, no order that a broker could take, or one that
            the broker would refuse; 503, the broker does not answer and the order cannot be valued without.
    """
    try:
        judged = await _judged(gateway, who, wanted)
    except ApiError as error:
        await _note_refused(gateway, who, wanted, error)
        raise
    return await _kept(gateway, who, judged)


async def can_trade(gateway: Gateway, user_id: str, account_id: UUID) -> tuple[Facts, Limits]:
    """The facts of an account and the limits of its user.

    Raises:
        ApiError: 404, no such account.
    """
    async with gateway.database.transaction(user_id) as conn:
        facts = await known.load(gateway, conn, At(user_id, account_id, gateway.clock.now()))
        return facts, await limits.load(conn, user_id, gateway.settings.trading_limits)


async def _judged(gateway: Gateway, who: Decider, wanted: Wanted) -> Judged:
    now = gateway.clock.now()
    facts, held_to = await can_trade(gateway, who.user_id, wanted.account_id)
    check(guards.lasting(facts))
    order = _read(wanted.asked, facts.account, now)
    check(guards.guard(facts, order, held_to, now, confirmed=wanted.confirmed, among=guards.BEFORE_QUOTE))
    await _same_symbol(gateway, who.user_id, facts.account, order)
    quote, unquoted = await _quote(gateway, who.user_id, facts.account, order)
    order = _in_its_currency(order, wanted.asked, quote)
    facts = known.valued(facts, estimate.priced(order, quote), quote)
    if _worth(facts) is not None:
        check(_all(facts, order, held_to, now, wanted.confirmed))
    impact, unseen = await _impact(gateway, who.user_id, facts.account, order)
    if impact is not None:
        facts = known.valued(facts, estimate.by_broker(order, _price(facts), impact), quote)
    findings = _all(facts, order, held_to, now, wanted.confirmed)
    check(findings)
    return Judged(facts, order, [*findings, *unquoted, *unseen, *_broker_says(impact)], impact)


def _all(
    facts: Facts, order: OrderRequest, held_to: Limits, now: datetime, confirmed: Confirmed
) -> list[Finding]:
    return guards.guard(facts, order, held_to, now, confirmed=confirmed, among=guards.PREVIEWING)


def _price(facts: Facts) -> Priced:
    return facts.priced or Priced(facts.account.currency)


def _worth(facts: Facts) -> object:
    return None if facts.priced is None else facts.priced.notional


def _read(asked: Asked, account: Account, now: datetime) -> OrderRequest:
    usual = account.currency if account.currency != NO_CURRENCY else "USD"
    try:
        return orders.read(asked, today=day_of(now), currency=usual)
    except OrderFaultsError as error:
        raise faulty(error) from error


def _in_its_currency(order: OrderRequest, asked: Asked, quote: Quote | None) -> OrderRequest:
    """An order is in the currency that its instrument is quoted in."""
    if quote is None or quote.currency is None or quote.currency == order.currency:
        return order
    if asked.currency is not None:
        message = f"{order.symbol} is quoted in {quote.currency}."
        raise wrong([Fault(("currency",), "not_of_symbol", message)])
    return msgspec.structs.replace(order, currency=quote.currency)


async def _same_symbol(gateway: Gateway, user_id: str, account: Account, order: OrderRequest) -> None:
    """Check that the provider's own id is of this symbol: guards look at one, the broker would get the other."""
    wanted = order.provider_symbol_id
    if wanted is None:
        return
    found = await gateway.market.symbols(user_id, account.provider, order.symbol, account)
    if not any(
        one.provider_symbol_id == wanted and order.symbol in {one.instrument.key, one.instrument.symbol}
        for one in found
    ):
        message = f"This id is not of {order.symbol} at this account's broker."
        raise wrong([Fault(("provider_symbol_id",), "not_of_symbol", message)])


async def _quote(
    gateway: Gateway, user_id: str, account: Account, order: OrderRequest
) -> tuple[Quote | None, list[Finding]]:
    """The last quote. Brokers quote no options: their orders need a limit, or the broker's preview."""
    if order.legs:
        return None, []
    try:
        found = await gateway.market.quotes(user_id, account, [order.symbol], fresh=True)
    except ApiError as error:
        if error.code not in SILENT:
            raise
        message = "The broker gives no quote now."
        return None, [warning("quote", "quote_unavailable", message, {"cause": error.code})]
    return found.get(order.symbol), []


async def _impact(
    gateway: Gateway, user_id: str, account: Account, order: OrderRequest
) -> tuple[OrderImpact | None, list[Finding]]:
    call = ImpactCall(
        user_id=user_id,
        connection_id=str(account.connection_id),
        account_id=str(account.account_id),
        external_id=account.external_id,
        order=order,
    )
    try:
        return await gateway.market.reads.impact(account.provider, call), []
    except ApiError as error:
        if error.code == ErrorCode.PROVIDER_REFUSED:
            raise refusal(ErrorCode.ORDER_REJECTED, error.message, details=error.details) from error
        if error.code not in SILENT:
            raise
        offered = error.code != ErrorCode.NOT_SUPPORTED
        message = "The broker gives no preview {}; the numbers are our estimate.".format(
            "now" if offered else "of such an order"
        )
        code = "broker_preview_unavailable" if offered else "broker_preview_not_offered"
        return None, [warning("broker_preview", code, message, {"cause": error.code})]


def _broker_says(impact: OrderImpact | None) -> list[Finding]:
    told = [warning("broker_preview", "broker", text[:500]) for text in (impact.warnings if impact else [])]
    if impact is None or impact.fees is None:
        told.append(warning("fees", "fees_unknown", "Nobody tells the fees of this order in advance."))
    return told


async def _kept(gateway: Gateway, who: Decider, judged: Judged) -> dict[str, Any]:
    now = gateway.clock.now()
    account, order = judged.facts.account, judged.order
    kept = previews.Preview(
        user_id=who.user_id,
        preview_id=uuid4(),
        account_id=account.account_id,
        connection_id=account.connection_id,
        provider=account.provider,
        order=order,
        fingerprint=orders.fingerprint(str(account.account_id), order),
        shown={},
        notional=_price(judged.facts).notional,
        currency=order.currency,
        created_at=now,
        expires_at=now + previews.TTL,
    )
    shown = _shown(kept, judged)
    async with gateway.database.transaction(who.user_id) as conn:
        await previews.insert(conn, replace(kept, shown=shown))
        await commands.note(
            conn,
            who.user_id,
            PREVIEWED,
            kept.preview_id,
            details={"by": who.by, "account_id": str(account.account_id), "order": show.order(order)},
            request_id=who.request_id,
            now=now,
        )
    return shown


def _shown(kept: previews.Preview, judged: Judged) -> dict[str, Any]:
    facts, impact = judged.facts, judged.impact
    return {
        "preview_id": str(kept.preview_id),
        "account_id": str(kept.account_id),
        "provider": kept.provider,
        "institution": facts.account.institution,
        "order": show.order(kept.order),
        "quote": show.quote(facts.quote),
        "figures": show.figures(facts, kept.order, _price(facts), impact),
        "broker_preview": impact is not None,
        "provider_request_id": impact.provider_request_id if impact else None,
        "warnings": show.warnings(judged.findings),
        "guards": show.guards(judged.findings),
        "created_at": kept.created_at.isoformat(),
        "expires_at": kept.expires_at.isoformat(),
    }


async def _note_refused(gateway: Gateway, who: Decider, wanted: Wanted, error: ApiError) -> None:
    async with gateway.database.transaction(who.user_id) as conn:
        details = {"by": who.by, "code": error.code, "guard": (error.details or {}).get("guard")}
        await commands.note(
            conn,
            who.user_id,
            REFUSED,
            wanted.account_id,
            details=details,
            request_id=who.request_id,
            now=gateway.clock.now(),
        )

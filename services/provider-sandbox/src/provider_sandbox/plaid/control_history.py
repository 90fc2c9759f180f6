"""Control routes for histories: made-up ones of any length, and what control writes into them or strikes out."""

from datetime import date, timedelta
from decimal import Decimal
from typing import Any, Literal, cast
from uuid import uuid4

from fastapi import APIRouter, HTTPException

from provider_sandbox.plaid.books import Payment, Trade, made_index
from provider_sandbox.plaid.face import PlaidFace
from provider_sandbox.plaid.holdings import wire_value
from provider_sandbox.plaid.orders import HistoryOrder, PaymentOrder, PaymentsOrder, TradeOrder, TradesOrder
from provider_sandbox.state import State
from provider_sandbox.world import Account

_SUBTYPES = {"cancel": "adjustment", "cash": "deposit", "fee": "account fee"}


def add_history_routes(router: APIRouter, state: State) -> None:
    """Add the routes."""

    @router.put("/accounts/{key:path}/history")
    async def set_history(key: str, order: HistoryOrder) -> dict[str, Any]:
        """Lengthen or shorten an account's made-up history, for instance while a client is paging through it."""
        face, account = _account(state, key)
        grown = order.activities - account.activities
        if account.family == "deposit":
            face.books.resize(account, order.activities)
        state.world.set_history(key, order.activities)
        if grown:
            await face.history_changed(key, new=max(grown, 0), gone=max(-grown, 0), announce=order.announce)
        return order.model_dump()

    @router.post("/accounts/{key:path}/transactions")
    async def write(key: str, order: TradesOrder) -> dict[str, Any]:
        """Write investment transactions, and announce INVESTMENTS_TRANSACTIONS/DEFAULT_UPDATE unless told not to."""
        face, account = _account(state, key, "investment")
        trades = [_trade(state, account, one, face.today()) for one in order.transactions]
        face.books.of(account).trades.update({trade.name: trade for trade in trades})
        gone = sum(trade.type == "cancel" for trade in trades)
        shown = await face.history_changed(key, new=len(trades) - gone, gone=gone, announce=order.announce)
        return {"names": [trade.name for trade in trades], "announced": shown}

    @router.delete("/accounts/{key:path}/transactions/{name}")
    async def strike(key: str, name: str, *, announce: bool = True) -> dict[str, Any]:
        """Strike an investment transaction out: it is in no answer any more."""
        face, account = _account(state, key, "investment")
        book, index = face.books.of(account), made_index(name)
        if index is not None and index < account.activities:
            book.struck.add(index)
        elif book.trades.pop(name, None) is None:
            raise HTTPException(404, f"the account has no transaction {name}")
        return {"announced": await face.history_changed(key, new=0, gone=1, announce=announce)}

    @router.post("/accounts/{key:path}/payments")
    async def pay(key: str, order: PaymentsOrder) -> dict[str, Any]:
        """Write bank transactions, and announce TRANSACTIONS/SYNC_UPDATES_AVAILABLE unless told not to."""
        face, account = _account(state, key, "deposit")
        names = [_pay(face, account, one) for one in order.transactions]
        shown = await face.history_changed(key, new=len(names), gone=0, announce=order.announce)
        return {"names": names, "announced": shown}

    @router.delete("/accounts/{key:path}/payments/{name}")
    async def take_back(key: str, name: str, *, announce: bool = True) -> dict[str, Any]:
        """Take a bank transaction back."""
        face, account = _account(state, key, "deposit")
        face.books.record(account, "removed", name)
        return {"announced": await face.history_changed(key, new=0, gone=1, announce=announce)}


def _account(
    state: State, key: str, family: Literal["investment", "deposit"] | None = None
) -> tuple[PlaidFace, Account]:
    face = cast("PlaidFace", state.faces[PlaidFace.provider])
    account = state.world.accounts.get(key)
    if account is None or family not in {None, account.family}:
        raise HTTPException(404, f"no {family or ''} account {key}")
    return face, account


def _trade(state: State, account: Account, order: TradeOrder, today: date) -> Trade:
    security = state.world.securities.get(order.security or "")
    if order.security and security is None:
        raise HTTPException(404, f"no security {order.security}")
    amount = order.amount
    if amount is None:
        amount = wire_value(security, order.quantity, order.price) if security else Decimal(0)
    kind = order.type or ("sell" if order.quantity < 0 else "buy")
    return Trade(
        name=order.name or str(uuid4()),
        on=order.on or today - timedelta(days=order.days_ago),
        text=order.text or f"{kind.upper()} {order.security or ''}".strip(),
        type=kind,
        subtype=order.subtype or _SUBTYPES.get(kind, kind),
        quantity=order.quantity,
        amount=amount,
        price=order.price,
        currency=security.currency if security else account.currency,
        fees=order.fees,
        at=order.at,
        security=order.security,
        cancels=order.cancels,
    )


def _pay(face: PlaidFace, account: Account, order: PaymentOrder) -> str:
    name = order.name or str(uuid4())
    known = {payment.name for payment in face.books.payments(account)}
    if order.posts is not None and order.posts in known:
        face.books.record(account, "removed", order.posts)
    payment = Payment(
        name=name,
        on=order.on or face.today() - timedelta(days=order.days_ago),
        text=order.text,
        amount=order.amount,
        pending=order.pending,
        posts=order.posts,
    )
    face.books.record(account, "modified" if name in known else "added", name, payment)
    return name

"""The control route that makes a person: a user name at an institution and the accounts behind it."""

from collections.abc import Awaitable, Callable
from decimal import Decimal
from hashlib import sha256
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.requests import Request

from provider_sandbox.control.reading import BadRequestError, Body, UnknownError
from provider_sandbox.state import State
from provider_sandbox.world import Account, Holding, Login


class _Order(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class HoldingOrder(_Order):
    """A position: options in contracts, bonds in face amount, shorts negative; cost per unit (per share)."""

    security: str
    quantity: Decimal
    average_cost: Decimal | None = None
    cash_equivalent: bool = False


class AccountOrder(_Order):
    """An account as its institution knows it; the last four characters of `number` are its mask.

    `key` names it in other control calls, default `<institution>/<user name>/<position in the list from 1>`.
    `stable_id` is the institution's own id, by default made from the key. Negative cash is a margin loan where
    `margin` is set. `available` is what a deposit account shows besides its cash.
    """

    number: str = Field(min_length=4)
    key: str | None = Field(default=None, min_length=1)
    name: str = "Individual"
    family: Literal["investment", "deposit"] = "investment"
    cash: dict[str, Decimal] = Field(default_factory=dict)
    holdings: tuple[HoldingOrder, ...] = ()
    margin: bool = False
    available: Decimal | None = None
    stable_id: str | None = None
    currency: str = "USD"
    holdings_hidden: bool = False
    snaptrade_raw_type: str | None = None
    plaid_subtype: str | None = None
    activities: int = Field(default=0, ge=0, le=100_000)


class LoginOrder(_Order):
    """All accounts of the login, in the order the providers list them."""

    accounts: tuple[AccountOrder, ...]


class Logins:
    """The handler; it returns a JSON value."""

    def __init__(self, state: State) -> None:
        self._state = state

    async def put(self, request: Request) -> Any:
        """Give a user name at an institution exactly these accounts; nothing is announced.

        Connections made before keep the accounts they had, with what those now hold.
        """
        institution, username = request.path_params["institution"], request.path_params["username"]
        world = self._state.world
        if institution not in world.institutions:
            raise UnknownError(f"No such institution: {institution}")
        order = await _read(request)
        accounts = [
            self._account(institution, username, number, one) for number, one in enumerate(order.accounts, 1)
        ]
        keys = tuple(account.key for account in accounts)
        if len(set(keys)) != len(keys):
            raise BadRequestError("two accounts have the same key")
        world.set_login(Login(username, institution, keys), accounts)
        shown = [
            {"key": account.key, "mask": account.mask, "total": str(world.total(account))}
            for account in accounts
        ]
        return {"username": username, "institution": institution, "accounts": shown}

    def _account(self, institution: str, username: str, number: int, order: AccountOrder) -> Account:
        key = order.key or f"{institution}/{username}/{number}"
        deposit = order.family == "deposit"
        for currency in (order.currency, *order.cash):
            if currency not in self._state.world.fx:
                raise BadRequestError(f"{currency} is not one of {', '.join(self._state.world.fx)}")
        return Account(
            key=key,
            institution=institution,
            name=order.name,
            official_name=f"{order.name} Account",
            number=order.number,
            stable_id=order.stable_id or sha256(key.encode()).hexdigest()[:16],
            family=order.family,
            snaptrade_raw_type=order.snaptrade_raw_type or ("CHECKING" if deposit else "Individual"),
            plaid_type="depository" if deposit else "investment",
            plaid_subtype=order.plaid_subtype or ("checking" if deposit else "brokerage"),
            currency=order.currency,
            cash=dict(order.cash),
            holdings=tuple(self._holding(one) for one in order.holdings),
            margin=order.margin,
            available=_available(order),
            holdings_hidden=order.holdings_hidden,
            activities=order.activities,
        )

    def _holding(self, order: HoldingOrder) -> Holding:
        if order.security not in self._state.world.securities:
            raise UnknownError(f"No such security: {order.security}")
        return Holding(order.security, order.quantity, order.average_cost, order.cash_equivalent)


def _available(order: AccountOrder) -> Decimal | None:
    """What a deposit account shows as available: all of it where nothing else is said."""
    if order.available is None and order.family == "deposit":
        return sum(order.cash.values(), Decimal(0))
    return order.available


async def _read(request: Request) -> LoginOrder:
    body = await Body.of(request)
    try:
        return LoginOrder.model_validate(body.values)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise BadRequestError(f"{where}: {first['msg']}") from error


def login_routes(state: State) -> list[tuple[str, str, Callable[[Request], Awaitable[Any]]]]:
    """Return method, path and handler of the route."""
    return [("PUT", "/_control/logins/{institution}/{username}", Logins(state).put)]

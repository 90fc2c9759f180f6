"""Naming sets of accounts: make, change and drop portfolios."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from uuid import UUID, uuid4

from contracts.decisions import PortfolioDefined
from contracts.errors import ErrorCode
from gateway import commands
from gateway.context import Gateway
from gateway.decisions import named, once, wait
from gateway.decisions.decider import Decider, one_at_a_time
from gateway.decisions.named import Named
from gateway.decisions.names import DEFAULT, NameRefusedError, checked, key_of
from gateway.reads import identity
from gateway.reads.pages import known_id
from gateway.reads.portfolios import PORTFOLIO, is_default, portfolio_in
from gateway.refusals import not_found, refusal
from persistence.database import Connection

MOST = 50
CREATED, CHANGED, DROPPED = "portfolio.created", "portfolio.changed", "portfolio.deleted"
RESERVED = "The portfolio `default` holds every account; it cannot be made, changed or deleted."
TAKEN = "You have a portfolio of that name."
TOO_MANY = f"Nobody has more than {MOST} portfolios."
GONE = "The portfolio that this Idempotency-Key made has been deleted since."


@dataclass(frozen=True, slots=True)
class Defined:
    """A portfolio as it was defined; ``applied`` once its positions follow from it."""

    portfolio: Named
    applied: bool
    replayed: bool = False


async def create(gateway: Gateway, who: Decider, name: str, account_ids: Sequence[str]) -> Defined:
    """Make a portfolio of the accounts.

    Raises:
        ApiError: 404, an account is none of the user's; 409, the name is taken or reserved, or there are too many;
            422, the name cannot be one, or the key came with another request before.
    """
    name, wanted = _name(name), _ids(account_ids)
    now = gateway.clock.now()
    async with gateway.database.transaction(who.user_id) as conn:
        await one_at_a_time(conn, who.user_id)
        made = Named(uuid4(), name, wanted, 1, deleted=False, created_at=now, updated_at=now)
        asked = {"name": name, "accounts": wanted}
        earlier = await once.made_before(conn, who, CREATED, asked, object_id=made.portfolio_id, now=now)
        if earlier is not None:
            made = await _remade(conn, who.user_id, earlier)
        else:
            await _check_accounts(conn, who.user_id, wanted, known=[])
            await _check_name(conn, who.user_id, name, own=None)
            if await named.count(conn, who.user_id) >= MOST:
                raise refusal(ErrorCode.CONFLICT, TOO_MANY)
            await named.insert(conn, who.user_id, made)
            await _tell(conn, who, made, CREATED, now)
    return await _settled(gateway, who, made, replayed=earlier is not None)


async def change(
    gateway: Gateway, who: Decider, wanted: str, name: str | None, account_ids: Sequence[str] | None
) -> Defined:
    """Give a portfolio another name, or other accounts; what is None stays. No change is no new version.

    Raises:
        ApiError: 404, no such portfolio, or an account is none of the user's; 409, the name is taken or reserved,
            or it is ``default``; 422, the name cannot be one.
    """
    now = gateway.clock.now()
    async with gateway.database.transaction(who.user_id) as conn:
        await one_at_a_time(conn, who.user_id)
        before = await _mine(conn, who.user_id, wanted)
        after = replace(
            before,
            name=before.name if name is None else _name(name),
            account_ids=before.account_ids if account_ids is None else _ids(account_ids),
        )
        await _check_accounts(conn, who.user_id, after.account_ids, known=before.account_ids)
        await _check_name(conn, who.user_id, after.name, own=before.portfolio_id)
        if after != before:
            after = replace(after, version=before.version + 1, updated_at=now)
            await named.update(conn, who.user_id, after)
            await _tell(conn, who, after, CHANGED, now)
    return await _settled(gateway, who, after)


async def drop(gateway: Gateway, who: Decider, wanted: str) -> Defined:
    """Drop a portfolio; its accounts stay, in ``default``.

    Raises:
        ApiError: 404, no such portfolio; 409, it is ``default``.
    """
    now = gateway.clock.now()
    async with gateway.database.transaction(who.user_id) as conn:
        await one_at_a_time(conn, who.user_id)
        before = await _mine(conn, who.user_id, wanted)
        after = replace(before, version=before.version + 1, deleted=True, updated_at=now)
        await named.update(conn, who.user_id, after)
        await _tell(conn, who, after, DROPPED, now)
    return await _settled(gateway, who, after)


def _name(given: str) -> str:
    try:
        name = checked(given)
    except NameRefusedError as error:
        wrong = {"location": ["body", "name"], "type": "name", "message": str(error)}
        raise refusal(ErrorCode.VALIDATION_FAILED, details={"errors": [wrong]}) from error
    if key_of(name) == DEFAULT:
        raise refusal(ErrorCode.CONFLICT, RESERVED)
    return name


def _ids(given: Sequence[str]) -> list[str]:
    """The accounts in the order they were named, each once."""
    return list(dict.fromkeys(str(known_id(one, "account")) for one in given))


async def _mine(conn: Connection, user_id: str, wanted: str) -> Named:
    if is_default(user_id, wanted):
        raise refusal(ErrorCode.CONFLICT, RESERVED)
    found = await named.get(conn, user_id, UUID(await portfolio_in(conn, user_id, wanted)))
    if found is None:
        raise not_found(PORTFOLIO)
    return found


async def _remade(conn: Connection, user_id: str, portfolio_id: UUID) -> Named:
    found = await named.get(conn, user_id, portfolio_id)
    if found is None or found.deleted:
        raise refusal(ErrorCode.CONFLICT, GONE)
    return found


async def _check_accounts(
    conn: Connection, user_id: str, wanted: Sequence[str], *, known: Sequence[str]
) -> None:
    """Accounts are present, or were named while they were."""
    fresh = [UUID(one) for one in wanted if one not in known]
    if len(await identity.present(conn, user_id, fresh)) < len(fresh):
        raise not_found("account")


async def _check_name(conn: Connection, user_id: str, name: str, *, own: UUID | None) -> None:
    taken = await named.of_name(conn, user_id, name)
    if taken is not None and taken != own:
        raise refusal(ErrorCode.CONFLICT, TAKEN)


async def _tell(conn: Connection, who: Decider, portfolio: Named, action: str, now: datetime) -> None:
    """Put the fact and the audit row beside the change."""
    fact = PortfolioDefined(
        user_id=who.user_id,
        portfolio_id=str(portfolio.portfolio_id),
        name=portfolio.name,
        account_ids=portfolio.account_ids,
        deleted=portfolio.deleted,
        version=portfolio.version,
        defined_at=portfolio.updated_at,
    )
    await commands.send_event(conn, fact, now)
    details = {"name": portfolio.name, "account_ids": portfolio.account_ids, "version": portfolio.version}
    await commands.note(
        conn,
        who.user_id,
        action,
        portfolio.portfolio_id,
        details=details | {"by": who.by},
        request_id=who.request_id,
        now=now,
    )


async def _settled(gateway: Gateway, who: Decider, portfolio: Named, *, replayed: bool = False) -> Defined:
    """Wait a moment until the definition is applied."""
    gateway.wake()
    look = partial(_applied, gateway, who.user_id, portfolio)
    return Defined(portfolio, await wait.until(look, wait.PATIENCE) is not None, replayed)


async def _applied(gateway: Gateway, user_id: str, portfolio: Named) -> bool | None:
    async with gateway.database.transaction(user_id) as conn:
        return await named.applied(conn, user_id, portfolio.portfolio_id, portfolio.version) or None

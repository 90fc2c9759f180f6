"""What a refresh of each connection would cost and when it is free, beside the connection itself."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from gateway.guards.budget import Spent
from gateway.guards.refresh import Granted, Refused, decide
from gateway.ledger import charges, spend
from gateway.refreshing.facts import Known, facts
from gateway.refreshing.verdicts import priced
from gateway.settings import GatewaySettings
from persistence.database import Connection

Item = dict[str, Any]


async def offered(
    conn: Connection, user_id: str, items: Sequence[Item], settings: GatewaySettings, now: datetime
) -> list[Item]:
    """The connections, each with its offer."""
    known = {
        str(one.connection_id): one
        for one in await facts(conn, user_id, [UUID(item["id"]) for item in items])
    }
    limits = await spend.limits(conn, user_id, settings.budgets)
    spent = Spent(await charges.spent_today(conn, user_id, now), await spend.spent_today(conn, now))

    def offer(one: Known) -> Item:
        terms = one.terms(settings.prices, now)
        obstacle = one.obstacle(settings.connectors)
        if obstacle is not None:
            return {"refresh_price": None, "refresh_reason": obstacle.reason, "next_refresh_at": None}
        verdict = decide(terms, one.past, spent, limits, now, confirmed=False)
        price = priced(terms)
        cost = {name: price[key] for name, key in (("amount", "price"), ("currency", "currency"))}
        shown = {"refresh_price": cost | {"estimated": price["estimated"]}}
        match verdict:
            case Granted():
                return shown | {"refresh_reason": None, "next_refresh_at": None}
            case Refused(reason=reason, next_refresh_at=free_at):
                return shown | {"refresh_reason": reason, "next_refresh_at": free_at.isoformat()}

    return [item | offer(known[item["id"]]) for item in items]

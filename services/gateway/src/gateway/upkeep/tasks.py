"""What is looked after, and how often."""

from datetime import timedelta

from gateway.context import Gateway
from gateway.ledger import subscriptions
from gateway.upkeep import charges, retention, sessions
from gateway.upkeep.loop import Task

OFTEN, SELDOM = timedelta(minutes=1), timedelta(hours=1)


def tasks(gateway: Gateway) -> list[Task]:
    """Everything that is looked after. Each task may be done again at any time."""

    async def look_after_sessions() -> int:
        return await sessions.look_after(gateway)

    async def look_after_charges() -> int:
        return await charges.look_after(gateway.database, gateway.charges, gateway.clock.now())

    async def write_subscriptions() -> int:
        now = gateway.clock.now()
        return await subscriptions.write(gateway.database, gateway.settings.prices, gateway.charges, now)

    async def purge() -> int:
        return await retention.purge(gateway.database, gateway.settings, gateway.clock.now())

    return [
        Task("link_sessions", timedelta(seconds=gateway.settings.link_poll_seconds) / 2, look_after_sessions),
        Task("charges", OFTEN, look_after_charges),
        Task("subscriptions", SELDOM, write_subscriptions),
        Task("retention", SELDOM, purge),
    ]

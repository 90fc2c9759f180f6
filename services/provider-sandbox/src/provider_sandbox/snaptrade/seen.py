"""What one sync saw of an account: frozen values, so a broken connection keeps answering from it."""

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from provider_sandbox.world import Account, Security, World


@dataclass(slots=True)
class Seen:
    """An account with the securities it needs, as they were at `at`.

    `rendered` keeps bytes a face made from it; they stay right because nothing else here changes but `at`.
    """

    account: Account
    securities: dict[str, Security]
    total: Decimal
    at: datetime
    version: int
    rendered: dict[str, bytes] = field(default_factory=dict)


def look(world: World, account_key: str, at: datetime) -> Seen:
    """Look at an account of the world now."""
    account = world.accounts[account_key]
    needed: dict[str, Security] = {}
    pending = [holding.security_key for holding in account.holdings]
    while pending:
        security = world.securities[pending.pop()]
        needed[security.key] = security
        more = (security.underlying, security.option.underlying if security.option else None)
        pending.extend(key for key in more if key is not None and key not in needed)
    return Seen(account, needed, world.total(account), at, world.version)

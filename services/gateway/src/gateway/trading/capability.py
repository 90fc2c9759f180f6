"""Whether an account can trade at all, and why not: from what is stored, before any provider is asked. Pure."""

from collections.abc import Collection

from contracts.accounts import AccountStatus
from contracts.errors import ErrorCode
from contracts.statuses import ConnectionStatus
from gateway.manual.instruments import PROVIDER as MANUAL
from gateway.routing.choose import TRADING_PROVIDERS
from gateway.routing.coverage import Coverage
from gateway.trading.values import Account, Obstacle

GATE, HEALTH = "capability", "connection"
TRADE = "trade"


def obstacles(account: Account, coverage: Coverage, enabled: Collection[str]) -> tuple[Obstacle, ...]:
    """Everything in the way, the most lasting first; what makes the rest pointless stands alone.

    ``enabled`` are the providers that are switched on.
    """
    lasting = _provider(account) or _coverage(account, coverage)
    if lasting is not None:
        return (lasting,)
    found = (_connection_type(account), _account(account))
    known = (*(one for one in found if one is not None), *health(account, enabled))
    return known or _unexplained(account)


def health(account: Account, enabled: Collection[str]) -> tuple[Obstacle, ...]:
    """What keeps the account's broker from being asked anything at all."""
    found = (_running(account, enabled), _status(account))
    return tuple(one for one in found if one is not None)


def _provider(account: Account) -> Obstacle | None:
    if account.provider == MANUAL:
        return _no("manual", "This account is entered by hand: there is no broker to send an order to.")
    if account.provider not in TRADING_PROVIDERS:
        return _no("provider", f"{account.provider} shows accounts and cannot trade in them.")
    return None


def _coverage(account: Account, coverage: Coverage) -> Obstacle | None:
    institution = coverage.find(account.institution)
    if institution is None or institution.allow_trading:
        return None
    return _no("coverage", f"Trading is not offered at {institution.name}.")


def _connection_type(account: Account) -> Obstacle | None:
    if account.connection_type == TRADE:
        return None
    return _no("read_only_connection", "This connection may only read; reconnect with trading to order here.")


def _account(account: Account) -> Obstacle | None:
    if account.status != AccountStatus.OPEN:
        message = f"The account is {account.status} at its institution."
        return Obstacle(GATE, ErrorCode.ACCOUNT_NOT_TRADABLE, f"account_{account.status}", message)
    if not account.holds_securities:
        message = "The account holds cash only."
        return Obstacle(GATE, ErrorCode.ACCOUNT_NOT_TRADABLE, "cash_only", message)
    return None


def _running(account: Account, enabled: Collection[str]) -> Obstacle | None:
    if account.provider in enabled:
        return None
    message = f"{account.provider} is switched off in this installation."
    return Obstacle(HEALTH, ErrorCode.PROVIDER_DISABLED, "provider_disabled", message)


def _status(account: Account) -> Obstacle | None:
    if account.connection_status == ConnectionStatus.ACTIVE:
        return None
    if account.connection_status == ConnectionStatus.REMOVED:
        return Obstacle(HEALTH, ErrorCode.CONNECTION_GONE, "removed", "The connection was removed.")
    message = "The institution no longer accepts the connection; reconnect it first."
    return Obstacle(HEALTH, ErrorCode.CONNECTION_BROKEN, account.connection_status, message)


def _unexplained(account: Account) -> tuple[Obstacle, ...]:
    if account.trading:
        return ()
    message = "The provider does not let this account trade."
    return (Obstacle(GATE, ErrorCode.ACCOUNT_NOT_TRADABLE, "account_not_enabled", message),)


def _no(reason: str, message: str) -> Obstacle:
    return Obstacle(GATE, ErrorCode.TRADING_NOT_SUPPORTED, reason, message)

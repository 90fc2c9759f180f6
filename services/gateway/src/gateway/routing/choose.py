"""The choice of a provider at link time: deterministic, and explained."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from gateway.routing.coverage import Institution

POLICY_VERSION = "1"
TRADING_PROVIDERS = ("snaptrade",)
"""Providers that can trade where coverage allows it, best first."""
DEFAULT_PROVIDER = "plaid"


@dataclass(frozen=True, slots=True)
class Policy:
    """What the operator allows. ``admin_only`` providers serve admins alone."""

    enabled: frozenset[str]
    admin_only: frozenset[str] = frozenset()
    min_success_rate: float = 0.5  # a rate of successes, no amount
    version: str = POLICY_VERSION


@dataclass(frozen=True, slots=True)
class Health:
    """How linking through a provider has gone lately at this institution; unknown counts as healthy."""

    success_rate: float | None = None  # a rate of successes, no amount
    maintenance: bool = False


@dataclass(frozen=True, slots=True)
class Wish:
    """What the user asked for; ``provider`` is an explicit choice."""

    need_trading: bool = False
    provider: str | None = None
    admin: bool = False


class Refusal(StrEnum):
    """Why no provider can be chosen; the values are error codes of the API."""

    DISABLED = "PROVIDER_DISABLED"
    NOT_SUPPORTED = "PROVIDER_NOT_SUPPORTED"
    NO_TRADING = "TRADING_NOT_SUPPORTED"


@dataclass(frozen=True, slots=True)
class Decision:
    """The provider chosen, or why none; ``reasons`` in the order the rules were applied."""

    provider: str | None
    reasons: tuple[str, ...]
    refusal: Refusal | None = None
    policy_version: str = POLICY_VERSION


def choose_provider(
    institution: Institution | None, wish: Wish, policy: Policy, health: Mapping[str, Health]
) -> Decision:
    """Choose who links this institution.

    Rules in order: what is switched on → the user's explicit choice → coverage, where a need for trading
    moves to a provider that can trade → an unknown institution goes to a trading provider when trading is
    needed, else to the default → an unhealthy choice gives way to its fallback, never against a capability.
    """
    reasons: list[str] = []
    usable = _usable(wish, policy, reasons)
    if wish.provider is not None:
        return _explicit(institution, wish, policy, usable, reasons)
    candidates = _candidates(institution, wish, reasons)
    if not candidates:
        return Decision(None, tuple(reasons), Refusal.NO_TRADING, policy.version)
    allowed = [provider for provider in candidates if provider in usable]
    if not allowed:
        reasons.append(f"{' and '.join(candidates)} would serve this but cannot be used now")
        return Decision(None, tuple(reasons), Refusal.DISABLED, policy.version)
    if allowed[0] != candidates[0]:
        reasons.append(f"{candidates[0]} cannot be used now, {allowed[0]} serves instead")
    return Decision(_healthiest(allowed, policy, health, reasons), tuple(reasons), None, policy.version)


def _usable(wish: Wish, policy: Policy, reasons: list[str]) -> frozenset[str]:
    closed = policy.admin_only if not wish.admin else frozenset()
    reasons.extend(f"{provider} is open to admins only" for provider in sorted(closed & policy.enabled))
    return policy.enabled - closed


def _explicit(
    institution: Institution | None, wish: Wish, policy: Policy, usable: frozenset[str], reasons: list[str]
) -> Decision:
    provider = wish.provider or ""
    reasons.append(f"the user chose {provider}")
    refusal = None
    if institution is not None and not institution.serves(provider):
        reasons.append(f"coverage does not list {provider} for {institution.slug}")
        refusal = Refusal.NOT_SUPPORTED
    elif provider not in usable:
        reasons.append(f"{provider} is switched off or not open to this user")
        refusal = Refusal.DISABLED
    elif wish.need_trading and not _can_trade(provider, institution):
        reasons.append(f"trading is needed and {provider} cannot trade here")
        refusal = Refusal.NO_TRADING
    return Decision(None if refusal else provider, tuple(reasons), refusal, policy.version)


def _candidates(institution: Institution | None, wish: Wish, reasons: list[str]) -> list[str]:
    if institution is None:
        reasons.append("the institution is not in the coverage file")
        if wish.need_trading:
            reasons.append("trading is needed: a provider that can trade is asked first")
            return list(TRADING_PROVIDERS)
        reasons.append(f"{DEFAULT_PROVIDER} serves institutions we do not know")
        return [DEFAULT_PROVIDER, *TRADING_PROVIDERS]
    order = [provider for provider in (institution.preferred, institution.fallback) if provider]
    reasons.append(f"coverage prefers {institution.preferred} for {institution.slug}")
    if not wish.need_trading:
        return order
    if not institution.allow_trading:
        reasons.append(f"trading is needed and coverage does not allow it at {institution.slug}")
        return []
    trading = [provider for provider in order if provider in TRADING_PROVIDERS] or list(TRADING_PROVIDERS)
    reasons.append(f"trading is needed: {trading[0]} can trade")
    return trading


def _healthiest(allowed: list[str], policy: Policy, health: Mapping[str, Health], reasons: list[str]) -> str:
    for provider in allowed:
        if problem := _problem(health.get(provider), policy):
            reasons.append(f"{provider} is unhealthy here: {problem}")
            continue
        return provider
    reasons.append(f"no healthy alternative: staying with {allowed[0]}")
    return allowed[0]


def _problem(health: Health | None, policy: Policy) -> str | None:
    if health is None:
        return None
    if health.maintenance:
        return "maintenance"
    if health.success_rate is not None and health.success_rate < policy.min_success_rate:
        return f"{health.success_rate:.0%} of recent links succeeded"
    return None


def _can_trade(provider: str, institution: Institution | None) -> bool:
    return provider in TRADING_PROVIDERS and (institution is None or institution.allow_trading)

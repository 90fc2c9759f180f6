"""What a user asks to link, and what is decided about it. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from contracts.errors import ErrorCode
from gateway.manual.refused import only_by_hand
from gateway.reads.connections import KnownConnection
from gateway.refusals import refusal
from gateway.routing.choose import TRADING_PROVIDERS, Decision, Health, Policy, Wish, choose_provider
from gateway.routing.coverage import Coverage, Institution
from gateway.routing.names import plausible_slug


@dataclass(frozen=True, slots=True)
class Ask:
    """A wish to link; ``institution`` may be left out where a connection is to be repaired."""

    institution: str | None
    need_trading: bool = False
    provider: str | None = None
    redirect_uri: str | None = None
    reconnect_connection_id: UUID | None = None

    def inputs(self) -> dict[str, Any]:
        """What the decision was made from, to be kept with it."""
        reconnect = self.reconnect_connection_id
        return {
            "institution": self.institution,
            "need_trading": self.need_trading,
            "provider": self.provider,
            "reconnect_connection_id": None if reconnect is None else str(reconnect),
        }


@dataclass(frozen=True, slots=True)
class Choice:
    """An institution as it will be linked, and by whom.

    ``reference`` is its name at the provider, ``allow_trading`` whether the connection may ask for trading.
    """

    slug: str
    name: str
    known: bool
    need_trading: bool
    allow_trading: bool
    reference: str | None
    decision: Decision

    @property
    def provider(self) -> str:
        """The provider chosen; only asked where there is one."""
        return self.decision.provider or ""

    @property
    def trading_expected(self) -> bool:
        """Whether accounts linked this way can be traded in, if the account itself allows it."""
        return self.allow_trading and self.provider in TRADING_PROVIDERS


def decide(
    ask: Ask,
    coverage: Coverage,
    policy: Policy,
    health: Mapping[str, Mapping[str, Health]],
    *,
    admin: bool,
) -> Choice:
    """Choose who links a new connection.

    Raises:
        ApiError: 404 ``UNKNOWN_INSTITUTION``, what was asked for cannot be an institution's name.
    """
    name = (ask.institution or "").strip()
    institution = coverage.find(name)
    slug = institution.slug if institution else plausible_slug(name)
    if slug is None:
        raise refusal(ErrorCode.UNKNOWN_INSTITUTION)
    wish = Wish(need_trading=ask.need_trading, provider=ask.provider, admin=admin)
    decision = choose_provider(institution, wish, policy, health.get(slug, {}))
    return _choice(slug, name, institution, ask.need_trading, decision)


def after_repair(
    ask: Ask, connection: KnownConnection, coverage: Coverage, providers: frozenset[str]
) -> Choice:
    """Who repairs a connection: its own provider, always.

    Raises:
        ApiError: 410 the connection was removed; 409 it is entered by hand, another institution or provider is
            asked for than the connection has, or no connector serves it.
    """
    only_by_hand(connection.provider)
    if connection.removed:
        raise refusal(ErrorCode.CONNECTION_GONE)
    if connection.provider not in providers:
        raise refusal(ErrorCode.PROVIDER_DISABLED, details={"provider": connection.provider})
    asked = coverage.find(ask.institution) if ask.institution else None
    slug = asked.slug if asked else (plausible_slug(ask.institution) if ask.institution else None)
    if ask.institution and slug != connection.institution:
        raise refusal(ErrorCode.CONFLICT, "The connection is to another institution.")
    if ask.provider not in {None, connection.provider}:
        raise refusal(ErrorCode.CONFLICT, "The connection is through another provider.")
    reasons = (f"the connection to repair is through {connection.provider}",)
    trades = connection.connection_type == "trade"
    name = connection.institution_name or connection.institution
    institution = coverage.find(connection.institution)
    return _choice(
        connection.institution,
        name,
        institution,
        ask.need_trading or trades,
        Decision(connection.provider, reasons),
    )


def _choice(
    slug: str, name: str, institution: Institution | None, need_trading: bool, decision: Decision
) -> Choice:
    return Choice(
        slug=slug,
        name=institution.name if institution else name,
        known=institution is not None,
        need_trading=need_trading,
        allow_trading=institution.allow_trading if institution else need_trading,
        reference=institution.references.get(decision.provider or "") if institution else None,
        decision=decision,
    )

"""What the conformance suite stands on: an adapter, what can be done at its provider, and a link played to its end."""
# ruff: noqa: S101  a suite of tests states what must hold by assert

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

import msgspec
import pytest

from contracts.accounts import ProviderAccount
from contracts.connectors import AccountRead, InvestmentsConnector
from contracts.linking import (
    BeginLink,
    ConnectionAccess,
    ConnectionState,
    FinishLink,
    LinkBegun,
    LinkedConnection,
    LinkOutcome,
    LinkRequest,
    UserAccess,
)
from contracts.signals import Meaning, WebhookDelivery
from contracts.trading import OrderRequest

LEAST = frozenset({"accounts", "holdings", "webhooks"})


@dataclass(frozen=True, slots=True)
class Ground:
    """An adapter and the provider under it.

    Attributes:
        adapter: what is tested.
        request: a link to begin; its session id is new.
        finish_at_provider: plays the user, who finishes the session that was begun.
        abandon_at_provider: plays a user who gives up. Left out where the provider cannot say so.
        break_connection: makes the provider demand a repair. Left out where nothing can break.
        spoil_answers: makes the provider's next answers unreadable. Left out for recorded answers.
        fail_answers: makes the provider answer 5xx. Left out for recorded answers.
        unknown_values: makes the provider use enum values nobody knows. Left out where there are no enums.
        deliveries: webhooks as the letter box stores them, and what they mean.
        powers: the powers the connector's documentation promises.
        transactions: how many transactions the provider has in the end, told on several pages; 0 for recorded answers.
        change_at_provider: lets something happen to the holdings. Left out for recorded answers.
        link_again_at_provider: plays the user, who chooses the login of an earlier session once more. Left out where
            the provider itself recognises it.
        order: an order that the first account that trades takes and that stays open. Left out where nothing trades.
        placements: how many placements the provider has taken so far, by its own count.
        lose_next_placement: makes the provider take the next placement and answer nothing.
        refuse_next_placement: makes the provider refuse the next placement.
    """

    adapter: InvestmentsConnector
    request: LinkRequest
    finish_at_provider: Callable[[LinkBegun], Awaitable[None]]
    powers: frozenset[str] = LEAST
    abandon_at_provider: Callable[[LinkBegun], Awaitable[None]] | None = None
    break_connection: Callable[[ConnectionAccess], Awaitable[None]] | None = None
    spoil_answers: Callable[[], Awaitable[None]] | None = None
    fail_answers: Callable[[], Awaitable[None]] | None = None
    unknown_values: Callable[[], Awaitable[None]] | None = None
    deliveries: tuple[tuple[WebhookDelivery, Meaning], ...] = ()
    transactions: int = 0
    change_at_provider: Callable[[ConnectionAccess], Awaitable[None]] | None = None
    link_again_at_provider: Callable[[LinkBegun], Awaitable[None]] | None = None
    order: OrderRequest | None = None
    placements: Callable[[], Awaitable[int]] | None = None
    lose_next_placement: Callable[[], Awaitable[None]] | None = None
    refuse_next_placement: Callable[[], Awaitable[None]] | None = None


@dataclass(frozen=True, slots=True)
class Journey:
    """A link session played to its end."""

    begun: LinkBegun
    user: UserAccess | None
    linked: list[LinkedConnection]
    outcome: LinkOutcome | None

    @property
    def question(self) -> FinishLink:
        """The question how it ended, with what came out of it known as done."""
        return FinishLink(
            session_token=self.begun.session_token,
            user=self.user,
            known=frozenset(one.external_id for one in self.linked),
            done=frozenset(one.source for one in self.linked if one.source),
        )


async def begin(ground: Ground) -> tuple[LinkBegun, UserAccess | None]:
    """Register the user and begin the session."""
    user = await ground.adapter.enroll(ground.request.user_id)
    link = BeginLink(request=ground.request, user=user, reconnect=None, webhook_url=None)
    return await ground.adapter.begin_link(link), user


async def ask(ground: Ground, question: FinishLink) -> tuple[list[LinkedConnection], LinkOutcome | None]:
    """Ask how a session ended."""
    linked: list[LinkedConnection] = []
    outcome = None
    async for answer in ground.adapter.finish_link(question):
        assert outcome is None, "nothing comes after the outcome"
        if isinstance(answer, LinkOutcome):
            outcome = answer
        else:
            linked.append(answer)
    return linked, outcome


async def travel(ground: Ground) -> Journey:
    """Link an institution from beginning to end."""
    begun, user = await begin(ground)
    await ground.finish_at_provider(begun)
    known: frozenset[str] = frozenset()
    question = FinishLink(session_token=begun.session_token, user=user, known=known)
    linked, outcome = await ask(ground, question)
    return Journey(begun, user, linked, outcome)


def access_to(ground: Ground, journey: Journey) -> ConnectionAccess:
    """What the adapter needs for the first connection of a journey."""
    first = journey.linked[0]
    return ConnectionAccess(
        user_id=ground.request.user_id,
        external_id=first.external_id,
        user=journey.user,
        secret=first.secret,
    )


async def read_all(
    ground: Ground, access: ConnectionAccess
) -> tuple[ConnectionState, list[ProviderAccount], list[AccountRead]]:
    """Read a connection from its state to its holdings."""
    state = await ground.adapter.state(access)
    accounts = await ground.adapter.accounts(access, state)
    reads = [one async for one in ground.adapter.holdings(access, state, accounts)]
    return state, accounts, reads


def possible(ability: object, why_not: str) -> None:
    """Skip a case whose ground cannot do what it needs."""
    if not ability:
        pytest.skip(why_not)


def no_float(value: object) -> bool:
    """Whether a value holds no float anywhere."""
    plain = msgspec.to_builtins(value, builtin_types=(Decimal, datetime))
    return _no_float(plain)


def _no_float(value: object) -> bool:
    if isinstance(value, dict):
        return all(_no_float(one) for one in value.values())
    if isinstance(value, list):
        return all(_no_float(one) for one in value)
    return not isinstance(value, float)

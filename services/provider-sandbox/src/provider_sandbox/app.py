"""Wires the sandbox: one state, three ASGI apps. Nothing is built at import."""

from dataclasses import dataclass
from pathlib import Path

from starlette.types import ASGIApp, Scope

from provider_sandbox.control.app import build_control_app
from provider_sandbox.memory import Memory, Remembering
from provider_sandbox.plaid import build_plaid_app
from provider_sandbox.plaid.app import READING
from provider_sandbox.settings import Settings
from provider_sandbox.snaptrade.app import build_snaptrade_app
from provider_sandbox.state import State
from provider_sandbox.webhook_delivery import WebhookDelivery


@dataclass(frozen=True, slots=True)
class Sandbox:
    """The shared state and the apps that serve it; `memory` is None when nothing outlives the process."""

    state: State
    control: ASGIApp
    snaptrade: ASGIApp
    plaid: ASGIApp
    memory: Memory | None = None

    async def aclose(self) -> None:
        """Stop what runs in the background; what is remembered is on disk afterwards."""
        await self.state.aclose()
        if self.memory is not None:
            await self.memory.aclose()


def build(settings: Settings, state: State | None = None) -> Sandbox:
    """Build the sandbox; without a given state, one that really delivers webhooks.

    Raises StateFileError when the settings name a state file that cannot be used.
    """
    shared = state or State(webhooks=_delivery(settings))
    sandbox = Sandbox(
        state=shared,
        snaptrade=build_snaptrade_app(shared, settings),
        plaid=build_plaid_app(shared, settings),
        control=build_control_app(shared),
    )
    return _remembering(sandbox, Path(settings.state_file)) if settings.state_file else sandbox


def _remembering(sandbox: Sandbox, path: Path) -> Sandbox:
    memory = Memory(path, sandbox.state)
    memory.recall()
    memory.attach()
    return Sandbox(
        state=sandbox.state,
        snaptrade=Remembering(sandbox.snaptrade, memory, _is_get),
        plaid=Remembering(sandbox.plaid, memory, _is_reading),
        control=Remembering(sandbox.control, memory, _is_get),
        memory=memory,
    )


def _is_get(scope: Scope) -> bool:
    return bool(scope["method"] == "GET")


def _is_reading(scope: Scope) -> bool:
    return scope["path"] in READING


def _delivery(settings: Settings) -> WebhookDelivery:
    hosts = frozenset(filter(None, (host.strip() for host in settings.webhook_allowed_hosts.split(","))))
    return WebhookDelivery(
        time_scale=settings.webhook_timescale,
        loopback_only=settings.webhook_loopback_only,
        allowed_hosts=hosts,
    )

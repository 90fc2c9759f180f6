"""Wires the sandbox: one state, three ASGI apps. Nothing is built at import."""

from dataclasses import dataclass

from fastapi import FastAPI
from starlette.types import ASGIApp

from provider_sandbox.control.app import build_control_app
from provider_sandbox.plaid import build_plaid_app
from provider_sandbox.settings import Settings
from provider_sandbox.snaptrade.app import build_snaptrade_app
from provider_sandbox.state import State
from provider_sandbox.webhook_delivery import WebhookDelivery


@dataclass(frozen=True, slots=True)
class Sandbox:
    """The shared state and the apps that serve it."""

    state: State
    control: FastAPI
    snaptrade: ASGIApp
    plaid: ASGIApp


def build(settings: Settings, state: State | None = None) -> Sandbox:
    """Build the sandbox; without a given state, one that really delivers webhooks."""
    shared = state or State(webhooks=_delivery(settings))
    return Sandbox(
        state=shared,
        snaptrade=build_snaptrade_app(shared, settings),
        plaid=build_plaid_app(shared, settings),
        control=build_control_app(shared),
    )


def _delivery(settings: Settings) -> WebhookDelivery:
    hosts = frozenset(filter(None, (host.strip() for host in settings.webhook_allowed_hosts.split(","))))
    return WebhookDelivery(
        time_scale=settings.webhook_timescale,
        loopback_only=settings.webhook_loopback_only,
        allowed_hosts=hosts,
    )

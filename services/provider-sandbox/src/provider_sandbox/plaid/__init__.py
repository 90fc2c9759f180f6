"""Plaid as a client meets it: the API, Hosted Link and signed webhooks."""

from provider_sandbox.plaid.app import build_plaid_app
from provider_sandbox.plaid.control import control_router
from provider_sandbox.plaid.face import PlaidFace

__all__ = ["PlaidFace", "build_plaid_app", "control_router"]

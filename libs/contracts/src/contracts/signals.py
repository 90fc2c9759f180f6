"""Webhooks on their way from the letter box to the adapter that can read them."""

from datetime import datetime
from enum import StrEnum

from msgspec import field

from contracts.struct import Record


class WebhookDelivery(Record, frozen=True, kw_only=True):
    """A verified delivery as the letter box stored it; ``body`` is the text with secrets blanked."""

    delivery_id: str
    provider: str
    kind: str
    received_at: datetime
    body: str


class Meaning(StrEnum):
    """What a delivery means in our terms."""

    DATA_READY = "data_ready"
    NEEDS_REPAIR = "needs_repair"
    REPAIRED = "repaired"
    EXPIRING = "expiring"
    REVOKED = "revoked"
    REMOVED = "removed"
    LINK_FINISHED = "link_finished"
    IGNORED = "ignored"


class Signal(Record, frozen=True, kw_only=True):
    """One thing a delivery says; a signal only ever means "go and read again".

    ``external_connection_id`` or ``external_user_id`` or ``session_token`` (a Plaid link token) names whom
    it concerns; ``reason`` is the provider's word for it. ``streams`` are what has news (``holdings``,
    ``transactions``, ``orders``, ``history``; empty = anything). ``repair_by`` comes with ``expiring``.
    """

    meaning: Meaning
    external_connection_id: str | None = None
    external_account_id: str | None = None
    external_user_id: str | None = None
    session_token: str | None = None
    reason: str | None = None
    streams: list[str] = field(default_factory=list)
    repair_by: datetime | None = None

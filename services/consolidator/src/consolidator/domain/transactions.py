"""What is known of an account's transactions, joined from pages that may come in any order. Pure.

Everything here follows from what was told alone: of each external id the newest content, the version under which it
was first told and the newest removal of it, and the account's sweeps. None of that depends on the order or the number
of tellings, so what is concluded does not either.
"""

from datetime import UTC, date
from hashlib import blake2b

import msgspec

from consolidator.domain.numbers import plain
from contracts.envelope import encode_data
from contracts.transactions import Transaction

replace = msgspec.structs.replace


class Entry(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What decides about one transaction; its content stands elsewhere."""

    external_id: str
    version: int = 0
    """Under which its content was last told; 0 where nothing but its removal is known."""
    digest: int = 0
    """Of that content; of two of one version the greater stays."""
    first_version: int = 0
    removed_version: int = 0
    """Of the newest removal; 0 without one."""
    booked_on: date | None = None
    fingerprint: str | None = None
    replaces: str | None = None
    removed: bool = False
    """Concluded: it is not among the account's transactions."""
    transaction_id: str = ""
    """Concluded: our id, which outlives a change of the provider's."""


def booked_day(one: Transaction) -> date | None:
    """The day by which a transaction is filed: the provider's, else of the trade (UTC), else of the settlement."""
    if one.booked_on is not None:
        return one.booked_on
    return one.traded_at.astimezone(UTC).date() if one.traded_at else one.settlement_date


def fingerprint(one: Transaction, account_id: str) -> str | None:
    """By which a transaction is recognised under another external id; ``None`` where its day is unknown."""
    day = booked_day(one)
    if day is None:
        return None
    numbers = [
        "" if value is None else f"{plain(value):f}" for value in (one.quantity, one.price, one.amount)
    ]
    key = one.instrument.key if one.instrument else ""
    text = "\n".join([account_id, day.isoformat(), one.type.value, key, *numbers, one.currency])
    return blake2b(text.encode(), digest_size=12).hexdigest()


def told(one: Transaction, account_id: str, version: int) -> Entry:
    """What a page says of one transaction."""
    digest = blake2b(encode_data(one), digest_size=8).digest()
    return Entry(
        external_id=one.external_id,
        version=version,
        digest=int.from_bytes(digest, "big", signed=True),
        first_version=version,
        booked_on=booked_day(one),
        fingerprint=fingerprint(one, account_id),
        replaces=one.replaces if one.replaces != one.external_id else None,
    )


def joined(one: Entry, other: Entry) -> Entry:
    """What two tellings of one external id say together; the order of the two does not matter."""
    newer, older = (
        (one, other) if (one.version, one.digest) >= (other.version, other.digest) else (other, one)
    )
    first = min(newer.first_version, older.first_version) or max(newer.first_version, older.first_version)
    removed = max(newer.removed_version, older.removed_version)
    if (first, removed) == (newer.first_version, newer.removed_version):
        return newer
    return replace(newer, first_version=first, removed_version=removed)

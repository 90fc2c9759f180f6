"""Positions: which stored rows differ from the ones that were concluded, told by a digest per row."""

from dataclasses import dataclass, field
from hashlib import blake2b

import msgspec

from consolidator.domain.consolidate import Consolidated, Slot
from consolidator.store.arrays import Row, time
from consolidator.store.remembered import Digests
from consolidator.store.rows import json_text
from contracts.ids import position_id
from persistence.database import Connection as Session

DIGESTS = """SELECT portfolio_id::text, instrument_key, currency, digest
    FROM portfolio.positions WHERE user_id = ANY (%s) AND portfolio_id = ANY (%s::uuid[])"""
_MSGPACK = msgspec.msgpack.Encoder()


async def load_digests(conn: Session, portfolios: dict[str, str]) -> dict[str, Digests]:
    """The digest of every stored position of these portfolios (portfolio → user)."""
    digests: dict[str, Digests] = {portfolio: {} for portfolio in portfolios}
    users = sorted(set(portfolios.values()))
    rows = await (await conn.execute(DIGESTS, (users, sorted(portfolios)))).fetchall()
    for portfolio, key, currency, digest in rows:
        digests[portfolio][key, currency] = digest
    return digests


@dataclass(frozen=True, slots=True)
class PositionChanges:
    """Rows of one portfolio to insert, to overwrite and to delete, and the digests they leave behind."""

    new: list[Row] = field(default_factory=list)
    changed: list[Row] = field(default_factory=list)
    gone: list[Row] = field(default_factory=list)
    digests: Digests = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.new or self.changed or self.gone)


def compare(
    user_id: str, portfolio_id: str, stored: Digests, concluded: dict[Slot, Consolidated]
) -> PositionChanges:
    """What must be written so that the stored positions are the concluded ones."""
    changes = PositionChanges()
    for slot, position in concluded.items():
        cells = _cells(position)
        digest = changes.digests[slot] = _digest(cells)
        was = stored.get(slot)
        if was is None:
            changes.new.append(
                (user_id, portfolio_id, *slot, *cells, str(digest), position_id(portfolio_id, *slot))
            )
        elif was != digest:
            changes.changed.append((user_id, portfolio_id, *slot, *cells, str(digest)))
    changes.gone.extend([(user_id, portfolio_id, *slot) for slot in stored if slot not in concluded])
    return changes


def _digest(cells: Row) -> int:
    digest = blake2b(_MSGPACK.encode(cells), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)


def _cells(one: Consolidated) -> Row:
    ref, parts = one.ref, one.contributions
    single = len(parts) == 1
    return (
        ref.instrument_id,
        ref.ticker,
        ref.kind,
        str(one.quantity),
        None if one.price is None else str(one.price),
        time(one.price_as_of),
        None if one.market_value is None else str(one.market_value),
        "t" if one.value_complete else "f",
        None if one.cost_basis is None else str(one.cost_basis),
        "t" if one.cost_basis_complete else "f",
        one.provider,
        one.account_id,
        f"{{{one.account_id if single else ','.join([part.account_id for part in parts])}}}",
        one.provider if single else "consolidated",
        "stale" if one.stale else "current",
        json_text(parts),
        json_text(one.excluded) if one.excluded else "[]",
    )

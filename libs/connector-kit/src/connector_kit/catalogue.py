"""The provider's institutions and what can be traded there, kept for the gateway to read."""

from typing import Any

import structlog
from psycopg.rows import scalar_row

from connector_kit.engine import Engine
from connector_kit.reading import read
from contracts.connectors import CatalogueInstitution, CatalogueInstrument, ListsCatalogue
from contracts.errors import RefusedError
from persistence.database import Database

log = structlog.get_logger(__name__)

BATCH = 2000


async def refresh(engine: Engine) -> dict[str, Any]:
    """Read the catalogue anew; what the provider lists no longer goes.

    An empty list is no catalogue: it leaves what is known as it was.

    Raises:
        ProviderError: the provider did not answer; what was read until then is kept.
    """
    adapter = engine.adapter
    if not isinstance(adapter, ListsCatalogue):
        return {"institutions": 0, "instruments": 0}
    institutions = await read(engine, adapter.institutions)
    if institutions:
        await _keep_institutions(engine.database, engine.provider, institutions)
    instruments = 0
    for ref in await _oldest_first(engine.database, engine.provider, institutions):
        instruments += await _refresh_one(engine, adapter, ref)
    return {"institutions": len(institutions), "instruments": instruments}


async def _refresh_one(engine: Engine, adapter: ListsCatalogue, ref: str) -> int:
    try:
        found = await read(engine, lambda: adapter.instruments(ref))
    except RefusedError as error:
        log.info("catalogue.no_instruments", provider=engine.provider, institution=ref, error_code=error.code)
        return 0
    if found:
        await _keep_instruments(engine.database, engine.provider, ref, found)
    return len(found)


async def _oldest_first(
    database: Database, provider: str, institutions: list[CatalogueInstitution]
) -> list[str]:
    """Where trading is possible, those first that were read longest ago: one that is cut short goes on there."""
    refs = [one.ref for one in institutions if one.allows_trading and one.available is not False]
    async with database.transaction(rows=scalar_row) as conn:
        cursor = await conn.execute(
            """SELECT ref FROM unnest(%(refs)s::text[]) AS ref
                ORDER BY (SELECT max(seen_at) FROM sync.catalogue_instruments i
                           WHERE i.provider = %(provider)s AND i.ref = ref.ref) NULLS FIRST, ref""",
            {"refs": refs, "provider": provider},
        )
        return await cursor.fetchall()


async def _keep_institutions(database: Database, provider: str, rows: list[CatalogueInstitution]) -> None:
    values = {
        "provider": provider,
        "refs": [row.ref for row in rows],
        "names": [row.name for row in rows],
        "trading": [row.allows_trading for row in rows],
        "available": [row.available for row in rows],
        "logos": [row.logo_url for row in rows],
    }
    async with database.transaction() as conn:
        await conn.execute(_INSTITUTIONS, values)
        await conn.execute(
            "DELETE FROM sync.catalogue_institutions WHERE provider = %(provider)s AND NOT ref = ANY(%(refs)s)",
            values,
        )


_INSTITUTIONS = """
INSERT INTO sync.catalogue_institutions AS c (provider, ref, name, allows_trading, available, logo_url)
SELECT DISTINCT ON (ref) %(provider)s, ref, name, trading, available, logo
  FROM unnest(%(refs)s::text[], %(names)s::text[], %(trading)s::boolean[], %(available)s::boolean[], %(logos)s::text[])
       AS row (ref, name, trading, available, logo)
ON CONFLICT (provider, ref) DO UPDATE
   SET name = EXCLUDED.name, allows_trading = EXCLUDED.allows_trading, available = EXCLUDED.available,
       logo_url = EXCLUDED.logo_url, seen_at = clock_timestamp()
"""


async def _keep_instruments(
    database: Database, provider: str, ref: str, rows: list[CatalogueInstrument]
) -> None:
    for start in range(0, len(rows), BATCH):
        await _keep_batch(database, provider, ref, rows[start : start + BATCH])
    async with database.transaction() as conn:
        await conn.execute(
            """DELETE FROM sync.catalogue_instruments
                WHERE provider = %s AND ref = %s AND NOT symbol = ANY(%s)""",
            (provider, ref, [row.symbol for row in rows]),
        )


async def _keep_batch(database: Database, provider: str, ref: str, rows: list[CatalogueInstrument]) -> None:
    values = {
        "provider": provider,
        "ref": ref,
        "symbols": [row.symbol for row in rows],
        "names": [row.name for row in rows],
        "ids": [row.provider_symbol_id for row in rows],
        "tradable": [row.tradable for row in rows],
        "fractional": [row.fractional for row in rows],
    }
    async with database.transaction() as conn:
        await conn.execute(_INSTRUMENTS, values)


_INSTRUMENTS = """
INSERT INTO sync.catalogue_instruments (provider, ref, symbol, name, provider_symbol_id, tradable, fractional)
SELECT DISTINCT ON (symbol) %(provider)s, %(ref)s, symbol, name, id, tradable, fractional
  FROM unnest(%(symbols)s::text[], %(names)s::text[], %(ids)s::text[], %(tradable)s::boolean[],
              %(fractional)s::boolean[]) AS row (symbol, name, id, tradable, fractional)
ON CONFLICT (provider, ref, symbol) DO UPDATE
   SET name = EXCLUDED.name, provider_symbol_id = EXCLUDED.provider_symbol_id, tradable = EXCLUDED.tradable,
       fractional = EXCLUDED.fractional, seen_at = clock_timestamp()
"""

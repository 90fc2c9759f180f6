"""Accounts entered by hand and imports, as they are answered. Pure."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from contracts.holdings import Holding
from gateway.manual.accounts import ManualAccount
from gateway.manual.entries import shown
from gateway.manual.holdings import Line
from gateway.manual.imports import Imported, Previewed
from gateway.manual.sheet.reading import Reading
from gateway.manual.store import Row
from gateway.schemas import imports, manual

ROWS_SHOWN = 50


def account(one: ManualAccount, holdings: int, *, applied: bool) -> manual.ManualAccount:
    """An account."""
    return manual.ManualAccount.model_validate(
        {
            "id": one.account_id,
            "connection_id": one.connection_id,
            "name": one.name,
            "institution": one.institution,
            "institution_name": one.institution_name,
            "type": one.type,
            "currency": one.currency,
            "mask": one.mask,
            "holdings": holdings,
            "version": one.version,
            "created_at": one.created_at,
            "updated_at": one.updated_at,
            "status": status(applied=applied),
        }
    )


def status(*, applied: bool) -> str:
    """Whether the portfolio shows it."""
    return "applied" if applied else "pending"


def holding(row: Row) -> manual.ManualHolding:
    """A holding as it was entered."""
    known = {"id": row.holding_id, "instrument_key": row.line.slot[0]}
    return manual.ManualHolding.model_validate(known | shown(row.line.entry))


def change(
    one: ManualAccount, rows: Sequence[Row], changed: Row | None, *, applied: bool
) -> manual.HoldingsChange:
    """What became of an account's holdings."""
    return manual.HoldingsChange(
        account_id=one.account_id,
        version=one.version,
        holdings=len(rows),
        holding=holding(changed) if changed else None,
        status="applied" if applied else "pending",
    )


def preview(found: Previewed) -> imports.ImportPreview:
    """What a file says."""
    reading = found.understood.reading
    table = reading.table
    by_column = {place: field for field, place in table.mapping.items()}
    return imports.ImportPreview.model_validate(
        {
            "account_id": found.account.account_id,
            "preview_id": found.preview.preview_id if found.preview else None,
            "expires_at": found.preview.expires_at if found.preview else None,
            "mode": found.mode,
            "encoding": found.understood.encoding,
            "delimiter": table.delimiter,
            "decimal": reading.style.decimal,
            "dates": reading.style.dates,
            "columns": [
                {"name": name, "field": by_column.get(place)} for place, name in enumerate(table.columns)
            ],
            "mapping": {field: table.columns[place] for field, place in table.mapping.items()},
            "missing": table.missing,
            "remembered": found.understood.remembered,
            "rows": [_row(number, line) for number, line in reading.lines[:ROWS_SHOWN]],
            "errors": [_fault(reading, place) for place in range(len(reading.faults))],
            "skipped": [{"row": one.row, "reason": one.reason, "text": one.text} for one in reading.skipped],
            "notes": _notes(reading),
            "totals": _totals(reading),
            "would": {
                "added": found.would.added,
                "changed": found.would.changed,
                "removed": found.would.removed,
                "unchanged": found.would.unchanged,
            },
            "ready": found.preview is not None and not reading.bad_rows,
        }
    )


def imported(done: Imported, preview_id: Any) -> imports.ImportResult:
    """What an import did."""
    known = {"account_id": done.account.account_id, "preview_id": preview_id}
    return imports.ImportResult.model_validate(known | done.result | {"status": status(applied=done.applied)})


def _row(number: int, line: Line) -> dict[str, Any]:
    held: Holding = line.holding
    return {
        "row": number,
        "instrument_key": held.instrument.key,
        "symbol": held.instrument.symbol,
        "type": held.instrument.kind.value,
        "name": held.instrument.name,
        "currency": held.currency,
        "quantity": _plain(held.quantity),
        "price": _plain(held.price),
        "price_as_of": held.price_as_of,
        "market_value": _plain(held.market_value),
        "cost_basis": _plain(held.cost_basis),
    }


def _fault(reading: Reading, place: int) -> dict[str, Any]:
    fault = reading.faults[place]
    return {
        "row": fault.row,
        "column": fault.column,
        "value": fault.value,
        "code": fault.code,
        "message": fault.message,
        "fatal": fault.fatal,
    }


def _totals(reading: Reading) -> dict[str, Any]:
    sums: dict[str, Decimal] = {}
    whole: dict[str, bool] = {}
    for _, line in reading.lines:
        held = line.holding
        sums[held.currency] = sums.get(held.currency, Decimal(0)) + (held.market_value or Decimal(0))
        whole[held.currency] = whole.get(held.currency, True) and held.market_value is not None
    return {
        "rows": reading.rows,
        "holdings": len(reading.lines),
        "bad_rows": reading.bad_rows,
        "errors": dict(reading.counts),
        "skipped": reading.left_out,
        "market_value": [
            {"currency": code, "market_value": _plain(sums[code]), "complete": whole[code]}
            for code in sorted(sums)
        ],
    }


def _notes(reading: Reading) -> list[str]:
    notes = []
    if reading.untyped:
        notes.append(f"{reading.untyped} rows have no type; it was taken from the form of the symbol.")
    if reading.fatal and not reading.lines:
        notes.append("No row was read before it is known how.")
    return notes


def _plain(value: Decimal | None) -> str | None:
    """A number in plain writing, without the zeros that say nothing."""
    if value is None:
        return None
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text

"""The demo's output: what happens, the portfolio as a table, what to try next."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from rich.console import Console
from rich.table import Table

from local_demo.portfolio import totals

WIDE = 120
"""Columns from which names and cost bases are shown too."""
NARROW_NAME = 18
"""Below that, long instrument names are folded, so that there is room for where each position comes from."""


def number(value: str | None, places: int | None = None) -> str:
    """A decimal for people: thousands separated, no trailing zeros unless ``places`` are wanted."""
    if value is None:
        return "unknown"
    amount = Decimal(value)
    if places is not None:
        return f"{amount:,.{places}f}"
    text = f"{amount:,f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def portfolio(console: Console, positions: Sequence[Mapping[str, Any]], names: Mapping[str, str]) -> None:
    """Print the consolidated positions, biggest first, each with where it comes from."""
    summed = ", ".join(f"{value:,.2f} {currency}" for currency, value in totals(positions).items())
    table = Table(title="One portfolio from four links", title_justify="left", show_footer=True)
    wide = console.width >= WIDE
    table.add_column("Instrument", footer="Total", no_wrap=wide, max_width=None if wide else NARROW_NAME)
    if wide:
        table.add_column("Name")
    for name in ("Quantity", "Price"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("Market value", justify="right", footer=summed, no_wrap=True)
    if wide:
        table.add_column("Cost basis", justify="right", no_wrap=True)
    table.add_column("Counted from")
    for row in sorted(positions, key=lambda row: -Decimal(row["market_value"] or 0)):
        table.add_row(*_cells(row, names, wide=wide))
    console.print(table)


def accounts(console: Console, rows: Sequence[Mapping[str, Any]], names: Mapping[str, str]) -> None:
    """Print every provider account, and which of two sights of one real account counts."""
    table = Table(title="Accounts", title_justify="left")
    for name in ("Account", "Provider", "Trading", "Provider's total", "Counted"):
        table.add_column(name)
    for row in rows:
        total = row.get("total") or {}
        mask = f" …{row['mask']}" if row.get("mask") else ""
        table.add_row(
            f"{names[row['id']]}: {row['name']}{mask}",
            row["provider"],
            "yes" if row["capabilities"]["trading"] else "no",
            f"{number(total.get('amount'), 2)} {total.get('currency', '')}",
            "yes" if row["counted"] else "no, seen twice",
        )
    console.print(table)


def _cells(row: Mapping[str, Any], names: Mapping[str, str], *, wide: bool) -> list[str]:
    instrument = row["instrument"]
    label = instrument.get("symbol") or instrument["key"]
    cost = number(row["cost_basis"], 2) + ("" if row["cost_basis_complete"] else " (part)")
    name = instrument.get("name") or ""
    return [
        label,
        *([name if name != label else ""] if wide else []),
        number(row["quantity"]),
        number(row["price"]),
        f"{number(row['market_value'], 2)} {row['currency']}",
        *([cost] if wide else []),
        _sources(row, names),
    ]


def _sources(row: Mapping[str, Any], names: Mapping[str, str]) -> str:
    counted = [_source(part, names) for part in row["contributions"]]
    excluded = [f"[dim]not {_source(part, names)}[/dim]" for part in row["excluded"]]
    return "\n".join(counted + excluded)


def _source(part: Mapping[str, Any], names: Mapping[str, str]) -> str:
    return f"{number(part['quantity'])} {names.get(part['account_id'], '')}, {part['provider']}"

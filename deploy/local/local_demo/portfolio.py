"""What the demo's portfolio must be, and whether it is. Pure."""

import json
from collections.abc import Iterable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

EXPECTED: dict[str, Any] = json.loads((Path(__file__).parent / "expected.json").read_text())


def differences(positions: Iterable[Mapping[str, Any]]) -> list[str]:
    """Where the positions read over HTTP are not the expected ones; empty when they are."""
    wanted = EXPECTED["positions"]
    found = {row["instrument"]["key"]: row for row in positions}
    missing = [f"{key} is missing" for key in wanted if key not in found]
    surplus = [f"{key} is not expected" for key in found if key not in wanted]
    wrong = [
        problem for key, row in found.items() if key in wanted for problem in _problems(key, row, wanted[key])
    ]
    return missing + surplus + wrong + _wrong_totals(found.values())


def totals(positions: Iterable[Mapping[str, Any]]) -> dict[str, Decimal]:
    """The sum of the market values, by currency."""
    sums: dict[str, Decimal] = {}
    for row in positions:
        sums[row["currency"]] = sums.get(row["currency"], Decimal(0)) + Decimal(row["market_value"] or 0)
    return sums


def _problems(key: str, row: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[str]:
    problems = [
        f"{key}: {name} is {row[name]} instead of {wanted[name]}"
        for name in ("quantity", "market_value")
        if row[name] is None or Decimal(row[name]) != Decimal(wanted[name])
    ]
    problems += [
        f"{key}: {len(row[name])} {name} instead of {wanted[name]}"
        for name in ("contributions", "excluded")
        if len(row[name]) != wanted[name]
    ]
    if row["provider"] != wanted["provider"]:
        problems.append(f"{key}: metadata from {row['provider']} instead of {wanted['provider']}")
    return problems


def _wrong_totals(positions: Iterable[Mapping[str, Any]]) -> list[str]:
    found = totals(positions)
    wanted = {currency: Decimal(value) for currency, value in EXPECTED["totals"].items()}
    return [] if found == wanted else [f"totals are {found} instead of {wanted}"]

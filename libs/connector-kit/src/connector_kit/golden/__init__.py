"""Golden fixtures: positions and accounts as they are, and how providers write them.

``positions.json`` proves units, ``accounts.json`` that nothing is lost or counted twice. Every connector is tested
against the same two files (``connector_kit.golden.suite``); the values on the wire are in its provider's own shape.
"""

import json
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from contracts.holdings import Holding

_HERE = Path(__file__).parent
_ENCODER = msgspec.json.Encoder(decimal_format="number")


@dataclass(frozen=True, slots=True)
class Encoding:
    """One way in which one provider writes a case; ``parts`` are pieces of its answers, with exact numbers."""

    provider: str
    name: str
    parts: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Case:
    """One truth; ``truth`` is what every encoding must become."""

    name: str
    truth: dict[str, Any]
    encodings: tuple[Encoding, ...]

    def of(self, provider: str) -> list[Encoding]:
        """The encodings of one provider."""
        return [one for one in self.encodings if one.provider == provider]

    def __str__(self) -> str:
        return self.name


def positions() -> list[Case]:
    """Single positions."""
    return _cases("positions.json")


def accounts() -> list[Case]:
    """Whole accounts."""
    return _cases("accounts.json")


def body(value: object) -> bytes:
    """A value as a JSON body, each decimal as the number it is."""
    return _ENCODER.encode(value)


def facts(holding: Holding) -> dict[str, Any]:
    """What a golden position states of a holding; numbers stay decimals."""
    instrument = holding.instrument
    option = instrument.option
    return {
        "key": instrument.key,
        "kind": instrument.kind.value,
        "multiplier": instrument.multiplier,
        "figi": instrument.figi,
        "quantity": holding.quantity,
        "currency": holding.currency,
        "price": holding.price,
        "market_value": holding.market_value,
        "cost_basis": holding.cost_basis,
        "cash_equivalent": holding.cash_equivalent,
        "option": None
        if option is None
        else {
            "right": option.right,
            "strike": option.strike,
            "expires": option.expires.isoformat(),
            "underlying": option.underlying,
        },
    }


def exact(name: str, value: Any) -> Any:
    """A golden value as ``facts`` has it: numbers are written as text in the file."""
    if name == "option" and value is not None:
        return value | {"strike": Decimal(value["strike"])}
    if isinstance(value, str) and name in _NUMBERS:
        return Decimal(value)
    return value


_NUMBERS = frozenset({"multiplier", "quantity", "price", "market_value", "cost_basis"})
_OF_A_CASE = frozenset({"name", "encodings"})
_OF_AN_ENCODING = frozenset({"provider", "name"})


@cache
def _cases(file: str) -> list[Case]:
    read = json.loads((_HERE / file).read_text(), parse_float=Decimal)
    return [
        Case(
            name=case["name"],
            truth={name: value for name, value in case.items() if name not in _OF_A_CASE},
            encodings=tuple(
                Encoding(
                    one["provider"],
                    one["name"],
                    {name: value for name, value in one.items() if name not in _OF_AN_ENCODING},
                )
                for one in case["encodings"]
            ),
        )
        for case in read["cases"]
    ]

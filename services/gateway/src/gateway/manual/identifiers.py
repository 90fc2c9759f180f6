"""ISIN, CUSIP and FIGI: their form and their check digit, so that a slip of the finger is not another security. Pure."""

import re
from collections.abc import Callable

from gateway.manual.entries import EntryError

_ISIN = re.compile(r"[A-Z]{2}[A-Z0-9]{9}[0-9]")
_CUSIP = re.compile(r"[0-9A-Z*@#]{8}[0-9]")
_FIGI = re.compile(r"[B-DF-HJ-NP-TV-Z]{2}G[0-9B-DF-HJ-NP-TV-Z]{8}[0-9]")


def identifier(field: str, text: str | None) -> str | None:
    """The identifier in upper case; ``field`` is ``isin``, ``cusip`` or ``figi``.

    Raises:
        EntryError: its form or its check digit is wrong.
    """
    if text is None:
        return None
    value = text.strip().upper()
    if not _CHECKS[field](value):
        raise EntryError(
            field, f"bad_{field}", f"This is no {field.upper()}: its form or check digit is wrong."
        )
    return value


def _is_isin(value: str) -> bool:
    if not _ISIN.fullmatch(value):
        return False
    digits = "".join(str(int(one, 36)) for one in value)
    return _luhn(digits[::-1]) % 10 == 0


def _is_cusip(value: str) -> bool:
    if not _CUSIP.fullmatch(value):
        return False
    return (10 - _weighed([_cusip_value(one) for one in value[:8]]) % 10) % 10 == int(value[8])


def _is_figi(value: str) -> bool:
    if not _FIGI.fullmatch(value):
        return False
    return (10 - _weighed([int(one, 36) for one in value[:11]]) % 10) % 10 == int(value[11])


def _luhn(backwards: str) -> int:
    return sum(
        int(one) if place % 2 == 0 else sum(divmod(2 * int(one), 10)) for place, one in enumerate(backwards)
    )


def _weighed(values: list[int]) -> int:
    """Every second value doubled, and the digits of each summed."""
    doubled = [2 * value if place % 2 else value for place, value in enumerate(values)]
    return sum(sum(divmod(value, 10)) for value in doubled)


def _cusip_value(one: str) -> int:
    return {"*": 36, "@": 37, "#": 38}.get(one) or int(one, 36)


_CHECKS: dict[str, Callable[[str], bool]] = {"isin": _is_isin, "cusip": _is_cusip, "figi": _is_figi}

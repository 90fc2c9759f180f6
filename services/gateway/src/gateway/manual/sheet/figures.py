"""Numbers as people and brokers write them: signs, currencies, groups of thousands, either decimal mark. Pure."""

import re
from dataclasses import dataclass
from decimal import Decimal

BLANK = frozenset({"", "-", "--", "---", "\u2013", "\u2014", "n/a"})
"""How any cell says that it says nothing."""
NO_FIGURE = BLANK | {"n.a.", "na", "none", "null", "not available", "nicht verfügbar"}
"""The same of a number or a date; ``NA`` can be a ticker."""
FORMULA = ("=", "@", "+", "-", "\t", "\r")
"""What a spreadsheet would take for the beginning of a formula."""
DOT, COMMA = ".", ","
MAX_LENGTH = 64
_SIGNS = {"€": "EUR", "£": "GBP", "¥": None, "$": None}
_SPACES = str.maketrans({"\u00a0": " ", "\u202f": " ", "\u2009": " ", "\u2212": "-", "\u2019": "'"})
_PLAIN = re.compile(r"[+-]?[0-9]+(?:\.[0-9]+)?")
_FIGURE = re.compile(
    r"(?P<open>\()?(?P<sign>[+-])? ?(?P<before>[A-Z]{3} ?|[A-Z]{0,2}\$ ?|[€£¥] ?)?(?P<inner>[+-])?"
    r"(?P<digits>[0-9][0-9.,']*(?: [0-9][0-9.,']*)*|[.,][0-9]+)"
    r"(?P<trail>-)?(?P<after> ?[A-Z]{3}| ?[€£¥$])?(?P<close>\))?"
)
_FORMS = {
    DOT: re.compile(r"(?:[0-9]{1,3}([,' ])[0-9]{3}(?:\1[0-9]{3})*|[0-9]*)(?:\.[0-9]*)?"),
    COMMA: re.compile(r"(?:[0-9]{1,3}([.' ])[0-9]{3}(?:\1[0-9]{3})*|[0-9]*)(?:,[0-9]*)?"),
}
_UNGROUPED = {DOT: str.maketrans("", "", ", '"), COMMA: str.maketrans(COMMA, DOT, ". '")}
_SCIENTIFIC = re.compile(r"[+-]?[0-9]+(?:[.,][0-9]+)?[eE][+-]?[0-9]+")
_NOT_FINITE = frozenset({"nan", "inf", "+inf", "-inf", "infinity", "+infinity", "-infinity"})


class FigureError(ValueError):
    """A cell that is no number; ``code`` is stable, the message is for people."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


@dataclass(frozen=True, slots=True)
class Figure:
    """A number whose decimal mark is not known yet; ``currency`` is the one it was written with."""

    digits: str
    negative: bool
    currency: str | None


def is_blank(text: str, words: frozenset[str] = BLANK) -> bool:
    """Whether a cell says nothing."""
    return text.strip().casefold() in words


def figure(text: str) -> Figure:
    """The parts of a number.

    Raises:
        FigureError: it is none; a formula is one of the things it can be instead.
    """
    if len(text) <= MAX_LENGTH and _PLAIN.fullmatch(text):
        return Figure(text.lstrip("+-"), text.startswith("-"), None)
    plain = text.translate(_SPACES).strip()
    found = _FIGURE.fullmatch(plain) if len(plain) <= MAX_LENGTH else None
    if found is None:
        raise _no_figure(text, plain)
    marks = [one for one in (found["sign"], found["inner"], found["trail"], found["open"]) if one]
    if bool(found["open"]) != bool(found["close"]) or len(marks) > 1:
        raise FigureError("bad_number", "This is not a number: it has more than one sign.")
    code = (found["before"] or found["after"] or "").strip()
    negative = bool(marks) and marks[0] != "+"
    return Figure(found["digits"], negative, _SIGNS.get(code, code if code.isalpha() else None) or None)


def decimal_mark(digits: str) -> str | None:
    """The decimal mark these digits prove, ``?`` where ``1,234`` could be either, None where they prove none."""
    bare = digits.replace(" ", "").replace("'", "")
    dots, commas = bare.count(DOT), bare.count(COMMA)
    if not dots and not commas:
        return None
    mark, other = (DOT, COMMA) if bare.rfind(DOT) > bare.rfind(COMMA) else (COMMA, DOT)
    if not (dots and commas) and dots + commas > 1:
        mark = other
    elif dots + commas == 1:
        head, _, tail = bare.partition(mark)
        if 1 <= len(head) <= 3 and not head.startswith("0") and len(digits) == len(bare) and len(tail) == 3:
            return "?"
    return mark if _FORMS[mark].fullmatch(digits) else None


def value(found: Figure, mark: str) -> Decimal:
    """The number, read with this decimal mark.

    Raises:
        FigureError: its groups of thousands are not groups of three, or it has two decimal marks.
    """
    if not _FORMS[mark].fullmatch(found.digits):
        raise FigureError("bad_number", f"This is not a number with '{mark}' as its decimal mark.")
    number = Decimal(found.digits.translate(_UNGROUPED[mark]))
    # The minus operator would round to the context's digits.
    return number.copy_negate() if found.negative else number


def _no_figure(text: str, plain: str) -> FigureError:
    if plain.casefold() in _NOT_FINITE:
        return FigureError("not_finite", "A number is finite.")
    if _SCIENTIFIC.fullmatch(plain):
        return FigureError(
            "scientific", "A spreadsheet shortened this number; show all its digits and save again."
        )
    if text.startswith(FORMULA) or plain.startswith(FORMULA):
        return FigureError(
            "formula", "A formula stands where a number is expected; formulas are never worked out."
        )
    return FigureError("bad_number", "This is not a number.")

"""What is wrong with a file, and where. Pure."""

from dataclasses import dataclass

SHOWN = 60
"""Characters of a cell that are repeated to the user."""


@dataclass(frozen=True, slots=True)
class Fault:
    """Something wrong in one row; ``row`` is the line of the file on which the row begins, from 1.

    A fatal one stands for more than its row: what it means for the others cannot be known, so nothing of the
    file is imported before it is mended.
    """

    row: int
    code: str
    message: str
    column: str | None = None
    value: str | None = None
    fatal: bool = False


class UnreadableError(ValueError):
    """A file that cannot be read as a table at all."""

    def __init__(self, code: str, message: str, *, row: int | None = None, offset: int | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.row = row
        self.offset = offset


def excerpt(text: str) -> str:
    """The beginning of a cell, with what cannot be printed made visible."""
    cut = text if len(text) <= SHOWN else text[: SHOWN - 1] + "…"
    return "".join(one if one.isprintable() else "\ufffd" for one in cut)

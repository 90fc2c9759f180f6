"""From text to records: cells and the line each record begins on. Nothing in a cell is ever evaluated. Pure."""

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass

from gateway.manual.sheet.faults import Fault

DELIMITERS = (",", ";", "\t", "|")
LONGEST_CELL = 5_000
"""Characters; the longest field any broker writes is a fund's name."""
MAX_CELLS = 1_000
"""In one row; a wider one is no row of a table."""


@dataclass(frozen=True, slots=True)
class Record:
    """A row of the file; ``line`` is where it begins, from 1."""

    line: int
    cells: list[str]

    @property
    def filled(self) -> list[str]:
        """The cells that say something."""
        return [cell for cell in self.cells if cell and not cell.isspace()]


def declared(text: str) -> tuple[str | None, int]:
    """The delimiter that a first line ``sep=;`` declares, and how many lines that takes."""
    line = text[: text.find("\n") if "\n" in text else len(text)].strip().strip('"')
    if len(line) == len("sep=?") and line.lower().startswith("sep=") and line[-1] in DELIMITERS:
        return line[-1], 1
    return ("\t", 1) if line.lower() == "sep=" else (None, 0)


def records(text: str, delimiter: str) -> Iterator[Record | Fault]:
    """Every record of the file, and what cannot be one; reading goes on behind it where that is possible."""
    lines = io.StringIO(text, newline="")
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield _fault(line, str(error))
        else:
            yield Record(line, cells) if len(cells) <= MAX_CELLS else _too_wide(line, len(cells))


def _fault(line: int, why: str) -> Fault:
    if "unexpected end of data" in why or "field larger" in why:
        message = "A quotation mark opens here and never closes: the rest of the file reads as one cell."
        return Fault(line, "unclosed_quote", message, fatal=True)
    return Fault(
        line, "bad_quotes", "A quotation mark stands where none can; double it inside a quoted cell."
    )


def _too_wide(line: int, cells: int) -> Fault:
    return Fault(line, "ragged", f"The row has {cells} cells; is the delimiter another one?")

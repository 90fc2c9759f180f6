"""Which decimal mark and which order of day and month the file as a whole uses; what it does not prove is asked. Pure."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from gateway.manual.entries import FIGURES
from gateway.manual.sheet import days, figures
from gateway.manual.sheet.faults import Fault, excerpt
from gateway.manual.sheet.layout import Choices, Layout
from gateway.manual.sheet.records import Record
from gateway.manual.sheet.rows import Style

UNSURE = "?"


@dataclass(frozen=True, slots=True)
class Sign:
    """A cell that proves one way of writing, or could be either."""

    row: int
    column: str
    value: str


class Evidence:
    """The first cell that proves each way of writing, and the first that could be either."""

    def __init__(self, proves: Callable[[str], str | None]) -> None:
        self._proves = proves
        self._seen: dict[str, Sign] = {}

    def add(self, record: Record, column: str, text: str) -> None:
        """Look at one cell."""
        way = self._proves(text)
        if way is not None and way not in self._seen:
            self._seen[way] = Sign(record.line, column, excerpt(text))

    def may_learn(self, text: str) -> bool:
        """Whether a cell can still prove something about the decimal mark."""
        return figures.COMMA in text or (figures.DOT in text and figures.DOT not in self._seen)

    def settle(self, asked: "Question") -> tuple[str | None, list[Fault]]:
        """The way the file writes; or why nobody can know without being told.

        What the user chose holds against everything; cells that contradict it are bad cells then.
        """
        proved = [way for way in asked.ways if way in self._seen]
        if asked.chosen is not None or len(proved) == 1:
            return asked.chosen or proved[0], []
        if proved:
            one, other = (self._seen[way] for way in asked.ways)
            return None, [
                asked.fault("conflicting", other, f"Row {one.row} writes differently than this one")
            ]
        sign = self._seen.get(UNSURE)
        if sign is None or asked.usual is not None:
            return asked.usual, []
        return None, [asked.fault("ambiguous", sign, "This can be read in two ways")]


@dataclass(frozen=True, slots=True)
class Question:
    """Two ways of writing, what the user chose now, and what they chose for such files before."""

    about: str
    option: str
    ways: tuple[str, str]
    chosen: str | None
    usual: str | None

    def fault(self, how: str, sign: Sign, why: str) -> Fault:
        """The question, at the cell that raises it."""
        message = f"{why}; choose {self.option}={self.ways[0]} or {self.option}={self.ways[1]}."
        return Fault(sign.row, f"{how}_{self.about}", message, sign.column, sign.value, fatal=True)


def style(body: Iterable[Record], table: Layout, choices: Choices) -> tuple[Style, list[Fault]]:
    """How the table writes numbers and dates; with faults where it must be asked."""
    numbers, dates = Evidence(_mark), Evidence(days.order)
    figured = [
        (table.mapping[one], table.columns[table.mapping[one]]) for one in FIGURES if one in table.mapping
    ]
    dated = table.mapping.get("price_as_of")
    for record in body:
        for place, column in figured:
            # Once a dot is known to be the mark, only a comma can say otherwise.
            if place < len(record.cells) and numbers.may_learn(record.cells[place]):
                numbers.add(record, column, record.cells[place])
        if dated is not None and dated < len(record.cells):
            dates.add(record, table.columns[dated], record.cells[dated])
    marks = Question(
        "decimal", "decimal", (figures.DOT, figures.COMMA), choices.decimal, choices.usual_decimal
    )
    orders = Question("date", "dates", (days.US, days.EU), choices.dates, choices.usual_dates)
    (mark, unsure), (first, undated) = numbers.settle(marks), dates.settle(orders)
    return Style(mark or figures.DOT, first), unsure + undated


def _mark(text: str) -> str | None:
    try:
        return figures.decimal_mark(figures.figure(text).digits)
    except figures.FigureError:
        # What is no number proves nothing; the row reader says what is wrong with it.
        return None

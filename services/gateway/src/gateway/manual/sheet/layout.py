"""Where the table stands in the file, what its columns are, and which column is which field. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import islice

from gateway.manual.sheet.faults import UnreadableError, excerpt
from gateway.manual.sheet.headers import NAMES, account_column, detected, fold
from gateway.manual.sheet.records import DELIMITERS, Record, declared, records

LOOKED_AT = 60
"""Records among which the header must be."""
ENOUGH = 2
"""Known names by which a row is taken for the header."""
MAX_COLUMNS = 200
MAX_NAME = 100
IDENTIFYING = ("symbol", "isin", "figi", "cusip", "name")


@dataclass(frozen=True, slots=True)
class Choices:
    """What a user chose about a file; ``None`` leaves it to the file. ``mapping`` is field → column or None.

    ``usual_decimal`` and ``usual_dates`` are what was chosen for such files before: they decide what the file
    itself leaves open, and yield to what it proves.
    """

    mapping: Mapping[str, str | None] = field(default_factory=dict)
    delimiter: str | None = None
    decimal: str | None = None
    dates: str | None = None
    usual_decimal: str | None = None
    usual_dates: str | None = None


@dataclass(frozen=True, slots=True)
class Layout:
    """A table in a file: its header's line, its columns by name, and the column of each field."""

    delimiter: str
    header_line: int
    columns: tuple[str, ...]
    mapping: Mapping[str, int]
    account: int | None
    preamble: int
    folded: tuple[str, ...]

    @property
    def signature(self) -> str:
        """What this header is remembered by."""
        return blake2b("\n".join(self.folded).encode(), digest_size=16).hexdigest()

    @property
    def missing(self) -> list[str]:
        """Fields without which no row can be read, and that no column is mapped to."""
        missing = [] if {"quantity", "market_value"} & self.mapping.keys() else ["quantity"]
        return missing if any(one in self.mapping for one in IDENTIFYING) else ["symbol", *missing]

    def column_of(self, wanted: str) -> str | None:
        """The name of a field's column."""
        place = self.mapping.get(wanted)
        return None if place is None else self.columns[place]


def layout(text: str, choices: Choices) -> Layout:
    """Find the table.

    Raises:
        UnreadableError: the file is empty or has no table in it, or a column that is named is not there.
    """
    if not text.strip('\ufeff \t\r\n,;|"'):
        raise UnreadableError("empty", "The file is empty.", row=1)
    told, _ = declared(text)
    tried = [choices.delimiter or told] if choices.delimiter or told else list(DELIMITERS)
    wanted = {fold(name) for name in choices.mapping.values() if name}
    candidates = [found for one in tried if one and (found := _header(text, one, wanted))]
    if not candidates:
        raise UnreadableError("no_table", "No header row with at least two columns was found.", row=1)
    score, delimiter, header, preamble = max(candidates, key=lambda found: found[0])
    columns = _named(header.cells)
    mapping = detected(header.cells) if score[0] >= ENOUGH else {}
    return Layout(
        delimiter,
        header.line,
        columns,
        chosen(columns, mapping, choices),
        account_column(header.cells),
        preamble,
        tuple(fold(name) for name in columns),
    )


def chosen(columns: Sequence[str], mapping: Mapping[str, int], choices: Choices) -> dict[str, int]:
    """The mapping with what the user chose laid over it.

    Raises:
        UnreadableError: a field is unknown or a column is not there.
    """
    places = {fold(name): place for place, name in reversed(list(enumerate(columns)))}
    result = dict(mapping)
    for wanted, name in choices.mapping.items():
        if wanted not in NAMES:
            raise UnreadableError("bad_mapping", f"There is no field {excerpt(wanted)!r}.")
        result.pop(wanted, None)
        if name is not None:
            if fold(name) not in places:
                raise UnreadableError("bad_mapping", f"The file has no column {excerpt(name)!r}.")
            result[wanted] = places[fold(name)]
    return _one_cost(result, choices)


def _one_cost(mapping: dict[str, int], choices: Choices) -> dict[str, int]:
    """The cost once: the total, unless the user mapped only the other."""
    if {"cost_basis", "cost_per_unit"} <= mapping.keys():
        asked = {field for field, name in choices.mapping.items() if name}
        dropped = "cost_basis" if "cost_per_unit" in asked and "cost_basis" not in asked else "cost_per_unit"
        mapping.pop(dropped)
    return mapping


Scored = tuple[tuple[int, int, int], str, Record, int]


def _header(text: str, delimiter: str, wanted: set[str]) -> Scored | None:
    """The row that looks most like a header when cells are parted so, with how much it does."""
    seen = [one for one in islice(records(text, delimiter), LOOKED_AT) if isinstance(one, Record)]
    _, skip = declared(text)
    rows = [one for one in seen if one.filled and one.line > skip]
    best: Scored | None = None
    for place, row in enumerate(rows):
        if not ENOUGH <= len(row.filled) <= MAX_COLUMNS:
            continue
        names = {fold(cell) for cell in row.cells}
        known = len(detected(row.cells)) + 10 * (bool(wanted) and wanted <= names)
        score = (known, known or _wordy(row), known or -place)
        if best is None or score > best[0]:
            best = (score, delimiter, row, place)
    return best


def _wordy(row: Record) -> int:
    """How many cells there are, if none of them is a number."""
    return 0 if any(any(one.isdigit() for one in cell) for cell in row.filled) else len(row.filled)


def _named(cells: Sequence[str]) -> tuple[str, ...]:
    """Column names, each one once."""
    names: list[str] = []
    taken: set[str] = set()
    for place, cell in enumerate(cells):
        plain = "".join(one for one in " ".join(cell.split()) if one.isprintable())[:MAX_NAME]
        name = plain or f"Column {place + 1}"
        own = fold(name)
        names.append(f"{name} ({place + 1})" if own in taken else name)
        taken.add(own)
    while len(names) > 1 and names[-1] == f"Column {len(names)}" and not cells[len(names) - 1].strip():
        names.pop()
    return tuple(names)

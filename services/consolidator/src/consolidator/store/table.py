"""A table as the store writes it: its columns once, its statements derived."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from consolidator.store.arrays import Row, columns


@dataclass(frozen=True)
class Table:
    """Columns with their types, key columns first.

    ``stamp`` names a column that takes the moment of writing, one value for all rows.
    """

    name: str
    keys: tuple[tuple[str, str], ...]
    values: tuple[tuple[str, str], ...]
    stamp: str | None = None

    @cached_property
    def types(self) -> tuple[str, ...]:
        """The types of a row's cells."""
        return tuple(kind for _, kind in self.keys + self.values)

    @cached_property
    def insert(self) -> str:
        """Insert rows that are known to be new."""
        names = [name for name, _ in self.keys + self.values]
        picked = [_picked(name, kind) for name, kind in self.keys + self.values]
        if self.stamp:
            names.append(self.stamp)
            picked.append("%s::timestamptz")
        return (
            f"INSERT INTO portfolio.{self.name} ({', '.join(names)}) SELECT {', '.join(picked)} "  # noqa: S608  names are ours
            f"FROM unnest({', '.join(_parameter(kind) for kind in self.types)}) "
            f"AS v({', '.join(name for name, _ in self.keys + self.values)})"
        )

    @cached_property
    def upsert(self) -> str:
        """Insert rows or overwrite the ones with their keys."""
        updated = [name for name, _ in self.values] + ([self.stamp] if self.stamp else [])
        return (
            f"{self.insert} ON CONFLICT ({', '.join(name for name, _ in self.keys)}) DO UPDATE SET "
            + ", ".join(f"{name} = excluded.{name}" for name in updated)
        )

    @cached_property
    def update(self) -> str:
        """Overwrite rows that are known to exist."""
        return (
            f"UPDATE portfolio.{self.name} t SET "  # noqa: S608  names are ours
            + (f"{self.stamp} = %s::timestamptz, " if self.stamp else "")
            + ", ".join(f"{name} = {_picked(name, kind)}" for name, kind in self.values)
            + f" FROM unnest({', '.join(_parameter(kind) for kind in self.types)}) "
            f"AS v({', '.join(name for name, _ in self.keys + self.values)}) WHERE "
            + " AND ".join(f"t.{name} = v.{name}" for name, _ in self.keys)
        )

    @cached_property
    def differing(self) -> str:
        """Insert rows or overwrite the ones with their keys and other values."""
        values = [name for name, _ in self.values]
        stored, told = (", ".join(f"{of}.{name}" for name in values) for of in (self.name, "excluded"))
        return f"{self.upsert} WHERE ({stored}) IS DISTINCT FROM ({told})"

    @cached_property
    def add(self) -> str:
        """Insert rows or add their values to the ones with their keys."""
        added = ", ".join(f"{name} = {self.name}.{name} + excluded.{name}" for name, _ in self.values)
        return f"{self.insert} ON CONFLICT ({', '.join(name for name, _ in self.keys)}) DO UPDATE SET {added}"

    @cached_property
    def ignore(self) -> str:
        """Insert the rows whose keys are not there yet."""
        return f"{self.insert} ON CONFLICT ({', '.join(name for name, _ in self.keys)}) DO NOTHING"

    @cached_property
    def delete(self) -> str:
        """Delete rows by key."""
        return (
            f"DELETE FROM portfolio.{self.name} t USING unnest("  # noqa: S608  names are ours
            + ", ".join(_parameter(kind) for _, kind in self.keys)
            + f") AS v({', '.join(name for name, _ in self.keys)}) WHERE "
            + " AND ".join(f"t.{name} = v.{name}" for name, _ in self.keys)
        )

    def parameters(self, rows: Sequence[Row], at: str) -> list[str]:
        """The parameters of every statement but ``delete``, for these rows."""
        arrays = columns(rows, self.types)
        # The stamp stands in the select list, before the arrays.
        return [at, *arrays] if self.stamp else arrays

    def key_parameters(self, rows: Sequence[Row]) -> list[str]:
        """The parameters of ``delete`` for these keys."""
        return columns(rows, [kind for _, kind in self.keys])


def _parameter(kind: str) -> str:
    return "%s::text[]" if kind.endswith("[]") else f"%s::{kind}[]"


def _picked(name: str, kind: str) -> str:
    # unnest would flatten an array of arrays, so that such a column travels as text.
    return f"v.{name}::{kind}" if kind.endswith("[]") else f"v.{name}"

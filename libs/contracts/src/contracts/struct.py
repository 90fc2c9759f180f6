"""The one kind of record the house speaks in."""

from typing import Any, dataclass_transform

import msgspec


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(msgspec.field,))
class _RecordMeta(msgspec.StructMeta):
    """Makes every subclass frozen and keyword-only, so that no definition can forget it."""

    def __new__(mcs, name: str, bases: tuple[type, ...], namespace: dict[str, Any]) -> type:
        # gc=False: records are trees of plain values and cannot form a cycle.
        return super().__new__(mcs, name, bases, namespace, frozen=True, kw_only=True, gc=False)


class Record(msgspec.Struct, metaclass=_RecordMeta):
    """A frozen value or message; members a reader does not know are ignored."""

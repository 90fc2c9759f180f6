"""The one kind of record the house speaks in."""

import msgspec


class Record(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A frozen value or message; members a reader does not know are ignored.

    Every subclass repeats ``frozen=True, kw_only=True``: a metaclass that did it for them would cost each
    construction more than twice its time. A test notices one that forgot. ``gc=False`` because records are
    trees of plain values and cannot form a cycle.
    """

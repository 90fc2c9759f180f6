"""How old data is: three clocks and a version."""

from datetime import datetime

from contracts.struct import Record


class Clocks(Record, frozen=True, kw_only=True):
    """When a snapshot was true and when we learned it; both aware, UTC.

    ``as_of``: when the provider fetched it from the institution. ``synced_at``: when we fetched it from
    the provider. ``version``: the fencing token of the sync run's lease, monotonic per connection
    whatever the clocks say; a snapshot replaces a stored one only when its version is higher.
    """

    as_of: datetime
    synced_at: datetime
    version: int

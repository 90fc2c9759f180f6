"""Which transactions are retracted and which succeeds which: our id stays where the provider's changes. Pure.

A posted transaction succeeds the pending one that it replaces. And one that was first told after another of the same
fingerprint was told for the last time succeeds it, if that other one was retracted: whoever reads a day reads the
whole day, so the two were never there side by side. Two that are there side by side are two genuine trades.
"""

from collections.abc import Iterable, Mapping
from datetime import date
from uuid import UUID, uuid5

import msgspec

from consolidator.domain.transactions import Entry
from contracts.transactions import Sweep

replace = msgspec.structs.replace


def transaction_id(account_id: str, external_id: str) -> str:
    """Our id of an account's transaction that the provider calls ``external_id`` and called so from the first."""
    return str(uuid5(UUID(account_id), external_id))


def settled(account_id: str, entries: Mapping[str, Entry], sweeps: Iterable[Sweep]) -> dict[str, Entry]:
    """The entries with what is concluded: which are retracted, and the id that each one bears.

    Args:
        account_id: whose entries they are.
        entries: by external id; with an entry all that ``related`` names.
        sweeps: all of the account.
    """
    ranges = [(one.from_date, one.through, one.since_version) for one in sweeps]
    replaced = {one.replaces for one in entries.values() if one.replaces}
    removed = {
        one.external_id
        for one in entries.values()
        if one.removed_version >= max(one.version, 1) or one.external_id in replaced or _swept(one, ranges)
    }
    ids = identities(account_id, entries, removed)
    return {name: _concluded(one, name in removed, ids[name]) for name, one in entries.items()}


def related(entry: Entry) -> tuple[list[str], list[str]]:
    """The external ids and the fingerprints of what one entry is judged together with.

    Whatever replaces it belongs to that too.
    """
    ids = [entry.external_id] if entry.replaces is None else [entry.external_id, entry.replaces]
    return ids, [] if entry.fingerprint is None else [entry.fingerprint]


def identities(account_id: str, entries: Mapping[str, Entry], removed: set[str]) -> dict[str, str]:
    """Our id of every entry; no two that are not removed share one.

    Args:
        account_id: whose entries they are.
        entries: by external id.
        removed: the external ids of those that are retracted.
    """
    parents = _replacing(entries)
    parents |= _following(entries, removed, parents)
    return {name: transaction_id(account_id, _root(name, parents) if parents else name) for name in entries}


def _replacing(entries: Mapping[str, Entry]) -> dict[str, str]:
    """Each posted one's pending one; of several that replace one, the first has it."""
    heirs: dict[str, Entry] = {}
    for one in entries.values():
        if one.replaces is None:
            continue
        known = heirs.get(one.replaces)
        if known is None or _age(one) < _age(known):
            heirs[one.replaces] = one
    return {heir.external_id: replaced for replaced, heir in heirs.items()}


def _following(entries: Mapping[str, Entry], removed: set[str], parents: Mapping[str, str]) -> dict[str, str]:
    """Whom each one follows that replaces nobody, among those of its fingerprint."""
    taken = set(parents.values())
    groups: dict[str, list[Entry]] = {}
    for one in entries.values():
        if one.fingerprint is not None:
            groups.setdefault(one.fingerprint, []).append(one)
    found: dict[str, str] = {}
    for group in groups.values():
        free = [one for one in group if one.external_id in removed and one.external_id not in taken]
        if free and len(group) > 1:
            found |= _matched([one for one in group if one.external_id not in parents], free)
    return found


def _matched(group: list[Entry], free: list[Entry]) -> dict[str, str]:
    """Each one's predecessor: of those that were gone when it was first told, the one that went last."""
    found = {}
    free.sort(key=lambda one: (-one.version, _age(one)))
    for one in sorted(group, key=_age):
        before = next((gone for gone in free if gone.version < one.first_version), None)
        if before is not None:
            free.remove(before)
            found[one.external_id] = before.external_id
    return found


def _root(name: str, parents: Mapping[str, str]) -> str:
    """The first of a line; where a provider says that things replace each other, the least of them."""
    line = [name]
    while (parent := parents.get(line[-1])) is not None:
        if parent == name:
            return min(line)
        line.append(parent)
    return line[-1]


def _age(one: Entry) -> tuple[int, str]:
    return one.first_version, one.external_id


def _swept(one: Entry, ranges: list[tuple[date, date, int]]) -> bool:
    day, version = one.booked_on, one.version
    return day is not None and any(version < since and first <= day <= last for first, last, since in ranges)


def _concluded(one: Entry, removed: bool, transaction_id: str) -> Entry:
    if (one.removed, one.transaction_id) == (removed, transaction_id):
        return one
    return replace(one, removed=removed, transaction_id=transaction_id)

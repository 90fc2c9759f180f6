"""What other weights would regroup: two identities of the same accounts, compared. Pure."""

from typing import Literal

from consolidator.domain.identity import Group, Identity, Link
from contracts.struct import Record

Kind = Literal["merged", "split", "regrouped", "flagged", "unflagged"]


class PairChange(Record, frozen=True, kw_only=True):
    """A pair of accounts that is taken for something else."""

    accounts: tuple[str, str]
    before: Link
    after: Link


class GroupChange(Record, frozen=True, kw_only=True):
    """Real accounts whose members, or whose need of a decision, change; ``flagged``: only the need arises."""

    kind: Kind
    before: tuple[Group, ...]
    after: tuple[Group, ...]


class Regrouped(Record, frozen=True, kw_only=True):
    """All that changes for one user."""

    pairs: tuple[PairChange, ...] = ()
    groups: tuple[GroupChange, ...] = ()

    def __bool__(self) -> bool:
        """Whether anything changes."""
        return bool(self.pairs or self.groups)


def regroup(before: Identity, after: Identity) -> Regrouped:
    """Compare what the same accounts and decisions amount to under two sets of weights."""
    links = {link.accounts: link for link in before.links}
    pairs = [
        PairChange(accounts=link.accounts, before=links[link.accounts], after=link)
        for link in after.links
        if links[link.accounts].verdict is not link.verdict
    ]
    return Regrouped(pairs=tuple(pairs), groups=tuple(_groups(before, after)))


def _groups(before: Identity, after: Identity) -> list[GroupChange]:
    was = {member: group for group in before.groups for member in group.members}
    becomes = {member: group for group in after.groups for member in group.members}
    changes, done = [], set[str]()
    for group in before.groups:
        if done & set(group.members):
            continue
        members = _connected(group, was, becomes)
        done |= members
        old, new = _distinct(members, was), _distinct(members, becomes)
        if old != new:
            changes.append(GroupChange(kind=_kind(old, new), before=old, after=new))
    return changes


def _connected(group: Group, was: dict[str, Group], becomes: dict[str, Group]) -> set[str]:
    """The accounts that share a group with these, before or after, directly or through others."""
    found: set[str] = set()
    waiting = set(group.members)
    while waiting:
        found |= waiting
        waiting = {other for one in waiting for side in (was, becomes) for other in side[one].members} - found
    return found


def _distinct(members: set[str], of: dict[str, Group]) -> tuple[Group, ...]:
    groups = {of[member].members: of[member] for member in members}
    return tuple(group for _, group in sorted(groups.items()))


def _kind(old: tuple[Group, ...], new: tuple[Group, ...]) -> Kind:
    if [group.members for group in old] == [group.members for group in new]:
        return "flagged" if any(group.needs_decision for group in new) else "unflagged"
    if len(new) == len(old):
        return "regrouped"
    return "merged" if len(new) < len(old) else "split"

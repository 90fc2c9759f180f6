"""A replay to read, and the same as lines of JSON."""

from dataclasses import dataclass, field

import msgspec

from consolidator.domain.identity import Group, Link
from consolidator.domain.regroup import GroupChange, PairChange
from consolidator.replay import Replayed

_JSON = msgspec.json.Encoder(decimal_format="string", order="deterministic")
_DOUBT = ", needs a decision"


@dataclass(slots=True)
class Totals:
    """What all replayed users come to."""

    users: int = 0
    users_changed: int = 0
    pairs: int = 0
    pairs_changed: int = 0
    groups: dict[str, int] = field(
        default_factory=lambda: {"merged": 0, "split": 0, "regrouped": 0, "flagged": 0, "unflagged": 0}
    )

    def add(self, found: Replayed) -> None:
        """Count one user."""
        self.users += 1
        self.users_changed += bool(found.changes)
        self.pairs += found.pairs
        self.pairs_changed += len(found.changes.pairs)
        for change in found.changes.groups:
            self.groups[change.kind] += 1

    def as_text(self) -> str:
        """One line to read."""
        groups = ", ".join(f"{count} {kind}" for kind, count in self.groups.items())
        return (
            f"{self.users_changed} of {self.users} users, {self.pairs_changed} of {self.pairs} pairs would change;"
            f" real accounts: {groups}."
        )

    def as_json(self) -> str:
        """The last line of JSON."""
        return _JSON.encode({"totals": self}).decode()


def as_text(found: Replayed) -> str:
    """What changes for one user, in lines to read."""
    lines = [f"user {found.user_id}"]
    for pair in found.changes.pairs:
        lines += _pair(pair, found.providers)
    for group in found.changes.groups:
        lines += _group(group)
    return "\n".join(lines)


def as_json(found: Replayed) -> str:
    """What changes for one user, in one line."""
    document = {
        "user_id": found.user_id,
        "pairs": [
            {
                "accounts": change.accounts,
                "providers": [found.providers[one] for one in change.accounts],
                "before": _told(change.before),
                "after": _told(change.after),
            }
            for change in found.changes.pairs
        ],
        "real_accounts": [
            {
                "change": change.kind,
                "before": [_members(group) for group in change.before],
                "after": [_members(group) for group in change.after],
            }
            for change in found.changes.groups
        ],
    }
    return _JSON.encode(document).decode()


def _pair(change: PairChange, providers: dict[str, str]) -> list[str]:
    before, after = change.before, change.after
    named = " and ".join(f"{one} ({providers[one]})" for one in change.accounts)
    return [
        f"  pair {named}",
        f"    {before.verdict} {before.score}: {', '.join(before.reasons)}",
        f"    -> {after.verdict} {after.score}: {', '.join(after.reasons)}",
    ]


def _group(change: GroupChange) -> list[str]:
    return [
        f"  real account{'s' if len(change.before) > 1 else ''} {change.kind}",
        *(f"    {_named(group)}" for group in change.before),
        *(f"    -> {_named(group)}" for group in change.after),
    ]


def _named(group: Group) -> str:
    return f"{group.real_account_id}: {' + '.join(group.members)}{_DOUBT if group.needs_decision else ''}"


def _members(group: Group) -> dict[str, object]:
    return {
        "real_account_id": group.real_account_id,
        "members": group.members,
        "needs_decision": group.needs_decision,
    }


def _told(link: Link) -> dict[str, object]:
    return {"verdict": link.verdict, "rule": link.rule, "score": link.score, "reasons": link.reasons}

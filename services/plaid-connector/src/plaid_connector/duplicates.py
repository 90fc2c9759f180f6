"""Recognising a login that is linked already, before its public token is exchanged (billing starts there). Pure.

A link session says the institution and name, mask and type of each account. Two logins at one institution are
legitimate, and may even share a joint account: a login is taken for one that is known when most of its accounts are.
"""

from collections import Counter
from typing import NamedTuple

from contracts.linking import KnownAccount
from plaid_connector.wire import ItemAdded


class _Looks(NamedTuple):
    """What an account looks like to a person who chooses it."""

    name: str | None
    mask: str | None
    kind: str | None


def duplicate_of(added: ItemAdded, known: list[KnownAccount]) -> str | None:
    """The external id of the connection that the same login made before; ``None`` for a login not seen yet."""
    institution = added.institution.institution_id if added.institution else None
    chosen = Counter(
        _Looks(one.name, _mask(one.mask), _kind(one.type, one.subtype)) for one in added.accounts or ()
    )
    if not institution or not chosen:
        return None
    linked: dict[str, Counter[_Looks]] = {}
    for one in known:
        if one.institution_ref == institution:
            looks = _Looks(one.name, _mask(one.mask), one.raw_type)
            linked.setdefault(one.external_connection_id, Counter())[looks] += 1
    return next((name for name, accounts in linked.items() if _same_login(chosen, accounts)), None)


def known_by(added: ItemAdded, item_id: str) -> list[KnownAccount]:
    """The accounts chosen in a link session, as ``duplicate_of`` will know the Item by them."""
    return [
        KnownAccount(
            external_connection_id=item_id,
            institution_ref=added.institution.institution_id if added.institution else None,
            name=one.name,
            mask=_mask(one.mask),
            raw_type=_kind(one.type, one.subtype),
        )
        for one in added.accounts or ()
    ]


def _same_login(chosen: Counter[_Looks], linked: Counter[_Looks]) -> bool:
    """Whether two sets of accounts are of one login: they are equal, or overlap by more than half of the smaller one.

    A shared joint account alone is not enough; neither is a name alone, so that only accounts with a mask overlap.
    """
    shared = sum(count for looks, count in (chosen & linked).items() if looks.mask)
    return chosen == linked or shared * 2 > min(chosen.total(), linked.total())


def _mask(mask: str | None) -> str | None:
    """As accounts keep it: its last four characters."""
    return mask[-4:] if mask else None


def _kind(kind: str | None, subtype: str | None) -> str | None:
    """As accounts keep it: type and subtype."""
    return f"{kind}/{subtype}" if subtype else kind

"""How alike two provider accounts are: a score with its reasons, from what was stored of them."""

import re
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from consolidator.domain.activity import Activity, activity, shared
from consolidator.domain.overlap import Held, Overlap, held, overlap
from consolidator.domain.registration import Registration, registration
from consolidator.domain.values import Line
from consolidator.domain.weights import Weights, at
from contracts.accounts import AccountType
from contracts.struct import Record

ZERO, ONE, TEN = Decimal(0), Decimal(1), Decimal(10)
CENT = Decimal("0.01")
HOUR = Decimal(3600)
_EXACT = Decimal("0.0001")
_PADDING = re.compile(r"^X+(?=.)")


class Evidence(Record, frozen=True, kw_only=True):
    """What is known of one provider account that can tell which real account it is."""

    account_id: str
    connection_id: str
    institution: str
    provider: str | None = None
    stable_id: str | None = None
    """The institution's own id of the account; each provider spells it in its own way."""
    mask: str | None = None
    type: AccountType | None = None
    raw_type: str | None = None
    """The provider's own words for its type."""
    name: str | None = None
    total: Decimal | None = None
    currency: str | None = None
    described: bool = True
    """Whether a list of accounts has described it."""
    lines: tuple[Line, ...] | None = None
    """``None`` when the account has no good snapshot."""
    as_of: datetime | None = None
    """When the provider fetched ``lines`` from the institution."""
    fingerprints: tuple[str, ...] = ()
    """Of its transactions, as ``consolidator.domain.activity.fingerprint`` makes them."""


class Profile(NamedTuple):
    """Evidence made ready to be compared with many others."""

    evidence: Evidence
    mask: str
    registration: Registration
    name: str
    held: Held | None
    activity: Activity | None


class Score(Record, frozen=True, kw_only=True):
    """A score and what made it, each reason with its points."""

    value: Decimal
    reasons: tuple[str, ...]


Points = list[tuple[str, Decimal]]


def profile(evidence: Evidence) -> Profile:
    """Make one account's evidence ready to be compared."""
    return Profile(
        evidence=evidence,
        mask=_PADDING.sub("", re.sub(r"[^A-Z0-9]", "", (evidence.mask or "").upper())),
        registration=registration(evidence.type, evidence.raw_type, evidence.name),
        name=re.sub(r"\W", "", (evidence.name or "").casefold()),
        held=held(evidence.lines),
        activity=activity(evidence.fingerprints),
    )


def score(one: Evidence, other: Evidence, weights: Weights) -> Score:
    """Score two accounts of one institution; unknown features add nothing."""
    return compare(profile(one), profile(other), weights)


def compare(one: Profile, other: Profile, weights: Weights) -> Score:
    """Score two accounts of one institution whose evidence is ready."""
    both = _overlap(one, other, weights)
    mask = _mask(one, other, weights)
    points = [("institution_equal", weights.institution), *mask]
    points += _type(one, other, weights)
    points += _total(one.evidence, other.evidence, both, weights)
    points += _holdings(one.evidence, other.evidence, both, weights)
    points += _activity(one, other, weights)
    points += _ceiling(points, mask, both, weights)
    value = sum((worth for _, worth in points), ZERO)
    return Score(
        value=value.quantize(_EXACT), reasons=tuple([f"{name}:{worth:+.3f}" for name, worth in points])
    )


def _mask(one: Profile, other: Profile, weights: Weights) -> Points:
    length = min(len(one.mask), len(other.mask))
    if not length:
        return []
    if one.mask[-length:] == other.mask[-length:]:
        return [("mask_equal", at(weights.mask.equal, Decimal(length)))]
    return [("mask_differs", weights.mask.differs)]


def _ceiling(points: Points, mask: Points, both: Overlap | None, weights: Weights) -> Points:
    """What must be taken off because the account numbers do not allow to be sure."""
    if not mask:
        rich = both is not None and both.telling >= weights.mask.unknown_rich
        name, most = "mask_unknown", None if rich else weights.mask.unknown_ceiling
    else:
        name = mask[0][0]
        most = weights.mask.differs_ceiling if name == "mask_differs" else None
    excess = sum((worth for _, worth in points), ZERO) - most if most is not None else ZERO
    return [(f"at_most_for:{name}", -excess)] if excess > 0 else []


def _type(one: Profile, other: Profile, weights: Weights) -> Points:
    mine, theirs = one.registration, other.registration
    worth = weights.type
    families = (mine.family, theirs.family)
    points = _known("type", families, worth.family_equal, worth.family_differs)
    if None in families or mine.family == theirs.family:
        points += _known("kind", (mine.kind, theirs.kind), worth.kind_equal, worth.kind_differs)
    points += _known("owner", (mine.owner, theirs.owner), worth.owner_equal, worth.owner_differs)
    if one.name and one.name == other.name:
        points.append(("name_equal", worth.name_equal))
    return points


def _known(name: str, said: tuple[str | None, str | None], equal: Decimal, differs: Decimal) -> Points:
    if None in said:
        return []
    return [(f"{name}_equal", equal)] if said[0] == said[1] else [(f"{name}_differs", differs)]


def _total(one: Evidence, other: Evidence, both: Overlap | None, weights: Weights) -> Points:
    """What the providers' totals say; their definitions differ, so holdings that agree outweigh totals that do not."""
    gap = _gap(one, other)
    if gap is None:
        return []
    points = at(weights.total.gap, gap)
    if points < 0:
        doubt = ONE - both.agreement if both is not None else ONE
        return [("total_far", points * doubt * _aged(one, other, weights))]
    found = [("total_close", points)]
    if gap * max(abs(one.total or ZERO), abs(other.total or ZERO)) < CENT and (one.total or ZERO) % TEN:
        found.append(("total_equal", weights.total.equal))
    return found


def _gap(one: Evidence, other: Evidence) -> Decimal | None:
    """How far the totals are apart, relative to the larger; ``None`` where one is unknown or both are zero."""
    if one.total is None or other.total is None or one.currency != other.currency:
        return None
    larger = max(abs(one.total), abs(other.total))
    return abs(one.total - other.total) / larger if larger else None


def _overlap(one: Profile, other: Profile, weights: Weights) -> Overlap | None:
    if one.held is None or other.held is None:
        return None
    return overlap(one.held, other.held, weights.holdings.quantity)


def _holdings(one: Evidence, other: Evidence, both: Overlap | None, weights: Weights) -> Points:
    if both is None:
        return []
    worth = weights.holdings
    conflict = at(worth.conflict, both.agreement) * _aged(one, other, weights)
    gap = _gap(one, other)
    whole = gap is not None and gap <= worth.total_gap
    if both.contained:
        # A total of the whole says that the rest is only not listed yet.
        surprise = ONE if whole else min(ONE, both.telling / worth.contained_rich)
        conflict *= ONE - worth.contained * surprise
    elif whole:
        conflict *= worth.moved
    points = [(f"holdings_agree={both.agreement:.2f}", at(worth.support, both.telling) * both.agreement)]
    return points + ([("holdings_conflict", conflict)] if conflict else [])


def _activity(one: Profile, other: Profile, weights: Weights) -> Points:
    if one.activity is None or other.activity is None:
        return []
    both = shared(one.activity, other.activity, weights.activity.days)
    if both is None or both.least < weights.activity.enough:
        return []
    return [(f"transactions_shared={both.share:.2f}", at(weights.activity.shared, both.share))]


def _aged(one: Evidence, other: Evidence, weights: Weights) -> Decimal:
    """What is left of a disagreement when the two sights are of different moments."""
    if one.as_of is None or other.as_of is None:
        return ONE
    apart = abs(one.as_of - other.as_of)
    return at(weights.age, Decimal(apart.days * 24) + Decimal(apart.seconds) / HOUR)

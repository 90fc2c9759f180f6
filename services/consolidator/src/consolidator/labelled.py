"""Labelled pairs of accounts, and how well weights tell them apart: measured before weights are changed."""

import tomllib
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Literal

import msgspec

from consolidator.domain.activity import fingerprint
from consolidator.domain.evidence import Evidence
from consolidator.domain.identity import Verdict, identify
from consolidator.domain.values import InstrumentRef, Line
from consolidator.domain.weights import Weights
from contracts.accounts import AccountType
from contracts.struct import Record

SEEN_AT = datetime(2026, 1, 5, 21, tzinfo=UTC)
LABELS = ("same", "different", "grey")
_KINDS = {"CUR": "cash", "MM": "money_market", "CRYPTO": "crypto"}


class LabelledAccount(Record, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One account of a pair, as its connection reports it."""

    provider: str
    stable_id: str | None = None
    mask: str | None = None
    type: AccountType | None = None
    raw_type: str | None = None
    name: str | None = None
    total: Decimal | None = None
    currency: str = "USD"
    as_of: datetime = SEEN_AT
    holdings: dict[str, Decimal] | None = None
    figis: dict[str, str] | None = None
    transactions: tuple[str, ...] = ()
    """Each as day, amount and quantity."""


class LabelledPair(Record, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Two accounts of one institution and what they are in truth; ``grey`` where nobody could tell."""

    id: str
    label: Literal["same", "different", "grey"]
    about: str
    one: LabelledAccount
    other: LabelledAccount


class Measured(Record, frozen=True, kw_only=True):
    """How pairs were judged: ``matrix`` counts by label and verdict."""

    verdicts: dict[str, str]
    matrix: dict[str, dict[str, int]]
    precision: Decimal
    """Of the pairs judged the same, how many are."""
    recall: Decimal
    """Of the pairs that are the same, how many were judged so."""
    wrong_same: tuple[str, ...]
    """Pairs judged the same that are not, or of which nobody could tell."""
    wrong_different: tuple[str, ...]
    """Pairs judged different that are the same."""
    needs_decision_share: Decimal
    """Of all pairs, how many somebody must decide."""


class _File(Record, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pair: list[LabelledPair]


def read_pairs(text: str) -> list[LabelledPair]:
    """Read labelled pairs from TOML.

    Raises:
        ValueError: not TOML, something unknown or missing, or an id that is used twice.
    """
    pairs = msgspec.convert(tomllib.loads(text, parse_float=Decimal), _File).pair
    if twice := [name for name, count in Counter(pair.id for pair in pairs).items() if count > 1]:
        raise ValueError(f"ids of labelled pairs are used twice: {', '.join(twice)}")
    return pairs


def evidence_of(account: LabelledAccount, name: str) -> Evidence:
    """The evidence a labelled account amounts to; ``name`` becomes its id and its connection's."""
    return Evidence(
        account_id=name,
        connection_id=name,
        institution="any",
        provider=account.provider,
        stable_id=account.stable_id,
        mask=account.mask,
        type=account.type,
        raw_type=account.raw_type,
        name=account.name,
        total=account.total,
        currency=account.currency,
        as_of=account.as_of,
        lines=None if account.holdings is None else tuple(_lines(account)),
        fingerprints=tuple(_fingerprints(account.transactions)),
    )


def judged(pair: LabelledPair, weights: Weights) -> str:
    """What a pair is taken for: ``same``, ``different`` or ``needs_decision``."""
    found = identify([evidence_of(pair.one, "one"), evidence_of(pair.other, "other")], (), weights)
    return found.links[0].verdict.value


def measure(pairs: Sequence[LabelledPair], weights: Weights) -> Measured:
    """Judge all pairs and count."""
    verdicts = {pair.id: judged(pair, weights) for pair in pairs}
    matrix = {label: dict.fromkeys(Verdict, 0) for label in LABELS}
    for pair in pairs:
        matrix[pair.label][Verdict(verdicts[pair.id])] += 1
    said_same = sum(row[Verdict.SAME] for row in matrix.values())
    grey = sum(row[Verdict.NEEDS_DECISION] for row in matrix.values())
    right = matrix["same"][Verdict.SAME]
    return Measured(
        verdicts=verdicts,
        matrix={
            label: {str(verdict): count for verdict, count in row.items()} for label, row in matrix.items()
        },
        precision=_share(right, said_same),
        recall=_share(right, sum(matrix["same"].values())),
        wrong_same=tuple([p.id for p in pairs if p.label != "same" and verdicts[p.id] == Verdict.SAME]),
        wrong_different=tuple(
            [p.id for p in pairs if p.label == "same" and verdicts[p.id] == Verdict.DIFFERENT]
        ),
        needs_decision_share=_share(grey, len(pairs)),
    )


def report(found: Measured) -> str:
    """The measurement as a table to read."""
    lines = [f"{'label':<12}" + "".join(f"{verdict.value:>16}" for verdict in Verdict)]
    for label, row in found.matrix.items():
        lines.append(f"{label:<12}" + "".join(f"{row[verdict.value]:>16}" for verdict in Verdict))
    lines += [
        f"pairs {len(found.verdicts)}, precision of same {found.precision}, recall of same {found.recall}",
        f"wrong same {len(found.wrong_same)} {', '.join(found.wrong_same)}".rstrip(),
        f"wrong different {len(found.wrong_different)} {', '.join(found.wrong_different)}".rstrip(),
        f"share that somebody must decide {found.needs_decision_share}",
    ]
    return "\n".join(lines)


def _share(part: int, whole: int) -> Decimal:
    return (Decimal(part) / whole if whole else Decimal(1)).quantize(Decimal("0.001"))


def _lines(account: LabelledAccount) -> Iterable[Line]:
    for key, quantity in (account.holdings or {}).items():
        figi = (account.figis or {}).get(key)
        kind = _KINDS.get(key.partition(":")[0], "stock")
        ref = InstrumentRef(instrument_id=key, key=key, kind=kind, ticker=key, figi=figi)
        yield Line(ref=ref, currency=account.currency, quantity=quantity)


def _fingerprints(transactions: Iterable[str]) -> Iterable[str]:
    for one in transactions:
        day, amount, quantity = one.split()
        found = fingerprint(date.fromisoformat(day), Decimal(amount), Decimal(quantity))
        if found is not None:
            yield found

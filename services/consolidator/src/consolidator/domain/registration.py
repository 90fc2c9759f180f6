"""What sort of account it is, in words that two providers share: its family, its kind and whose it is."""

import re
from functools import lru_cache
from typing import NamedTuple

from contracts.accounts import AccountType


class Registration(NamedTuple):
    """Each part is ``None`` where it was not said."""

    family: str | None
    kind: str | None
    owner: str | None


UNKNOWN = Registration(None, None, None)
_KINDS: tuple[tuple[str, str | None, str | None], ...] = (
    (r"roth.{0,6}(401|403|457)|(401|403|457).{0,6}roth", "retirement", "roth employer plan"),
    (r"\broth", "retirement", "roth"),
    (r"\b401 ?\(?[ak]?\b", "retirement", "401k"),
    (r"\b403", "retirement", "403b"),
    (r"\b457", "retirement", "457b"),
    (r"\b(sep|sepira|sarsep)\b", "retirement", "sep"),
    (r"\bsimple ?ira\b", "retirement", "simple"),
    (r"\brollover\b", "retirement", "rollover"),
    (r"\b(inherited|beneficiary|bda)\b", "retirement", "inherited"),
    # Plaid's `ira` is any but Roth; a contributory IRA is Schwab's word for a traditional one.
    (r"\b(traditional|trad|contributory)\b", "retirement", "traditional"),
    (r"\b(pension|profit sharing|keogh)\b", "retirement", "pension"),
    (r"\bthrift\b", "retirement", "tsp"),
    (r"\b(ira|retirement|sipp)\b", "retirement", None),
    (r"\bspousal.{0,3}rrsp|rrsp.{0,3}spousal", "retirement", "spousal rrsp"),
    (r"\brrsp\b", "retirement", "rrsp"),
    (r"\b(rrif|prif)\b", "retirement", "rrif"),
    (r"\b(lira|lrsp|lif|rlif|lrif)\b", "retirement", "locked in"),
    (r"\btfsa\b", "tax free", "tfsa"),
    (r"\bfhsa\b", "tax free", "fhsa"),
    (r"\bisa\b", "tax free", "isa"),
    (r"\bhsa\b|\bhealth savings\b", "health", "hsa"),
    (r"\b529\b", "education", "529"),
    (r"\b(resp|coverdell|education)\b", "education", None),
    (r"\bstock plan\b", "brokerage", "stock plan"),
    # A broker's account with checks: one provider calls it a deposit account, the other a brokerage account.
    (r"\bcash management\b", None, "cash management"),
    (r"\bchecking\b", "deposit", "checking"),
    (r"\bsavings\b", "deposit", "savings"),
    (r"\b(cd|certificate of deposit)\b", "deposit", "cd"),
    (r"\bmortgage\b", "loan", "mortgage"),
    (r"\b(crypto|wallet)", "crypto", None),
    (r"\bannuity\b", "annuity", None),
    (r"\b(brokerage|taxable|margin|individual|joint|tod|non-registered|cash)\b", "brokerage", None),
)
_OWNERS = (
    (r"\b(joint|jtwros|jt ten|tenants?|community property)\b", "joint"),
    (r"\b(custodial|ugma|utma)\b", "custodial"),
    (r"\btrust\b", "trust"),
    (r"\b(business|corporate|llc)\b", "business"),
    (r"\b(individual|tod)\b", "individual"),
)
_KIND_WORDS = tuple((re.compile(words), family, kind) for words, family, kind in _KINDS)
_OWNER_WORDS = tuple((re.compile(words), owner) for words, owner in _OWNERS)
_BANKING = (AccountType.DEPOSIT, AccountType.CREDIT, AccountType.LOAN)
_SAID_NOTHING = (None, AccountType.OTHER, AccountType.BROKERAGE)
"""An investment account of no known sort reads as brokerage, too."""


def registration(kind: AccountType | None, raw_type: str | None, name: str | None) -> Registration:
    """What is known of an account's sort, from the provider's words, else from its name.

    A name is asked only where the provider said nothing: people rename accounts.
    """
    found = _read(kind, raw_type)
    if found == UNKNOWN and name:
        return _read(None, name)
    return found


@lru_cache(4096)
def _read(kind: AccountType | None, words: str | None) -> Registration:
    text = re.sub(r"[/_,.:;-]+", " ", (words or "").lower())
    owner = next((owner for pattern, owner in _OWNER_WORDS if pattern.search(text)), None)
    family, narrower = next(((f, k) for pattern, f, k in _KIND_WORDS if pattern.search(text)), (None, None))
    if narrower == "cash management":
        return Registration(None, narrower, owner)
    if kind in _BANKING and family != "health":
        # "Joint" and "individual" name owners there, not a brokerage account.
        return Registration(str(kind), narrower if family == kind else None, owner)
    if family is None and kind not in _SAID_NOTHING:
        family = str(kind)
    return Registration(family, narrower, owner)

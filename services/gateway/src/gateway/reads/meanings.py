"""What the codes of consolidation mean, in words. They are here once: answers and documentation both read them.

A code may carry a detail after a colon (``failover:too_old``); ``{detail}`` in its words stands for the detail's own.
"""

import json

RULE = (
    "Quantities, values and cost bases are summed over real accounts. Of each real account one source is counted: "
    "the best healthy one by provider priority, then by fresher data, then by id. What the other sources show of it "
    "is excluded. Price and capabilities are those of the contributor of highest priority."
)
PROBLEMS = {
    "connection_broken": "the institution no longer accepts its connection",
    "connection_revoked": "access to it was revoked",
    "connection_removed": "its connection was removed",
    "connection_stale_cache": "its connection answers from a cache because it no longer reaches the institution",
    "quarantined": "its newest snapshot is suddenly empty or far smaller and waits to be confirmed",
    "too_old": "its data is too old",
}
REASONS = {
    "only_source": "It is the only source of this account that has a good snapshot.",
    "highest_priority": "It is the source of the highest provider priority among the healthy ones.",
    "freshest_of_equals": "It is the freshest of several healthy sources of one priority.",
    "failover": "A better source is not usable: {detail}. This is the best one that is.",
    "held_back": "A better source is usable again, but not for long enough yet; this one stays until then.",
    "freshest_of_unhealthy": (
        "No source is usable, so the freshest one stays counted and is marked stale: {detail}."
    ),
    "no_snapshot": "No source has a good snapshot yet, so nothing is counted.",
    "not_described": (
        "Its provider has not described the account yet. It could be one that is already counted, so it waits."
    ),
}
RULES = {
    "unhealthy": "It is not usable: {detail}.",
    "recovering": "It is usable again, but not for long enough yet to take over.",
    "lower_priority": "Another source of the same account has a higher provider priority.",
    "same_priority_older": "Another source of the same priority has fresher data.",
    "same_priority_and_age": "Another source of the same priority and age is counted; one had to be.",
    "older_of_unhealthy": "No source is usable, and another one has fresher data.",
}
UNDECIDED = "needs_decision"
UNDECIDED_MEANING = (
    "Whether the two are one account is not certain: until somebody decides, only one is counted, never both."
)
CHECKS = {
    "within_tolerance": "What is counted adds up to the provider's own total.",
    "does_not_add_up": "What is counted does not add up to the provider's own total.",
    "read_at_different_times": "The total and the holdings were read in different runs, so they prove nothing.",
    "no_total": "The provider gives no total to compare with.",
    "no_holdings": "There is no good snapshot to compare with the total.",
    "unpriced_holdings": "Some holdings have no value, so the sum cannot be compared.",
    "several_currencies": "The holdings are in other currencies than the total.",
}
EVIDENCE = {
    "decision": "Somebody said so.",
    "stable_id": "The institution's own account ids, which outlast reconnections, say so.",
    "score": "Institution, account number, type, total and holdings were weighed; the reasons carry their points.",
}
_WORDS = json.dumps(
    {
        "problems": PROBLEMS,
        "reasons": REASONS,
        "rules": RULES,
        "checks": CHECKS,
        "evidence": EVIDENCE,
        "rule": RULE,
        "undecided": UNDECIDED_MEANING,
    }
)
WORDS = {"words": _WORDS}
"""The parameter that ``meaning`` reads from."""


def meaning(code: str, group: str) -> str:
    """The SQL of what a code of a group means, given as SQL itself; null where nobody wrote it down."""
    detail = f"split_part({code}, ':', 2)"
    words = "(%(words)s::jsonb)"
    said = f"{words}->'{group}'->>split_part({code}, ':', 1)"
    return f"replace({said}, '{{detail}}', coalesce({words}->'problems'->>{detail}, {detail}))"


def exclusion(code: str) -> str:
    """The SQL of what an exclusion rule means, a grey identity included."""
    grey = f"right({code}, {len(UNDECIDED) + 1}) = ':{UNDECIDED}'"
    undecided = "' ' || (%(words)s::jsonb->>'undecided')"
    return f"{meaning(code, 'rules')} || CASE WHEN {grey} THEN {undecided} ELSE '' END"


def page() -> str:
    """The documentation page."""
    parts = [
        "# How a position is explained\n\nGenerated from `services/gateway`; change it there.\n",
        f"`GET /v1/positions/{{id}}/explain` answers how a position came to be. {RULE}\n",
        _PROOF,
        _table("Why a source is counted (`counted_because`)", REASONS),
        _table("Why a source is excluded (`rule`)", RULES),
        f"\n`:{UNDECIDED}` after a rule: {UNDECIDED_MEANING}\n",
        _table("What can be wrong with a source (after a colon)", PROBLEMS),
        _table("What a conservation check found (`checks`)", CHECKS),
        _table("What a verdict on two accounts rests on (`identity`)", EVIDENCE),
        _VIEWS,
    ]
    return "".join(parts)


_PROOF = """
- `contributions` are the parts that are summed, one per counted source. `sums` adds them up anew each time it is asked;
  `exact` says whether that is the stored position, to the last digit.
- Each part names the snapshot it is read from. `GET /v1/snapshots/{id}` shows that snapshot's content, and
  `snapshot.agrees` says whether the stored content holds the very quantity that was counted. Superseded snapshots are
  kept for some hours (`SNAPSHOT_RETENTION`), the current one as long as the account.
- `excluded` are other sights of the same real accounts. Their `rule` says why they were not counted, and
  `counted_account_id` what was counted instead.
- `identity` shows, for each real account with several sources, on what their being one account rests, and what people
  decided. `checks` compares what is counted with the provider's own total.
- Explanations are of what is stored: cash proxies and base currencies do not appear in them.
"""
_VIEWS = """
## Views
Views change how positions are shown, never what is stored.

- `group_by=account|provider|type|currency`: whole groups, `limit` of them to a page (100 unless asked otherwise).
  Accounts and providers divide what positions are made of: a position's parts over all groups add up to the position.
  An account is a real account under the name of its counted source. Groups come by institution and real account, else
  by the word they are grouped by; parts by instrument and currency.
- `cash_proxy=USD:SGOV,CAD:CASH.TO`: cash in a currency is shown under a ticker, marked `proxy_for`. Quantity, price
  and value stay those of the cash, the type stays `cash`, the row keeps its id and its place. If the ticker itself is
  held as well, it is another row without `proxy_for`: the two are never summed. `CASH_PROXIES` sets what is shown to
  those who do not ask; `cash_proxy=none` shows cash as cash.
- `base=EUR`: sums in one currency as well. Rates come from a rate source (`gateway.rates.port.RateSource`); the one
  built in reads `FX_RATES`, units per US dollar as of `FX_RATES_AS_OF`. Cross rates carry eighteen significant digits
  (half to even); each amount is rounded to ten decimal places (halves away from zero), and the rounded amounts add up
  to the sum exactly. A currency in itself has the rate 1. What has no rate stands under `without_rate`, the sum then
  says `complete: false`, and nothing is dropped silently; the same goes for crypto and unofficial codes.
"""


def _table(title: str, rows: dict[str, str]) -> str:
    lines = [f"| `{code}` | {words.replace('{detail}', '…')} |" for code, words in rows.items()]
    return "\n".join(["", f"## {title}", "| code | meaning |", "|---|---|", *lines, ""])

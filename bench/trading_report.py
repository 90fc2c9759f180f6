"""What a check of trading found: collected, judged as right or not, and printed."""

import argparse
import json
from collections import Counter
from typing import Any

from trading_guarded import Guarded
from trading_oracle import Believed, Row, Verdict
from trading_runs import Tally

KEYS = (
    "intents",
    "chaos_runs",
    "double_orders",
    "lost_orders",
    "stuck",
    "waiting_for_operator",
    "guard_violations",
)
SHOWN = 10


class Found:
    """Everything that a check brought to light."""

    def __init__(self) -> None:
        self.tally = Tally()
        self.guarded = Guarded()
        self.killed: Counter[str] = Counter()
        self.repeated = 0
        self.rows: list[Row] = []
        self.counts: dict[str, Any] = {}
        self.verdict = Verdict()
        self.unexplained: list[Believed] = []
        self.wrong: list[str] = []

    def demand(self, right: object, what: str) -> None:
        """Note what is not right."""
        if not right:
            self.wrong.append(what)


def judged(found: Found, options: argparse.Namespace) -> dict[str, Any]:
    """The figures; what is not right goes to ``found.wrong``."""
    verdict, tally = found.verdict, found.tally
    found.wrong += found.guarded.wrong
    found.wrong += tally.disagreements
    found.demand(verdict.intents >= options.intents, f"only {verdict.intents} orders were let through")
    found.demand(tally.runs >= options.runs, f"only {tally.runs} runs came to their end")
    found.demand(not verdict.double, "orders were placed twice")
    found.demand(not verdict.lost, "orders were lost")
    found.demand(not verdict.stuck, "orders are stuck")
    found.demand(not verdict.violations, "orders passed that must not")
    found.demand(not verdict.untrue, "orders are believed to stand where they do not")
    found.demand(not found.unexplained, "orders that nobody placed are believed placed")
    found.demand(found.killed.total() or options.intents < 100, "nothing was killed")
    found.demand(
        found.guarded.told["greedy order: DAILY_LIMIT_EXCEEDED"]
        + found.guarded.told["greedy preview: 422 DAILY_LIMIT_EXCEEDED"],
        "the daily limit was never reached",
    )
    return {
        "intents": verdict.intents,
        "chaos_runs": tally.runs,
        "double_orders": len(verdict.double),
        "lost_orders": len(verdict.lost),
        "stuck": len(verdict.stuck),
        "waiting_for_operator": len(verdict.waiting),
        "guard_violations": len(verdict.violations),
    }


def printed(found: Found, figures: dict[str, Any]) -> None:
    """Print the sections, what is not right, and the JSON object."""
    tally, verdict, counts = found.tally, found.verdict, found.counts
    sections = {
        "what people did": [
            f"{tally.runs} runs, {tally.let_through} orders let through, {tally.short} fewer than wished",
            f"told: {_counted(tally.told)}",
            f"not let through: {_counted(tally.refused)}",
            f"seconds, median and 95th percentile: {_seconds('preview', tally)}, {_seconds('place', tally)}",
            f"commands delivered twice: {found.repeated}",
        ],
        "what went wrong": [
            f"killed: {_counted(found.killed)}",
            f"at the broker: {_counted(Counter(counts.get('by_chaos', {})), 40)}",
        ],
        "the ledger": [
            f"{counts.get('received')} placements received, {counts.get('accepted')} accepted",
            f"accepted without an answer: {counts.get('accepted_without_answer')}",
            f"within a second of another: {counts.get('too_fast')}",
            f"accepted twice under one client order id: {len(counts.get('twice', {}).get('client_order_id', {}))}",
        ],
        "guards": [_counted(found.guarded.told, 40)],
        "verdict": [
            f"{name}: {len(items)}" + "".join(f"\n    {item}" for item in items[:SHOWN])
            for name, items in (
                ("placed twice", verdict.double),
                ("lost", verdict.lost),
                ("stuck", verdict.stuck),
                ("beyond a guard", verdict.violations),
                ("not as at the broker", verdict.untrue),
                (
                    "never taken, but another's order just like it was",
                    [one.intent_id for one in verdict.mistaken],
                ),
            )
        ]
        + [f"waiting for an operator: {len(verdict.waiting)}"],
    }
    for name, lines in sections.items():
        print(f"\n== {name}")
        for line in lines:
            print(f"  {line}")
    print(f"\n{'all is right' if not found.wrong else 'NOT RIGHT: ' + '; '.join(found.wrong)}")
    print(json.dumps({key: figures.get(key) for key in KEYS}))


def _seconds(what: str, tally: Tally) -> str:
    times = sorted(tally.seconds[what]) or [0.0]
    return f"{what} {times[len(times) // 2]:.2f} and {times[len(times) * 95 // 100]:.2f}"


def _counted(counts: Counter[str], most: int = 16) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.most_common(most)) or "nothing"

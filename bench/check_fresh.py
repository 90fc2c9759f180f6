"""Is everything fresh, at a known cost? Impatient clicks, bad mail, ten thousand connections due at once, long histories.

Each scenario runs the whole stack on the provider sandbox, on real servers of its own. The last line is one JSON object.
The exit status is 1 when a charge is wrong, an account is stale, a limit was exceeded, a transaction was lost or came
twice, an unchanged account cost more than half a call, or a scenario could not run.
"""

import argparse
import asyncio
import json
import logging
import os
import sys
import tempfile
import time
import traceback
from collections.abc import Awaitable, Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import structlog

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "deploy" / "local"))

from fresh_charges import charged
from fresh_history import told
from fresh_schedule import scheduled
from fresh_webhooks import mailed

CHECKS = ("charges", "webhooks", "history", "schedule")
KEYS = (
    "paid_calls",
    "invoice_difference",
    "stale_after_cycle",
    "limit_violations",
    "calls_per_unchanged_account",
    "transactions_lost",
    "transactions_doubled",
    "doubled_charges",
)
MOST_CALLS = 0.5


class Report:
    """What was found: the figures, the lines of each scenario, and what is not right."""

    def __init__(self) -> None:
        self.figures: dict[str, Any] = {}
        self.sections: dict[str, list[str]] = {}
        self.wrong: list[str] = []

    def demand(self, right: object, what: str) -> None:
        """Note what is not right."""
        if not right:
            self.wrong.append(what)


async def charges(folder: Path, options: argparse.Namespace, report: Report) -> None:
    """Every click is charged at most once, and the ledger is the invoice."""
    found = await charged(folder, options.users, options.clicks, options.seed, say)
    report.sections["charges"] = found.lines
    report.figures |= {
        "paid_calls": found.paid_calls,
        "invoice_difference": format(found.difference.normalize(), "f"),
        "doubled_charges": found.doubled,
    }
    report.demand(found.paid_calls <= options.users, "more paid calls than people")
    report.demand(found.paid_calls > 0, "nobody was charged: the scenario showed nothing")
    report.demand(found.difference == Decimal(0), "the ledger is not the invoice")
    report.demand(not found.doubled, "a charge was doubled")


async def webhooks(folder: Path, options: argparse.Namespace, report: Report) -> None:
    """After one cycle everything is current, however bad the mail was."""
    found = await mailed(folder, options.readers, say)
    report.sections["webhooks"] = found.lines
    report.figures["stale_after_cycle"] = found.stale
    report.demand(not found.stale, "accounts are stale after a cycle")
    report.demand(
        found.by_mail < found.accounts, "every account was current before the cycle: nothing was dropped"
    )


async def history(folder: Path, options: argparse.Namespace, report: Report) -> None:
    """A long history survives a crash between any two pages."""
    found = await told(folder, options.transactions, say)
    report.sections["history"] = found.lines
    report.figures |= {"transactions_lost": found.lost, "transactions_doubled": found.doubled}
    report.demand(found.transactions == options.transactions, "the sandbox did not tell all transactions")
    report.demand(not found.lost, "transactions were lost")
    report.demand(not found.doubled, "transactions came twice")
    report.demand(found.cuts >= found.pages - 1, "the power was not cut between every two pages")


async def schedule(folder: Path, options: argparse.Namespace, report: Report) -> None:
    """Everything due at once is spread, within the limits, whoever dies."""
    found = await scheduled(folder, options.connections, say)
    report.sections["schedule"] = found.lines
    report.figures |= {
        "limit_violations": found.violations,
        "calls_per_unchanged_account": round(found.calls_per_unchanged_account, 3),
    }
    report.demand(not found.violations, "a limit was exceeded")
    report.demand(found.stored == found.accounts, "not every account is stored")
    report.demand(
        found.calls_per_unchanged_account <= MOST_CALLS, "an unchanged account costs too many calls"
    )
    report.demand(found.busiest_minute < found.connections / 10, "the next cycle is not spread")


SCENARIOS: dict[str, Callable[[Path, argparse.Namespace, Report], Awaitable[None]]] = {
    "charges": charges,
    "webhooks": webhooks,
    "history": history,
    "schedule": schedule,
}


def say(line: str) -> None:
    """Tell how far it is."""
    print(f"[{time.strftime('%H:%M:%S')}] {line}", flush=True)


async def _all(folder: Path, options: argparse.Namespace, report: Report) -> None:
    for name in options.only:
        began = time.monotonic()
        say(f"{name}: begins")
        try:
            await SCENARIOS[name](folder, options, report)
        except Exception as error:  # noqa: BLE001  reported with its trace; the exit status says it
            report.wrong.append(f"{name} could not run")
            report.sections[name] = [f"could not run: {error}"]
            sys.stderr.write(traceback.format_exc())
        say(f"{name}: took {time.monotonic() - began:.0f} s")


def _printed(report: Report, only: list[str]) -> None:
    for name in only:
        print(f"\n== {name}")
        for line in report.sections.get(name, ["did not run"]):
            print(f"  {line}")
    print(f"\n{'all is right' if not report.wrong else 'NOT RIGHT: ' + '; '.join(report.wrong)}")
    print(json.dumps({key: report.figures.get(key) for key in KEYS}))


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--users", type=int, default=100, help="people who click refresh [%(default)s]")
    parser.add_argument("--clicks", type=int, default=5, help="of each of them [%(default)s]")
    parser.add_argument(
        "--readers", type=int, default=40, help="people under bad mail, four accounts each [%(default)s]"
    )
    parser.add_argument("--transactions", type=int, default=25_000, help="of the long history [%(default)s]")
    parser.add_argument("--connections", type=int, default=10_000, help="due at once [%(default)s]")
    parser.add_argument("--seed", type=int, default=1, help="of all random choices [%(default)s]")
    parser.add_argument(
        "--only",
        type=lambda text: text.split(","),
        default=list(CHECKS),
        help=f"some of the scenarios: {','.join(CHECKS)}",
    )
    options = parser.parse_args(arguments)
    if unknown := set(options.only) - set(CHECKS):
        parser.error(f"there is no scenario {', '.join(sorted(unknown))}; there are {', '.join(CHECKS)}")
    return options


def main(arguments: list[str] | None = None) -> int:
    """Run the scenarios and print what they found."""
    options, report = _options(arguments), Report()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    with tempfile.TemporaryDirectory(prefix="onefolio-fresh-") as name:
        asyncio.run(_all(Path(name), options, report))
    _printed(report, options.only)
    return 0 if not report.wrong else 1


if __name__ == "__main__":
    os.environ.setdefault("PYTHONUNBUFFERED", "1")
    sys.exit(main())

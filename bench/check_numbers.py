"""Are the numbers right? Random portfolios, labelled pairs, explanations, faults and growth, on real servers.

The last line is one JSON object. The exit status is 1 when a number is wrong, a thing is counted twice, two accounts
are wrongly taken for one, an explanation does not hold, a fault erased something, or a check could not run.
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
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import structlog

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "deploy" / "local"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "numbers"))

import local_servers
from local_servers import Servers

from bench_growth import exponent, growth, table
from consolidator.labelled import measure, read_pairs
from consolidator.labelled import report as identity_report
from consolidator.rules import DEFAULT_WEIGHTS
from messaging.testing import with_prefix
from numbers_explain import explained
from numbers_faults import erased_by_faults
from numbers_stream import Verdict, streamed
from persistence.testing import MigratedDatabase, Template, make_template

LABELLED = Path(__file__).resolve().parents[1] / "services" / "consolidator" / "tests" / "labelled_pairs.toml"
CHECKS = ("portfolios", "identity", "explain", "faults", "growth")
WRONG = ("mismatches", "double_counts", "identity_wrong_same", "explain_wrong", "erased_by_fault")
KEYS = (
    "portfolios",
    "mismatches",
    "double_counts",
    "identity_pairs",
    "identity_wrong_same",
    "identity_needs_decision_share",
    "explain_checked",
    "explain_wrong",
    "erased_by_fault",
    "growth_exponent",
)
GIVEN = ("DATABASE_URL", "AMQP_URL")


@dataclass
class Report:
    """What was found: the figures, the lines of each check, and what could not be shown."""

    figures: dict[str, Any] = field(default_factory=dict)
    sections: dict[str, list[str]] = field(default_factory=dict)
    failed: list[str] = field(default_factory=list)

    @property
    def fine(self) -> bool:
        """Whether all that ran was right."""
        return not self.failed and not any(self.figures.get(name) for name in WRONG)


class Place:
    """Where the checks run: servers, and databases that are removed again."""

    def __init__(self, servers: Servers, template: Template, amqp_url: str, folder: Path) -> None:
        self.servers = servers
        self.template = template
        self.amqp_url = amqp_url
        self.folder = folder

    @asynccontextmanager
    async def database(self) -> AsyncIterator[MigratedDatabase]:
        """A migrated database of one check's own."""
        copy = await asyncio.to_thread(self.template.copy)
        try:
            yield copy
        finally:
            await asyncio.to_thread(self.template.drop, copy)


async def portfolios(place: Place, options: argparse.Namespace, report: Report) -> None:
    """Random portfolios through RabbitMQ; then explanations of what was stored, in the same database."""
    async with place.database() as database:
        verdict = await streamed(
            database, place.amqp_url, options.portfolios, options.seed, place.folder, say
        )
        _note_portfolios(verdict, report)
        if "explain" in options.only:
            await _attempted("explain", lambda: _explain(place, database, verdict, options, report), report)


def _note_portfolios(verdict: Verdict, report: Report) -> None:
    report.figures |= {
        "portfolios": len(verdict.portfolios),
        "mismatches": len(verdict.mismatched),
        "double_counts": verdict.double_counts,
    }
    messages = sum(len(one.messages) for one in verdict.portfolios)
    report.sections["portfolios"] = [
        f"{len(verdict.portfolios)} random portfolios, {messages} messages: in memory, compared after every batch; then",
        "in random order, a quarter of them twice, through RabbitMQ and consolidator processes, one of which is killed",
        f"{len(verdict.mismatched)} differ from the reference {sorted(verdict.mismatched)[:20] or ''}".rstrip(),
        f"{verdict.double_counts} double counts, looked for after every batch and, on the way, {verdict.looks} times",
        "in the database",
        *verdict.details,
    ]


async def _explain(
    place: Place, database: MigratedDatabase, verdict: Verdict, options: argparse.Namespace, report: Report
) -> None:
    found = await explained(
        database, place.amqp_url, verdict, options.explain, options.seed, place.folder, say
    )
    report.figures |= {"explain_checked": found.checked, "explain_wrong": len(found.wrong)}
    report.sections["explain"] = [
        f"{found.checked} random positions explained over HTTP, compared with the reference, summed exactly:",
        f"{found.contributions} contributions and {found.exclusions} exclusions, each traced to its stored snapshot",
        f"{len(found.wrong)} are wrong",
        *[f"    {line}" for line in found.wrong[:8]],
    ]


def identity(report: Report) -> None:
    """The labelled pairs of accounts."""
    found = measure(read_pairs(LABELLED.read_text(encoding="utf-8")), DEFAULT_WEIGHTS)
    report.figures |= {
        "identity_pairs": len(found.verdicts),
        "identity_wrong_same": len(found.wrong_same),
        "identity_needs_decision_share": float(found.needs_decision_share),
    }
    report.sections["identity"] = identity_report(found).splitlines()


async def faults(place: Place, report: Report) -> None:
    """What faulty answers of the providers leave in place."""
    found = await erased_by_faults(place.folder, say)
    report.figures["erased_by_fault"] = found.erased
    report.sections["faults"] = found.lines
    report.failed += [f"faults: {one}" for one in found.unproven]


async def growing(place: Place, options: argparse.Namespace, report: Report) -> None:
    """How time grows with what one user holds."""
    found = await growth(place.template, options.repeats, say)
    report.figures["growth_exponent"] = round(exponent(found), 3)
    report.sections["growth"] = table(found)


async def _attempted(name: str, check: Callable[[], Any], report: Report) -> None:
    """Run one check; that it could not run is a finding too, and no reason to leave out the others."""
    began = time.monotonic()
    say(f"{name}: begins")
    try:
        await check()
    except Exception as error:  # noqa: BLE001  reported with its trace; the exit status says it
        report.failed.append(f"{name} could not run")
        report.sections.setdefault(name, []).append(f"could not run: {error}")
        sys.stderr.write(traceback.format_exc())
    say(f"{name}: took {time.monotonic() - began:.0f} s")


async def _all(place: Place, options: argparse.Namespace, report: Report) -> None:
    async def labelled() -> None:
        identity(report)

    checks: dict[str, Callable[[], Any]] = {
        "identity": labelled,
        "portfolios": lambda: portfolios(place, options, report),
        "growth": lambda: growing(place, options, report),
        "faults": lambda: faults(place, report),
    }
    for name, check in checks.items():
        if name in options.only or (name == "portfolios" and "explain" in options.only):
            await _attempted(name, check, report)


@contextmanager
def _place() -> Iterator[Place]:
    """Servers named in the environment, or private ones that are stopped again."""
    given = {name: os.environ[name] for name in GIVEN if os.environ.get(name)}
    with tempfile.TemporaryDirectory(prefix="onefolio-numbers-") as name:
        folder = Path(name)
        say("starting PostgreSQL and RabbitMQ")
        servers = local_servers.start(folder / "servers", fast=True, environ=given)
        try:
            amqp_url = servers.amqp_url
            if "AMQP_URL" in given:
                amqp_url = with_prefix(amqp_url, f"numbers-{uuid.uuid4().hex[:8]}.")
            template = make_template(servers.database_url)
            try:
                yield Place(servers, template, amqp_url, folder)
            finally:
                with psycopg.connect(servers.database_url, autocommit=True) as admin:
                    admin.execute(f"DROP DATABASE {template.name} WITH (FORCE)")
        finally:
            local_servers.down(folder / "servers", purge=True)


def say(line: str) -> None:
    """Tell how far it is."""
    print(f"[{time.strftime('%H:%M:%S')}] {line}", flush=True)


def _printed(report: Report, only: list[str]) -> None:
    for name in CHECKS:
        if name in only:
            print(f"\n== {name}")
            for line in report.sections.get(name, ["did not run"]):
                print(f"  {line}")
    print(f"\n{'all is right' if report.fine else 'NOT RIGHT: ' + ', '.join(_bad(report))}")
    print(json.dumps({key: report.figures.get(key) for key in KEYS}))


def _bad(report: Report) -> list[str]:
    wrong = [f"{name} {report.figures[name]}" for name in WRONG if report.figures.get(name)]
    return [*wrong, *report.failed]


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--portfolios", type=int, default=500, help="random portfolios [%(default)s]")
    parser.add_argument("--explain", type=int, default=1000, help="positions to explain [%(default)s]")
    parser.add_argument("--repeats", type=int, default=5, help="of each growth measurement [%(default)s]")
    parser.add_argument("--seed", type=int, default=1, help="of all random choices [%(default)s]")
    parser.add_argument(
        "--only",
        type=lambda text: text.split(","),
        default=list(CHECKS),
        help=f"some of the checks: {','.join(CHECKS)}",
    )
    options = parser.parse_args(arguments)
    if unknown := set(options.only) - set(CHECKS):
        parser.error(f"there is no check {', '.join(sorted(unknown))}; there are {', '.join(CHECKS)}")
    return options


def main(arguments: list[str] | None = None) -> int:
    """Run the checks and print what they found."""
    options, report = _options(arguments), Report()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    if set(options.only) == {"identity"}:
        identity(report)
    else:
        with _place() as place:
            asyncio.run(_all(place, options, report))
    _printed(report, options.only)
    return 0 if report.fine else 1


if __name__ == "__main__":
    sys.exit(main())

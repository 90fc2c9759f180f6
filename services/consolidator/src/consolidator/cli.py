"""The command ``onefolio-consolidator``: the service itself, and what an operator asks of its data."""

import argparse
import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

import psycopg

from consolidator import main as service
from consolidator.domain.weights import Weights, WeightsError, read_weights
from consolidator.replay import replay
from consolidator.replay_report import Totals, as_json, as_text
from consolidator.settings import SESSION, ConsolidatorSettings
from persistence.database import Database, DatabaseUnavailable
from service_kit.redaction import redact
from service_kit.settings import load

CONNECT_TIMEOUT = 10.0
STATEMENT_TIMEOUT = 60.0
LOCK_TIMEOUT = 30.0
DESCRIPTION = "Run the consolidator (without a command), or ask something of its data."
REPLAY = """\
Identify every user's accounts from the stored evidence, under the weights in use and under those of a file, and print
what would be regrouped. Nothing in the database is changed. Settings are those of the service; DATABASE_URL is what
matters, and IDENTITY_WEIGHTS where it is set.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what the arguments ask for; returns the exit status.

    Status 1 means that the command could not do its work and says why on stderr, 2 that it was called wrongly,
    78 that the settings are not usable.
    """
    given = _parser().parse_args(arguments)
    if given.command is None:
        service.main()
        return 0
    settings = load(ConsolidatorSettings)
    try:
        weights = _weights(given.weights)
        return asyncio.run(_replay(settings, weights, given.user, json=given.json))
    except WeightsError as error:
        return _fail(f"{given.weights}: {error}")
    except DatabaseUnavailable as error:
        return _fail(f"the database is away: {redact(str(error))}")
    except psycopg.Error as error:
        return _fail(f"the database refuses: {redact(str(error))}")


def _weights(path: Path) -> Weights:
    """Read a file of weights.

    Raises:
        WeightsError: it is not there, or not usable.
    """
    try:
        return read_weights(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise WeightsError(error.strerror or type(error).__name__) from error
    except UnicodeDecodeError as error:
        raise WeightsError("not text in UTF-8") from error


async def _replay(
    settings: ConsolidatorSettings, weights: Weights, users: list[str] | None, *, json: bool
) -> int:
    database = Database(
        settings.database_url.get_secret_value(),
        application_name="onefolio-replay",
        max_size=2,
        statement_timeout=STATEMENT_TIMEOUT,
        lock_timeout=LOCK_TIMEOUT,
        settings=dict(SESSION),
    )
    totals, known = Totals(), set[str]()
    await database.open(timeout=CONNECT_TIMEOUT)
    try:
        async for found in replay(database, settings.rules.weights, weights, users):
            known.add(found.user_id)
            totals.add(found)
            if found.changes:
                _say(as_json(found) if json else as_text(found))
    finally:
        await database.close()
    _say(totals.as_json() if json else totals.as_text())
    if missing := sorted(set(users or ()) - known):
        return _fail(f"no accounts are stored of {', '.join(missing)}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="onefolio-consolidator", description=DESCRIPTION)
    commands = parser.add_subparsers(dest="command", metavar="[COMMAND]")
    command = commands.add_parser(
        "replay-identity",
        help="show which real accounts other weights would regroup",
        description=REPLAY,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument(
        "--weights", type=Path, required=True, metavar="FILE", help="the weights to try, as TOML"
    )
    command.add_argument(
        "--user", action="append", metavar="ID", help="look at this user only; may be given several times"
    )
    command.add_argument("--json", action="store_true", help="one JSON object per line, the totals last")
    return parser


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")


def _fail(text: str) -> int:
    sys.stderr.write(f"onefolio-consolidator: {text}\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())

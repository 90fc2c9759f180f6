"""Private PostgreSQL and RabbitMQ for the demo and the tests; needs Python 3.11 and nothing else.

Each server is taken from the first of: the URL in DATABASE_URL / AMQP_URL; the programs installed on this
machine, as private instances on free loopback ports; a Docker engine (postgres:16, rabbitmq:3.13); as root on
Debian or Ubuntu, apt-get. Nothing that ran before is touched.
"""

import argparse
import os
import shlex
import sys
import time
from pathlib import Path

from local_servers import ServerError, Servers, down, healthy, load, start
from local_servers.lifecycle import guard
from local_servers.processes import spawn
from local_servers.records import LABELS, Record

HERE = Path(__file__).resolve()
DEFAULT = HERE.parents[2] / ".run" / "servers"

__all__ = ["Servers", "start"]


def main() -> int:
    """Parse the command line and run one command."""
    options = _parser().parse_args()
    options.dir = options.dir.resolve()
    try:
        return {"up": _up, "down": _down, "status": _status, "env": _env, "guard": _guard}[options.command](
            options
        )
    except ServerError as error:
        print(f"servers: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("servers: interrupted; `down` stops what was started", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    texts = {
        "up": "start both servers, or find them running (then it returns at once)",
        "down": "stop them; their data stays unless --purge",
        "status": "say what runs; exit code 3 when something is not healthy",
        "env": "print export lines for DATABASE_URL and AMQP_URL, with passwords",
        "guard": "wait for the end of --owner, then stop the servers (started by `up --owner`)",
    }
    for name, text in texts.items():
        command = commands.add_parser(name, help=text, description=text)
        command.add_argument(
            "--dir", type=Path, default=DEFAULT, help="where data and state are kept [%(default)s]"
        )
    commands.choices["up"].add_argument(
        "--fast", action="store_true", help="for tests: no fsync, data deleted at down"
    )
    commands.choices["down"].add_argument("--purge", action="store_true", help="delete the data too")
    for name in ("up", "guard"):
        needed = name == "guard"
        commands.choices[name].add_argument(
            "--owner", type=int, required=needed, help="stop when this process ends"
        )
    return parser


def _up(options: argparse.Namespace) -> int:
    began = time.monotonic()
    servers = start(options.dir, fast=options.fast)
    if options.owner:
        command = [
            sys.executable,
            str(HERE),
            "guard",
            "--dir",
            str(options.dir),
            "--owner",
            str(options.owner),
        ]
        spawn(command, options.dir / "guard.log", options.dir, dict(os.environ))
    for label, record in _pairs(servers):
        print(f"{label}: {record.kind}, {_without_password(record.url)}")
    print(f"up in {time.monotonic() - began:.1f} s")
    return 0


def _down(options: argparse.Namespace) -> int:
    noted = load(options.dir)
    purge = options.purge or bool(noted and noted.rabbitmq.details.get("fast"))
    stopped = down(options.dir, purge=purge)
    print(f"stopped {' and '.join(stopped)}" if stopped else "nothing was running")
    return 0


def _status(options: argparse.Namespace) -> int:
    servers = load(options.dir)
    if servers is None:
        print("not running")
        return 3
    states = [(label, record, healthy(record)) for label, record in _pairs(servers)]
    for label, record, well in states:
        print(
            f"{label}: {'healthy' if well else 'NOT ANSWERING'}, {record.kind}, {_without_password(record.url)}"
        )
    return 0 if all(well for *_, well in states) else 3


def _env(options: argparse.Namespace) -> int:
    servers = load(options.dir)
    database = os.environ.get("DATABASE_URL") or (servers and servers.database_url)
    amqp = os.environ.get("AMQP_URL") or (servers and servers.amqp_url)
    if not database or not amqp:
        raise ServerError("nothing is up here; run `up` first")
    print(f"export DATABASE_URL={shlex.quote(database)} AMQP_URL={shlex.quote(amqp)}")
    return 0


def _guard(options: argparse.Namespace) -> int:
    guard(options.dir, options.owner)
    return 0


def _pairs(servers: Servers) -> list[tuple[str, Record]]:
    return [(LABELS["postgres"], servers.postgres), (LABELS["rabbitmq"], servers.rabbitmq)]


def _without_password(url: str) -> str:
    scheme, _, rest = url.partition("://")
    credentials, at, address = rest.rpartition("@")
    return f"{scheme}://{credentials.partition(':')[0]}{at}{address}" if at else url


if __name__ == "__main__":
    sys.exit(main())

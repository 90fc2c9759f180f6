"""Run Onefolio on this machine: PostgreSQL, RabbitMQ, migrations and every service, in the background.

``DATABASE_URL`` and ``AMQP_URL`` are used when given; else private servers are started. Without provider keys in
the environment (``SNAPTRADE_CLIENT_ID``, ``PLAID_CLIENT_ID``) the connectors talk to the provider sandbox.
"""

import argparse
import os
import sys
from pathlib import Path

from local_demo.client import development_token
from local_servers import ServerError
from local_stack import Stack, StackError
from local_stack.guard import stand_guard
from local_stack.life import default_folder


def main() -> int:
    """Parse the command line and run one command."""
    options = _parser().parse_args()
    given = dict(os.environ)
    sandbox = not (given.get("SNAPTRADE_CLIENT_ID") or given.get("PLAID_CLIENT_ID"))
    stack = Stack(options.dir, given, sandbox=sandbox, say=lambda text: print(f"  {text}", flush=True))
    try:
        return COMMANDS[options.command](stack, options)
    except KeyboardInterrupt:
        print("stack: interrupted; `make down` stops what was started", file=sys.stderr)
        return 130
    except (ServerError, StackError) as error:
        print(f"stack: {error}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    for name, text in (
        ("up", "start what does not run yet and wait until it is ready"),
        ("down", "stop everything this started"),
        ("status", "say what runs and where; exit code 3 when something does not"),
        ("restart", "stop one program in order and start it again"),
        ("token", "print a development token for a user of a running stack"),
        ("guard", "wait for the end of the input, then stop everything"),
    ):
        command = commands.add_parser(name, help=text, description=text)
        command.add_argument(
            "--dir", type=Path, default=default_folder(), help="the stack's folder [%(default)s]"
        )
        if name == "restart":
            command.add_argument("program", help="such as consolidator")
        elif name == "down":
            command.add_argument("--purge", action="store_true", help="delete the private servers' data too")
        elif name == "token":
            command.add_argument("user", nargs="?", default="me", help="any id [%(default)s]")
    return parser


def _up(stack: Stack, _: argparse.Namespace) -> int:
    stack.up()
    print(f"Onefolio is up: {stack.state.url('gateway')} (docs at /docs), logs in {stack.runner.logs}")
    print("`make token` prints a development token, `make down` stops everything.")
    return 0


def _down(stack: Stack, options: argparse.Namespace) -> int:
    print("stopped" if stack.down(purge=options.purge) else "nothing was running")
    return 0


def _restart(stack: Stack, options: argparse.Namespace) -> int:
    if options.program not in stack.runner.states():
        raise StackError(f"no program {options.program!r} runs here")
    stack.runner.restart(options.program)
    return 0


def _token(stack: Stack, options: argparse.Namespace) -> int:
    if not stack.runner.running():
        raise StackError("nothing runs here; `make up` first")
    print(development_token(stack.state.secrets["jwt"], options.user))
    return 0


def _guard(stack: Stack, _: argparse.Namespace) -> int:
    stand_guard(stack)
    return 0


def _status(stack: Stack, _: argparse.Namespace) -> int:
    states = stack.runner.states()
    if not states:
        print("not running")
        return 3
    for name, row in sorted(states.items()):
        port = stack.state.ports.get(name, stack.state.ports["sandbox-control"])
        print(f"{name:22} {row['statename']:10} pid {row['pid']:<8} http://127.0.0.1:{port}")
    return 0 if all(row["statename"] == "RUNNING" for row in states.values()) else 3


COMMANDS = {
    "up": _up,
    "down": _down,
    "status": _status,
    "restart": _restart,
    "token": _token,
    "guard": _guard,
}


if __name__ == "__main__":
    sys.exit(main())

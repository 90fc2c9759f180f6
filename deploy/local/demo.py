"""The main job on the provider sandbox: link through two providers, sync, publish, consolidate, read.

Everything runs as separate processes on this machine; the demo itself only uses HTTP, as a frontend would. It keeps
running until Ctrl-C; with ``--once`` it checks the portfolio it printed, stops everything and says by its exit
status whether the portfolio was right.
"""

import argparse
import signal
import sys
import time
import uuid
from pathlib import Path

from local_demo import show
from local_demo.client import DemoError, Frontend, development_token
from local_demo.pages import sign_in
from local_demo.portfolio import differences
from local_servers import ServerError
from local_stack import Stack, StackError
from local_stack.guard import guarded
from local_stack.life import default_folder
from rich.console import Console
from rich.markup import escape

LINKS = (
    ("charles-schwab", None, "Charles Schwab"),
    ("fidelity", None, "Fidelity"),
    ("chase", None, "Chase"),
    ("fidelity", "plaid", "Fidelity again, now through Plaid: the same account seen twice"),
)


def main() -> int:
    """Run the demo; returns its exit status."""
    options = _parser().parse_args()
    console = Console(width=None if sys.stdout.isatty() else 140)
    stack = Stack(
        options.dir, _environment(), sandbox=True, say=lambda text: console.print(f"[dim]  {text}[/dim]")
    )
    # Ctrl-C, a polite kill and a closed terminal end the same way; `nohup` keeps what it asked for.
    for sign in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(sign) is signal.SIG_DFL:
            signal.signal(sign, signal.default_int_handler)
    try:
        with guarded(stack.folder):
            return _guarded(console, stack, once=options.once)
    except StackError as error:
        console.print(f"[red]demo:[/red] {escape(str(error))}", highlight=False)
        return 1


def _guarded(console: Console, stack: Stack, *, once: bool) -> int:
    try:
        return _run(console, stack, once=once)
    except KeyboardInterrupt:
        console.print("\nStopping.")
        return 130 if once else 0
    except (DemoError, ServerError, StackError, RuntimeError) as error:
        console.print(f"[red]demo:[/red] {escape(str(error))}", highlight=False)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--once", action="store_true", help="check the portfolio, stop everything, exit 0 when it was right"
    )
    parser.add_argument(
        "--dir", type=Path, default=default_folder().with_name("demo"), help="the demo's folder [%(default)s]"
    )
    return parser


def _environment() -> dict[str, str]:
    """The demo never touches a given database, a given broker or a provider: it brings its own."""
    return {}


def _run(console: Console, stack: Stack, *, once: bool) -> int:
    began = time.monotonic()
    console.print("[bold]Onefolio demo[/bold]: one portfolio from many brokerages, on the provider sandbox")
    stack.down()
    stack.up()
    user = f"demo-{uuid.uuid4().hex[:8]}"
    token = development_token(stack.state.secrets["jwt"], user)
    frontend = Frontend(stack.state.url("gateway"), token)
    _link_all(console, frontend)
    positions = _settled(frontend)
    rows = frontend.get("/v1/accounts")["items"]
    names = {row["id"]: row["institution"].replace("-", " ").title() for row in rows}
    show.accounts(console, rows, names)
    show.portfolio(console, positions, names)
    wrong = differences(positions)
    console.print(f"[dim]  {time.monotonic() - began:.1f} s from nothing to this[/dim]")
    if wrong:
        console.print("[red]This is not the expected portfolio:[/red]\n  " + "\n  ".join(wrong))
    elif not once:
        _next_steps(console, stack, token)
    if not once:
        signal.pause()
    return 1 if wrong else 0


def _link_all(console: Console, frontend: Frontend) -> None:
    for institution, provider, label in LINKS:
        started = time.monotonic()
        session = frontend.link(institution, sign_in, provider=provider)
        trading = "trading" if session["capabilities"]["trading"] else "read only"
        console.print(
            f"  linked [bold]{label}[/bold] via {session['provider']} ({trading}) in "
            f"{(time.monotonic() - started) * 1000:.0f} ms: {'; '.join(session['reasons'])}",
            highlight=False,
        )


def _settled(frontend: Frontend) -> list[dict[str, object]]:
    """The positions once they stop being wrong; what they are at the deadline otherwise."""
    try:
        page = frontend.wait(
            lambda: frontend.get("/v1/positions"),
            lambda page: not differences(page["items"]),
            "the expected portfolio",
            seconds=30,
        )
    except DemoError:
        page = frontend.get("/v1/positions")
    return list(page["items"])


def _next_steps(console: Console, stack: Stack, token: str) -> None:
    url = stack.state.url("gateway")
    control = stack.state.url("sandbox-control")
    console.print(
        f"""
[bold]Try next[/bold]  (Ctrl-C stops everything)
  API and its documentation   {url}/docs
  Provider sandbox control    {control}/docs
  Logs                        {stack.runner.logs}

  TOKEN={token}
  curl -H "Authorization: Bearer $TOKEN" {url}/v1/positions
  curl -H "Authorization: Bearer $TOKEN" {url}/v1/accounts
  curl -H "Authorization: Bearer $TOKEN" "{url}/v1/institutions?popular=true"
  curl -H "Authorization: Bearer $TOKEN" -H "Content-Type: application/json" \\
       -d '{{"institution": "etrade"}}' {url}/v1/link     # then open the url it answers in a browser

  Kill any service and watch it come back to the same portfolio:
  .venv/bin/python deploy/local/stack.py restart consolidator --dir {stack.folder}
""",
        highlight=False,
        soft_wrap=True,
    )


if __name__ == "__main__":
    sys.exit(main())

"""Runs the sandbox: `python -m provider_sandbox`."""

import argparse
import asyncio
import os
import sys
from collections.abc import Sequence

from provider_sandbox.app import build
from provider_sandbox.server import serve, server_for, stop_on_signals
from provider_sandbox.settings import Settings, SettingsError, documented, load
from provider_sandbox.state_file import StateFileError


def main(arguments: Sequence[str] | None = None) -> int:
    """Read settings and serve until SIGTERM; returns 2 when a setting or the state file is wrong."""
    parser = argparse.ArgumentParser(
        prog="provider_sandbox",
        description="An imitation of SnapTrade and Plaid in their true wire formats, with a control API.",
        epilog="Environment variables:\n" + "\n".join(documented()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.parse_args(arguments)
    try:
        settings = load(os.environ).checked()
    except SettingsError as error:
        sys.stderr.write(f"provider_sandbox: {error}\n")
        return 2
    try:
        asyncio.run(run(settings))
    except StateFileError as error:
        sys.stderr.write(f"provider_sandbox: {error}\n")
        return 2
    return 0


async def run(settings: Settings) -> None:
    """Serve the three apps until a signal comes."""
    sandbox = build(settings)
    stop = asyncio.Event()
    stop_on_signals(stop)
    servers = [
        server_for(sandbox.control, settings.host, settings.control_port),
        server_for(sandbox.snaptrade, settings.host, settings.snaptrade_port),
        server_for(sandbox.plaid, settings.host, settings.plaid_port),
    ]
    for server, name in zip(servers, ("control", "snaptrade", "plaid"), strict=True):
        sys.stdout.write(f"{name:<10} http://{settings.host}:{server.config.port}\n")
    sys.stdout.flush()
    try:
        await serve(servers, stop)
    finally:
        await sandbox.aclose()

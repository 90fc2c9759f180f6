"""The sandbox as a process: help, settings, health, clean stop."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from provider_sandbox.settings import Settings, SettingsError, load

SOURCES = str(Path(__file__).resolve().parents[2] / "src")
KEYS = {
    "SANDBOX_SNAPTRADE_CLIENT_ID": "made-up",
    "SANDBOX_SNAPTRADE_CONSUMER_KEY": "made-up",
    "SANDBOX_PLAID_CLIENT_ID": "made-up",
    "SANDBOX_PLAID_SECRET": "made-up",
}


def environment(**more):
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SANDBOX_")}
    return {**kept, "PYTHONPATH": SOURCES, **more}


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for item in sockets:
        item.bind(("127.0.0.1", 0))
    ports = [item.getsockname()[1] for item in sockets]
    for item in sockets:
        item.close()
    return ports


def run(*arguments, **more):
    command = [sys.executable, "-m", "provider_sandbox", *arguments]
    return subprocess.run(
        command, env=environment(**more), capture_output=True, text=True, timeout=30, check=False
    )


@pytest.mark.slow
def test_help_documents_every_variable():
    done = run("--help")
    assert done.returncode == 0
    assert "SANDBOX_SNAPTRADE_CONSUMER_KEY" in done.stdout


@pytest.mark.slow
def test_a_missing_key_stops_the_start_and_is_named():
    done = run()
    assert done.returncode == 2
    assert "SANDBOX_SNAPTRADE_CLIENT_ID" in done.stderr
    assert "SANDBOX_PLAID_CLIENT_ID" in done.stderr


@pytest.mark.slow
def test_it_serves_three_ports_and_stops_cleanly_on_sigterm():
    ports = dict(zip(("CONTROL", "SNAPTRADE", "PLAID"), free_ports(3), strict=True))
    variables = {f"SANDBOX_{name}_PORT": str(port) for name, port in ports.items()}
    process = subprocess.Popen(
        [sys.executable, "-m", "provider_sandbox"], env=environment(**KEYS, **variables)
    )
    try:
        answer = wait_for(f"http://127.0.0.1:{ports['CONTROL']}/healthz")
        assert answer == {"status": "ok", "faces": ["plaid", "snaptrade"]}
        assert wait_for(f"http://127.0.0.1:{ports['SNAPTRADE']}/")["online"] is True
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
    finally:
        process.kill()
        process.wait()


def wait_for(url):
    deadline = time.monotonic() + 20
    while True:
        try:
            return httpx.get(url, trust_env=False).json()
        except httpx.TransportError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def test_settings_read_types_and_fill_in_public_urls():
    settings = load(
        {**KEYS, "SANDBOX_SNAPTRADE_PORT": "1234", "SANDBOX_WEBHOOK_LOOPBACK_ONLY": "no"}
    ).checked()
    assert (settings.snaptrade_port, settings.webhook_loopback_only) == (1234, False)
    assert settings.public_snaptrade_url == "http://127.0.0.1:1234"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SANDBOX_SNAPTRADE_PORT", "many"),
        ("SANDBOX_WEBHOOK_LOOPBACK_ONLY", "maybe"),
        ("SANDBOX_WEBHOOK_TIMESCALE", ""),
    ],
)
def test_an_unreadable_variable_is_named(name, value):
    with pytest.raises(SettingsError, match=name):
        load({**KEYS, name: value})


def test_half_a_key_pair_is_refused():
    with pytest.raises(SettingsError, match="CONSUMER_KEY"):
        Settings(snaptrade_client_id="a", plaid_client_id="b", plaid_secret="c").checked()
    with pytest.raises(SettingsError, match="PLAN"):
        load({**KEYS, "SANDBOX_SNAPTRADE_PLAN": "hourly"}).checked()

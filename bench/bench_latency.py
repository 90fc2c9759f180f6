"""How long a user waits: from link completed at the provider to a consolidated position visible over HTTP.

The whole stack runs as separate processes on this machine, with the provider sandbox at zero latency. The clock
starts when the user sends the provider's form and stops when ``GET /v1/positions`` shows the first position. Baselines
in the same run: one bare read of the same path, and the provider's own page answering the form.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
import uuid
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "deploy" / "local"))

from local_demo.client import Frontend, development_token
from local_demo.pages import Visit
from local_stack import Stack

TARGET_MS = 300
LINKS = ("charles-schwab", "chase")


def main() -> int:
    """Run the benchmark and print its table and its figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=30, help="links per provider [%(default)s]")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="onefolio-bench-") as folder:
        stack = Stack(
            Path(folder),
            {"LOG_LEVEL": "WARNING", "SANDBOX_SNAPTRADE_RATE_LIMIT": "1000000"},
            sandbox=True,
            say=lambda _: None,
        )
        try:
            stack.up()
            measured = {name: [_once(stack, name) for _ in range(options.rounds + 3)][3:] for name in LINKS}
        finally:
            stack.down(purge=True)
    return _report(measured)


def _once(stack: Stack, institution: str) -> tuple[float, float, float]:
    """Milliseconds: link completed to visible, the provider's form, one bare read."""
    token = development_token(stack.state.secrets["jwt"], f"bench-{uuid.uuid4().hex}")
    frontend = Frontend(stack.state.url("gateway"), token)
    session = frontend.post("/v1/link", {"institution": institution})
    visit = Visit(session["url"])
    frontend.get("/v1/positions")
    read_began = time.perf_counter()
    frontend.get("/v1/positions")
    began = time.perf_counter()
    visit.finish()
    sent = time.perf_counter()
    frontend.post(f"/v1/link/{session['id']}/complete", {})
    while not frontend.get("/v1/positions")["items"]:
        time.sleep(0.002)
    seen = time.perf_counter()
    return ((seen - began) * 1000, (sent - began) * 1000, (began - read_began) * 1000)


def _report(measured: dict[str, list[tuple[float, float, float]]]) -> int:
    print(f"{'link':16} {'median ms':>10} {'p95 ms':>8} {'max ms':>8} {'form ms':>8} {'bare read ms':>13}")
    for name, rows in measured.items():
        waits = [row[0] for row in rows]
        forms, reads = (statistics.median(row[n] for row in rows) for n in (1, 2))
        print(
            f"{name:16} {statistics.median(waits):10.1f} {_p95(waits):8.1f} {max(waits):8.1f} {forms:8.1f} {reads:13.1f}"
        )
    every = [row for rows in measured.values() for row in rows]
    waits = [row[0] for row in every]
    median = statistics.median(waits)
    figures = {
        "median_ms": round(median, 1),
        "p95_ms": round(_p95(waits), 1),
        "vs_target": round(TARGET_MS / median, 2),
        "vs_bare_read": round(median / statistics.median(row[2] for row in every), 1),
    }
    print(json.dumps(figures))
    return 0


def _p95(values: list[float]) -> float:
    return sorted(values)[max(0, int(len(values) * 0.95) - 1)]


if __name__ == "__main__":
    os.environ.setdefault("PYTHONUNBUFFERED", "1")
    sys.exit(main())

"""Write every generated document, or with ``--check`` fail when one is not current."""

import argparse
import sys
from pathlib import Path

from connector_kit.settings import ConnectorSettings
from consolidator.settings import ConsolidatorSettings
from contracts import documents as contracts
from gateway import openapi as gateway
from gateway.settings import GatewaySettings
from messaging.topology import onefolio
from messaging.topology_document import markdown
from plaid_connector.settings import PlaidSettings
from provider_sandbox import settings as sandbox
from service_kit.settings import PLACEHOLDER, ServiceSettings, describe
from snaptrade_connector.settings import SnapTradeSettings
from webhooks.settings import WebhooksSettings

TOPOLOGY = "# Topology\n\nGenerated from `libs/messaging` by `make docs`; change it there.\n\n"
ROOT = Path(__file__).resolve().parents[1]
SETTINGS: tuple[tuple[str, type[ServiceSettings]], ...] = (
    ("Every service", ServiceSettings),
    ("gateway", GatewaySettings),
    ("webhooks", WebhooksSettings),
    ("consolidator", ConsolidatorSettings),
    ("Every connector", ConnectorSettings),
    ("snaptrade-connector", SnapTradeSettings),
    ("plaid-connector", PlaidSettings),
)


def generated() -> dict[Path, str]:
    """Every generated file and its text."""
    pages = {**contracts.documents(), **gateway.documents(), "topology.md": TOPOLOGY + markdown(onefolio())}
    return {ROOT / "docs" / name: text for name, text in pages.items()} | {ROOT / ".env.example": example()}


def example() -> str:
    """The text of ``.env.example``: every variable once, with its meaning and default."""
    lines = [
        "# Every variable of every service; generated from the settings classes by `make docs`.",
        "# Each may also be given as NAME_FILE, the path of a file that holds the value. Required ones have no #.",
    ]
    seen: set[str] = set()
    for title, cls in SETTINGS:
        fresh = [one for one in describe(cls) if one.name not in seen]
        seen |= {one.name for one in fresh}
        lines += ["", f"# --- {title} ---"]
        for one in fresh:
            value = PLACEHOLDER if one.secret else "" if one.default is None else one.default
            lines += [f"# {one.description}", f"{'' if one.required else '# '}{one.name}={value}"]
    lines += ["", "# --- provider-sandbox (development) ---"]
    lines += [f"# {line}" for line in sandbox.documented()]
    return "\n".join(lines) + "\n"


def main() -> int:
    """Write or check."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing")
    options = parser.parse_args()
    wanted = generated()
    stale = [path for path, text in wanted.items() if not path.is_file() or path.read_text() != text]
    gone = [path for path in (ROOT / "docs" / "schemas").glob("*.json") if path not in wanted]
    for path in stale + gone:
        print(f"{'not current' if options.check else 'wrote'}: {path.relative_to(ROOT)}")
    if options.check:
        return 1 if stale or gone else 0
    for path in stale:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(wanted[path])
    for path in gone:
        path.unlink()
    return 0


if __name__ == "__main__":
    sys.exit(main())

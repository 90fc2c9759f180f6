"""Start the gateway: ``python -m gateway.main``."""

from typing import NoReturn

from gateway.build import build
from gateway.settings import GatewaySettings
from service_kit.run import run
from service_kit.settings import load


def main() -> NoReturn:
    """Read the settings, build, run."""
    settings = load(GatewaySettings)
    run(build(settings), settings)


if __name__ == "__main__":
    main()

"""``python -m snaptrade_connector``."""

from snaptrade_connector.main import main

main()

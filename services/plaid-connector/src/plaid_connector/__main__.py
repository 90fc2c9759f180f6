"""``python -m plaid_connector``."""

from plaid_connector.main import main

main()

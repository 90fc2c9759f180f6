"""The adapter to Plaid."""

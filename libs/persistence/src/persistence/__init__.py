"""How Onefolio keeps things: transactions, row-level security, migrations, outbox, secrets."""

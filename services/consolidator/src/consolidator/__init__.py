"""The ledger: turns snapshots into positions."""

"""The ledger: what was reserved, charged and released, day by day."""

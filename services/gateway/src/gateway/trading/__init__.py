"""Trading: what may be ordered, and what became of it."""

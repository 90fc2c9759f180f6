"""Reads: straight SQL over the published views, answered as the JSON text that PostgreSQL makes."""

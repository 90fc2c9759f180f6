"""Refreshes at a known cost, and how connections are kept up to date."""

"""Marks of a trading journal on transactions: what a user's journal has taken, and what it calls it."""

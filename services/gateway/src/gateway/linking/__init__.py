"""Linking: the sessions in which users grant access."""

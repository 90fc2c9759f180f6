"""Migrations of schema ``sync``, which all connectors share."""

"""Migrations of the schema `webhooks`."""

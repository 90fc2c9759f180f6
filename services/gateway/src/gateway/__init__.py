"""The HTTP API for frontends."""

"""The schema ``gateway``: its versions, run by ``python -m persistence.migrate``."""

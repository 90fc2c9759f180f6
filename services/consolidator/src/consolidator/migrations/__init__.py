"""The schema ``portfolio``: its versions, run by ``python -m persistence.migrate``."""

import logging

import pytest
import structlog

from service_kit.logs import configure
from service_kit.settings import ServiceSettings

SECRET = "s" * 20 + "-canary-of-the-service-" + "t" * 20


@pytest.fixture
def settings(monkeypatch):
    for name in ("ONEFOLIO_ENVIRONMENT", "LOG_LEVEL", "BIND_HOST", "PORT", "SERVICE_AUTH_SECRET"):
        monkeypatch.delenv(name, raising=False)
    return ServiceSettings(service_auth_secret=SECRET)


@pytest.fixture(autouse=True)
def logging_restored():
    root = logging.getLogger()
    handlers, level, raising = list(root.handlers), root.level, logging.raiseExceptions
    configure("test", "WARNING")  # unconfigured, structlog draws pictures of every stack
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.raiseExceptions = raising
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()

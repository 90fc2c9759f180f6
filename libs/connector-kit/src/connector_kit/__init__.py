"""The engine that drives any provider adapter.

``build(adapter, settings)`` is all a connector's ``main`` needs; ``service_kit.run.run`` gives it a life.
"""

from connector_kit.build import build
from connector_kit.engine import Engine
from connector_kit.limits import Gate
from connector_kit.settings import ConnectorSettings

__all__ = ["ConnectorSettings", "Engine", "Gate", "build"]

"""The OpenAPI document: made from the routes alone, without settings, database or environment."""

import json
from typing import Any

from gateway.api import create_api
from gateway.reads.meanings import page
from gateway.settings import GatewaySettings
from service_kit.health import Health
from service_kit.metrics import Metrics

FILE = "openapi.json"
EXPLANATIONS = "explain.md"


def documents() -> dict[str, str]:
    """File name → content, the same for the same code."""
    return {
        FILE: json.dumps(document(), indent=2, sort_keys=True, ensure_ascii=False) + "\n",
        EXPLANATIONS: page(),
    }


def document() -> dict[str, Any]:
    """The OpenAPI document."""
    bare = GatewaySettings.model_construct(environment="development", cors_origins=())
    return create_api(bare, Health(), Metrics("gateway")).openapi()

"""How a Onefolio process lives: settings, logging, metrics, health, web app, shutdown."""

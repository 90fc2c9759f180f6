"""Private PostgreSQL and RabbitMQ servers for the demo and the tests, with nothing but the standard library."""

from local_servers.lifecycle import Servers, down, healthy, load, start, up
from local_servers.records import NoAdminAccessError, ServerError

__all__ = ["NoAdminAccessError", "ServerError", "Servers", "down", "healthy", "load", "start", "up"]

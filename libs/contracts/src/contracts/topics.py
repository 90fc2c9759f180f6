"""Exchange names and routing keys: how messages find their queue."""

from contracts.messages import COMMANDS, TYPE_OF, Command, Event

EVENT_EXCHANGE = "onefolio.events"
COMMAND_EXCHANGE = "onefolio.commands"


def event_key(event: Event) -> str:
    """The routing key of an event: its type."""
    return TYPE_OF[type(event)]


def command_key(provider: str, command: Command) -> str:
    """The routing key of a command: ``connector.<provider>.<verb>``."""
    verb = TYPE_OF[type(command)].split(".")[2]
    return f"connector.{provider}.{verb}"


def connector_queue(provider: str) -> str:
    """The queue of a provider's connector."""
    return f"{provider}-connector"


def connector_binding(provider: str) -> str:
    """The pattern that brings a provider's commands to its queue."""
    return f"connector.{provider}.*"


VERBS = tuple(name.split(".")[2] for name in COMMANDS)

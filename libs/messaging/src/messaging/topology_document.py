"""The topology as a page of documentation, written from its table."""

from messaging.topology import QueueDeclaration, Topology


def markdown(topology: Topology) -> str:
    """A Markdown section: exchanges, work queues with their bindings, and every queue's arguments."""
    lines = ["## Exchanges", "", "| exchange | type |", "|---|---|"]
    lines += [f"| `{name}` | topic, durable |" for name in topology.exchanges]
    lines += ["", "## Work queues", "", "| queue | receives | retries after | purpose |", "|---|---|---|---|"]
    for queue in topology.queues:
        receives = "<br>".join(f"`{binding.pattern}` from `{binding.exchange}`" for binding in queue.bindings)
        delays = ", ".join(tier.name for tier in queue.tiers)
        lines.append(f"| `{queue.name}` | {receives} | {delays} | {queue.purpose} |")
    lines += ["", "## Queue arguments", "", "| queue | arguments |", "|---|---|"]
    lines += [_row(declaration) for declaration in topology.declarations()]
    return "\n".join([*lines, ""])


def _row(declaration: QueueDeclaration) -> str:
    arguments = "<br>".join(f"`{name}`: `{value}`" for name, value in declaration.arguments.items())
    return f"| `{declaration.name}` | {arguments} |"

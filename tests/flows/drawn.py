"""What a flow looks like as a sequence diagram."""

from __future__ import annotations

from uuid import UUID

from broker._sequences import read_flow, sequence
from tests.flows.running import Running


async def drawn(running: Running, flow: UUID) -> str:
    """The diagram, from the journals of all services."""
    deployment = running.deployment
    databases = {service: deployment.databases[name] for name, service in deployment.services.items()}
    return sequence("What followed", await read_flow(databases, flow))

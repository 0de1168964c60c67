"""A message that nobody can handle, for operations to deal with."""

from __future__ import annotations

from nilecare.demo.broken import break_a_message
from tests.flows.running import Running

SENT = "a program that does not know the contract"
"""What stands in it."""


async def broken(running: Running) -> str:
    """A message that billing cannot read, and of which operations knows; gives what it is called by."""
    platform, billing = running.deployment.platform, running.deployment.databases["billing"]
    handle = await break_a_message(platform.service_amqp_url("clinical"), platform.account("clinical"), billing)
    await running.settled()
    return handle

"""What the services say to each other, held against what they promise."""

from __future__ import annotations

from functools import cache

from aiormq.abc import DeliveredMessage

from broker._envelope import PREFIX
from broker._overheard import Overheard
from broker.testing.promises import Message, Promises
from nilecare.platform import services
from nilecare.schemas import FOLDER

__all__ = ["PREFIX", "Overheard", "attributes", "faults"]


def faults(message: DeliveredMessage) -> list[str]:
    """How a message breaks what its publisher promises; empty when it does not."""
    said = Message.heard(message)
    return _promises(str(said.properties.user_id).rpartition("_")[0]).broken(said)


def attributes(message: DeliveredMessage) -> dict[str, str]:
    """The CloudEvents attributes in a message's headers."""
    return Message.heard(message).attributes


@cache
def _promises(prefix: str) -> Promises:
    """Those of a platform whose accounts begin so."""
    return Promises(services(), account=lambda service: f"{prefix}_{service}", schemas=FOLDER)

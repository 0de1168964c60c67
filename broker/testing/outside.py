"""The world outside, as the platform's tests have it: simulators that say what they still owe."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from broker._service import Service


class Answering(Protocol):
    """A simulator of something outside that speaks to the platform later: a provider's webhook, a receipt."""

    @property
    def owing(self) -> Sequence[str]:
        """What it has still to say, in words; empty when it is silent."""

    @property
    def told(self) -> int:
        """How often it has begun to say something: only ever more."""


class World:
    """What the services find outside; by itself, nothing. To be subclassed.

    answering: whoever speaks to the platform later.
    """

    answering: Sequence[Answering] = ()

    def settings(self, service: Service, addresses: Mapping[str, str]) -> Mapping[str, str]:
        """Addresses and secrets for a service, by the names that its adapters use.

        addresses: where each service of the platform listens: http://host:port.
        """
        return {}

    def owing(self) -> list[str]:
        """What is still to be said to the platform."""
        return [said for each in self.answering for said in each.owing]

    def told(self) -> list[int]:
        """How much was said so far: the same at two moments when nothing was begun between them."""
        return [each.told for each in self.answering]

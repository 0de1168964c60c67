"""What is shipped for one topic in one language: the mail, and the text that SMS and push share."""

from __future__ import annotations

from dataclasses import dataclass

from contracts.notification import Channel
from services.notification.rendering import Content
from services.notification.topics import SHORT_CHANNELS


@dataclass(frozen=True, slots=True)
class Message:
    """A mail without its greeting, and the short text; none for a topic that goes by mail alone."""

    subject: str
    body: str
    short: str | None = None

    def on(self, channel: Channel, greeting: str) -> Content | None:
        """The template for a channel."""
        if channel in SHORT_CHANNELS:
            return None if self.short is None else Content(None, self.short)
        return Content(self.subject, f"{greeting} {{{{ name }}}},\n\n{self.body}\n")

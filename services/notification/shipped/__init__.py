"""The templates that come with the service, by language. A registered one takes the place of the one of its locale."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from contracts.notification import Channel
from services.notification.rendering import Content
from services.notification.shipped import de, en, fr
from services.notification.topics import TOPICS

VERSION = 0
"""The version that a shipped template counts as."""

LANGUAGES = {"en": en, "fr": fr, "de": de}


def _all() -> Iterator[tuple[tuple[str, Channel, str], Content]]:
    for locale, language in LANGUAGES.items():
        for name, message in language.MESSAGES.items():
            for channel in TOPICS[name].channels:
                content = message.on(channel, language.GREETING)
                if content is not None:
                    yield (name, channel, locale), content


SHIPPED: Mapping[tuple[str, Channel, str], Content] = dict(_all())
"""By topic, channel and locale."""

"""Which template is used, and registering another."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import uuid4

from sqlalchemy import and_, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from broker import clock
from contracts.notification import Channel
from services.notification import rules, shipped
from services.notification.rendering import Content, check_template
from services.notification.tables import Template, TemplateVersion
from services.notification.topics import topic_named


@dataclass(frozen=True, slots=True)
class Chosen:
    """A template, and which one it is."""

    content: Content
    locale: str
    version: int


async def register_template(
    session: AsyncSession, *, topic: str, channel: Channel, locale: str, subject: str | None, body: str, registered_by: str
) -> tuple[Template, TemplateVersion]:
    """Makes the next version of a template, which is used from now on. Raises TopicIsUnknown, TemplateIsRefused."""
    check_template(topic_named(topic), channel, Content(subject, body))
    key = {"topic": topic, "channel": channel, "locale": locale.lower()}
    await session.execute(insert(Template).values(template_id=uuid4(), version=0, **key).on_conflict_do_nothing())
    template = (await session.scalars(select(Template).filter_by(**key).with_for_update())).one()
    template.version += 1
    version = TemplateVersion(
        template_id=template.template_id,
        version=template.version,
        subject=subject,
        body=body,
        registered_by=registered_by,
        registered_at=clock.now(),
    )
    session.add(version)
    return template, version


async def template_for(session: AsyncSession, topic: str, channel: Channel, locale: str | None) -> Chosen:
    """The template of the nearest locale; where one is both registered and shipped, the registered one."""
    registered = await _registered(session, topic, channel)
    for each in rules.locale_chain(locale):
        if each in registered:
            return registered[each]
        if (topic, channel, each) in shipped.SHIPPED:
            return Chosen(shipped.SHIPPED[topic, channel, each], each, shipped.VERSION)
    raise LookupError(f"{topic} has no template for {channel}")


async def _registered(session: AsyncSession, topic: str, channel: Channel) -> dict[str, Chosen]:
    in_use = and_(TemplateVersion.template_id == Template.template_id, TemplateVersion.version == Template.version)
    query = select(Template.locale, TemplateVersion).join(TemplateVersion, in_use).filter_by(topic=topic, channel=channel)
    rows = (await session.execute(query)).all()
    return {locale: Chosen(Content(found.subject, found.body), locale, found.version) for locale, found in rows}

"""What messages look like, where somebody registered something else than what is shipped."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy import ForeignKey, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from contracts.notification import Channel
from services.notification.tables.base import Base


class Template(Base):
    """A topic's message over a channel in a locale."""

    __tablename__ = "templates"
    __table_args__ = (UniqueConstraint("topic", "channel", "locale"),)

    template_id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    topic: Mapped[str]
    channel: Mapped[Channel]
    locale: Mapped[str] = mapped_column(comment="BCP 47, in lower case")
    version: Mapped[int] = mapped_column(comment="that is in use")


class TemplateVersion(Base):
    """What a template said since some time. It never changes."""

    __tablename__ = "template_versions"

    template_id: Mapped[UUID] = mapped_column(ForeignKey("templates.template_id"), primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    subject: Mapped[str | None]
    body: Mapped[str]
    registered_by: Mapped[str]
    registered_at: Mapped[datetime]

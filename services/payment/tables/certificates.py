"""The keys that providers sign with."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.orm import Mapped, mapped_column

from services.payment.tables.base import Base


class ProviderCertificate(Base):
    """A certificate that a provider's webhooks name, fetched from the provider's own host."""

    __tablename__ = "provider_certificates"

    url: Mapped[str] = mapped_column(primary_key=True)
    pem: Mapped[str | None] = mapped_column(comment="null while it is fetched")
    asked_at: Mapped[datetime]

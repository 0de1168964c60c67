"""Roles, what they permit, and who has them where."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy import ForeignKey, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from contracts.auth import Grant
from services.auth.tables.base import Base


class Role(Base):
    """A role that services know by its code."""

    __tablename__ = "auth_roles"

    code: Mapped[str] = mapped_column(primary_key=True)
    description: Mapped[str]


class Permission(Base):
    """Something that can be done in auth itself."""

    __tablename__ = "auth_permissions"

    code: Mapped[str] = mapped_column(primary_key=True)
    description: Mapped[str]


class RolePermission(Base):
    """What a role permits."""

    __tablename__ = "auth_role_permissions"

    role: Mapped[str] = mapped_column(ForeignKey("auth_roles.code"), primary_key=True)
    permission: Mapped[str] = mapped_column(ForeignKey("auth_permissions.code"), primary_key=True)


class UserRole(Base):
    """A role that a user has at one facility, or at every one."""

    __tablename__ = "auth_user_roles"
    __table_args__ = (UniqueConstraint("user_id", "role", "facility_id", postgresql_nulls_not_distinct=True),)

    grant_id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("auth_users.user_id"))
    role: Mapped[str] = mapped_column(ForeignKey("auth_roles.code"))
    facility_id: Mapped[UUID | None] = mapped_column(comment="null is every one")
    granted_at: Mapped[datetime]
    granted_by: Mapped[UUID | None]


class FormerColleague(Base):
    """A user who had a role at a facility: whoever grants roles there knows them still."""

    __tablename__ = "auth_former_colleagues"

    user_id: Mapped[UUID] = mapped_column(ForeignKey("auth_users.user_id"), primary_key=True)
    facility_id: Mapped[UUID] = mapped_column(primary_key=True)


class Invitation(Base):
    """A role at a facility, on offer to whoever proves that an address is theirs; gone once it is taken."""

    __tablename__ = "auth_invitations"
    __table_args__ = (UniqueConstraint("email", "role", "facility_id"),)

    invitation_id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    email: Mapped[str] = mapped_column(comment="in lower case")
    role: Mapped[str] = mapped_column(ForeignKey("auth_roles.code"))
    facility_id: Mapped[UUID] = mapped_column(index=True)
    invited_by: Mapped[UUID]
    invited_at: Mapped[datetime]
    expires_at: Mapped[datetime]

    @property
    def grant(self) -> Grant:
        """What is on offer."""
        return Grant(role=self.role, facility_id=self.facility_id)

"""Who may sign in, and how they prove that an address is theirs."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Self
from uuid import UUID, uuid4

from sqlalchemy import ColumnElement, ForeignKey, LargeBinary, and_, exists, func, or_, select, true
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column, relationship

from broker import NotFound, Principal, StateOwner, publishes_state
from contracts.auth import Grant, UserChanged, UserStatus
from services.auth import rules
from services.auth.tables.base import Base
from services.auth.tables.roles import FormerColleague, UserRole

EMPTY: Mapping[str, str | None] = {
    "email": None,
    "full_name": "",
    "phone": None,
    "locale": "",
    "time_zone": "",
    "password_hash": None,
}
"""What is personal of a user, and what stands there once they are erased."""


@publishes_state(UserChanged)
class User(StateOwner, Base):
    """A person with an account. Once erased, only the id is left of them."""

    __tablename__ = "auth_users"

    user_id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    email: Mapped[str | None] = mapped_column(unique=True, comment="in lower case; null once erased")
    full_name: Mapped[str]
    phone: Mapped[str | None]
    locale: Mapped[str]
    time_zone: Mapped[str]
    status: Mapped[UserStatus]
    password_hash: Mapped[str | None] = mapped_column(comment="argon2id; null once erased")
    registered_at: Mapped[datetime]
    locked_until: Mapped[datetime | None]
    failures_count_from: Mapped[datetime] = mapped_column(comment="failed sign-ins before it are forgiven")
    roles: Mapped[list[UserRole]] = relationship(cascade="all, delete-orphan", lazy="selectin", order_by=UserRole.granted_at)
    administrator: Mapped[AdminUser | None] = relationship(
        cascade="all, delete-orphan", lazy="selectin", foreign_keys="AdminUser.user_id"
    )

    @classmethod
    async def by_email(cls, session: AsyncSession, email: str) -> Self | None:
        """The user with this address."""
        return (await session.scalars(select(cls).where(cls.email == email))).one_or_none()

    @classmethod
    def seen_by(cls, who: Principal) -> ColumnElement[bool]:
        """The condition that keeps a query to whom a granter knows: who has or had a role at the facilities of the token."""
        if who.facilities is None:
            return true()
        return or_(
            exists().where(UserRole.user_id == cls.user_id, who.within(UserRole.facility_id)),
            exists().where(FormerColleague.user_id == cls.user_id, who.within(FormerColleague.facility_id)),
        )

    @classmethod
    async def known_to(cls, session: AsyncSession, who: Principal, user_id: UUID) -> Self:
        """One of them, to change. Raises NotFound, as for an id that nobody has."""
        query = select(cls.user_id).where(cls.user_id == user_id, cls.seen_by(who))
        if await session.scalar(query) is None:
            raise NotFound
        return await cls.locked(session, user_id)

    @property
    def is_proven(self) -> bool:
        """Whether somebody has shown that the address is theirs: only then a password counts."""
        return self.password_hash is not None

    @property
    def grants(self) -> tuple[Grant, ...]:
        """What the user may do, and where; a platform administrator is one everywhere."""
        everywhere = (rules.ADMINISTRATOR_EVERYWHERE,) if self.administrator else ()
        return (*everywhere, *(Grant(role=each.role, facility_id=each.facility_id) for each in self.roles))

    def forget(self) -> None:
        """Only the id is left."""
        for name, empty in EMPTY.items():
            setattr(self, name, empty)

    @classmethod
    def remembered(cls) -> ColumnElement[bool]:
        """Who was erased and of whom more than the id is left: it was not counted as personal then."""
        left = [getattr(cls, name).is_distinct_from(empty) for name, empty in EMPTY.items()]
        return and_(cls.status == "deleted", or_(*left))

    def move(self, to: UserStatus) -> None:
        """Changes its state. Raises UserCannotBecome."""
        self.status = rules.USER.moved(self.status, to)
        if to != "locked":
            self.locked_until = None


class AdminUser(Base):
    """A platform administrator. Kept apart from the roles: there is always one."""

    __tablename__ = "admin_users"

    user_id: Mapped[UUID] = mapped_column(ForeignKey("auth_users.user_id"), primary_key=True)
    appointed_at: Mapped[datetime]
    appointed_by: Mapped[UUID | None] = mapped_column(comment="null for the first one")

    @classmethod
    async def count_active(cls, session: AsyncSession) -> int:
        """How many can act; nobody appoints or dismisses one until the transaction ends."""
        await session.execute(select(cls.user_id).order_by(cls.user_id).with_for_update())
        active = select(func.count()).select_from(cls).join(User, User.user_id == cls.user_id)
        return await session.scalar(active.where(User.status.in_(rules.ABLE_TO_RETURN))) or 0


class OpenRegistration(Base):
    """Somebody wants an account; gone once it was looked whether the address has one."""

    __tablename__ = "auth_registrations"

    registration_id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    email: Mapped[str] = mapped_column(index=True, comment="in lower case")
    password_hash: Mapped[str] = mapped_column(comment="argon2id")
    full_name: Mapped[str]
    phone: Mapped[str | None]
    locale: Mapped[str]
    time_zone: Mapped[str]
    asked_at: Mapped[datetime]


class Verification(Base):
    """A code that proves an address, and what counts of the account once it has."""

    __tablename__ = "auth_verifications"

    code_hash: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("auth_users.user_id"), index=True)
    password_hash: Mapped[str] = mapped_column(comment="of the registration that the code was sent for")
    full_name: Mapped[str]
    phone: Mapped[str | None]
    locale: Mapped[str]
    time_zone: Mapped[str]
    expires_at: Mapped[datetime]

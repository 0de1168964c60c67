"""Whom a message is for: how they are called, where they are reached, when they may be disturbed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from broker import clock
from contracts.notification import Channel, RecipientKind
from services.notification import rules
from services.notification.replicas import FacilityReference, PatientReference, UserReference
from services.notification.tables import Address, ContactHours, Preference


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """A recipient, as far as is known here.

    `status` is the user's or the patient's. `facilities` are those where a user has a role; None is every one, and is said of
    patients, to whom any facility tells what concerns themselves. `ids` are all that they go under: what was said for a record
    that was merged into theirs was said by the same person.
    """

    kind: RecipientKind
    id: UUID
    ids: tuple[UUID, ...]
    full_name: str
    email: str | None
    phone: str | None
    locale: str | None
    status: str
    time_zone: str | None
    facilities: frozenset[UUID] | None = None

    @classmethod
    async def of(cls, session: AsyncSession, kind: RecipientKind, id_: UUID) -> Person | None:
        """Who that is today: of merged patients the survivor. None for who is not known, or was erased."""
        return await (_user(session, id_) if kind == "user" else _patient(session, id_))


async def surviving_patient(session: AsyncSession, patient_id: UUID) -> PatientReference | None:
    """The patient; after merges, the one that is left."""
    seen = {patient_id}
    patient = await PatientReference.find(session, patient_id)
    while patient is not None and patient.merged_into is not None and patient.merged_into not in seen:
        seen.add(patient.merged_into)
        patient = await PatientReference.find(session, patient.merged_into)
    return patient


async def contact_hours(session: AsyncSession, person: Person) -> tuple[ContactHours, ZoneInfo]:
    """When somebody may be disturbed, as they said last, and the zone of the wall on which these times are read."""
    theirs = (ContactHours.recipient_kind == person.kind, ContactHours.recipient_id.in_(person.ids))
    last = select(ContactHours).where(*theirs).order_by(ContactHours.changed_at.desc(), ContactHours.recipient_id != person.id)
    said = await session.scalar(last.limit(1))
    hours = said or ContactHours(recipient_kind=person.kind, recipient_id=person.id)
    return hours, rules.zone_named(hours.time_zone or person.time_zone)


async def unwanted_channels(session: AsyncSession, person: Person, topic: str) -> set[Channel]:
    """Over which channels somebody does not want to hear of a topic: for each, what they said last."""
    theirs = (Preference.recipient_kind == person.kind, Preference.recipient_id.in_(person.ids), Preference.topic == topic)
    in_turn = select(Preference).where(*theirs).order_by(Preference.changed_at, Preference.recipient_id == person.id)
    said = {each.channel: each.wanted for each in await session.scalars(in_turn)}
    return {channel for channel, wanted in said.items() if not wanted}


async def addresses_of(session: AsyncSession, person: Person) -> Mapping[Channel, Address]:
    """Where somebody can be reached now, over each channel that has an address which can be used."""
    found: dict[Channel, Address] = {}
    current: dict[Channel, str | None] = {"email": person.email, "sms": person.phone}
    for channel, address in current.items():
        if address is not None and rules.can_be_used(channel, address):
            found[channel] = await address_row(session, person.kind, person.id, channel, address)
    device = await _device(session, person)
    return found | {"push": device} if device is not None else found


async def address_row(session: AsyncSession, kind: RecipientKind, id_: UUID, channel: Channel, address: str) -> Address:
    """What is known here of one address of one person; it is written down when it is first met."""
    key = {"recipient_kind": kind, "recipient_id": id_, "channel": channel, "address": address}
    known = await session.scalar(select(Address).filter_by(**key))
    if known is not None:
        return known
    await session.execute(insert(Address).values(**key, known_since=clock.now()).on_conflict_do_nothing())
    return (await session.scalars(select(Address).filter_by(**key))).one()


async def _device(session: AsyncSession, person: Person) -> Address | None:
    devices = select(Address).filter_by(recipient_kind=person.kind, recipient_id=person.id, channel="push")
    latest = devices.order_by(Address.disabled_at.is_not(None), Address.known_since.desc(), Address.address_id)
    found: Address | None = await session.scalar(latest.limit(1))
    return found


async def _user(session: AsyncSession, id_: UUID) -> Person | None:
    # Held: what is written of them here is there when their erasure is heard, which forgets it.
    user = await session.get(UserReference, id_, with_for_update={"read": True}, populate_existing=True)
    if user is None or user.deleted or user.status == "deleted":
        return None
    return Person(
        kind="user",
        id=id_,
        ids=(id_,),
        full_name=user.full_name,
        email=user.email,
        phone=user.phone,
        locale=user.locale,
        status=user.status,
        time_zone=user.time_zone,
        facilities=user.facilities,
    )


async def _patient(session: AsyncSession, id_: UUID) -> Person | None:
    patient = await surviving_patient(session, id_)
    if patient is None:
        return None
    facility = await FacilityReference.find(session, patient.facility_id)
    return Person(
        kind="patient",
        id=patient.id,
        ids=await PatientReference.identities(session, patient.id),
        full_name=patient.full_name,
        email=patient.email,
        phone=patient.phone,
        locale=patient.locale,
        status=patient.status,
        time_zone=facility.time_zone if facility is not None else None,
    )

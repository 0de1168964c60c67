"""Two small services to be killed, cut and released anew: the desk writes notes into folders, the archive files them.

Nothing in their tables is unique on an event: a second effect would be seen.
"""

from __future__ import annotations

import contextlib
import os
import types
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, ForeignKey, Identity, insert, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from broker import Envelope, Replica, Service, StateOwner, on, publish, publishes_state
from contracts.event import Event, StateEvent
from contracts.event import upcaster as brings_up


class NoteWritten(Event, name="note.written", version=1, key="folder", publisher="desk"):
    """The note with this number was written; `how` says what is to go wrong when a fragile archive files it."""

    folder: str
    number: int
    how: str = ""


class NoteWrittenNow(Event, name="note.written", version=2, key="folder", publisher="desk"):
    """The same in the desk's newer release, which says in how many words."""

    folder: str
    number: int
    how: str = ""
    words: int

    @brings_up(since=1)
    @staticmethod
    def count_words(data: dict[str, Any]) -> dict[str, Any]:
        """Notes were of one word."""
        return {**data, "words": 1}


class FolderChanged(StateEvent, name="folder.changed", version=1, key="folder_id", publisher="desk"):
    """How many notes a folder has."""

    folder_id: str
    number: int


class NoteFiled(Event, name="note.filed", version=1, key="folder", publisher="archive"):
    """The note was filed."""

    folder: str
    number: int


Note = NoteWritten | NoteWrittenNow
NOTES: dict[int, type[Note]] = {1: NoteWritten, 2: NoteWrittenNow}

ROLES = {"archive.file": "file", "archive.shelve": "file", "archive.count": "count", "desk.confirm": "confirm"}
"""What the handler behind each queue writes into its effects, whatever the subscription is called."""


class DeskBase(DeclarativeBase):
    """The desk's tables."""


class ArchiveBase(DeclarativeBase):
    """The archive's tables."""


class Effect:
    """What one message did, in the order of doing."""

    __tablename__ = "effect"

    position: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    source: Mapped[UUID]
    role: Mapped[str]
    folder: Mapped[str]
    number: Mapped[int]


class DeskEffect(Effect, DeskBase):
    """At the desk."""


class ArchiveEffect(Effect, ArchiveBase):
    """In the archive."""


@publishes_state(FolderChanged)
class Folder(StateOwner, DeskBase):
    """A folder with its number of notes: as many note.written were published for it, if all goes well."""

    __tablename__ = "folder"

    id: Mapped[str] = mapped_column(primary_key=True)
    number: Mapped[int]

    def write(self, note: type[Note], how: str = "") -> Note:
        """The next note."""
        self.number += 1
        words = {"words": 2} if note is NoteWrittenNow else {}
        return note.model_validate({"folder": self.id, "number": self.number, "how": how, **words})


class Orders(DeskBase):
    """Whether the writers of all copies are to write; one row."""

    __tablename__ = "orders"

    one: Mapped[bool] = mapped_column(primary_key=True)
    writing: Mapped[bool]


class FolderCopy(Replica[FolderChanged], ArchiveBase):
    """The archive's copy of the folders."""

    __tablename__ = "folder_copy"

    number: Mapped[int]


class Shelf(ArchiveBase):
    """What commands and the filing both lock."""

    __tablename__ = "shelf"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    touched: Mapped[int]


class Tag(ArchiveBase):
    """Belongs to a shelf, which is checked at the commit."""

    __tablename__ = "tag"

    id: Mapped[int] = mapped_column(primary_key=True)
    shelf_id: Mapped[int] = mapped_column(ForeignKey(Shelf.id, deferrable=True, initially="DEFERRED"))


@dataclass(frozen=True, kw_only=True)
class Release:
    """Which code a process runs.

    version: of note.written. filing, formerly: the name of the subscription that files notes. counting: whether there is a
    second one. fragile: whether a note's `how` has its way.
    """

    version: int = 1
    filing: str = "file"
    formerly: tuple[str, ...] = ()
    counting: bool = False
    fragile: bool = False

    def services(self) -> dict[str, Service]:
        """The services as this release declares them."""
        return {"desk": self._desk(), "archive": self._archive()}

    def _desk(self) -> Service:
        async def confirm(event: NoteFiled, session: AsyncSession, envelope: Envelope) -> None:
            session.add(DeskEffect(source=envelope.id, role="confirm", folder=event.folder, number=event.number))

        contracts = module("contracts.desk", NOTES[self.version], FolderChanged)
        handlers = module("desk.handlers", on(NoteFiled)(confirm))
        return Service(name="desk", port=0, tables=DeskBase.metadata, contracts=contracts, handlers=handlers)

    def _archive(self) -> Service:
        async def file(event: Note, session: AsyncSession, envelope: Envelope) -> None:
            session.add(ArchiveEffect(source=envelope.id, role="file", folder=event.folder, number=event.number))
            publish(session, NoteFiled(folder=event.folder, number=event.number))
            if self.fragile:
                await go_wrong(event, session)

        async def count(event: Note, session: AsyncSession, envelope: Envelope) -> None:
            session.add(ArchiveEffect(source=envelope.id, role="count", folder=event.folder, number=event.number))

        note = NOTES[self.version]
        reactions = [on(note, name=self.filing, formerly=self.formerly)(file)]
        if self.counting:
            reactions.append(on(note)(count))
        return Service(
            name="archive",
            port=0,
            tables=ArchiveBase.metadata,
            contracts=module("contracts.archive", NoteFiled),
            handlers=module("archive.handlers", *reactions),
            replicas=module("archive.replicas", FolderCopy),
        )


def module(name: str, *contents: Any) -> types.ModuleType:
    """A module that has these, as if they stood in it."""
    made = types.ModuleType(name)
    for each in contents:
        each.__module__ = name
        setattr(made, each.__name__, each)
    return made


async def go_wrong(note: Note, session: AsyncSession) -> None:
    """Does what the note asks for."""
    match note.how:
        case "raise":
            raise ValueError
        case "constraint":
            await session.execute(insert(Shelf).values(id=1, touched=0))
        case "flush":
            session.add(Tag(shelf_id=None))
        case "commit":
            session.add(Tag(shelf_id=-1))
        case "swallow":
            with contextlib.suppress(IntegrityError):
                await session.execute(insert(Shelf).values(id=1, touched=0))
        case "commits":
            await session.commit()
        case "exit":
            os._exit(9)
        case "lock":
            for shelf in (1, 2):
                await session.execute(text("UPDATE shelf SET touched = touched + 1 WHERE id = :id"), {"id": shelf})


HARMFUL = ("raise", "constraint", "flush", "commit", "swallow", "commits")
"""What a note can ask for that no repetition makes good."""

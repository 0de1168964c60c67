"""Whether what was signed still says what it said: SHA-256 over the content, its author and the time.

A hash is taken of canonical JSON (RFC 8785 for what occurs here: objects of texts). An addendum's covers the one before it,
down to the note's, so that none can be taken out in between. The patient is not part of it, for a merge moves notes; the
encounter is.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from hashlib import sha256
from typing import TYPE_CHECKING
from uuid import UUID

from services.ehr import rules

if TYPE_CHECKING:
    from services.ehr.tables import Addendum, Note


def note_hash(note: Note, signed_at: datetime) -> str:
    """Of a note, as its author signs it. In hexadecimal."""
    return _digest(
        note_id=note.note_id,
        kind=note.kind,
        encounter_id=note.encounter_id,
        author_id=note.author_id,
        signed_at=signed_at,
        content=note.content,
    )


def addendum_hash(addendum: Addendum, previous: str) -> str:
    """Of an addendum after what has this hash."""
    return _digest(
        addendum_id=addendum.addendum_id,
        previous=previous,
        author_id=addendum.author_id,
        written_at=addendum.written_at,
        text=addendum.text,
    )


def altered(note: Note) -> list[str]:
    """The parts of a note that no longer say what was signed; none, when it is as it was. Raises OnlyASignedNoteIsVerified."""
    found = [] if note_hash(note, rules.check_signed(note.signed_at)) == note.content_hash else ["note"]
    if note.cosignature is not None and note.cosignature.content_hash != note.content_hash:
        found.append("cosignature")
    return found + _altered_addenda(note.addenda, note.content_hash or "")


def _altered_addenda(addenda: Sequence[Addendum], previous: str) -> list[str]:
    found = []
    for number, addendum in enumerate(addenda, start=1):
        if addendum.number != number or addendum_hash(addendum, previous) != addendum.content_hash:
            found.append(f"addendum {number}")
        previous = addendum.content_hash
    return found


def _digest(**said: UUID | str | datetime | dict[str, str]) -> str:
    plain = {name: _text(value) if isinstance(value, UUID | datetime) else value for name, value in said.items()}
    return sha256(json.dumps(plain, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()).hexdigest()


def _text(value: UUID | datetime) -> str:
    return str(value) if isinstance(value, UUID) else value.astimezone(UTC).isoformat(timespec="microseconds")

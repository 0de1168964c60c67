"""Reading one's own write in another service: a command's answer says what it wrote, and a client hands that on.

    X-Wrote: patient.changed;0190b3c0-…;42         in the answer to a command
    X-Read-After: patient.changed;0190b3c0-…;42    in a request to any service, which waits until its replica has it

Each entry is a state event's type, the aggregate's key (percent-encoded), and its version; a comma stands between two.
"""

from __future__ import annotations

import re
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Self
from urllib.parse import quote, unquote

from sqlalchemy.orm import Session

from broker._copied import state_event_of
from broker._database import Database
from broker._projections import Key, key_of
from broker._publishing import states_written
from broker._replicas import Replica
from broker.errors import ReplicaLag
from contracts.event import StateEvent

WROTE, READ_AFTER = "X-Wrote", "X-Read-After"

MOST_SAID = 20
"""Aggregates that an answer names each: 1.6 kB. Of more it names the last of each type, which stands for the others: what one
transaction wrote arrives in its order."""

MOST_ASKED = 100
"""Entries that a request may have, at most: those of five answers."""

ENTRY = re.compile(r"([a-z0-9_.]+);([^;,\s]+);([0-9]{1,18})", re.ASCII)

Copies = Mapping[str, Sequence[type[Replica[Any]]]]
"""A service's replicas, by the type of what they copy."""


@dataclass(frozen=True, slots=True)
class Written:
    """A version of an aggregate."""

    type: str
    key: str
    version: int

    def __str__(self) -> str:
        return f"{self.type};{quote(self.key, safe='')};{self.version}"

    @classmethod
    def read(cls, entry: str) -> Self:
        """What an entry of the headers says. Raises ValueError."""
        found = ENTRY.fullmatch(entry.strip())
        if found is None:
            raise ValueError("an entry is <type>;<key>;<version>")
        key = unquote(found[2], errors="strict")
        if "\0" in key:
            raise ValueError("no database holds such a key")
        return cls(found[1], key, int(found[3]))


def wrote(session: Session) -> str | None:
    """What a flushed session is about to commit, for X-Wrote; None where no aggregate is among it."""
    states = states_written(session)
    if len(states) > MOST_SAID:
        states = list({state.contract.name: state for state in states}.values())
    return ", ".join(str(_written(state)) for state in states) or None


def _written(state: StateEvent) -> Written:
    return Written(state.contract.name, state.subject, state.state_version)


def copies_of(replicas: Iterable[type[Replica[Any]]]) -> Copies:
    """The replicas by what they copy."""
    copies: defaultdict[str, list[type[Replica[Any]]]] = defaultdict(list)
    for replica in replicas:
        copies[state_event_of(replica).contract.name].append(replica)
    return copies


async def caught_up(database: Database, copies: Copies, headers: Sequence[str], patience: timedelta) -> None:
    """Returns when the replicas have what these X-Read-After headers name; what a service keeps no copy of is passed over.

    Raises ValueError for a header that is not what an X-Wrote was, and ReplicaLag when it takes longer than `patience`.
    """
    entries = [entry for header in headers for entry in header.split(",") if entry.strip()]
    if len(entries) > MOST_ASKED:
        raise ValueError(f"at most {MOST_ASKED} entries are waited for")
    awaited = [Written.read(entry) for entry in entries]
    waits = [(replica, _key(replica, each), each) for each in awaited for replica in copies.get(each.type, ())]
    until = time.monotonic() + patience.total_seconds()
    for replica, key, each in waits:
        try:
            await replica.wait_for(database.reading, key, each.version, seconds=until - time.monotonic())
        except TimeoutError:
            raise ReplicaLag(replica, each.key) from None


def _key(replica: type[Replica[Any]], written: Written) -> Key:
    return key_of(replica.__table__.c.id, written.key)

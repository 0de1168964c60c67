"""Failed messages outside of their database: as JSON Lines, and in a queue of RabbitMQ. Whole, so that they can come back."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import asdict, fields
from typing import Annotated, Any, Literal, Self
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError
from sqlalchemy import Row, insert, select
from sqlalchemy.ext.asyncio import AsyncSession

from broker._dead_letters import Filter, page
from broker._evidence import Evidence, believed, invalid_fields
from broker._failed_row import storable
from broker._failures import Failures, is_kept_nameless, lock_keys
from broker._masking import without_hidden
from broker._subscriptions import Subscription
from broker._tables import failed_message
from broker.errors import RuleBroken

PAGE = 500
"""Messages that are read at a time."""

LINE = "x-nilecare-failed-message"
"""The header of a message in a queue that holds all the rest of its line."""

Imported = Literal["imported", "known", "foreign"]


class LineIsWrong(RuleBroken):
    """A line of an import is not one that `export` wrote."""


class LineIsNotJson(LineIsWrong):
    """A line of an import is not JSON."""


Short = Annotated[int, Field(ge=-(2**31), lt=2**31)]
Long = Annotated[int, Field(ge=-(2**63), lt=2**63)]


class Line(BaseModel):
    """One failed message as a line. `body` is its text, or `body_base64` where it is none."""

    model_config = ConfigDict(extra="forbid")

    service: str
    subscription: str
    id: UUID | None
    type: str
    version: Short
    key: str
    sequence: Long
    flow: UUID | None
    cause: UUID | None
    exchange: str
    routing_key: str
    properties: dict[str, Any]
    body: str | None = None
    body_base64: str | None = None
    error: str
    reason: str
    stack: str
    fingerprint: str
    attempts: Short
    first_failed_at: AwareDatetime
    last_failed_at: AwareDatetime

    @classmethod
    def of(cls, service: str, row: Row[Any]) -> Self:
        """The line of a row of `failed_message`."""
        values = {name: value for name, value in row._asdict().items() if name in cls.model_fields and name != "body"}
        try:
            body: Mapping[str, str] = {"body": row.body.decode()}
        except UnicodeDecodeError:
            body = {"body_base64": base64.b64encode(row.body).decode()}
        return cls(service=service, **values, **body)

    @classmethod
    def read(cls, text: str | bytes) -> Self:
        """The line in a text. Raises LineIsNotJson, or LineIsWrong, which names fields."""
        try:
            line = cls.model_validate_json(text)
        except ValidationError as invalid:
            if any(error["type"] == "json_invalid" for error in invalid.errors()):
                raise LineIsNotJson from None
            raise LineIsWrong(fields=invalid_fields(invalid)) from None
        if (line.body is None) == (line.body_base64 is None):
            raise LineIsWrong(fields="body")
        try:
            line.content  # noqa: B018 (whether it can be read)
        except binascii.Error:
            raise LineIsWrong(fields="body_base64") from None
        return line

    @property
    def content(self) -> bytes:
        """The message's body."""
        return (self.body or "").encode() if self.body_base64 is None else base64.b64decode(self.body_base64, validate=True)

    @property
    def as_text(self) -> str:
        """One line of text."""
        return json.dumps(self.model_dump(mode="json", exclude_none=False), ensure_ascii=False)


async def exported(session: AsyncSession, service: str, wanted: Filter) -> AsyncIterator[tuple[int, Line]]:
    """The messages that are wanted with their positions, oldest first, read a page at a time."""
    after = 0
    while True:
        rows = (await session.execute(await page(session, wanted, select(failed_message), after, PAGE))).all()
        for row in rows:
            yield row.position, Line.of(service, row)
        if len(rows) < PAGE:
            return
        after = rows[-1].position


async def import_line(
    session: AsyncSession, subscriptions: Mapping[str, Subscription], failures: Failures, line: Line
) -> tuple[Imported, int | None]:
    """Keeps a message as a dead letter, unless it took effect or is kept already; gives its position.

    Why it failed is shown to anybody, so that is taken over only as far as it cannot hold personal data.
    """
    subscription = subscriptions.get(line.subscription)
    if subscription is None:
        return "foreign", None
    await lock_keys(session, line.subscription, [line.key])
    if line.id is not None and await failures.known(session, subscription, [line.id]):
        return "known", None
    values = storable(line.model_dump(exclude={"service", "body", "body_base64"})) | {"state": "dead"}
    event = subscription.contract(line.type)
    evidence = believed(Evidence(**{field.name: values[field.name] for field in fields(Evidence)}))
    values |= asdict(evidence) | {"reason": without_hidden(evidence.reason, line.content, event)}
    values["body"], values["persons"] = await failures.fit_to_keep(session, line.type, line.version, line.content)
    if line.id is None and await is_kept_nameless(session, values):
        return "known", None
    kept = insert(failed_message).values(values).returning(failed_message.c.position)
    return "imported", await session.scalar(kept)

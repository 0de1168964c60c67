"""Deliveries put together from the frames of one channel, decoded as far as a consumer needs them.

Source: AMQP 0-9-1 specification, sections 2.3.5 and 4.2; the result equals pamqp's. But what pamqp refuses would end the
connection, and again with every new delivery: here it makes a message that has no usable headers.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from pamqp import decode

from broker._delivery import DELIVERY_COUNT, Delivery, storable
from broker._frames import BASIC, FRAME_OVERHEAD, HEADER, METHOD

DELIVER = struct.pack(">HH", BASIC, 60)
FRAME_HEAD = struct.Struct(">BHI")
CONTENT_HEAD = struct.Struct(">HHQH")
LONG, TAG = struct.Struct(">I"), struct.Struct(">Q")
STRING = ord("S")

# The properties in their order, from the highest bit of the flags down, and the length of those that do not state it.
PROPERTIES = (
    *("content_type", "content_encoding", "headers", "delivery_mode", "priority", "correlation_id", "reply_to"),
    *("expiration", "message_id", "timestamp", "message_type", "user_id", "app_id", "cluster_id"),
)
FIXED = {"delivery_mode": 1, "priority": 1, "timestamp": 8}


class Contents:
    """Puts messages together; one may begin in one run of frames and end in a later one."""

    def __init__(self) -> None:
        self._method = self._header = b""
        self._missing = 0
        self._parts: list[bytes] = []

    def of(self, run: bytes) -> Iterator[Delivery]:
        """The deliveries that are complete with this run of frames."""
        at = 0
        while at < len(run):
            kind, _, size = FRAME_HEAD.unpack_from(run, at)
            payload = run[at + FRAME_HEAD.size : at + FRAME_HEAD.size + size]
            at += size + FRAME_OVERHEAD
            if kind == METHOD:
                self._method = payload
                continue
            if kind == HEADER:
                self._header, self._parts = payload, []
                self._missing = CONTENT_HEAD.unpack_from(payload)[2]
            else:
                self._parts.append(payload)
                self._missing -= size
            if self._missing <= 0:
                yield _delivery(self._method, self._header, b"".join(self._parts))


def _delivery(method: bytes, header: bytes, body: bytes) -> Delivery:
    at = len(DELIVER)
    at += 1 + method[at]  # the consumer's tag
    tag = TAG.unpack_from(method, at)[0]
    exchange, at = _short(method, at + TAG.size + 1)
    routing_key, _ = _short(method, at)
    properties = _properties(header)
    headers = properties.get("headers", {})
    count = headers.get(DELIVERY_COUNT, 0)
    return Delivery(
        exchange=storable(exchange),
        routing_key=storable(routing_key),
        delivery_count=count if isinstance(count, int) else 0,
        tag=tag,
        message_id=properties.get("message_id"),
        user_id=properties.get("user_id"),
        headers=headers,
        body=body,
    )


@lru_cache(maxsize=64)
def _present(flags: int) -> tuple[str, ...]:
    return tuple(name for place, name in enumerate(PROPERTIES) if flags & 1 << (15 - place))


def _properties(header: bytes) -> dict[str, Any]:
    found: dict[str, Any] = {}
    at = CONTENT_HEAD.size
    for name in _present(CONTENT_HEAD.unpack_from(header)[3]):
        if name == "headers":
            end = at + LONG.size + LONG.unpack_from(header, at)[0]
            found[name] = _table(header, at + LONG.size, end)
            at = end
        elif name == "message_id" or name == "user_id":
            found[name], at = _short(header, at)
        else:
            at += FIXED.get(name) or 1 + header[at]
    return found


def _short(data: bytes, at: int) -> tuple[str, int]:
    end = at + 1 + data[at]
    return data[at + 1 : end].decode("utf-8", "replace"), end


def _table(data: bytes, at: int, end: int) -> dict[str, Any]:
    table: dict[str, Any] = {}
    try:
        while at < end:
            name, at = _short(data, at)
            if data[at] == STRING:
                begin = at + 1 + LONG.size
                at = begin + LONG.unpack_from(data, at + 1)[0]
                table[name] = _string(data[begin:at])
            else:
                size, table[name] = decode.embedded_value(data[at:end])
                at += size
    except Exception:
        return {}
    return table


def _string(value: bytes) -> str | bytes:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value

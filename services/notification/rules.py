"""What notification decides without asking anybody: states, channels, hours, caps, and when to give up."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime, time, timedelta
from typing import Literal
from uuid import UUID
from zoneinfo import ZoneInfo, available_timezones

from broker import LifeCycle
from contracts.notification import Channel, SuppressionReason
from services.notification.errors import (
    AddressIsNotUsable,
    DeliveryCannotBecome,
    NotificationCannotBecome,
    QuietHoursNeedAnEnd,
    TimeZoneIsUnknown,
)
from services.notification.topics import Topic

NotificationStatus = Literal["queued", "rendered", "sent", "delivered", "bounced", "failed", "retry", "dead", "suppressed"]

NOTIFICATION = LifeCycle[NotificationStatus](
    {
        "queued": {"rendered", "suppressed"},
        "rendered": {"sent", "bounced", "failed", "suppressed"},
        "sent": {"delivered", "bounced", "failed"},
        "bounced": {"retry"},
        "failed": {"retry"},
        "retry": {"rendered", "suppressed", "dead"},
        "delivered": set(),
        "dead": set(),
        "suppressed": set(),
    },
    refused=NotificationCannotBecome,
)
"""`retry` waits for another attempt, over the same channel or the next."""

WAITING: frozenset[NotificationStatus] = frozenset({"queued", "retry"})
"""The states in which a notification is not on its way yet."""

Verdict = Literal["sent", "delivered", "deferred", "bounced", "refused"]
"""What a channel says of one delivery: taken, arrived, not now, no such address, never."""

DeliveryStatus = Literal["sending", "sent", "delivered", "deferred", "bounced", "refused"]

TIME_ZONES = frozenset(available_timezones())
"""The names of the IANA time zone database (RFC 6557)."""

DELIVERY = LifeCycle[DeliveryStatus](
    {
        "sending": {"sent", "delivered", "deferred", "bounced", "refused"},
        "sent": {"delivered", "bounced", "refused"},
        "delivered": set(),
        "deferred": set(),
        "bounced": set(),
        "refused": set(),
    },
    refused=DeliveryCannotBecome,
)
"""A receipt may overtake the answer to the call it belongs to: it is believed, and the answer is no news."""

RETRY_AFTER = (timedelta(seconds=30), timedelta(minutes=2), timedelta(minutes=10), timedelta(hours=1))
"""How long a channel that said "not now" is left alone, attempt by attempt. After the last it is given up.

RFC 5321, 4.5.4.1, lets a mail transfer agent try for days; whoever has to know something is told over another channel sooner.
"""

CAPS: Mapping[timedelta, int] = {timedelta(hours=1): 20, timedelta(days=1): 60}
"""How many notifications one recipient gets within such a time, at most.

What goes at once, and a digest, is neither counted nor held back.
"""

HISTORY = timedelta(days=1)
"""What had happened longer ago when it was published is taken over from elsewhere: whom it concerns has long been told.

What only arrives late, behind an outage, is still news.
"""

LAST_RESORT = "en"
"""The locale in which every topic has a template."""

E164 = re.compile(r"\+[1-9]\d{6,14}")
MAILBOX = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9.-]{0,250}[A-Za-z0-9])?")
DEVICE = re.compile(r"[\x21-\x7e]{8,500}")
USABLE: Mapping[Channel, re.Pattern[str]] = {"email": MAILBOX, "sms": E164, "push": DEVICE}
"""Addresses as RFC 5321 (ASCII), ITU-T E.164 and push services write them. Nothing else is put into a protocol."""

Standing = Literal["open", "preference", "no_address", "address_disabled"]
"""Whether a channel can be used for somebody, or why not."""


def can_be_used(channel: Channel, address: str | None) -> bool:
    """Whether this is an address that the channel knows how to reach."""
    return address is not None and USABLE[channel].fullmatch(address) is not None


def check_address(channel: Channel, address: str) -> None:
    """Raises AddressIsNotUsable, which does not repeat it."""
    if not can_be_used(channel, address):
        raise AddressIsNotUsable(channel=channel)


def is_open_to(topic: Topic, *, status: str) -> bool:
    """Whether somebody in this state is told of a topic.

    Who may not sign in, of what happens to the account and cannot wait; the dead, of nothing.
    """
    is_urgent = topic.of_account and topic.at_once
    return status in ("active", "inactive", "locked") or (is_urgent and status in ("pending", "suspended"))


def is_of_concern(facility_id: UUID | None, facilities: Collection[UUID] | None) -> bool:
    """Whether somebody of these facilities (None: of every one) is told of what happened at this one, or at none."""
    return facility_id is None or facilities is None or facility_id in facilities


def standing(topic: Topic, *, wanted: bool, has_address: bool, is_disabled: bool) -> Standing:
    """Whether a channel is open for a topic; what goes at once ignores what was preferred."""
    if not (wanted or topic.at_once):
        return "preference"
    if not has_address:
        return "no_address"
    return "address_disabled" if is_disabled else "open"


def first_open(standings: Mapping[Channel, Standing]) -> Channel | None:
    """The first channel that can be used, in the topic's order."""
    return next((channel for channel, standing in standings.items() if standing == "open"), None)


def why_none(standings: Iterable[Standing]) -> SuppressionReason:
    """Why no channel can be used: what the recipient wants counts first, then what stopped working."""
    found = set(standings)
    if "preference" in found:
        return "preference"
    return "address_disabled" if "address_disabled" in found else "no_address"


def is_spent(attempts: Collection[DeliveryStatus]) -> bool:
    """Whether a channel is given up for a notification: it said never, or "not now" too often."""
    return "bounced" in attempts or "refused" in attempts or list(attempts).count("deferred") > len(RETRY_AFTER)


def retry_after(deferred: int) -> timedelta:
    """How long to wait after so many times "not now"."""
    return RETRY_AFTER[deferred - 1]


def is_over_cap(sent_at: Sequence[datetime], now: datetime) -> bool:
    """Whether somebody who got notifications at these times has had enough."""
    return any(sum(at > now - span for at in sent_at) >= most for span, most in CAPS.items())


def locale_chain(locale: str | None) -> list[str]:
    """The locales to look for a template in: de-AT, de, en. Source: RFC 4647, 3.4 (lookup)."""
    parts = (locale or "").lower().split("-")
    chain = ["-".join(parts[:length]) for length in range(len(parts), 0, -1)]
    return list(dict.fromkeys(each for each in (*chain, LAST_RESORT) if each))


def check_time_zone(name: str) -> None:
    """Raises TimeZoneIsUnknown."""
    if name not in TIME_ZONES:
        raise TimeZoneIsUnknown


def check_quiet_hours(begin: time | None, end: time | None) -> None:
    """Raises QuietHoursNeedAnEnd."""
    if (begin is None) != (end is None) or (begin is not None and begin == end):
        raise QuietHoursNeedAnEnd


def quiet_until(now: datetime, zone: ZoneInfo, begin: time | None, end: time | None) -> datetime | None:
    """When the quiet hours that `now` lies in are over; None outside them.

    They are times of day on the wall of `zone`: over midnight when they end before they begin, and an hour longer or shorter
    where clocks change meanwhile.
    """
    if begin is None or end is None:
        return None
    today = now.astimezone(zone).date()
    for day in (today - timedelta(days=1), today):
        begins = _instant(datetime.combine(day, begin), zone)
        ends = _instant(datetime.combine(day + timedelta(days=1) if end <= begin else day, end), zone)
        if begins <= now < ends:
            return ends
    return None


def next_digest(now: datetime, zone: ZoneInfo, hour: time) -> datetime:
    """The next time that the clock on the wall of `zone` shows `hour`."""
    today = now.astimezone(zone).date()
    days = (today + timedelta(days=ahead) for ahead in range(3))
    return next(at for day in days if (at := _instant(datetime.combine(day, hour), zone)) > now)


def is_history(happened_at: datetime, told_at: datetime) -> bool:
    """Whether something had long happened when it was published."""
    return told_at - happened_at > HISTORY


def zone_named(name: str | None) -> ZoneInfo:
    """The zone; UTC where none is known."""
    return ZoneInfo(name if name in TIME_ZONES else "UTC")


def _instant(wall: datetime, zone: ZoneInfo) -> datetime:
    return wall.replace(tzinfo=zone).astimezone(UTC)

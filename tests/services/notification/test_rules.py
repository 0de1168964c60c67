"""What notification decides by itself."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from uuid import uuid4
from zoneinfo import ZoneInfo

import pytest

from contracts.notification import Channel
from services.notification import rules
from services.notification.errors import (
    AddressIsNotUsable,
    DeliveryCannotBecome,
    NotificationCannotBecome,
    QuietHoursNeedAnEnd,
    TimeZoneIsUnknown,
    TopicCannotBeFollowed,
    TopicIsUnknown,
)
from services.notification.topics import TOPICS, check_followable, topic_named

BERLIN, KHARTOUM = ZoneInfo("Europe/Berlin"), ZoneInfo("Africa/Khartoum")
EVENING, MORNING = time(22), time(7)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("now", "until"),
    [
        ("2026-01-10 20:59", None),
        ("2026-01-10 21:00", "2026-01-11 06:00"),
        ("2026-01-11 05:59", "2026-01-11 06:00"),
        ("2026-01-11 06:00", None),
    ],
)
def test_quiet_hours_last_over_midnight(now: str, until: str | None) -> None:
    """From 22:00 to 7:00 on the wall in Berlin, in winter an hour ahead of UTC."""
    assert rules.quiet_until(utc(now), BERLIN, EVENING, MORNING) == (utc(until) if until else None)


@pytest.mark.parametrize(
    ("now", "until"),
    [
        ("2026-03-28 21:30", "2026-03-29 05:00"),
        ("2026-10-24 20:30", "2026-10-25 06:00"),
    ],
)
def test_quiet_hours_follow_the_clocks(now: str, until: str) -> None:
    """The night in which clocks go forward is an hour shorter, the one in which they go back an hour longer."""
    assert rules.quiet_until(utc(now), BERLIN, EVENING, MORNING) == utc(until)


@pytest.mark.parametrize(
    ("now", "quiet"), [("2026-03-29 00:59", True), ("2026-03-29 01:01", True), ("2026-03-29 01:31", False)]
)
def test_an_hour_that_does_not_exist_ends_when_the_clocks_are_past_it(now: str, quiet: bool) -> None:
    """Quiet until 2:30, which is skipped: until half an hour after the change."""
    assert (rules.quiet_until(utc(now), BERLIN, time(22), time(2, 30)) is not None) == quiet


@pytest.mark.parametrize(
    ("now", "quiet"), [("2026-10-25 00:29", True), ("2026-10-25 00:31", False), ("2026-10-25 01:15", False)]
)
def test_an_hour_that_comes_twice_counts_once(now: str, quiet: bool) -> None:
    """Quiet until 2:30, which comes twice: until the first of both."""
    assert (rules.quiet_until(utc(now), BERLIN, time(22), time(2, 30)) is not None) == quiet


def test_quiet_hours_are_those_of_the_recipients_wall() -> None:
    """At the same moment it is night in one place and evening in another."""
    now = utc("2026-01-10 20:30")
    assert rules.quiet_until(now, KHARTOUM, EVENING, MORNING) == utc("2026-01-11 05:00")
    assert rules.quiet_until(now, BERLIN, EVENING, MORNING) is None
    assert rules.quiet_until(now, KHARTOUM, None, None) is None


def test_quiet_hours_begin_and_end() -> None:
    """One without the other, or both at once, is refused."""
    for begin, end in ((EVENING, None), (None, MORNING), (EVENING, EVENING)):
        with pytest.raises(QuietHoursNeedAnEnd):
            rules.check_quiet_hours(begin, end)
    rules.check_quiet_hours(None, None)


def test_zones_are_iana() -> None:
    """Any other is refused when it is set, and where one is found all the same it is UTC."""
    with pytest.raises(TimeZoneIsUnknown):
        rules.check_time_zone("Khartoum")
    assert (rules.zone_named("Khartoum"), rules.zone_named("Africa/Khartoum")) == (ZoneInfo("UTC"), KHARTOUM)


@pytest.mark.parametrize(
    ("now", "due"),
    [
        ("2026-03-28 06:59", "2026-03-28 07:00"),
        ("2026-03-28 07:00", "2026-03-29 06:00"),
    ],
)
def test_a_digest_comes_at_the_same_hour_of_the_wall(now: str, due: str) -> None:
    """At 8:00 in Berlin, also on the day on which clocks go forward; at the very moment, the next day."""
    assert rules.next_digest(utc(now), BERLIN, time(8)) == utc(due)


def test_locales_fall_back() -> None:
    """From the dialect to the language, and at last to English, whatever the case."""
    assert rules.locale_chain("de-AT") == ["de-at", "de", "en"]
    assert rules.locale_chain("zh-Hant-TW") == ["zh-hant-tw", "zh-hant", "zh", "en"]
    assert rules.locale_chain("en-GB") == ["en-gb", "en"]
    assert rules.locale_chain(None) == ["en"]


def test_caps_bound_an_hour_and_a_day() -> None:
    """As many within the span as allowed is the last; what is older no longer counts."""
    now = utc("2026-01-10 12:00")
    per_hour, per_day = rules.CAPS[timedelta(hours=1)], rules.CAPS[timedelta(days=1)]
    just_now, long_ago = [now - timedelta(minutes=59)], [now - timedelta(hours=23)]
    assert not rules.is_over_cap(just_now * (per_hour - 1), now)
    assert rules.is_over_cap(just_now * per_hour, now)
    assert not rules.is_over_cap(long_ago * (per_day - 1), now)
    assert rules.is_over_cap(long_ago * per_day, now)
    assert not rules.is_over_cap([now - timedelta(hours=25)] * per_day, now)


def test_a_channel_is_given_up_after_its_attempts() -> None:
    """After as many retries as there are pauses, or at once when it says never."""
    retries = len(rules.RETRY_AFTER)
    assert not rules.is_spent(["deferred"] * retries)
    assert rules.is_spent(["deferred"] * (retries + 1))
    assert rules.is_spent(["bounced"])
    assert rules.is_spent(["refused"])
    assert [rules.retry_after(count) for count in range(1, retries + 1)] == sorted(rules.RETRY_AFTER)


def test_a_channel_is_open_or_there_is_a_reason() -> None:
    """What is wanted, there and working is open; at once, wanting does not matter; of several reasons one's own counts."""
    routine, urgent = TOPICS["invoice.issued"], TOPICS["result.critical"]
    assert rules.standing(routine, wanted=True, has_address=True, is_disabled=False) == "open"
    assert rules.standing(routine, wanted=False, has_address=True, is_disabled=False) == "preference"
    assert rules.standing(urgent, wanted=False, has_address=True, is_disabled=False) == "open"
    assert rules.standing(urgent, wanted=True, has_address=True, is_disabled=True) == "address_disabled"
    assert rules.standing(urgent, wanted=True, has_address=False, is_disabled=False) == "no_address"
    assert rules.first_open({"email": "no_address", "sms": "open", "push": "open"}) == "sms"
    assert rules.why_none(["no_address", "preference"]) == "preference"
    assert rules.why_none(["no_address", "address_disabled"]) == "address_disabled"
    assert rules.why_none([]) == "no_address"


@pytest.mark.parametrize(
    ("status", "hears_of_money", "hears_of_account"),
    [
        ("active", True, True),
        ("locked", True, True),
        ("pending", False, True),
        ("suspended", False, True),
        ("deceased", False, False),
        ("deleted", False, False),
    ],
)
def test_who_is_told(status: str, hears_of_money: bool, hears_of_account: bool) -> None:
    """Who may not sign in hears of the account alone, and not what was collected before; the dead of nothing."""
    assert rules.is_open_to(TOPICS["invoice.issued"], status=status) == hears_of_money
    assert rules.is_open_to(TOPICS["account.suspended"], status=status) == hears_of_account
    assert rules.is_open_to(TOPICS["digest"], status=status) == hears_of_money


def test_who_has_left_a_facility_is_told_nothing_of_it() -> None:
    """Only who has a role there, or at every one; what belongs to no facility is told to anybody."""
    here, elsewhere = uuid4(), uuid4()
    assert rules.is_of_concern(here, {here, elsewhere})
    assert rules.is_of_concern(here, None)
    assert rules.is_of_concern(None, set())
    assert not rules.is_of_concern(here, {elsewhere})
    assert not rules.is_of_concern(here, set())


@pytest.mark.parametrize(
    ("channel", "address", "usable"),
    [
        ("email", "amal.idris+bills@example.org", True),
        ("email", "amal@example.org\r\nRCPT TO:<everybody@example.org>", False),
        ("email", "amal", False),
        ("sms", "+249912345678", True),
        ("sms", "0912345678", False),
        ("push", "device-token-1", True),
        ("push", "two words", False),
    ],
)
def test_only_addresses_go_into_a_protocol(channel: Channel, address: str, usable: bool) -> None:
    """What is none is not used, and not taken."""
    assert rules.can_be_used(channel, address) == usable
    if not usable:
        with pytest.raises(AddressIsNotUsable) as refused:
            rules.check_address(channel, address)
        assert address not in str(refused.value)


def test_life_cycles_refuse_by_name() -> None:
    """What is over stays over."""
    with pytest.raises(NotificationCannotBecome):
        rules.NOTIFICATION.moved("dead", "rendered")
    with pytest.raises(DeliveryCannotBecome):
        rules.DELIVERY.moved("delivered", "sent")
    assert rules.NOTIFICATION.moved("retry", "dead") == "dead"


def test_only_the_staffs_topics_are_followed() -> None:
    """What concerns one person, and above all their code, is told to that person alone."""
    check_followable("ward.full")
    for topic in ("account.verification", "invoice.issued", "result.ready", "digest"):
        with pytest.raises(TopicCannotBeFollowed):
            check_followable(topic)
    with pytest.raises(TopicIsUnknown):
        topic_named("weather")

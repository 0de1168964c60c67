"""Templates: what is shipped, what may be registered, and what is made of it."""

from __future__ import annotations

import re
from zoneinfo import ZoneInfo

import pytest

from broker import RuleBroken
from contracts.lab import LabResultAvailable
from contracts.notification import Channel
from services.notification.announcements import ANNOUNCEMENTS
from services.notification.commands.templates import template_for
from services.notification.errors import (
    PersonalDataStaysOutOfShortMessages,
    PersonalDataStaysOutOfSubjects,
    TemplateIsMalformed,
    TemplateIsRefused,
    TemplateUsesUndeclaredVariable,
    VariableIsMissing,
)
from services.notification.rendering import LONGEST_SHORT_MESSAGE, Content, check_template, render
from services.notification.shipped import LANGUAGES, SHIPPED
from services.notification.topics import FORMS, SAFE_IN_SHORT_MESSAGES, SAMPLES, SHORT_CHANNELS, TOPICS
from tests.services.notification.conftest import Desk
from tests.services.notification.given import FACILITY

UTC, KHARTOUM = ZoneInfo("UTC"), ZoneInfo("Africa/Khartoum")
INVOICE = TOPICS["invoice.issued"]
MEDICAL = re.compile(r"potassium|glucose|mmol|mg/dl|diagnos|icd|haemol|positive|negative|cancer|hiv", re.IGNORECASE)


@pytest.mark.parametrize(("topic", "channel", "locale"), SHIPPED, ids=str)
def test_what_is_shipped_could_be_registered(topic: str, channel: Channel, locale: str) -> None:
    """Every shipped template renders, with declared variables alone and, in short messages, with harmless ones alone."""
    check_template(TOPICS[topic], channel, SHIPPED[topic, channel, locale])


def test_every_topic_is_shipped_in_english_and_french() -> None:
    """On every channel that it may go over: there is always something to send."""
    needed = {(name, channel) for name, topic in TOPICS.items() for channel in topic.channels}
    for locale in ("en", "fr"):
        assert {(name, channel) for name, channel, each in SHIPPED if each == locale} == needed
    assert set(LANGUAGES) >= {"en", "fr", "de"}


def test_what_concerns_the_recipient_is_shipped_in_every_language() -> None:
    """A patient's care and money, and the own account, also in German."""
    own = {(name, channel) for name, topic in TOPICS.items() if not topic.staff for channel in topic.channels}
    for locale in LANGUAGES:
        assert own - {(name, channel) for name, channel, each in SHIPPED if each == locale} == set()


def test_nothing_shipped_says_anything_of_health() -> None:
    """No template has a variable for, or a word of, what was measured or found; no announcement passes a result on."""
    for content in SHIPPED.values():
        assert not MEDICAL.search(f"{content.subject} {content.body}")
    clinical = {"value", "text_value", "flag", "is_abnormal", "is_critical", "test_name", "test_code", "unit"}
    assert clinical <= LabResultAvailable.model_fields.keys()
    assert [each.topic for each in ANNOUNCEMENTS if clinical & set(each.says.values())] == []


def test_every_announcement_says_what_its_topic_declares() -> None:
    """Neither more nor less, from fields that its event has."""
    for each in ANNOUNCEMENTS:
        assert each.says.keys() == TOPICS[each.topic].says, each.topic
        assert {*each.says.values(), *each.once_per} <= each.event.model_fields.keys(), each.topic


def test_short_messages_carry_no_personal_variable() -> None:
    """Neither the name, nor the amount, nor a reference to a record."""
    assert not {"name", "amount", "balance", "reference", "code"} & SAFE_IN_SHORT_MESSAGES
    for channel in SHORT_CHANNELS:
        with pytest.raises(PersonalDataStaysOutOfShortMessages):
            check_template(INVOICE, channel, Content(None, "{{ name }} owes money to {{ facility }}"))


def test_what_slipped_in_is_not_rendered_either() -> None:
    """A short template that asks for a name finds none, however it came into the database."""
    with pytest.raises(VariableIsMissing):
        render(INVOICE, "sms", Content(None, "{{ name }}"), SAMPLES, UTC)


@pytest.mark.parametrize(
    ("subject", "body", "rule"),
    [
        ("Hello", "{{ diagnosis }}", TemplateUsesUndeclaredVariable),
        ("Hello {{ code }}", "text", TemplateUsesUndeclaredVariable),
        ("Hello", "{{ name", TemplateIsMalformed),
        ("Hello", "{% include 'passwd' %}", TemplateIsMalformed),
        ("Hello", "{{ name.__class__.__mro__ }}", TemplateIsMalformed),
        ("Hello", "{{ 1 / 0 }}", TemplateIsMalformed),
        ("Hello", "{% for n in range(10 ** 9) %}x{% endfor %}", TemplateIsMalformed),
        ("Hello", "{# nothing #}", TemplateIsMalformed),
        ("Hello", "{{ name * 1000000000 }}", TemplateIsMalformed),
        ("Hello", "{{ name.format_map(1) }}", TemplateIsMalformed),
        ("Hello", "{{ name | center(1000000000) }}", TemplateIsMalformed),
        ("Hello", "{% for letter in name %}x{% endfor %}", TemplateIsMalformed),
        ("Hello", "{% macro m() %}{{ m() }}{{ m() }}{% endmacro %}{{ m() }}", TemplateIsMalformed),
        ("Hello", "{% set x = name %}{{ x }}", TemplateIsMalformed),
        ("{{ amount }} for you", "text", PersonalDataStaysOutOfSubjects),
        ("{{ name }}, your invoice", "text", PersonalDataStaysOutOfSubjects),
        (None, "A mail without a subject", TemplateIsMalformed),
    ],
)
def test_a_template_is_refused(subject: str | None, body: str, rule: type[RuleBroken]) -> None:
    """What cannot be rendered, reaches out of the sandbox, or asks for what its topic does not have."""
    assert issubclass(rule, TemplateIsRefused)
    with pytest.raises(rule):
        check_template(INVOICE, "email", Content(subject, body))


@pytest.mark.parametrize(
    "body",
    [
        "{% for a in items %}{% for b in items %}x{% endfor %}{% endfor %}",
        "{% for a in items recursive %}{{ loop(items) }}{% endfor %}",
        "{% for a in items %}{{ loop.index }}{% endfor %}",
        "{% for a in items * 1000000 %}x{% endfor %}",
    ],
)
def test_a_loop_is_one_way_through_a_list(body: str) -> None:
    """A list is gone through once; whatever could multiply is refused, and not rendered either if it slipped in."""
    digest = TOPICS["digest"]
    assert render(digest, "email", Content("x", "{% for a in items %}x{% endfor %}"), SAMPLES, UTC).body == "xx"
    with pytest.raises(TemplateIsMalformed):
        check_template(digest, "email", Content("x", body))
    with pytest.raises(VariableIsMissing):
        render(digest, "email", Content("x", body), SAMPLES, UTC)


def test_a_short_message_is_short() -> None:
    """It fits into three text messages."""
    check_template(INVOICE, "sms", Content(None, "x" * LONGEST_SHORT_MESSAGE))
    with pytest.raises(TemplateIsMalformed):
        check_template(INVOICE, "sms", Content(None, "x" * (LONGEST_SHORT_MESSAGE + 1)))


def test_what_is_said_by_hand_has_a_form() -> None:
    """Every variable that a person may give, and as events give it."""
    by_hand = set[str]().union(*(topic.says for topic in TOPICS.values() if not topic.of_account))
    assert by_hand == FORMS.keys()
    for name in by_hand:
        assert FORMS[name].fullmatch(str(SAMPLES[name])), name
        for malformed in ("your test is positive", "", f"{SAMPLES[name]} x"):
            assert not FORMS[name].fullmatch(malformed), name


@pytest.mark.parametrize("missing", sorted(INVOICE.variables))
def test_nothing_is_sent_half(missing: str) -> None:
    """Without one of its variables, a message is not made."""
    template = Content("{{ invoice_number }}", "{{ name }} {{ facility }} {{ amount }} {{ due_on }}")
    assert render(INVOICE, "email", template, SAMPLES, UTC).subject == SAMPLES["invoice_number"]
    for absent in ({**SAMPLES, missing: None}, {name: value for name, value in SAMPLES.items() if name != missing}):
        with pytest.raises(VariableIsMissing):
            render(INVOICE, "email", template, absent, UTC)


def test_times_are_those_of_the_recipients_wall() -> None:
    """12:00 in UTC is 14:00 in Khartoum."""
    template = Content(None, "{{ time }}")
    assert render(TOPICS["ward.full"], "sms", template, SAMPLES, KHARTOUM).body == "2026-03-01 14:00"


def test_a_subject_is_one_line() -> None:
    """What a variable brings along cannot begin another header."""
    given = {**SAMPLES, "invoice_number": "7\r\nBcc: everybody@example.org"}
    content = render(INVOICE, "email", Content("{{ invoice_number }}", "text"), given, UTC)
    assert content.subject == "7 Bcc: everybody@example.org"


async def test_the_nearest_locale_is_used(desk: Desk) -> None:
    """A registered dialect before the shipped language, in its last version, and the registered before the shipped one."""
    async with desk.work.client("notification_manager", at=None) as manager:
        for locale, subject in (("de-AT", "Erste"), ("de-AT", "Zweite"), ("fr", "Autre")):
            template = {
                "topic": "invoice.issued",
                "channel": "email",
                "locale": locale,
                "subject": subject,
                "body": "{{ name }}",
            }
            assert (await manager.post("/templates", json=template)).status_code == 201
        listed = (await manager.get("/templates")).json()["items"]
    assert sorted((each["locale"], each["version"]) for each in listed) == [("de-at", 1), ("de-at", 2), ("fr", 1)]
    async with desk.work.transaction() as session:
        found = {
            locale: await template_for(session, "invoice.issued", "email", locale)
            for locale in ("de-AT", "de-CH", "fr-CA", "ar", None)
        }
    assert {locale: (each.content.subject, each.version) for locale, each in found.items()} == {
        "de-AT": ("Zweite", 2),
        "de-CH": ("Rechnung {{ invoice_number }} von {{ facility }}", 0),
        "fr-CA": ("Autre", 1),
        "ar": ("Invoice {{ invoice_number }} of {{ facility }}", 0),
        None: ("Invoice {{ invoice_number }} of {{ facility }}", 0),
    }


async def test_templates_are_for_who_manages_every_facility(desk: Desk) -> None:
    """They are the same everywhere: the manager of one facility reads them, and changes none."""
    said = {"topic": "invoice.issued", "channel": "email", "locale": "en", "subject": "Pay here", "body": "{{ name }}"}
    async with desk.work.client("notification_manager", at=FACILITY) as manager:
        refused = await manager.post("/templates", json=said)
        listed = (await manager.get("/templates")).json()["items"]
    assert (refused.status_code, refused.json()["type"]) == (403, "urn:nilecare:rule:RoleMustCountEverywhere")
    assert listed == []

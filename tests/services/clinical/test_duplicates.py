"""Whether two records are of one person: the score, and the queue that a person works through."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from datetime import date
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from contracts.clinical import PatientMerged, Sex
from services.clinical import commands, errors, rules
from services.clinical.rules.names import jaro_winkler, normalised
from tests.services.clinical.conftest import ELSEWHERE, HERE
from tests.services.clinical.test_api import person, rule_of
from tests.services.kit import Workplace


@dataclass(frozen=True)
class Described:
    full_name: str = "Amal Haddad"
    birth_date: date = date(1980, 5, 17)
    sex: Sex = "female"
    phone: str | None = "+249912345678"


AMAL = Described()


@pytest.mark.parametrize(
    ("one", "other", "alike"),
    [("martha", "marhta", 0.961), ("dwayne", "duane", 0.84), ("dixon", "dicksonx", 0.813), ("", "", 1.0), ("a", "b", 0.0)],
)
def test_jaro_winkler(one: str, other: str, alike: float) -> None:
    """Winkler's own examples, both ways round."""
    assert jaro_winkler(one, other) == pytest.approx(alike, abs=0.001)
    assert jaro_winkler(other, one) == pytest.approx(alike, abs=0.001)


def test_names_are_compared_without_what_is_written_differently() -> None:
    """Case, accents, punctuation and the order of the parts do not tell people apart."""
    assert normalised("GARCÍA-Lopez, José") == normalised("jose garcia lopez") == "garcia jose lopez"


@pytest.mark.parametrize(
    ("other", "same"),
    [
        (AMAL, True),
        (replace(AMAL, phone=None), True),
        (replace(AMAL, full_name="HADDAD, Amal", phone="+249911111111"), True),
        (replace(AMAL, full_name="Amal Hadad", phone=None), True),
        (replace(AMAL, birth_date=date(1980, 7, 15)), True),
        (replace(AMAL, sex="unknown", phone=None), True),
        (replace(AMAL, sex="male", phone=None), True),
        (replace(AMAL, birth_date=date(1955, 1, 2), phone=None), False),
        (replace(AMAL, full_name="Nadia Osman", phone=None), False),
        (replace(AMAL, full_name="Omar Haddad", birth_date=date(2012, 3, 4), sex="male"), False),
        (Described("Nadia Osman", date(1955, 1, 2), "female", "+249911111111"), False),
    ],
)
def test_who_is_looked_at(other: Described, same: bool) -> None:
    """A slip, a new number, a mistyped birth date lead to a review; a namesake, a shared date, a family's phone do not."""
    assert (rules.duplicate_score(AMAL, other) >= rules.REVIEW_FROM) is same
    assert rules.duplicate_score(other, AMAL) == pytest.approx(rules.duplicate_score(AMAL, other))


def test_what_is_not_known_weighs_nothing() -> None:
    """Neither for nor against."""
    assert rules.weights(AMAL, replace(AMAL, sex="unknown", phone=None)).keys() == {"full_name", "birth_date"}


def test_a_pair_is_decided_once() -> None:
    """DuplicateReviewCannotBecome."""
    with pytest.raises(errors.DuplicateReviewCannotBecome):
        rules.DUPLICATE_REVIEW.moved("dismissed", "confirmed")


# The queue.


@pytest.fixture
def registrar(clinical: Workplace) -> httpx.AsyncClient:
    return clinical.client("registrar", at=HERE, subject="registrar-1")


async def registered(registrar: httpx.AsyncClient, number: str, **fields: Any) -> str:
    reply = await registrar.post("/patients", json=person(number, **fields))
    assert reply.status_code == 201, reply.text
    return str(reply.json()["patient_id"])


async def queue(registrar: httpx.AsyncClient, **params: str) -> list[dict[str, Any]]:
    return list((await registrar.get("/duplicate-reviews", params=params)).json()["items"])


async def test_a_likely_duplicate_is_queued_and_confirmed(clinical: Workplace, registrar: httpx.AsyncClient) -> None:
    """It names both records and why; confirming merges the newer into the older, and the pair leaves the queue."""
    older = await registered(registrar, "M-1")
    newer = await registered(registrar, "M-2", full_name="Amal Hadad")
    await registered(registrar, "M-3", full_name="Nadia Osman", birth_date="1955-01-02")
    [review] = await queue(registrar)
    assert (review["patient_id"], review["other_id"]) == (newer, older)
    assert review["score"] == pytest.approx(sum(review["weights"].values()), abs=0.01)
    survivor = await registrar.post(f"/duplicate-reviews/{review['review_id']}/confirm", json={})
    assert survivor.json()["patient_id"] == older
    assert [str(event.patient_id) for event in await clinical.published(PatientMerged)] == [newer]
    assert await queue(registrar) == []
    [closed] = await queue(registrar, status="confirmed")
    assert closed["decided_by"] == "registrar-1"
    again = await registrar.post(f"/duplicate-reviews/{review['review_id']}/confirm", json={})
    assert rule_of(again, 409) == "rule:DuplicateReviewCannotBecome"


async def test_who_reviews_says_which_record_lives_on(registrar: httpx.AsyncClient) -> None:
    """SurvivorIsNotOfThisPair for a third one."""
    await registered(registrar, "M-1")
    newer = await registered(registrar, "M-2")
    [review] = await queue(registrar)
    address = f"/duplicate-reviews/{review['review_id']}/confirm"
    assert rule_of(await registrar.post(address, json={"survivor_id": str(uuid4())}), 422) == "rule:SurvivorIsNotOfThisPair"
    assert (await registrar.post(address, json={"survivor_id": newer})).json()["patient_id"] == newer


async def test_two_people_stay_two(clinical: Workplace, registrar: httpx.AsyncClient) -> None:
    """Dismissing keeps the reason, tells the audit log, and merges nobody."""
    await registered(registrar, "M-1")
    await registered(registrar, "M-2")
    [review] = await queue(registrar)
    reply = await registrar.post(f"/duplicate-reviews/{review['review_id']}/dismiss", json={"reason": "twins"})
    assert (reply.json()["status"], reply.json()["reason"]) == ("dismissed", "twins")
    assert await queue(registrar) == []
    assert await clinical.published(PatientMerged) == []
    log = await clinical.client("privacy_officer", at=HERE).get("/audit-log")
    assert [(line["action"], line["actor"]) for line in log.json()["items"]] == [("duplicate_dismissed", "registrar-1")]


async def test_a_pair_that_is_being_dismissed_is_not_merged(clinical: Workplace, registrar: httpx.AsyncClient) -> None:
    """Who confirms at the same time waits for the other's word, and then is refused."""
    await registered(registrar, "M-1")
    await registered(registrar, "M-2")
    [review] = await queue(registrar)
    async with clinical.transaction() as session:
        await commands.dismiss_duplicate(session, UUID(review["review_id"]), reason="twins", by="registrar-2")
        confirming = asyncio.create_task(registrar.post(f"/duplicate-reviews/{review['review_id']}/confirm", json={}))
        await clinical.somebody_waits()
    assert rule_of(await confirming, 409) == "rule:DuplicateReviewCannotBecome"
    assert await clinical.published(PatientMerged) == []


async def test_a_merge_closes_the_review_of_the_pair(registrar: httpx.AsyncClient) -> None:
    """Whoever merges the two records by themselves has answered the question."""
    older, newer = await registered(registrar, "M-1"), await registered(registrar, "M-2")
    await registrar.post(f"/patients/{older}/merge", json={"into_patient_id": newer})
    assert await queue(registrar) == []


async def test_a_question_about_a_merged_record_is_one_about_the_survivor(
    clinical: Workplace, registrar: httpx.AsyncClient
) -> None:
    """It stays open, may name the survivor, and merges into it; what two pairs asked is answered once."""
    first, second, third = [await registered(registrar, f"M-{number}") for number in (1, 2, 3)]
    assert len(await queue(registrar)) == 3
    await registrar.post(f"/patients/{first}/merge", json={"into_patient_id": second})
    left = await queue(registrar)
    assert {frozenset({review["patient_id"], review["other_id"]}) for review in left} == {
        frozenset({first, third}),
        frozenset({second, third}),
    }
    [of_merged] = [review for review in left if first in review.values()]
    address = f"/duplicate-reviews/{of_merged['review_id']}/confirm"
    assert rule_of(await registrar.post(address, json={"survivor_id": str(uuid4())}), 422) == "rule:SurvivorIsNotOfThisPair"
    survivor = await registrar.post(address, json={"survivor_id": second})
    assert (survivor.status_code, survivor.json()["patient_id"]) == (200, second)
    assert [str(event.patient_id) for event in await clinical.published(PatientMerged)] == [first, third]
    assert await queue(registrar) == []
    assert len(await queue(registrar, status="confirmed")) == 3


async def test_the_older_record_lives_on_in_whom_it_was_merged_into(registrar: httpx.AsyncClient) -> None:
    """Whoever names the merged one, or nobody, means the one that it redirects to."""
    first, second, third = [await registered(registrar, f"M-{number}") for number in (1, 2, 3)]
    await registrar.post(f"/patients/{first}/merge", json={"into_patient_id": second})
    [of_merged] = [review for review in await queue(registrar) if first in review.values()]
    survivor = await registrar.post(f"/duplicate-reviews/{of_merged['review_id']}/confirm", json={})
    assert survivor.json()["patient_id"] == second
    assert (await registrar.get(f"/patients/{third}")).json()["merged_into"] == second


async def test_a_question_comes_back_to_who_is_two_people_again(registrar: httpx.AsyncClient) -> None:
    """A merge that is taken back leaves what was open about the record open, about the record alone."""
    first, second, third = [await registered(registrar, f"M-{number}") for number in (1, 2, 3)]
    await registrar.post(f"/patients/{first}/merge", json={"into_patient_id": second})
    await registrar.post(f"/patients/{first}/unmerge")
    [of_first] = [review for review in await queue(registrar) if first in review.values()]
    survivor = await registrar.post(f"/duplicate-reviews/{of_first['review_id']}/confirm", json={})
    assert survivor.json()["patient_id"] == first
    assert (await registrar.get(f"/patients/{third}")).json()["merged_into"] == first


async def test_a_survivor_is_not_paired_again_with_who_waits_beside_the_merged(registrar: httpx.AsyncClient) -> None:
    """The question is in the queue already, though under the other record's id."""
    survivor = await registered(registrar, "M-1", **NADIA)
    merged, other = await registered(registrar, "M-2"), await registered(registrar, "M-3")
    [review] = await queue(registrar)
    await registrar.post(f"/patients/{merged}/merge", json={"into_patient_id": survivor})
    for patient_id in (survivor, other):
        await called_amal(registrar, patient_id)
    assert [each["review_id"] for each in await queue(registrar)] == [review["review_id"]]


async def test_two_answers_to_questions_about_one_person_wait_for_each_other(
    clinical: Workplace, registrar: httpx.AsyncClient
) -> None:
    """The second finds what the first has merged, and hears that its question is answered."""
    for number in (1, 2, 3):
        await registered(registrar, f"M-{number}")
    first, second, third = [UUID(review["review_id"]) for review in await queue(registrar)]
    async with clinical.transaction() as session:
        await commands.confirm_duplicate(session, first, by="registrar-2")
        await commands.confirm_duplicate(session, second, by="registrar-2")
        confirming = asyncio.create_task(registrar.post(f"/duplicate-reviews/{third}/confirm", json={}))
        await clinical.somebody_waits()
    assert rule_of(await confirming, 409) == "rule:DuplicateReviewCannotBecome"


NADIA = {"full_name": "Nadia Osman", "birth_date": "1955-01-02"}


async def called_amal(registrar: httpx.AsyncClient, patient_id: str) -> None:
    """Nadia, as registered, turns out to be called otherwise and to be born on another day."""
    reply = await registrar.patch(f"/patients/{patient_id}", json={"full_name": "Amal Hadad", "birth_date": "1980-05-17"})
    assert reply.status_code == 200, reply.text


@pytest.mark.parametrize("corrected", ["older", "newer"])
async def test_a_corrected_record_is_looked_at_again(registrar: httpx.AsyncClient, corrected: str) -> None:
    """What was no duplicate when it was registered may be one now; still the newer record is merged into the older."""
    older = await registered(registrar, "M-1", **(NADIA if corrected == "older" else {}))
    newer = await registered(registrar, "M-2", **(NADIA if corrected == "newer" else {}))
    assert await queue(registrar) == []
    await called_amal(registrar, older if corrected == "older" else newer)
    [review] = await queue(registrar)
    assert (review["patient_id"], review["other_id"]) == (newer, older)


async def test_a_pair_is_proposed_once(registrar: httpx.AsyncClient) -> None:
    """Neither beside itself while it is open, nor again after somebody said that these are two people."""
    older = await registered(registrar, "M-1")
    newer = await registered(registrar, "M-2")
    for patient_id in (older, newer):
        await called_amal(registrar, patient_id)
    [review] = await queue(registrar)
    await registrar.post(f"/duplicate-reviews/{review['review_id']}/dismiss", json={"reason": "twins"})
    for patient_id in (older, newer):
        await called_amal(registrar, patient_id)
    assert await queue(registrar) == []


async def test_two_who_register_one_person_at_once_do_not_miss_each_other(
    clinical: Workplace, registrar: httpx.AsyncClient
) -> None:
    """The second waits until the first is there to be compared with; another facility does not wait."""
    stranger = clinical.client("registrar", at=ELSEWHERE)
    async with clinical.transaction() as session:
        first = await commands.register_patient(
            session,
            facility_id=HERE,
            medical_record_number="M-1",
            full_name="Amal Haddad",
            birth_date=date(1980, 5, 17),
            sex="female",
        )
        registering = asyncio.create_task(registered(registrar, "M-2"))
        await clinical.somebody_waits()
        await registered(stranger, "M-1", facility_id=str(ELSEWHERE))
    second = await registering
    [review] = await queue(registrar)
    assert (review["patient_id"], review["other_id"]) == (second, str(first.patient_id))


async def test_two_corrections_at_once_do_not_miss_each_other(clinical: Workplace, registrar: httpx.AsyncClient) -> None:
    """Two records that become alike in the same moment are a pair."""
    one = await registered(registrar, "M-1", **NADIA)
    other = await registered(registrar, "M-2", full_name="Sara Bakri", birth_date="1990-09-09")
    async with clinical.transaction() as session:
        await commands.update_demographics(session, UUID(one), full_name="Amal Haddad", birth_date=date(1980, 5, 17))
        await session.flush()
        correcting = asyncio.create_task(called_amal(registrar, other))
        await clinical.somebody_waits()
    await correcting
    [review] = await queue(registrar)
    assert (review["patient_id"], review["other_id"]) == (other, one)


async def test_nobody_is_compared_with_who_is_being_merged(clinical: Workplace, registrar: httpx.AsyncClient) -> None:
    """Who corrects a record waits for the merge, and finds the one that lives on."""
    survivor, merged = await registered(registrar, "M-1"), await registered(registrar, "M-2")
    corrected = await registered(registrar, "M-3", **NADIA)
    async with clinical.transaction() as session:
        await commands.merge_patients(session, UUID(merged), into_patient_id=UUID(survivor))
        correcting = asyncio.create_task(called_amal(registrar, corrected))
        await clinical.somebody_waits()
    await correcting
    [review] = await queue(registrar)
    assert (review["patient_id"], review["other_id"]) == (corrected, survivor)


async def test_another_facilitys_pairs_are_not_shown(clinical: Workplace, registrar: httpx.AsyncClient) -> None:
    """Neither are records of two facilities ever a pair."""
    stranger = clinical.client("registrar", at=ELSEWHERE)
    await registered(registrar, "M-1")
    await registered(stranger, "M-1", facility_id=ELSEWHERE)
    assert await queue(registrar) == []
    await registered(registrar, "M-2")
    [review] = await queue(registrar)
    assert await queue(stranger) == []
    reply = await stranger.post(f"/duplicate-reviews/{review['review_id']}/dismiss", json={"reason": "no"})
    assert reply.status_code == 404

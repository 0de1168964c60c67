"""Breaking the glass: a record of another facility, opened in an emergency, for a time, and not unseen."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest

from broker import clock
from services.clinical import commands, rules
from tests.services.clinical.conftest import ELSEWHERE, HERE
from tests.services.clinical.test_api import rule_of
from tests.services.clinical.test_commands import register
from tests.services.kit import Workplace

WHY = {"reason": "unconscious in our emergency room"}


@pytest.fixture
def stranger(clinical: Workplace) -> httpx.AsyncClient:
    """A clinician of another facility."""
    return clinical.client("clinician", at=ELSEWHERE, subject="dr-2")


@pytest.fixture
def officer(clinical: Workplace) -> httpx.AsyncClient:
    """The privacy officer of the patient's facility."""
    return clinical.client("privacy_officer", at=HERE, subject="officer-1")


async def broken(stranger: httpx.AsyncClient, patient_id: UUID) -> dict[str, Any]:
    reply = await stranger.post(f"/patients/{patient_id}/break-glass", json=WHY)
    assert reply.status_code == 201, reply.text
    return dict(reply.json())


async def statuses(client: httpx.AsyncClient, *patients: UUID) -> list[int]:
    """What a look at the person, the results and the allergies of these patients is answered with."""
    parts = ("", "/results", "/allergies")
    return [(await client.get(f"/patients/{patient_id}{part}")).status_code for patient_id in patients for part in parts]


async def test_the_record_is_open_for_an_hour(clinical: Workplace, stranger: httpx.AsyncClient) -> None:
    """Closed before, open to read and to write for who broke the glass, closed when the time is over."""
    patient_id = await register(clinical)
    assert await statuses(stranger, patient_id) == [404, 404, 404]
    await broken(stranger, patient_id)
    assert await statuses(stranger, patient_id) == [200, 200, 200]
    vitals = {"pulse_per_minute": 120}
    assert (await stranger.post(f"/patients/{patient_id}/vitals", json=vitals)).status_code == 201
    clock.shift = rules.BROKEN_FOR - timedelta(minutes=1)
    assert await statuses(stranger, patient_id) == [200, 200, 200]
    clock.shift = rules.BROKEN_FOR + timedelta(minutes=1)
    assert await statuses(stranger, patient_id) == [404, 404, 404]


async def test_one_record_is_open_to_one_user(clinical: Workplace, stranger: httpx.AsyncClient) -> None:
    """Neither another record to them, nor this one to another; what is no part of treating is not open at all."""
    patient_id, other = await register(clinical, "M-1"), await register(clinical, "M-2")
    await broken(stranger, patient_id)
    assert await statuses(stranger, other) == [404, 404, 404]
    colleague = clinical.client("clinician", "registrar", at=ELSEWHERE, subject="dr-3")
    assert await statuses(colleague, patient_id) == [404, 404, 404]
    registrar = clinical.client("registrar", "clinician", at=ELSEWHERE, subject="dr-2")
    assert (await registrar.patch(f"/patients/{patient_id}", json={"full_name": "X"})).status_code == 404
    assert (await registrar.get(f"/patients/{patient_id}/paid-invoices")).status_code == 404


async def test_an_open_record_is_followed_through_a_merge(clinical: Workplace, stranger: httpx.AsyncClient) -> None:
    """Who may see the one may see what it becomes."""
    patient_id, survivor = await register(clinical, "M-1"), await register(clinical, "M-2")
    await broken(stranger, patient_id)
    async with clinical.transaction() as session:
        await commands.merge_patients(session, patient_id, into_patient_id=survivor)
    assert await statuses(stranger, patient_id, survivor) == [200] * 6


async def test_glass_is_broken_only_where_there_is_some(clinical: Workplace, stranger: httpx.AsyncClient) -> None:
    """AccessIsGivenAlready at one's own facility, GlassIsBrokenAlready while it is; 403 for who is no clinician."""
    patient_id = await register(clinical)
    address = f"/patients/{patient_id}/break-glass"
    own = clinical.client("clinician", at=HERE)
    assert rule_of(await own.post(address, json=WHY), 409) == "rule:AccessIsGivenAlready"
    assert (await clinical.client("nurse", at=ELSEWHERE).post(address, json=WHY)).status_code == 403
    assert rule_of(await stranger.post(address, json={}), 422) == "invalid"
    await broken(stranger, patient_id)
    assert rule_of(await stranger.post(address, json=WHY), 409) == "rule:GlassIsBrokenAlready"


async def test_broken_glass_is_audited_and_reviewed(
    clinical: Workplace, stranger: httpx.AsyncClient, officer: httpx.AsyncClient
) -> None:
    """Who, whose, when and why; a privacy officer says once whether it was justified, which the log tells too."""
    patient_id = await register(clinical)
    grant = await broken(stranger, patient_id)
    [line] = (await officer.get("/audit-log", params={"patient_id": str(patient_id)})).json()["items"]
    assert (line["action"], line["actor"], line["subject_id"]) == ("glass_broken", "dr-2", grant["grant_id"])
    assert (line["patient_id"], line["reason"]) == (str(patient_id), WHY["reason"])
    assert grant["opened_at"] <= line["occurred_at"] < grant["expires_at"]
    [waiting] = (await officer.get("/break-glass")).json()["items"]
    assert waiting["grant_id"] == grant["grant_id"]
    address = f"/break-glass/{grant['grant_id']}/review"
    reviewed = await officer.post(address, json={"status": "unjustified"})
    assert (reviewed.json()["status"], reviewed.json()["reviewed_by"]) == ("unjustified", "officer-1")
    assert (await officer.get("/break-glass")).json()["items"] == []
    assert rule_of(await officer.post(address, json={"status": "justified"}), 409) == "rule:BreakGlassCannotBecome"
    lines = (await officer.get("/audit-log")).json()["items"]
    assert [line["action"] for line in lines] == ["break_glass_reviewed", "glass_broken"]


async def test_each_look_behind_the_glass_is_audited(
    clinical: Workplace, stranger: httpx.AsyncClient, officer: httpx.AsyncClient
) -> None:
    """Who, whose, which part, under which grant and why: to read and to write; an own record is looked at every day."""
    patient_id = await register(clinical)
    grant = await broken(stranger, patient_id)
    parts = {
        "": "patients",
        "/encounters": "encounters",
        "/results": "result_entries",
        "/diagnoses": "diagnoses",
        "/allergies": "allergies",
        "/procedures": "procedures",
        "/immunizations": "immunizations",
        "/vitals": "vital_signs",
        "/clinical-notes": "clinical_notes",
    }
    own = clinical.client("clinician", at=HERE)
    for part in parts:
        for client in (own, stranger):
            assert (await client.get(f"/patients/{patient_id}{part}")).status_code == 200
    assert (await stranger.post(f"/patients/{patient_id}/vitals", json={"pulse_per_minute": 120})).status_code == 201
    lines = (await officer.get("/audit-log", params={"patient_id": str(patient_id)})).json()["items"]
    looks = [line for line in reversed(lines) if line["action"] == "seen_behind_glass"]
    assert [line["part"] for line in looks] == [*parts.values(), "vital_signs"]
    assert {(line["actor"], line["subject_id"], line["reason"]) for line in looks} == {
        ("dr-2", grant["grant_id"], WHY["reason"])
    }
    [opened] = [line for line in lines if line["action"] == "glass_broken"]
    assert opened["part"] is None


async def test_a_look_that_was_refused_is_none(
    clinical: Workplace, stranger: httpx.AsyncClient, officer: httpx.AsyncClient
) -> None:
    """Whose glass is whole, and whose time is over, saw nothing."""
    patient_id = await register(clinical)
    await statuses(stranger, patient_id)
    await broken(stranger, patient_id)
    clock.shift = rules.BROKEN_FOR + timedelta(minutes=1)
    await statuses(stranger, patient_id)
    assert [line["action"] for line in (await officer.get("/audit-log")).json()["items"]] == ["glass_broken"]


async def test_nobody_reviews_themselves(clinical: Workplace, stranger: httpx.AsyncClient) -> None:
    """NobodyReviewsThemselves."""
    grant = await broken(stranger, await register(clinical))
    self_made = clinical.client("privacy_officer", at=HERE, subject="dr-2")
    reply = await self_made.post(f"/break-glass/{grant['grant_id']}/review", json={"status": "justified"})
    assert rule_of(reply, 409) == "rule:NobodyReviewsThemselves"


async def test_the_log_is_the_facilitys_own(clinical: Workplace, stranger: httpx.AsyncClient) -> None:
    """Another facility's privacy officer sees none of it, and a clinician has no business there."""
    patient_id = await register(clinical)
    grant = await broken(stranger, patient_id)
    foreign = clinical.client("privacy_officer", at=ELSEWHERE)
    for address in ("/audit-log", f"/audit-log?patient_id={patient_id}", "/break-glass"):
        assert (await foreign.get(address)).json()["items"] == []
    reply = await foreign.post(f"/break-glass/{grant['grant_id']}/review", json={"status": "justified"})
    assert reply.status_code == 404
    assert (await stranger.get("/audit-log")).status_code == 403


async def test_merges_are_audited(clinical: Workplace, officer: httpx.AsyncClient) -> None:
    """Who merged and who took it back; the lines of a merged record are found under the one that lives on."""
    one, other = await register(clinical, "M-1"), await register(clinical, "M-2")
    async with clinical.transaction() as session:
        await commands.merge_patients(session, one, into_patient_id=other, by="registrar-1")
    [line] = (await officer.get("/audit-log", params={"patient_id": str(other)})).json()["items"]
    assert (line["action"], line["actor"], line["subject_id"]) == ("patient_merged", "registrar-1", str(other))
    async with clinical.transaction() as session:
        await commands.unmerge_patient(session, one, by="registrar-2")
    lines = (await officer.get("/audit-log", params={"patient_id": str(one)})).json()["items"]
    assert [(line["action"], line["actor"]) for line in lines] == [
        ("patient_unmerged", "registrar-2"),
        ("patient_merged", "registrar-1"),
    ]

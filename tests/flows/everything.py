"""Something of everything that routes are about, at one facility: ids by the names that paths and bodies have for them."""

from __future__ import annotations

from datetime import timedelta

from tests.flows.asked import route
from tests.flows.beds import furnish
from tests.flows.hospital import GLUCOSE, Hospital, Person, Reply
from tests.flows.staff import Colleague, administers, engaged
from tests.flows.till import pays_cash, something_of_everything
from tests.flows.told import something_told

WRITTEN = {
    "note_id": ("ehr", "POST", "/notes"),
    "problem_id": ("ehr", "POST", "/problems"),
    "document_id": ("ehr", "POST", "/documents"),
}
"""In a health record, and how it is made: as its document says, with the ids that there are already."""

DONE = {
    "diagnosis_id": ("clinical", "POST", "/patients/{patient_id}/diagnoses"),
    "allergy_id": ("clinical", "POST", "/patients/{patient_id}/allergies"),
    "coupon_id": ("billing", "POST", "/coupons"),
    "policy_id": ("billing", "POST", "/insurance-policies"),
    "claim_id": ("billing", "POST", "/claims"),
    "request_id": ("billing", "POST", "/invoices/{invoice_id}/write-off-requests"),
    "credit_note_request_id": ("billing", "POST", "/invoices/{invoice_id}/credit-note-requests"),
}
"""By the facility's staff, each with what is made before it."""


async def everything(hospital: Hospital) -> dict[str, str]:
    """A facility in the middle of its work."""
    person = await hospital.registers()
    case = await _owes_for_long(hospital)
    trainee = await engaged(hospital, "trainee")
    ids = {
        **await _lies_on_a_ward(hospital, person),
        **await _is_measured(hospital, person),
        **await _is_taken_for_another(hospital, person),
        **await something_of_everything(hospital, await hospital.registers()),
        **await something_told(hospital),
        **await _pays_too_much(hospital),
        "case_id": case,
        **await _has_an_account(trainee),
        "setting": "visiting_from",
    }
    codes, by = route("clinical", "PUT", "/icd10-codes"), hospital.everywhere("administrator")
    await hospital.ask("clinical", "PUT", codes.path, codes.body(ids), headers=by)
    for made, asked in DONE.items():
        ids[made] = (await _make(hospital, asked, ids))[made]
    for made, asked in WRITTEN.items():
        ids[made] = (await _make(trainee, asked, ids))[made]
    # A trainee's note, once signed, waits for a cosignature.
    await trainee.ask("ehr", "POST", f"/notes/{ids['note_id']}/sign")
    return ids | {"version": "1", "grant_id": await _is_read_elsewhere(hospital, person)}


async def _make(who: Hospital | Colleague, asked: tuple[str, str, str], ids: dict[str, str]) -> Reply:
    found = route(*asked)
    return await who.ask(found.service.name, found.method, found.filled(ids), found.body(ids))


async def _lies_on_a_ward(hospital: Hospital, person: Person) -> dict[str, str]:
    floor = await furnish(hospital, 2, name="a ward")
    return {
        "facility_id": hospital.id,
        "department_id": floor.department,
        "ward_id": floor.ward,
        "bed_id": floor.beds[0],
        "to_bed_id": floor.beds[1],
        "patient_id": person.id,
        "encounter_id": await hospital.admits(person),
    }


async def _is_measured(hospital: Hospital, person: Person) -> dict[str, str]:
    invoice = await hospital.invoices(person)
    [charge] = (await hospital.ask("billing", "GET", "/charges", params={"patient_id": person.id})).items
    payment = await hospital.ask("payment", "POST", "/payments", hospital.card(invoice, None, "2.00"))
    # 4.2 mg/dL: so critical that somebody has to be called.
    order = await hospital.completes(person, GLUCOSE)
    await hospital.controls(GLUCOSE)
    [result] = (await hospital.ask("lab", "GET", f"/lab-orders/{order}/results")).items
    return {
        "order_id": order,
        "sample_id": result["sample_id"],
        "result_id": result["result_id"],
        "charge_id": charge["charge_id"],
        "invoice_id": invoice["invoice_id"],
        "payment_id": payment["payment_id"],
    }


async def _is_taken_for_another(hospital: Hospital, person: Person) -> dict[str, str]:
    """Somebody of the same name, born on the same day, is registered: the two may be one."""
    _, asked = hospital.new_person()
    other = await hospital.ask("clinical", "POST", "/patients", asked | {"full_name": person.name})
    reviews = (await hospital.ask("clinical", "GET", "/duplicate-reviews")).items
    [review] = [each for each in reviews if person.id in {each["patient_id"], each["other_id"]}]
    return {"into_patient_id": other["patient_id"], "review_id": review["review_id"]}


async def _owes_for_long(hospital: Hospital) -> str:
    """An account that is in collections."""
    person = await hospital.registers()
    await hospital.invoices(person)
    await hospital.running.move_clock(timedelta(days=31))
    asked = {"patient_id": person.id, "facility_id": hospital.id, "currency": "USD"}
    return str((await hospital.ask("billing", "POST", "/collections", asked))["case_id"])


async def _has_an_account(colleague: Colleague) -> dict[str, str]:
    """Somebody who is signed in, and was offered another role; and a program."""
    session = await colleague.signs_in()
    program = {"name": "analyser", "roles": ["technician"], "facilities": [colleague.hospital.id]}
    client = await administers(colleague.hospital, "POST", "/clients", program)
    offered = {"email": colleague.email, "role": "nurse", "facility_id": colleague.hospital.id}
    invitation = await administers(colleague.hospital, "POST", "/invitations", offered)
    return {
        "user_id": str(colleague.user_id),
        "role": colleague.role,
        "session_id": session["session_id"],
        "client_id": client["client_id"],
        "invitation_id": invitation["invitation_id"],
    }


async def _pays_too_much(hospital: Hospital) -> dict[str, str]:
    """What is left over is a credit."""
    person = await hospital.registers()
    await pays_cash(hospital, person, "20.00", await hospital.invoices(person))
    [credit] = (await hospital.ask("billing", "GET", "/credits", params={"patient_id": person.id})).items
    return {"credit_id": credit["credit_id"]}


async def _is_read_elsewhere(hospital: Hospital, person: Person) -> str:
    """A clinician of another facility opened the record in an emergency."""
    elsewhere = Hospital(hospital.running)
    grant = await elsewhere.ask("clinical", "POST", f"/patients/{person.id}/break-glass", {"reason": "unconscious"})
    await elsewhere.close()
    return str(grant["grant_id"])

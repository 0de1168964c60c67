"""What a facility's people were told, by the ids that notification's routes ask for."""

from __future__ import annotations

from tests.flows.hospital import Hospital


async def something_told(hospital: Hospital) -> dict[str, str]:
    """A notification, where it went, and somebody who follows a topic."""
    _, asked = hospital.new_person()
    reached = {"email": hospital.secret("amal+") + "@nile.example"}
    patient = (await hospital.ask("clinical", "POST", "/patients", asked | reached))["patient_id"]
    told = {"topic": "result.ready", "recipient_kind": "patient", "recipient_id": patient, "facility_id": hospital.id}
    notification = await hospital.ask("notification", "POST", "/notifications", told)
    [address] = (await hospital.ask("notification", "GET", f"/recipients/{patient}/addresses")).items
    followed = {"topic": "ward.full", "facility_id": hospital.id, "role": "nurse"}
    return {
        "recipient_id": patient,
        "notification_id": notification["notification_id"],
        "address_id": address["address_id"],
        "subscription_id": (await hospital.ask("notification", "POST", "/subscriptions", followed))["subscription_id"],
    }

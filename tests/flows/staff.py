"""People with an account and a role at a facility, and what each of them does in their own name."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from broker.testing import Flow
from contracts.auth import AuthVerificationRequested
from tests.flows.hospital import Hospital, Reply

ADMINISTRATOR = UUID(int=1)
"""Who grants the roles; known by a token of this checkout alone."""


@dataclass(frozen=True, slots=True)
class Colleague:
    """A user with one role at one facility."""

    hospital: Hospital
    user_id: UUID
    role: str
    email: str
    password: str
    full_name: str

    async def ask(self, service: str, method: str, path: str, body: object = None, *, status: int | None = None) -> Reply:
        """As `Hospital.ask`, in this user's name and with this role alone."""
        token = self.hospital.token(service, self.role, user=self.user_id)
        return await self.hospital.ask(service, method, path, body, status=status, headers={"Authorization": f"Bearer {token}"})

    async def signs_in(self) -> Reply:
        """A session of this user."""
        return await self.hospital.ask("auth", "POST", "/login", {"email": self.email, "password": self.password})


async def engaged(hospital: Hospital, role: str) -> Colleague:
    """Somebody new, who registers, proves the address and gets the role; every service knows."""
    email = hospital.secret("staff-").lower() + "@hospital.example"
    password = hospital.secret("correct horse ")
    asked = {"email": email, "password": password, "full_name": hospital.secret("Samir Aziz ")}
    registration = Flow(hospital.running.deployment, name="registration")
    async with registration.started_by(hospital.ask("auth", "POST", "/register", asked)) as f:
        code = (await f.published(AuthVerificationRequested, by="auth").once()).event.code
    hospital.running.personal.add(code)
    verified = await hospital.ask("auth", "POST", "/verify", {"code": code})
    colleague = Colleague(hospital, UUID(verified["user_id"]), role, email, password, asked["full_name"])
    grant = {"role": role, "facility_id": hospital.id}
    await administers(hospital, "POST", f"/users/{colleague.user_id}/roles", grant)
    return colleague


async def engaged_everywhere(hospital: Hospital, role: str) -> Colleague:
    """As `engaged`; the role counts at every facility."""
    colleague = await engaged(hospital, role)
    await administers(hospital, "POST", f"/users/{colleague.user_id}/roles", {"role": role, "facility_id": None})
    return colleague


async def erased(colleague: Colleague) -> Reply:
    """The user's personal data is gone, everywhere."""
    return await administers(colleague.hospital, "DELETE", f"/users/{colleague.user_id}")


async def administers(hospital: Hospital, method: str, path: str, body: object = None, *, status: int | None = None) -> Reply:
    """Somebody does whose role counts everywhere."""
    return await hospital.ask("auth", method, path, body, status=status, headers=administrator(hospital))


def administrator(hospital: Hospital) -> dict[str, str]:
    """Says that somebody asks whose role counts everywhere."""
    token = hospital.running.deployment.token("administrator", subject=str(ADMINISTRATOR))
    return {"Authorization": f"Bearer {token}"}

"""The rules of auth that can be broken, each named as a sentence.

RuleBroken
├── AdministratorExistsAlready
├── AuditChainIsBroken
├── CodeIsNeeded
├── CodeIsNotValid
├── FactorIsEnrolledAlready
├── KeyIsAlreadyChanging
├── LastAdministratorMustStay
├── PasswordIsWrong
├── RoleIsHeldAlready
├── RoleMayNotBeGranted
├── SessionCannotBecome
├── SessionIsOver
├── SignInFailed
├── UserCannotBecome
├── UserHasNoRoleThere
└── NotFound
    └── RoleNotFound
"""

from __future__ import annotations

from broker import NotFound, RuleBroken


class SignInFailed(RuleBroken):
    """Nobody signs in with this. It is not said why: that would tell who has an account, and in which state."""

    status = 401


class CodeIsNeeded(RuleBroken):
    """For this account a code of its authenticator app is needed besides the password."""

    status = 401


class SessionIsOver(RuleBroken):
    """This refresh token is not good any more: sign in again."""

    status = 401


class CodeIsNotValid(RuleBroken):
    """This code is wrong, was used before, or came too late."""

    status = 422


class PasswordIsWrong(RuleBroken):
    """The present password is needed for this, and this is another."""

    status = 403


class FactorIsEnrolledAlready(RuleBroken):
    """An account has one authenticator app; remove it before you enrol another."""


class UserCannotBecome(RuleBroken):
    """A user in this state cannot become what is asked."""


class SessionCannotBecome(RuleBroken):
    """A session in this state cannot become what is asked."""


class UserHasNoRoleThere(RuleBroken):
    """The user has no role at the facility that was chosen."""

    status = 403


class RoleNotFound(NotFound):
    """There is no such role."""


class RoleIsHeldAlready(RuleBroken):
    """The user has this role there already."""


class RoleMayNotBeGranted(RuleBroken):
    """Roles are granted and withdrawn by who may do that at that facility; administrators only by administrators everywhere."""

    status = 403


class LastAdministratorMustStay(RuleBroken):
    """The last platform administrator cannot be removed, suspended, erased or demoted."""


class AdministratorExistsAlready(RuleBroken):
    """There is a platform administrator already, who can appoint others."""


class KeyIsAlreadyChanging(RuleBroken):
    """A new signing key was announced and does not sign yet."""


class AuditChainIsBroken(RuleBroken):
    """An entry of the audit log is not what was written, or is missing."""

"""The tables that auth owns."""

from services.auth.tables.audit import AuditLog
from services.auth.tables.base import Base
from services.auth.tables.keys import OAuthClient, SigningKey
from services.auth.tables.proofs import LoginAttempt, MfaFactor, Outcome, RecoveryCode
from services.auth.tables.roles import FormerColleague, Invitation, Permission, Role, RolePermission, UserRole
from services.auth.tables.sessions import Device, RefreshToken, RevokedSession, Session
from services.auth.tables.users import AdminUser, OpenRegistration, User, Verification

__all__ = [
    "AdminUser",
    "AuditLog",
    "Base",
    "Device",
    "FormerColleague",
    "Invitation",
    "LoginAttempt",
    "MfaFactor",
    "OAuthClient",
    "OpenRegistration",
    "Outcome",
    "Permission",
    "RecoveryCode",
    "RefreshToken",
    "RevokedSession",
    "Role",
    "RolePermission",
    "Session",
    "SigningKey",
    "User",
    "UserRole",
    "Verification",
]

"""What auth can be asked to do, each in the transaction of whoever asks."""

from services.auth.commands.accounts import (
    announce_erasures,
    change_password,
    change_profile,
    erase,
    lift_lock,
    proven,
    reinstate,
    suspend,
    unlock,
)
from services.auth.commands.attempts import lock_after_too_many
from services.auth.commands.audit import verify as verify_audit
from services.auth.commands.bootstrap import appoint_first_administrator
from services.auth.commands.clean_up import clean_up
from services.auth.commands.clients import client_token, register_client, revoke_client
from services.auth.commands.invitations import accept_invitation, invite, is_open_for, take_back_invitation
from services.auth.commands.keys import announce_keys, public_keys, rotate_key
from services.auth.commands.mfa import confirm_factor, enrol_factor, remove_factor, steps_up
from services.auth.commands.registration import Registration, begin_account, register, verify
from services.auth.commands.roles import assign_role, withdraw_role
from services.auth.commands.sessions import SignedIn, refresh, revoke_session, revoke_sessions
from services.auth.commands.sign_in import Credentials, sign_in

__all__ = [
    "Credentials",
    "Registration",
    "SignedIn",
    "accept_invitation",
    "announce_erasures",
    "announce_keys",
    "appoint_first_administrator",
    "assign_role",
    "begin_account",
    "change_password",
    "change_profile",
    "clean_up",
    "client_token",
    "confirm_factor",
    "enrol_factor",
    "erase",
    "invite",
    "is_open_for",
    "lift_lock",
    "lock_after_too_many",
    "proven",
    "public_keys",
    "refresh",
    "register",
    "register_client",
    "reinstate",
    "remove_factor",
    "revoke_client",
    "revoke_session",
    "revoke_sessions",
    "rotate_key",
    "sign_in",
    "steps_up",
    "suspend",
    "take_back_invitation",
    "unlock",
    "verify",
    "verify_audit",
    "withdraw_role",
]

"""`nilecare token`: tokens for development, signed with a key that this checkout keeps for itself.

In production the key set comes from the configuration, and this key is not in it.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import click
from joserfc.errors import JoseError
from joserfc.jwk import OKPKey

from broker._tokens import issue_token, key_set_of, new_key

KEY_FILE = Path(__file__).resolve().parent.parent / ".local" / "development-key.json"


class KeyUnusable(Exception):
    """The file with the development key is no key, or others may read it."""


def development_key(file: Path | None = None) -> OKPKey:
    """The signing key of this checkout, made when there is none. Raises KeyUnusable."""
    file = file or KEY_FILE
    if not file.exists():
        _make(file)
    if file.stat().st_mode & 0o077:
        raise KeyUnusable(f"others may read {file}: remove it, and a new key is made")
    try:
        return OKPKey.import_key(json.loads(file.read_text()))
    except (ValueError, TypeError, JoseError) as malformed:
        raise KeyUnusable(f"{file} holds no key: remove it, and a new one is made") from malformed


def development_key_set(file: Path | None = None) -> str:
    """The public half of the key, as `Settings.key_set` takes it. Raises KeyUnusable."""
    return key_set_of(development_key(file))


def development_token(
    roles: Iterable[str],
    facilities: Iterable[UUID] | None = None,
    *,
    subject: str = "developer",
    lifetime: timedelta = timedelta(hours=1),
    file: Path | None = None,
) -> str:
    """A token signed with the key of this checkout; `facilities` None means every one. Raises KeyUnusable."""
    return issue_token(development_key(file), subject=subject, roles=roles, facilities=facilities, lifetime=lifetime)


def _make(file: Path) -> None:
    """Writes a new key, whole from its first moment; when two do it at once, the first one's stays."""
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_name(f"{file.name}.{secrets.token_hex(4)}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as opened:
        json.dump(new_key().as_dict(private=True), opened)
    try:
        os.link(draft, file)
    except FileExistsError:
        pass
    finally:
        draft.unlink()


@click.command("token")
@click.option("--role", "roles", multiple=True, required=True, help="A role it carries; may be given several times.")
@click.option("--facility", "facilities", multiple=True, type=click.UUID, help="A facility it may see; several times likewise.")
@click.option("--everywhere", is_flag=True, help="It may see every facility.")
@click.option("--for", "subject", default="developer", show_default=True, help="Whom it speaks for.")
@click.option("--minutes", type=click.IntRange(1, 60 * 24 * 30), default=60, show_default=True, help="How long it is good for.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(
    roles: tuple[str, ...], facilities: tuple[UUID, ...], everywhere: bool, subject: str, minutes: int, as_json: bool
) -> None:
    """Print a token for development, for the header `Authorization: Bearer …`."""
    if everywhere == bool(facilities):
        raise click.UsageError("name what it may see: --facility, once or more, or --everywhere")
    try:
        token = development_token(
            roles, None if everywhere else facilities, subject=subject, lifetime=timedelta(minutes=minutes)
        )
    except (KeyUnusable, OSError) as failure:
        raise click.ClickException(str(failure)) from failure
    click.echo(json.dumps({"token": token, "minutes": minutes}) if as_json else token)

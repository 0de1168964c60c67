"""What a document may be."""

from __future__ import annotations

import json
from typing import Literal

from services.ehr.errors import ContentIsNotOfItsMediaType, DocumentIsTooLarge, VersionSaysNothingNew

MediaType = Literal["text/plain", "text/markdown", "application/json", "application/fhir+json"]

LARGEST_DOCUMENT = 256 * 1024
"""Bytes of a document's content, at most."""


def check_document(content: str, media_type: MediaType) -> bytes:
    """The content as it is kept and hashed. Raises DocumentIsTooLarge, ContentIsNotOfItsMediaType."""
    encoded = content.encode()
    if len(encoded) > LARGEST_DOCUMENT:
        raise DocumentIsTooLarge(largest=LARGEST_DOCUMENT)
    if media_type.endswith("json") and not _is_json(content):
        raise ContentIsNotOfItsMediaType
    return encoded


def check_new_version(before: str, after: str) -> None:
    """Whether two hashes differ. Raises VersionSaysNothingNew."""
    if before == after:
        raise VersionSaysNothingNew


def _is_json(content: str) -> bool:
    try:
        json.loads(content)
    except (ValueError, RecursionError):
        return False
    return True

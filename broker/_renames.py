"""What a subscription remembers follows it to a new name: `@on(…, formerly=("old_name",))`."""

from __future__ import annotations

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from broker._subscriptions import Subscription

RENAMES = (
    # A message that is known under both names keeps what the new one knows.
    """
    WITH moved AS (DELETE FROM backbone.inbox WHERE subscription = :former RETURNING id, key, flow, handled_at)
    INSERT INTO backbone.inbox (id, subscription, key, flow, handled_at)
    SELECT id, CAST(:name AS text), key, flow, handled_at FROM moved ORDER BY handled_at ON CONFLICT DO NOTHING
    """,
    """
    DELETE FROM backbone.failed_message failed
    WHERE subscription = :former AND (
        EXISTS (SELECT FROM backbone.inbox seen WHERE seen.subscription = :name AND seen.id = failed.id)
        OR EXISTS (SELECT FROM backbone.failed_message same WHERE same.subscription = :name AND same.id = failed.id)
    )
    """,
    """
    INSERT INTO backbone.held_key (subscription, key)
    SELECT DISTINCT CAST(:name AS text), key FROM backbone.held_key WHERE subscription = :former ON CONFLICT DO NOTHING
    """,
    "UPDATE backbone.failed_message SET subscription = :name WHERE subscription = :former",
    "DELETE FROM backbone.held_key WHERE subscription = :former",
)


async def follow_rename(session: AsyncSession, subscription: Subscription) -> None:
    """Brings the inbox, the failed messages and the held keys of earlier names under the subscription's name.

    Only for when the queues of the earlier names are empty and abandoned, and before the new one is begun: whoever handles
    the rest of an old queue does it under the old name. Harmless when repeated.
    """
    for former in subscription.formerly:
        names = {"name": subscription.name, "former": former}
        for statement in RENAMES:
            await session.execute(text(statement), names)

"""Databases that are copied are like those that are provisioned from nothing."""

from __future__ import annotations

from sqlalchemy import text

from broker.testing import Deployment

STRANGERS = text(
    """
    SELECT relname FROM pg_class WHERE relnamespace = ANY (ARRAY['backbone', 'public']::regnamespace[])
        AND pg_get_userbyid(relowner) <> :account
    UNION ALL
    SELECT proname FROM pg_proc WHERE pronamespace = 'backbone'::regnamespace AND pg_get_userbyid(proowner) <> :account
    UNION ALL
    SELECT nspname FROM pg_namespace WHERE nspname = 'backbone' AND pg_get_userbyid(nspowner) <> :account
    """
)


async def test_all_in_a_service_s_database_is_its_own(deployment: Deployment) -> None:
    """Tables, indexes, functions and the schema belong to the service's account, which can migrate them."""
    for name, database in deployment.databases.items():
        async with database.engine.connect() as connection:
            rows = await connection.execute(STRANGERS, {"account": deployment.platform.account(name)})
            assert rows.scalars().all() == []

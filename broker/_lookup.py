"""Fetching a row by its key without writing first what cannot concern it.

SQLAlchemy flushes before every query, so that the query sees what is pending. Two hundred handlers in one transaction that each
fetch a row and change it would so write two hundred times one row, where all could go in one statement at the end.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from sqlalchemy import Column, inspect
from sqlalchemy.orm import Mapper, Session

LOADED_LATER = frozenset({"select", "raise", "raise_on_sql", "noload", "write_only", "dynamic"})
"""Relationships that a row is loaded without."""


class LookingUp(Session):
    """A session whose `get` and `get_one` flush only when something pending could change what they find."""

    def get(self, entity: Any, ident: Any, **how: Any) -> Any:
        if self._is_concerned(entity, ident, how):
            return super().get(entity, ident, **how)
        with self.no_autoflush:
            return super().get(entity, ident, **how)

    def get_one(self, entity: Any, ident: Any, **how: Any) -> Any:
        if self._is_concerned(entity, ident, how):
            return super().get_one(entity, ident, **how)
        with self.no_autoflush:
            return super().get_one(entity, ident, **how)

    def _is_concerned(self, entity: Any, ident: Any, how: dict[str, Any]) -> bool:
        """Whether what is pending is of the row's own table, or the row brings others along."""
        asks_for_more = any(value for name, value in how.items() if name != "with_for_update")
        if asks_for_more or isinstance(ident, dict) or self.deleted:
            return True
        mapper: Mapper[Any] = inspect(entity)
        if not _stands_alone(mapper):
            return True
        table = mapper.base_mapper
        if any(inspect(each).mapper.base_mapper is table for each in self.new):
            return True
        known = self.identity_map.get(mapper.identity_key_from_primary_key(ident if isinstance(ident, tuple) else (ident,)))
        return known is not None and inspect(known).modified


@lru_cache(maxsize=1024)
def _stands_alone(mapper: Mapper[Any]) -> bool:
    """Whether loading a row reads its own columns and nothing else."""
    columns = [column for attribute in mapper.column_attrs for column in attribute.columns]
    return all(isinstance(column, Column) for column in columns) and all(
        relationship.lazy in LOADED_LATER for relationship in mapper.relationships
    )

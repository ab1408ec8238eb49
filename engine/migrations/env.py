"""Alembic's entry: runs on the connection that engine.schema hands over."""

from typing import Any

from alembic import context
from sqlalchemy import JSON, BigInteger

from engine.database import Base, UtcDateTime


def render_item(kind: str, item: Any, autogenerate: Any) -> Any:
    """Write our own column types by their names in engine.database."""
    name = None
    if kind == "type":
        if isinstance(item, UtcDateTime):
            name = "UtcDateTime()"
        elif isinstance(item, (BigInteger, JSON)) and item._variant_mapping:
            name = "BigKey" if isinstance(item, BigInteger) else "Json"
    if name:
        autogenerate.imports.add("from engine.database import BigKey, Json, UtcDateTime")
    return name or False


connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=Base.metadata,
    render_as_batch=connection.dialect.name == "sqlite",  # SQLite changes a column by copying its table
    render_item=render_item,
)
with context.begin_transaction():
    context.run_migrations()

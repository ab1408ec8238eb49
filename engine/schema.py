"""The tables' shape in time: Alembic migrations, run by `rapport migrate` and checked before anything starts."""

from __future__ import annotations

from importlib.resources import files

from alembic import command
from alembic.config import Config as AlembicConfig
from alembic.runtime.migration import MigrationContext
from alembic.script import Script, ScriptDirectory

from engine.database import Database
from engine.errors import Unavailable


def upgrade(database: Database) -> None:
    """Bring the tables to the newest shape; does nothing when they are there already."""
    with database.engine.execution_options(writes=True).begin() as connection:
        config = _alembic()
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def draft(database: Database, message: str) -> str:
    """Write a migration from what the models have and the tables lack; the path of the new file."""
    with database.engine.execution_options(writes=True).begin() as connection:
        config = _alembic()
        config.attributes["connection"] = connection
        script = command.revision(config, message=message, autogenerate=True)
    assert isinstance(script, Script)
    return script.path


def check(database: Database) -> None:
    """Raise Unavailable when the tables are older or newer than this program."""
    head = ScriptDirectory.from_config(_alembic()).get_current_head()
    with database.engine.connect() as connection:
        current = MigrationContext.configure(connection).get_current_revision()
    if current != head:
        raise Unavailable(f"The database is at version {current}, this program needs {head}: run `rapport migrate`.")


def _alembic() -> AlembicConfig:
    config = AlembicConfig()
    config.set_main_option("script_location", str(files("engine") / "migrations"))
    return config

"""The tables' shape in time: Alembic migrations, run by `rapport migrate` and checked before anything starts."""

from __future__ import annotations

from importlib.resources import files

from alembic import command
from alembic.config import Config as AlembicConfig
from alembic.runtime.migration import MigrationContext
from alembic.script import Script, ScriptDirectory

from engine.database import Database, shown
from engine.errors import Unavailable


def upgrade(database: Database) -> None:
    """Bring the tables to the newest shape; does nothing when they are there already. Raises Unavailable when a newer
    program made them.
    """
    with database.engine.execution_options(writes=True).begin() as connection:
        config = _alembic()
        _refuse_newer(config, MigrationContext.configure(connection).get_current_revision())
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
    config = _alembic()
    head = ScriptDirectory.from_config(config).get_current_head()
    with database.engine.connect() as connection:
        current = MigrationContext.configure(connection).get_current_revision()
    if current == head:
        return
    _refuse_newer(config, current)
    state = f"at version {current}, this program needs {head}" if current else "empty"
    raise Unavailable(f"The database {shown(database.url)} is {state}: run `rapport migrate`.")


def _refuse_newer(config: AlembicConfig, current: str | None) -> None:
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if current and current not in known:
        raise Unavailable(
            f"A newer Rapport made this database (version {current}): install that one, or restore the backup from"
            " before it."
        )


def _alembic() -> AlembicConfig:
    config = AlembicConfig()
    config.set_main_option("script_location", str(files("engine") / "migrations"))
    return config

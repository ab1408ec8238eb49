"""A process that refreshes a warehouse without pause, and rebuilds it now and then, until it is told or killed.

python -m tests.engine.refresher WORKSPACE DATABASE_URL SEED
"""

from __future__ import annotations

import random
import sys
from pathlib import Path

from engine import config as settings
from engine.database import Database
from engine.warehouse import Warehouse, parts


def main(workspace: str, url: str, seed: str) -> None:
    """Go on while the file `go` is in the workspace."""
    parts.PART_ROWS, parts.SMALL_PARTS = 8, 3
    config = settings.build({"workspace": {"path": workspace}, "database": {"url": url}})
    database = Database(config.database_url)
    warehouse = Warehouse(database, config.folder / "warehouse", config)
    chance = random.Random(seed)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    while Path(workspace, "go").exists():
        (warehouse.rebuild if chance.random() < 0.1 else warehouse.refresh)()
    database.close()


if __name__ == "__main__":
    main(*sys.argv[1:])

"""Several processes refresh one warehouse at once, and die at any moment: the copy ends exact."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path

import pytest
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from engine.config import Config
from engine.database import Database, next_revision
from engine.models import Contact, Event, Item, Order, OrderLine
from engine.warehouse import Warehouse
from tests.engine.copies import add, assert_exact, remove

ROOT = Path(__file__).parents[2]


@contextmanager
def refreshing(config: Config, seed: int) -> Iterator[subprocess.Popen[str]]:
    """A process that refreshes until the file `go` is gone."""
    command = [sys.executable, "-m", "tests.engine.refresher", str(config.folder), config.database_url, str(seed)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=ROOT, stdout=pipe, stderr=pipe, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def write(session: Session, now: datetime, step: int, chance: random.Random) -> None:
    """Some new people with an order each, some changes, some deletions."""
    for number in range(chance.randrange(1, 5)):
        key = f"{step}-{number}"
        contact, item = add(session, Contact, now, key=key), add(session, Item, now, key=key)
        order = add(session, Order, now, key=key, contact_id=contact, total=step)
        add(session, OrderLine, now, order_id=order, item_id=item)
        add(session, Event, now, key=key)
    events = list(session.scalars(select(Event.id)))
    for row_id in chance.sample(events, min(len(events), 2)):
        remove(session, Event, row_id)
    moved = chance.sample(events, min(len(events), 3))
    contact = session.scalar(select(Contact.id).limit(1))
    session.execute(
        update(Event).where(Event.id.in_(moved)).values(contact_id=contact, revision=next_revision(session))
    )


@pytest.mark.parametrize("kills", [0, 3])
def test_many_processes(database: Database, config: Config, now: datetime, kills: int) -> None:
    """Four processes refresh and rebuild while rows come, change and go; `kills` of them are killed (SIGKILL) at
    random moments. Nobody else fails, and after one more refresh every table equals SQL.
    """
    chance = random.Random(kills)
    (config.folder / "go").touch()
    with ExitStack() as stack:
        processes = [stack.enter_context(refreshing(config, seed)) for seed in range(4)]
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        for step in range(40):
            with database.begin() as session:
                write(session, now, step, chance)
            if step % 10 == 5 and step // 10 < kills:
                time.sleep(chance.random() / 10)
                processes[step // 10].kill()
        (config.folder / "go").unlink()
        for process in processes[kills:]:
            _, errors = process.communicate(timeout=60)
            assert (process.returncode, errors) == (0, "")
    warehouse = Warehouse(database, config.folder / "warehouse", config)
    warehouse.refresh()
    assert_exact(warehouse, database)
    warehouse.close()

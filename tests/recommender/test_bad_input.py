"""Shops as they should not be: each is learned from, published and asked, on both real databases."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import delete, insert
from sqlalchemy.orm import Session

from engine.config import Config
from engine.database import Database, next_revision
from engine.errors import Invalid
from engine.models import Contact, Deletion, Event, Item, Order, OrderLine
from engine.warehouse import Warehouse
from engine.warehouse.current import locked
from recommender import fitted, training
from recommender.answers import Answer, Request
from recommender.models import Training
from recommender.serving import CHECKED, Recommender
from tests.recommender.shop import EMPTY, NOW, add_contacts, add_items, add_order, add_orders

LATER = NOW + timedelta(days=1)
PLACEMENTS = ("home", "item", "cart", "email")


def trained(database: Database, warehouse: Warehouse, config: Config) -> Training:
    made = training.train(database, warehouse, config, now=LATER)
    assert (made.status, made.error) == ("ready", None)
    return made


def answers(database: Database, recommender: Recommender, **request: object) -> dict[str, Answer]:
    """What each placement says, by the training."""
    with database.read() as session:
        given = {"n": 8, "explain": True, **request}
        found = {key: recommender.recommend(session, Request(key, **given), now=LATER) for key in PLACEMENTS}  # type: ignore[arg-type]
    assert not any(answer.degraded for answer in found.values())
    return found


def fill_up(session: Session, items: list[Item]) -> None:
    """Forty orders of three of the items, so that there is something to learn."""
    people, random = add_contacts(session, 20), np.random.default_rng(1)
    chosen = [[items[item] for item in random.permutation(len(items))[:3]] for _ in range(40)]
    rows = [(people[row % 20], some, NOW - timedelta(days=40 - row)) for row, some in enumerate(chosen)]
    add_orders(session, rows)


def test_no_item(database: Database, warehouse: Warehouse, config: Config, recommender: Recommender) -> None:
    """An empty shop says what is missing, and answers with nothing."""
    with pytest.raises(Invalid, match="nothing to learn from"):
        training.train(database, warehouse, config, now=LATER)
    with database.read() as session:
        answer = recommender.recommend(session, Request("home", items=["A0"]), now=LATER)
    assert (answer.degraded, answer.items, answer.missing_ids) == (True, (), ("A0",))


def test_one_item(database: Database, warehouse: Warehouse, config: Config, recommender: Recommender) -> None:
    """It is offered to whoever does not look at it."""
    with database.begin() as session:
        (item,) = add_items(session, 1)
        add_order(session, None, [item], NOW)
    made = trained(database, warehouse, config)
    assert made.metrics["for_you"]["training"] is None, "there was nobody to ask"
    found = answers(database, recommender)
    assert [one.key for one in found["home"].items] == ["A0"]
    assert not answers(database, recommender, items=["A0"])["item"].items


@pytest.mark.parametrize("config", ["sqlite"], indirect=True)  # takes half a minute; it is the learning that is asked
def test_a_contact_of_fifty_thousand_interactions(
    database: Database, warehouse: Warehouse, config: Config, recommender: Recommender
) -> None:
    """Somebody who bought 25,000 times and looked 25,000 times is learned from beside twenty others, and answered."""
    with database.begin() as session:
        items = add_items(session, 300)
        fill_up(session, items)
        contact = Contact(key="machine", attributes={}, created_at=NOW, updated_at=NOW)
        session.add(contact)
        session.flush()
        machine = contact.id
        ids, random, revision = [item.id for item in items], np.random.default_rng(2), next_revision(session)
        moments = [NOW - timedelta(hours=number % 9_000) for number in range(25_000)]
        rows = [
            {"key": f"m{number}", "contact_id": machine, "ordered_at": at, "revision": revision, **EMPTY}
            for number, at in enumerate(moments[::10])
        ]
        orders = session.scalars(insert(Order).returning(Order.id), rows).all()
        chosen = random.choice(ids, 25_000).tolist()
        lines = [
            {"order_id": orders[number // 10], "item_id": item, "quantity": 1, "unit_price": 1, "revision": revision}
            for number, item in enumerate(chosen)
        ]
        session.execute(insert(OrderLine), lines)
        seen = [
            {"key": f"v{number}", "type": "item_view", "contact_id": machine, "item_id": item, "occurred_at": at}
            for number, (item, at) in enumerate(zip(reversed(chosen), moments, strict=True))
        ]
        session.execute(insert(Event), [{**row, "properties": {}, "revision": revision} for row in seen])
    made = trained(database, warehouse, config)
    assert made.metrics["purchases"] > 20_000
    assert len(answers(database, recommender, contact_id=machine, items=["A1"])["item"].items) == 8


@pytest.mark.parametrize("config", ["sqlite"], indirect=True)  # the same
def test_baskets_of_five_thousand_lines(
    database: Database, warehouse: Warehouse, config: Config, recommender: Recommender
) -> None:
    """Two stock lists of the whole catalogue say nothing of what goes together; eighty orders of three do."""
    with database.begin() as session:
        items = add_items(session, 5_000)
        add_orders(session, [(None, items, NOW - timedelta(days=50)), (None, items, NOW - timedelta(hours=1))])
        for some in (items[:3], items[3:6]):
            add_orders(session, [(None, some, NOW - timedelta(days=40 - row)) for row in range(40)])
    trained(database, warehouse, config)
    found = answers(database, recommender, items=["A0"])["item"]
    rules = [one for one in found.items if one.source == "rules"]
    assert [one.key for one in rules][:2] in (["A1", "A2"], ["A2", "A1"])
    assert rules[0].reason is not None
    assert rules[0].reason.support == 40


def test_strange_items(database: Database, warehouse: Warehouse, config: Config, recommender: Recommender) -> None:
    """Items without price, cost, category and title, keys in any writing, more returned than bought: all learn, what
    nobody kept is not bought, and answers name the keys as they were given.
    """
    keys = ["货号-1", "naïve ключ", "🧺", "a b&c<d>", "'; DROP TABLE items; --", "x" * 128]
    with database.begin() as session:
        items = [add_items(session, 1, key=key, title=None, category=None, price=None)[0] for key in keys]
        fill_up(session, items)
        add_order(session, None, items[:2], NOW - timedelta(hours=3), quantity=-5)
        add_order(session, None, [items[2]], NOW - timedelta(hours=2), quantity=0)
    made = trained(database, warehouse, config)
    assert made.metrics["purchases"] == 120, "neither what went back nor what was no unit"
    found = answers(database, recommender, items=[keys[0]])
    assert {one.key for one in found["item"].items} == set(keys[1:])
    assert all(one.price is None for one in found["item"].items)


def test_items_that_go_after_the_training(
    database: Database, warehouse: Warehouse, config: Config, recommender: Recommender
) -> None:
    """Items deleted inside a published training are never shown, asking about one is no error, and the next training
    learns without them.
    """
    with database.begin() as session:
        items = add_items(session, 12)
        fill_up(session, items)
    trained(database, warehouse, config)
    answers(database, recommender)
    gone = {item.key: item.id for item in items[:6]}
    with database.begin() as session:
        revision = next_revision(session)
        session.execute(delete(OrderLine).where(OrderLine.item_id.in_(gone.values())))
        session.execute(delete(Item).where(Item.id.in_(gone.values())))
        rows = [{"table_name": "items", "row_id": number, "revision": revision} for number in gone.values()]
        session.execute(insert(Deletion), rows)
    recommender.reload()
    for answer in answers(database, recommender, items=["A0", "A7"], cart=["A1"], session=["A2"]).values():
        assert answer.items
        assert not gone.keys() & {one.key for one in answer.items}
    made = training.train(database, warehouse, config, now=LATER)
    assert made.metrics["data"]["items"] == 6


KILLED = """
import os, signal
from recommender import fitted
whole = fitted._write
def write(path, array):
    if path.name.startswith("session."):
        os.kill(os.getpid(), signal.SIGKILL)
    return whole(path, array)
fitted._write = write
from web.cli import main
main(["train"])
"""


@pytest.mark.usefixtures("shop")
def test_killed_while_it_writes(
    database: Database, warehouse: Warehouse, config: Config, recommender: Recommender
) -> None:
    """kill -9 in the middle of the files: the training before serves, in processes that run and in new ones; the next
    training ends the dead one's row, removes its files and is published.
    """
    url = database.url.render_as_string(hide_password=False)
    own = {"RAPPORT_WORKSPACE__PATH": str(config.folder), "RAPPORT_DATABASE__URL": url}
    killed = subprocess.run([sys.executable, "-c", KILLED], env=os.environ | own, capture_output=True, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    left = config.folder / "trainings" / "2.new"
    assert list(left.glob("*.npy"))
    for one in (recommender, Recommender(database, config.folder / "trainings", config)):
        with database.read() as session:
            assert one.recommend(session, Request("item", items=["A0"], n=3), now=NOW).training_id == 1
            assert [row.status for row in training.trainings(session)] == ["running", "ready"]
    made = trained(database, warehouse, config)
    assert made.id == 3
    assert not left.exists()
    with database.read() as session:
        assert [row.status for row in training.trainings(session)] == ["ready", "failed", "ready"]
        assert training.trainings(session)[1].error == "The process ended before the training did."
    with locked(config.folder / "trainings" / "lock", wait=False) as free:
        assert free


@contextmanager
def asking(database: Database, recommender: Recommender) -> Iterator[Callable[[int], None]]:
    """Four threads that ask without a pause; what is given waits until each of them had a number of answers since."""
    counts, over = [0] * 4, threading.Event()
    told = threading.Condition()
    wrong: list[object] = []

    def ask(thread: int) -> None:
        while not over.is_set():
            try:
                with database.read() as session:
                    answer = recommender.recommend(session, Request("item", items=["A0"], n=3), now=NOW)
                if answer.degraded or len(answer.items) != 3:
                    wrong.append(answer)
            except Exception as error:  # whatever it is, an answer was dropped
                wrong.append(error)
            with told:
                counts[thread] += 1
                told.notify_all()

    def more(number: int) -> None:
        with told:
            wanted = [count + number for count in counts]
            reached = told.wait_for(lambda: all(map(int.__ge__, counts, wanted)), timeout=60)
        assert reached, "the threads are held up"
        assert not wrong

    with ThreadPoolExecutor(4) as threads:
        running = [threads.submit(ask, thread) for thread in range(4)]
        try:
            yield more
        finally:
            over.set()
    assert all(one.done() for one in running)
    assert not wrong


@pytest.mark.usefixtures("shop")
def test_publishing_holds_nobody_up(
    database: Database, config: Config, recommender: Recommender, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While threads ask, trainings are published and the ones before pruned: as long as the new one is read nobody
    waits for it, then it answers, and files that go under those who still read them are no matter.
    """
    read, go = fitted.load, threading.Event()

    def slow(folder: Path) -> fitted.Fitted:
        assert go.wait(60)
        return read(folder)

    monkeypatch.setattr("recommender.serving.load", slow)
    monkeypatch.setattr("recommender.serving.CHECKED", CHECKED / 100)
    monkeypatch.setattr(training, "KEPT", 1)
    folder = config.folder / "trainings"
    go.set()
    with asking(database, recommender) as answered:
        answered(5)
        for number in range(2, 6):
            go.clear()
            shutil.copytree(folder / str(number - 1), folder / str(number))
            with database.begin() as session:
                session.add(Training(status="ready", folder=f"trainings/{number}", started_at=NOW, finished_at=NOW))
                session.flush()
                training.publish(session, number, NOW)
            training._prune(database, config)
            assert not (folder / str(number - 1)).exists()
            answered(20)
            assert recommender._state is not None
            assert recommender._state.training_id == number - 1, "still read"
            go.set()
            while recommender._state.training_id != number:
                answered(1)

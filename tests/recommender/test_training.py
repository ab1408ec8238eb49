"""From orders to a published training, and everything that may go wrong on the way."""

from __future__ import annotations

import dataclasses
import json
import shutil
import time
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import select
from sqlalchemy.exc import OperationalError

from engine.config import Config
from engine.database import Database
from engine.errors import Conflict, Invalid, NotFound, Unreadable
from engine.models import Contact, Item, OrderLine
from engine.warehouse import Warehouse
from engine.warehouse.current import locked
from recommender import fitted, training, tuning
from recommender.answers import Request
from recommender.evaluation import Metrics, Score
from recommender.interactions import load
from recommender.models import Training
from recommender.serving import Recommender
from recommender.sources.rules import Rules
from tests.recommender.shop import NOW, add_contacts, add_event, add_items, add_order, add_orders


def busy(database: Database, *, orders: int = 300, contacts: int = 100) -> None:
    """Ten families of five items: every order holds three or four of one family, a contact keeps to two families."""
    random = np.random.default_rng(1)
    with database.begin() as session:
        things, people = add_items(session, 50), add_contacts(session, contacts)
        bought = []
        for number in range(orders):
            family = (number % contacts + random.integers(2)) % 10
            chosen = random.permutation(5)[: random.integers(3, 5)] + 5 * family
            at = NOW - timedelta(hours=orders - number)
            bought.append((people[number % contacts], [things[item] for item in chosen], at))
        add_orders(session, bought)


@pytest.fixture(scope="session")
def busy_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the first `trained` of this test process leaves its files for the others."""
    return tmp_path_factory.mktemp("busy")


@pytest.fixture
def trained(database: Database, warehouse: Warehouse, config: Config, busy_files: Path) -> Training:
    """A first training on the busy shop, made once: the shop is always the same."""
    busy(database)
    known, folder = busy_files / "1", config.folder / "trainings" / "1"
    if not known.exists():
        made = training.train(database, warehouse, config, now=NOW)
        shutil.copytree(folder, known)
        (busy_files / "metrics").write_text(json.dumps(made.metrics))
        return made
    shutil.copytree(known, folder)
    metrics = json.loads((busy_files / "metrics").read_text())
    with database.begin() as session:
        made = Training(status="ready", folder="trainings/1", started_at=NOW, finished_at=NOW, metrics=metrics)
        session.add(made)
        session.flush()
        training.publish(session, made.id, NOW)
    return made


def test_publishes_what_beats_best_sellers(database: Database, warehouse: Warehouse, config: Config) -> None:
    """The first training serves, its figures stand beside best-sellers on the same cases, and progress is told."""
    busy(database)
    told: list[tuple[str, int, int]] = []
    begun = time.monotonic()

    def tell(stage: str, done: int, steps: int) -> None:
        told.append((stage, done, steps))
        with database.read() as session:
            progress = training.trainings(session)[0].metrics["progress"]
        assert progress == {"stage": stage, "share": round(done / steps, 3)}, "for pages, which look at the row"

    made = training.train(database, warehouse, config, now=NOW, progress=tell)
    took = timedelta(seconds=time.monotonic() - begun)
    assert (made.status, made.error) == ("ready", None)
    assert made.finished_at is not None
    assert timedelta(0) < made.finished_at - made.started_at <= took
    for task in ("for_you", "cross_sell"):
        figures = made.metrics[task]
        assert figures["training"]["cases"] == figures["popular"]["cases"] > 10
        assert figures["training"]["ndcg"] > 1.5 * figures["popular"]["ndcg"]
        assert figures["published"] is figures["gain_before"] is None
        assert figures["gain"]["hit_rate"] == pytest.approx(
            figures["training"]["hit_rate"] - figures["popular"]["hit_rate"], abs=2e-5
        )
        assert figures["gain"]["ndcg"] > 2 * figures["gain"]["ndcg_error"] > 0
        recipe = tuning.RECIPES[task]
        assert list(figures["parts"]) == list(recipe.usual)
        assert max(part["ndcg"] for part in figures["parts"].values()) > figures["popular"]["ndcg"]
        rate, cases = figures["training"]["hit_rate"], figures["training"]["cases"]
        assert figures["training"]["hit_rate_error"] == pytest.approx((rate * (1 - rate) / cases) ** 0.5, abs=2e-5)
        used = made.settings["used"][recipe.source]
        assert used == {"parts": recipe.usual, "weights": recipe.weights, "tuned": False}
    data = made.metrics["data"]
    assert (data["contacts"], data["items"], data["items_bought"], data["views"]) == (100, 50, 50, 0)
    assert datetime.fromisoformat(data["since"]) == NOW - timedelta(hours=300)
    with database.read() as session:
        serving = training.current(session)
        assert serving is not None
        assert serving.id == made.id
    assert [step[1] for step in told] == list(range(told[-1][2]))
    assert list(made.metrics["seconds"]) == [step[0] for step in told]
    assert sum(made.metrics["seconds"].values()) > 0
    assert sorted(path.name for path in (config.folder / "trainings").iterdir()) == ["1", "lock"]


def test_same_data_serves_again(database: Database, warehouse: Warehouse, config: Config, trained: Training) -> None:
    """Training again on the same data is no worse, so it is published."""
    again = training.train(database, warehouse, config, now=NOW)
    assert again.status == "ready"
    assert again.metrics["for_you"]["published"] == again.metrics["for_you"]["training"]
    assert again.metrics["for_you"]["gain_before"]["ndcg"] == 0


@pytest.mark.parametrize(
    ("late", "cut"), [(100, NOW + timedelta(days=1)), (25, NOW)], ids=["a fifth is new", "a little is new"]
)
def test_worse_is_refused(
    database: Database,
    warehouse: Warehouse,
    config: Config,
    trained: Training,
    monkeypatch: pytest.MonkeyPatch,
    late: int,
    cut: datetime,
) -> None:
    """An import puts wrong items into all old orders; new orders are right. What learned the wrong is refused with
    the figures, the old training keeps serving, and a person may still publish it."""
    monkeypatch.setattr(training, "ENOUGH", 50)
    random = np.random.default_rng(5)
    with database.begin() as session:
        for line in session.scalars(select(OrderLine)):
            line.item_id = int(random.integers(1, 51))
        things = list(session.scalars(select(Item).order_by(Item.id)))
        for number, contact in enumerate(session.scalars(select(Contact).order_by(Contact.id)).all()[:late]):
            mine = things[5 * (number % 10) :][:5]
            add_order(session, contact, mine[:4], NOW + timedelta(days=1))
    made = training.train(database, warehouse, config, now=NOW + timedelta(days=10))
    assert made.status == "refused"
    assert made.metrics["cut"] == cut.isoformat(), "only what the published training never saw"
    assert made.error is not None
    assert "cross sell: nDCG@10" in made.error
    assert "training 1 on the same" in made.error
    with database.begin() as session:
        serving = training.current(session)
        assert serving is not None
        assert serving.id == trained.id
        training.publish(session, made.id, NOW)
        serving = training.current(session)
        assert serving is not None
        assert serving.id == made.id


def judged(ndcg: np.ndarray) -> Score:
    """A score of these cases."""
    return Score(Metrics(len(ndcg), 0, 0, float(ndcg.mean()), 0, 0, 0, 0), ndcg, (ndcg > 0).astype(float))


def test_worse_by_more_than_noise() -> None:
    """Cases are compared one by one: a little worse on every one is worse, however much cases differ from each other;
    as much worse by chance is not, nor is what too few cases say."""
    random = np.random.default_rng(3)
    serving, old = Training(id=7), random.random(400)
    slightly, by_chance = np.full(400, 0.005), random.normal(0.005, 0.2, 400)
    by_chance += 0.005 - by_chance.mean()
    told = training._worse("cross_sell", judged(old - slightly), judged(old), serving)
    assert told == [
        f"cross sell: nDCG@10 {old.mean() - 0.005:.4f} against {old.mean():.4f} of training 7 on the same 400 cases "
        "(-0.0050 ± 0.0000)"
    ]
    assert training._worse("cross_sell", judged(old - by_chance), judged(old), serving) == []
    assert training._worse("cross_sell", judged(old - 10 * by_chance.mean() - by_chance), judged(old), serving) != []
    assert training._worse("cross_sell", judged(old + slightly), judged(old), serving) == []
    few = training.FEWEST - 1
    assert training._worse("cross_sell", judged(old[:few] - slightly[:few]), judged(old[:few]), serving) == []


def test_tuning_is_told_and_kept(
    database: Database, warehouse: Warehouse, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Progress names every part that is tuned; how it was chosen is on record with the choice, and goes on with it."""
    monkeypatch.setattr(tuning, "FEWEST", 50)
    busy(database)
    told: list[tuple[str, int, int]] = []
    made = training.train(database, warehouse, config, now=NOW, tune=True, progress=lambda *step: told.append(step))
    steps = [what for what, _, _ in told if what.startswith("tuning")]
    assert steps[: len(tuning.RECIPES["cross_sell"].usual)] == [
        f"tuning rules: {part}" for part in tuning.RECIPES["cross_sell"].usual
    ]
    assert all(done < total == training.STEPS + tuning.STEPS for _, done, total in told)
    assert [done for _, done, _ in told] == sorted({done for _, done, _ in told}), "never back"
    rules = made.settings["tuned"]["rules"]
    assert made.settings["used"]["rules"] == {"parts": rules["parts"], "weights": rules["weights"], "tuned": True}
    validation = rules["validation"]
    assert datetime.fromisoformat(validation["until"]) < datetime.fromisoformat(made.metrics["cut"]), "never the test"
    assert validation["questions"] >= tuning.FEWEST
    assert validation["parts"]["ease"]["ndcg"] >= validation["parts"]["ease"]["before"] > 0
    assert validation["blend"]["main"] in rules["parts"]
    again = training.train(database, warehouse, config, now=NOW)
    assert again.settings["used"] == made.settings["used"]


def test_half_the_purchases_are_refused(
    database: Database, warehouse: Warehouse, config: Config, trained: Training
) -> None:
    """A training that saw less than half of what the published one saw does not replace it by itself."""
    short = dataclasses.replace(config, recommender=dataclasses.replace(config.recommender, history_days=4))
    made = training.train(database, warehouse, short, now=NOW)
    assert made.status == "refused"
    assert made.error is not None
    assert "purchases" in made.error


def test_nothing_to_learn_from(database: Database, warehouse: Warehouse, config: Config) -> None:
    """An empty shop says so, and the attempt is on record as failed."""
    with pytest.raises(Invalid, match="nothing to learn from"):
        training.train(database, warehouse, config, now=NOW)
    with database.read() as session:
        failed = training.trainings(session)
        assert [row.status for row in failed] == ["failed"]
        assert failed[0].finished_at is not None
        assert failed[0].finished_at > failed[0].started_at


def test_dies_halfway(
    database: Database, warehouse: Warehouse, config: Config, trained: Training, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever happens within a training, the old one serves, the row says failed and no file is left."""
    monkeypatch.setattr(fitted, "_flush", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(OSError, match="No space"):
        training.train(database, warehouse, config, now=NOW)
    with database.read() as session:
        assert training.current(session).id == trained.id  # type: ignore[union-attr]
        assert [row.status for row in training.trainings(session)] == ["failed", "ready"]
    assert sorted(path.name for path in (config.folder / "trainings").iterdir()) == ["1", "lock"]


def test_a_break_after_the_switch_harms_nothing(
    database: Database, warehouse: Warehouse, config: Config, trained: Training, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once the switch has moved, the new training and its files stay, and old files left behind are no failure."""
    finish = training.Run.finish

    def finish_and_break(run: training.Run, judged: training.Judged) -> Training:
        finish(run, judged)
        raise KeyboardInterrupt

    def serves(training_id: int) -> None:
        with database.read() as session:
            serving = training.current(session)
            assert serving is not None
            assert (serving.id, serving.status) == (training_id, "ready")
            training.check(config, serving)

    with monkeypatch.context() as patch:
        patch.setattr(training.Run, "finish", finish_and_break)
        with pytest.raises(KeyboardInterrupt):
            training.train(database, warehouse, config, now=NOW)
    serves(trained.id + 1)
    locked_out = OperationalError("UPDATE", {}, Exception("database is locked"))
    monkeypatch.setattr(training, "_prune", lambda *_: (_ for _ in ()).throw(locked_out))
    training.train(database, warehouse, config, now=NOW)
    serves(trained.id + 2)


def test_buries_the_dead(database: Database, warehouse: Warehouse, config: Config, trained: Training) -> None:
    """A process killed while it wrote leaves a row that says running and half a folder: the next training ends both."""
    with database.begin() as session:
        session.add(Training(status="running", folder="trainings/2", started_at=NOW))
    half = config.folder / "trainings" / "2.new"
    half.mkdir()
    (half / "items.npy").write_bytes(b"\x93NUMPY")
    training.train(database, warehouse, config, now=NOW)
    with database.read() as session:
        assert [row.status for row in training.trainings(session)] == ["ready", "failed", "ready"]
    assert not half.exists()


def test_one_at_a_time(database: Database, warehouse: Warehouse, config: Config, trained: Training) -> None:
    """A second training while one runs is a conflict and leaves no trace."""
    with locked(config.folder / "trainings" / "lock", wait=False), pytest.raises(Conflict, match="running already"):
        training.train(database, warehouse, config, now=NOW)
    with database.read() as session:
        assert len(training.trainings(session)) == 1


def test_old_files_go(
    database: Database, warehouse: Warehouse, config: Config, trained: Training, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files of the newest trainings stay for rolling back, and those that serve; the others are removed."""
    monkeypatch.setattr(training, "KEPT", 1)
    training.train(database, warehouse, config, now=NOW)
    with database.begin() as session:
        assert [row.status for row in training.trainings(session)] == ["ready", "removed"]
        with pytest.raises(Conflict, match="removed"):
            training.publish(session, trained.id, NOW)
        with pytest.raises(NotFound):
            training.publish(session, 99, NOW)
    assert not (config.folder / "trainings" / "1").exists()


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


@pytest.mark.usefixtures("shop")
def test_damaged_files_never_serve(database: Database, config: Config, recommender: Recommender) -> None:
    """One flipped bit in the newly published training: it is refused by name, the one before goes on serving; a
    process that starts now has only best-sellers and says so."""
    request = Request("item", items=["A0"], n=3)
    with database.read() as session:
        before = recommender.recommend(session, request, now=NOW)
    fitted.save(fitted.load(config.folder / "trainings" / "1"), config.folder / "trainings" / "2")
    flip(config.folder / "trainings" / "2" / "rules.together.npy")
    with database.begin() as session:
        row = Training(status="ready", folder="trainings/2", started_at=NOW)
        session.add(row)
        session.flush()
        with pytest.raises(Unreadable, match=r"2/rules\.together\.npy is damaged"):
            training.check(config, row)
        training.publish(session, row.id, NOW)
    recommender.reload()
    with database.read() as session:
        after = recommender.recommend(session, request, now=NOW)
        assert (after.training_id, after.items) == (before.training_id, before.items)
        assert recommender.problem is not None
        assert "train again" in recommender.problem
        started = Recommender(database, config.folder / "trainings", config)
        assert started.recommend(session, request, now=NOW).degraded


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"format": 99}', b'{"until": 3}'])
def test_unreadable_description(tmp_path: Path, content: bytes) -> None:
    """Whatever stands in training.json, the error names the folder and the remedy."""
    (tmp_path / "training.json").write_bytes(content)
    with pytest.raises(Unreadable, match="train again"):
        fitted.load(tmp_path)


def test_no_pickle(checkerboard_files: Path) -> None:
    """Every file is plain: arrays of numbers that load with allow_pickle=False, and JSON with a checksum for each."""
    about = json.loads((checkerboard_files / "training.json").read_text())
    names = {path.stem for path in checkerboard_files.glob("*.npy")}
    assert names == set(about["files"])
    for name in names:
        assert np.load(checkerboard_files / f"{name}.npy", allow_pickle=False).dtype.kind in "iuf"


@pytest.mark.usefixtures("shop")
def test_switch_is_followed(database: Database, config: Config, recommender: Recommender) -> None:
    """Publishing another training moves a process that serves already."""
    request = Request("item", items=["A0"], n=3)
    with database.read() as session:
        recommender.recommend(session, request, now=NOW)
    fitted.save(fitted.load(config.folder / "trainings" / "1"), config.folder / "trainings" / "2")
    with database.begin() as session:
        session.add(Training(status="ready", folder="trainings/2", started_at=NOW))
        session.flush()
        training.publish(session, 2, NOW)
    recommender.reload()
    with database.read() as session:
        assert recommender.recommend(session, request, now=NOW).training_id == 2


def test_what_is_loaded(database: Database, warehouse: Warehouse) -> None:
    """Within history_days only; returns undo purchases; fees are not items; an item no longer sold teaches but is not
    offered; guests have baskets but no taste; views of known contacts count."""
    with database.begin() as session:
        one, two, three, gone = add_items(session, 4)
        fee = add_items(session, 1, key="POST", recommendable=False)[0]
        gone.active = False
        mei, jo = add_contacts(session, 2)
        add_order(session, mei, [one, two, gone, fee], NOW - timedelta(days=3))
        add_order(session, mei, [two], NOW - timedelta(days=2), quantity=-1)
        add_order(session, None, [one, three], NOW - timedelta(days=1))
        add_order(session, jo, [one], NOW - timedelta(days=40))
        add_order(session, jo, [one], NOW + timedelta(days=1))
        add_event(session, mei, three, NOW - timedelta(hours=1))
        add_event(session, mei, three, NOW - timedelta(hours=2), type="impression")
        ids = {item.key: item.id for item in (one, two, three, gone)}
    warehouse.refresh()
    shop = load(warehouse, NOW, history_days=30)
    assert set(shop.item_ids) == set(ids.values())
    assert shop.item_ids[0] == ids["A0"]
    assert shop.offerable[shop.numbers(np.array([ids["A3"], ids["A2"]]))].tolist() == [False, True]
    assert shop.baskets.toarray().sum(axis=1).tolist() == [3, 2]
    assert sorted(shop.kept.item) == [ids["A0"], ids["A3"]]
    tastes = shop.trails.matrix(4)
    assert tastes.shape == (1, 4)
    assert tastes[0, shop.numbers(np.array([ids["A2"]]))[0]] == pytest.approx(0.2, rel=0.001)
    assert len(shop.views) == 1
    assert Rules.fit(shop, training.Settings(), seed=1).total == 2


def test_visits_and_trails(database: Database, warehouse: Warehouse) -> None:
    """An hour of silence ends a visit; strangers have visits and no trail; a trail holds every purchase that was kept
    and every view, oldest first."""
    with database.begin() as session:
        one, two, three = add_items(session, 3)
        mei = add_contacts(session, 1)[0]
        add_order(session, mei, [one, two], NOW - timedelta(days=3))
        add_order(session, mei, [one], NOW - timedelta(days=2))
        add_order(session, mei, [two], NOW - timedelta(days=2), quantity=-1)
        for minutes, item in ((200, three), (150, one), (20, two), (10, three)):
            add_event(session, None, item, NOW - timedelta(minutes=minutes), visitor="v1")
        add_event(session, None, one, NOW - timedelta(minutes=15), visitor="v2")
        add_event(session, mei, three, NOW - timedelta(minutes=5), visitor="v3")
        ids = [item.id for item in (one, two, three)]
    warehouse.refresh()
    shop = load(warehouse, NOW, history_days=30)
    names = dict(zip(shop.numbers(np.array(ids)).tolist(), "abc", strict=True))
    told = [
        "".join(names[number] for number in shop.visits.of_row(row).items.tolist()) for row in range(len(shop.visits))
    ]
    assert sorted(told) == ["a", "bc", "c", "ca"]
    trail = shop.trails.of_row(0)
    assert len(shop.trails) == 1
    assert [names[number] for number in trail.items.tolist()] == ["a", "a", "c"]
    assert trail.weights.tolist() == pytest.approx([1, 1, 0.2])
    assert trail.back.tolist() == [2, 1, 0]

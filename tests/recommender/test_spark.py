"""What Spark learns keeps the promises of every source, and says what one machine says where the answer is known."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from engine.config import Config
from engine.database import Database
from engine.warehouse import Warehouse
from engine.warehouse.spark import Spark
from engine.warehouse.tables import TABLES
from recommender import spark as on_spark
from recommender import training
from recommender.answers import Request
from recommender.fitted import load
from recommender.interactions import NOBODY, Interactions, Items, Log
from recommender.serving import Recommender
from recommender.sources import SOURCES
from recommender.sources.base import Source
from recommender.sources.rules import Rules
from tests.recommender.shop import NOW, baskets, checkerboard, colours
from tests.recommender.sources import test_contract as contract

pytestmark = [
    pytest.mark.skipif(find_spec("pyspark") is None, reason="PySpark is not installed: make .venv/.spark"),
    pytest.mark.skipif(shutil.which("java") is None, reason="Spark needs Java: apt-get install default-jre-headless"),
    pytest.mark.filterwarnings("ignore:PySpark does not yet fully support pandas:FutureWarning"),
    pytest.mark.xdist_group("spark"),  # one session, which takes 1 GB
]
LEARNED = pytest.mark.parametrize("name", ["rules", "collaborative"])
Fit = Callable[[str, Interactions], Source]


@pytest.fixture(scope="module")
def known() -> dict[tuple[Any, ...], Source]:
    """What was learned of the same shop; a fit is some seconds."""
    return {}


@pytest.fixture
def fit(spark: Spark, known: dict[tuple[Any, ...], Source], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fit:
    """Learns from files as the warehouse writes them; in the contract as well."""

    def learned(name: str, interactions: Interactions) -> Source:
        log, ids = interactions.purchases, interactions.items.ids
        shop = name, *(column.tobytes() for column in (ids, log.order, log.contact, log.item, log.amount, log.at))
        if shop not in known:
            known[shop] = fresh(name, interactions)
        return known[shop]

    def fresh(name: str, interactions: Interactions) -> Source:
        spark.show(files(interactions, tmp_path))
        learner = on_spark.Learner.of(spark, NOW - timedelta(days=36_500))
        return learner.sources[name](interactions, contract.SETTINGS, seed=1)

    monkeypatch.setattr(contract, "fitted", learned)
    return learned


def files(interactions: Interactions, folder: Path) -> dict[str, tuple[pa.Schema, list[str]]]:
    """The tables of the warehouse that hold these interactions."""
    log, views, items = interactions.purchases, interactions.views, interactions.items
    first = np.unique(log.order, return_index=True)[1]
    contacts = [None if who == NOBODY else int(who) for who in log.contact[first]]
    rows: dict[str, dict[str, Any]] = {
        "orders": {"id": log.order[first], "contact_id": contacts, "ordered_at": log.at[first]},
        "order_lines": {"order_id": log.order, "item_id": log.item, "quantity": log.amount.astype(np.int64)},
        "items": {"id": items.ids, "recommendable": np.ones(len(items.ids), bool)},
        "events": {
            "contact_id": [None if who == NOBODY else int(who) for who in views.contact],
            "item_id": views.item,
            "type": ["item_view"] * len(views),
            "occurred_at": views.at,
        },
    }
    told = {}
    for name, columns in rows.items():
        whole = TABLES[name].schema
        schema = pa.schema([whole.field(column) for column in columns])
        plain = [
            pa.array(list(values) if len(values) else [], _stored(field.type))
            for values, field in zip(columns.values(), schema, strict=True)
        ]
        table = pa.table([one.cast(field.type) for one, field in zip(plain, schema, strict=True)], schema=schema)
        pq.write_table(table, folder / f"{name}.parquet")
        told[name] = (schema, [str(folder / f"{name}.parquet")])
    return told


def _stored(kind: pa.DataType) -> pa.DataType:
    return pa.int64() if pa.types.is_timestamp(kind) else kind


@LEARNED
@pytest.mark.parametrize(
    "promise",
    [
        contract.test_withheld_item_comes_first,
        contract.test_never_offers_what_is_excluded_or_not_allowed,
        contract.test_one_question_and_many_agree,
        contract.test_every_candidate_has_a_reason,
        contract.test_survives_its_arrays,
    ],
    ids=lambda promise: promise.__name__,
)
@pytest.mark.usefixtures("fit")
def test_keeps_the_promises(name: str, promise: Callable[[str], None]) -> None:
    """Of recommender.sources, as what one machine learned."""
    promise(name)


@LEARNED
@pytest.mark.parametrize("shop", contract.STRANGE, ids=contract.STRANGE_IDS)
@pytest.mark.usefixtures("fit")
def test_strange_shops(name: str, shop: Interactions) -> None:
    """Nothing to learn from is no error."""
    contract.test_strange_shops(name, shop)


def test_the_same_rules(fit: Fit) -> None:
    """Support, confidence and lift of pairs, and the rules of two, are those of mlxtend and one machine; what went back
    as a whole counts nowhere.
    """
    shop = baskets([[1, 2, 3, 4]] * 10 + [[1, 2], [3, 5], [4, 5]] * 5 + [[6, 7]] * 3)
    shop = Interactions(shop.purchases, shop.views, shop.items, shop.until)
    here: Any = Rules.fit(shop, contract.SETTINGS, seed=1)
    there: Any = fit("rules", shop)
    assert there.buyers.tolist() == here.buyers.tolist()
    assert there.total == here.total
    pairs = [
        {
            (int(one), int(other)): int(n)
            for one, other, n in zip(*found.pairs.tocoo().coords, found.together, strict=True)
        }
        for found in (here, there)
    ]
    assert pairs[0]
    assert all(pairs[0][pair] == n for pair, n in pairs[1].items() if pair in pairs[0])
    told = [
        {
            (*pair, int(item)): (int(support), int(n))
            for pair, item, support, n in zip(
                found.antecedents.tolist(), found.consequents, found.rule_support, found.rule_buyers, strict=True
            )
        }
        for found in (here, there)
    ]
    assert told[0] == told[1]
    assert told[0]


def test_returns_and_views(fit: Fit) -> None:
    """What was given back is no taste; what was looked at is one, a fifth of a purchase."""
    lines = [(who, who, item, 1.0, NOW - timedelta(days=9)) for who in range(1, 21) for item in (1, 2)]
    lines += [
        (30 + who, who, 3, amount, NOW - timedelta(days=8 - back))
        for who in range(1, 21)
        for back, amount in ((0, 1.0), (1, -1.0))
    ]
    views = [(who, who, 4, 0.2, NOW - timedelta(days=5)) for who in range(1, 21)]
    items = Items.of([(item, True, "All") for item in range(1, 6)])
    shop = Interactions(Log.of(lines), Log.of(views), items, NOW)
    found: Any = fit("collaborative", shop)
    numbers = {item: int(shop.numbers(np.array([item]))[0]) for item in range(1, 6)}
    row = found.table[[numbers[1]]].toarray()[0]
    assert row[numbers[2]] > row[numbers[4]] > 0
    assert row[numbers[3]] == row[numbers[5]] == 0


def test_the_checkerboard_alike(fit: Fit) -> None:
    """Everybody's first offer of both sources is the same item on Spark as here."""
    shop = colours()
    for name in ("rules", "collaborative"):
        rows = [[1 + i for i in range(20) if (c + i) % 2 == 0 and i != c] for c in range(0, 20, 2)]
        asked = contract.query(shop, rows)
        assert (
            fit(name, shop).candidates(asked, 1).items.tolist()
            == SOURCES[name].fit(shop, contract.SETTINGS, seed=1).candidates(asked, 1).items.tolist()
        )


@pytest.mark.parametrize("config", ["sqlite"], indirect=True)  # the files it learns from are the same with both
def test_a_whole_training(database: Database, config: Config, warehouse: Warehouse, recommender: Recommender) -> None:
    """From the warehouse's files to an answer: published, kept as any other, and it says what is withheld. The last
    test, for it ends the session of all.
    """
    with database.begin() as session:
        person = checkerboard(session)[0][4].id
    made = training.train(database, warehouse, config, now=NOW, spark="local[2]")
    assert (made.status, made.error) == ("ready", None)
    learned = load(config.folder / made.folder)
    assert learned.settings.engine == "spark"
    with database.read() as session:
        answer = recommender.recommend(session, Request("email", contact_id=person, n=1), now=NOW)
    assert (answer.training_id, answer.items[0].key, answer.items[0].source) == (made.id, "A4", "collaborative")

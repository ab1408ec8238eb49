"""Spark's answer to the same expressions over the same files is DuckDB's."""

from __future__ import annotations

import shutil
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings

from engine import criteria, schema
from engine.catalogue import open_catalogue
from engine.config import build
from engine.database import Database
from engine.errors import Unavailable
from engine.warehouse.spark import Spark, translated
from engine.warehouse.tables import TABLES
from tests.benchmarks.lists_reference import REFERENCE
from tests.benchmarks.lists_shop import NOW as SHOP_NOW
from tests.benchmarks.lists_shop import fill
from tests.engine.criteria import strategies
from tests.engine.criteria.world import NOW, MemoryCatalogue, MemoryWarehouse, World, stored
from web.services import open_services

pytestmark = [
    pytest.mark.skipif(find_spec("pyspark") is None, reason="PySpark is not installed: make .venv/.spark"),
    pytest.mark.skipif(shutil.which("java") is None, reason="Spark needs Java: apt-get install default-jre-headless"),
    pytest.mark.filterwarnings("ignore:PySpark does not yet fully support pandas:FutureWarning"),
    pytest.mark.xdist_group("spark"),  # one session, which takes 1 GB
]


@given(strategies.worlds(), strategies.criteria)
@settings(max_examples=30, suppress_health_check=list(HealthCheck))
def test_spark_finds_whom_duckdb_finds(
    spark: Spark, tmp_path_factory: pytest.TempPathFactory, world: World, data: Any
) -> None:
    """Random criteria about random people."""
    folder = tmp_path_factory.mktemp("files")
    spark.show({name: (table.schema, _written(folder, name, world)) for name, table in TABLES.items()})
    warehouse = MemoryWarehouse(world)
    people = criteria.select(criteria.parse(data, MemoryCatalogue(world, None)), warehouse, NOW).order_by("contact_id")
    assert spark.execute(people).to_pydict() == warehouse.execute(people).to_pydict()


def _written(folder: Path, name: str, world: World) -> list[str]:
    rows = [stored(row) for row in getattr(world, name, [])]
    if rows:
        pq.write_table(pa.Table.from_pylist(rows, schema=TABLES[name].schema), folder / f"{name}.parquet")
    return [str(path) for path in folder.glob(f"{name}.parquet")]


def test_the_reference_criteria_of_the_benchmark(spark: Spark, tmp_path: Path) -> None:
    """The same counts of the benchmark's quick shop; sums, absence, sequence and percentile are among them."""
    config = build({"workspace": {"path": str(tmp_path)}})
    database = Database(config.database_url)
    schema.upgrade(database)
    database.close()
    services = open_services(config)
    fill(services.database, 100_000, 2_000_000)
    services.warehouse.refresh()
    files = {name: (table.schema, sorted(services.warehouse.parts(name))) for name, table in TABLES.items()}
    spark.show(files)
    for name, (asking, _) in REFERENCE.items():
        with services.database.read() as session:
            parsed = criteria.parse(asking(0), open_catalogue(session, services.warehouse))
        people = criteria.select(parsed, services.warehouse, SHOP_NOW).count()
        found = services.warehouse.execute(people).to_pydict()
        assert (name, spark.execute(people).to_pydict()) == (name, found)
    services.close()


def test_no_function_of_duckdb_is_left() -> None:
    """A key may hold anything but what ends the text."""
    assert "JSON_EXTRACT_STRING" not in translated("SELECT JSON_EXTRACT_STRING(`a`, '/it~1s') FROM `t`").upper()


def test_without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """Said with the remedy."""
    monkeypatch.setitem(sys.modules, "pyspark.sql", None)
    with pytest.raises(Unavailable, match="pip install"):
        Spark("local[1]")

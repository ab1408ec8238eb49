"""Spark over the files of the warehouse, for a shop that has outgrown one machine (the extra `spark` and Java).

The expressions are those that DuckDB runs: Ibis writes them in Spark's SQL, and DuckDB's own functions
(engine.dialect) are put into Spark's words here.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Self

import ibis
import pyarrow as pa
import sqlglot
from ibis.expr import operations
from sqlglot import expressions as sql

from engine.errors import Unavailable
from engine.warehouse.tables import TABLES

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from engine.warehouse.warehouse import Warehouse

DIALECT: Final = "spark"
# PySpark 4.3 says at every turn that it does not yet fully support pandas 3, of which nothing here makes use.
warnings.filterwarnings("ignore", "PySpark does not yet fully support pandas", FutureWarning)

STACK: Final = "-Xss8m"
SETTINGS: Final = {
    "spark.ui.enabled": "false",  # a server nobody asked for
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.ansi.enabled": "true",
    "spark.log.level": "ERROR",
    # Every round of ALS hangs on the one before it: ten overflow the usual 1 MB of a thread that is not yet warm.
    "spark.driver.extraJavaOptions": STACK,
    "spark.executor.extraJavaOptions": STACK,
}


class Spark:
    """Runs Ibis expressions over named lists of Parquet files on `master` ("local[4]", "spark://host:7077")."""

    def __init__(self, master: str, **settings: str) -> None:
        self._session = _session(master, SETTINGS | settings)
        self._compiler = ibis.pyspark.connect(self._session)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._session.stop()

    def show(self, files: Mapping[str, tuple[pa.Schema, Sequence[str]]]) -> None:
        """From now on these tables are made of these files."""
        for name, (schema, paths) in files.items():
            self._name(
                name, self._session.read.schema(_columns(schema)).parquet(*paths) if paths else schema.empty_table()
            )

    def execute(self, expression: ibis.Expr) -> pa.Table:
        """Run it; a scalar or column comes back as a table of one column."""
        table = expression.as_table()
        for held in table.op().find(operations.InMemoryTable):
            self._name(held.name, held.data.to_pyarrow(held.schema))
        return self._session.sql(translated(self._compiler.compile(table))).toArrow()

    def frame(self, query: str, **given: Any) -> DataFrame:
        """Rows of Spark's own SQL, not yet computed; `given` are its named parameters."""
        return self._session.sql(query, args=given or None)

    def view(self, name: str, query: str, *, keep: bool = False, given: Mapping[str, Any] | None = None) -> None:
        """From now on `name` stands for the rows of a query; `keep` them as they are now."""
        frame = self.frame(query, **given or {})
        if keep:
            frame.cache().count()
        frame.createOrReplaceTempView(name)

    def query(self, query: str, **given: Any) -> pa.Table:
        """The rows of Spark's own SQL."""
        return self.frame(query, **given).toArrow()

    def grown(self, rows: DataFrame, items: str, support: float, confidence: float, *, most: int) -> pa.Table:
        """Rules of frequent sets (FP-growth) of `most` items, one of them the consequent: antecedent, consequent."""
        from pyspark.ml.fpm import FPGrowth  # noqa: PLC0415

        if rows.isEmpty():
            return pa.table({"antecedent": [], "consequent": []})
        model = FPGrowth(itemsCol=items, minSupport=min(support, 1.0), minConfidence=confidence).fit(rows)
        found = model.associationRules.where(f"size(antecedent) = {most - 1} AND size(consequent) = 1")
        return found.select("antecedent", "consequent").toArrow()

    def factored(
        self,
        rows: DataFrame,
        columns: tuple[str, str, str],
        *,
        factors: int,
        rounds: int,
        regular: float,
        alpha: float,
        seed: int,
    ) -> pa.Table:
        """Factors of items (id, features) by alternating least squares over (person, item, weight)."""
        from pyspark.ml.recommendation import ALS  # noqa: PLC0415

        person, item, weight = columns
        if rows.isEmpty():
            return pa.table({"id": [], "features": []})
        learner = ALS(
            rank=factors, maxIter=rounds, regParam=regular, alpha=alpha, implicitPrefs=True, seed=seed,
            userCol=person, itemCol=item, ratingCol=weight,
        )  # fmt: skip
        return learner.fit(rows).itemFactors.toArrow()

    def _name(self, name: str, rows: Any) -> None:
        frame = self._session.createDataFrame(rows) if isinstance(rows, pa.Table) else rows
        frame.createOrReplaceTempView(name)


def over(warehouse: Warehouse, master: str, **settings: str) -> Spark:
    """Spark over the files that the warehouse shows now; they stay for a minute after others take their place."""
    spark = Spark(master, **settings)
    spark.show({name: (table.schema, sorted(warehouse.parts(name))) for name, table in TABLES.items()})
    return spark


def translated(query: str) -> str:
    """Ibis's SQL for Spark without functions of DuckDB's own."""
    written = sqlglot.parse_one(query, dialect=DIALECT)
    for node in reversed(list(written.find_all(sql.Anonymous, sql.FromJson, bfs=True))):  # the inner ones first
        if node.name.lower() in FUNCTIONS:
            node.replace(FUNCTIONS[node.name.lower()](*node.expressions))
        elif isinstance(node, sql.FromJson):
            node.replace(_texts(node.this))
    return written.sql(dialect=DIALECT)


def _json_text(text: sql.Expression, pointer: sql.Expression) -> sql.Expression:
    """The pointer names one key: "/" and the key, "~1" for "/" and "~0" for "~". A path of Spark's takes no quotes."""
    key = "replace(replace(substr(:pointer, 2), '~1', '/'), '~0', '~')"
    return _read(f"try_element_at(from_json(:text, 'map<string,string>'), {key})", text=text, pointer=pointer)


def _texts(value: sql.Expression) -> sql.Expression:
    """Spark reads JSON from text alone."""
    text = value.this if isinstance(value, sql.JSONFormat) else value
    return _read("from_json(:value, 'array<string>')", value=text)


def _local(zone: sql.Expression, moment: sql.Expression) -> sql.Expression:
    return _read("cast(from_utc_timestamp(:moment, :zone) as timestamp_ntz)", moment=moment, zone=zone)


def _quantile(value: sql.Expression, share: sql.Expression) -> sql.Expression:
    return _read("percentile_disc(:share) WITHIN GROUP (ORDER BY :value)", value=value, share=share)


def _renamed(name: str) -> Callable[..., sql.Expression]:
    return lambda *given: sql.Anonymous(this=name, expressions=list(given))


def _read(template: str, **given: sql.Expression) -> sql.Expression:
    """Spark's SQL with expressions put in for its placeholders."""
    written = sqlglot.parse_one(template, dialect=DIALECT)
    return written.transform(lambda node: given[node.name].copy() if isinstance(node, sql.Placeholder) else node)


FUNCTIONS: Final[Mapping[str, Callable[..., sql.Expression]]] = {
    "json_extract_string": _json_text,
    "timezone": _local,
    "quantile_disc": _quantile,
    "epoch_us": _renamed("unix_micros"),
    "arg_max_null": _renamed("max_by"),
    "arg_min_null": _renamed("min_by"),
}


def _session(master: str, settings: Mapping[str, str]) -> SparkSession:
    try:
        from pyspark.sql import SparkSession  # noqa: PLC0415 - half a second, and only where the extra is
    except ImportError:
        raise Unavailable("Spark is not installed: run `pip install 'rapport[spark]'`.") from None
    builder = SparkSession.builder.master(master)
    for name, value in settings.items():
        builder = builder.config(name, value)
    try:
        return builder.getOrCreate()
    except Exception as error:
        raise Unavailable(f"Spark does not start ({error}): it needs Java 17, and `{master}` must answer.") from error


def _columns(schema: pa.Schema) -> Any:
    from pyspark.sql.pandas.types import from_arrow_schema  # noqa: PLC0415

    return from_arrow_schema(schema)

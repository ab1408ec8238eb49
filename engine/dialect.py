"""What Ibis has no word for: each function of DuckDB's in one place, with a name that says what it does.

Everything else that criteria are made of is plain Ibis, and compiles for Spark as well.
"""

from __future__ import annotations

from decimal import Decimal
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo

import ibis


@ibis.udf.scalar.builtin(name="json_extract_string", signature=(("string", "string"), "string"))  # type: ignore[untyped-decorator]
def _json_extract_string(text: Any, pointer: Any) -> Any:
    """DuckDB's function; a JSON pointer (RFC 6901) names any key, a path would take dots and quotes for syntax."""


@ibis.udf.scalar.builtin(name="from_json", signature=(("json", "string"), "array<string>"))  # type: ignore[untyped-decorator]
def _from_json(value: Any, structure: Any) -> Any:
    """DuckDB's function; NULL for what has another structure."""


@ibis.udf.scalar.builtin(name="timezone", signature=(("string", "timestamp('UTC')"), "timestamp"))  # type: ignore[untyped-decorator]
def _timezone(zone: Any, moment: Any) -> Any:
    """DuckDB's function."""


@ibis.udf.agg.builtin(name="quantile_disc", signature=(("float64", "decimal(9, 6)"), "float64"))  # type: ignore[untyped-decorator]
def _quantile_disc(value: Any, share: Any) -> Any:
    """DuckDB's function; with a decimal share its place among the values is computed in whole numbers."""


@ibis.udf.scalar.builtin(name="epoch_us", signature=(("timestamp('UTC')",), "int64"))  # type: ignore[untyped-decorator]
def microseconds(moment: Any) -> Any:
    """Microseconds since 1970, for exact sums; a sum of a moment and an interval asks the calendar, which is slow."""


@cache
def _told(name: str, kind: Any, order: Any) -> Any:
    """DuckDB's functions: the value, also an unknown one, where the order is smallest or greatest."""
    known = ibis.udf.agg.builtin(name=name, signature=((kind, order), kind))
    return known(lambda value, order: None)


def first(column: Any, *order: Any) -> Any:
    """The value, also an unknown one, in the row that is first by `order`."""
    return _by("arg_min_null", column, order)


def last(column: Any, *order: Any) -> Any:
    """The same of the last row."""
    return _by("arg_max_null", column, order)


def _by(name: str, column: Any, order: Any) -> Any:
    key = ibis.struct({f"o{place}": one for place, one in enumerate(order)})
    return _told(name, column.type(), key.type())(column, key)


def json_text(column: Any, name: str) -> Any:
    """The value of a key in JSON text, as text; NULL when there is none."""
    return _json_extract_string(column, "/" + name.replace("~", "~0").replace("/", "~1"))


def json_value(column: Any, names: Any) -> Any:
    """The same where the key is itself a column."""
    return _json_extract_string(column, ibis.literal("/") + names.replace("~", "~0").replace("/", "~1"))


def texts(column: Any) -> Any:
    """The texts of a JSON array; any other text is an array of itself."""
    alone = ibis.ifelse(column.notnull(), ibis.array([column]), None)
    return _from_json(column.try_cast("json"), '["VARCHAR"]').coalesce(alone)


def local(moment: Any, zone: ZoneInfo) -> Any:
    """What the clock of `zone` shows at a moment, as a timestamp without a zone."""
    return _timezone(zone.key, moment)


def lowest(column: Any, percent: float) -> Any:
    """Of the n values that are known, the ceil(n * percent / 100)-th from below; the same in every row."""
    share = ibis.literal(Decimal(str(percent)) / 100, "decimal(9, 6)")
    return _quantile_disc(column.cast("float64"), share).over(ibis.window())

"""How the people of a list differ from all contacts: fields by value or in bands, and the categories they bought.

The measure of a difference is Cramér's V between being on the list and the value, corrected for bias (Bergsma 2013):
0 is none, 1 is complete, and it does not grow with the size of the shop as a p-value does. Below LEAST people on the
list or beside it there is no measure, since chance alone would make one.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from math import floor, log10, sqrt
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakKeyDictionary

import ibis
import numpy as np
import pyarrow as pa
from ibis import _
from sqlalchemy.orm import Session

from engine import criteria, money
from engine.catalogue import Catalogue, open_catalogue
from engine.criteria import Criteria
from engine.criteria.nodes import Group, Leaf, Question
from engine.criteria.operators import OPERATORS
from engine.database import EPOCH
from engine.fields import Field
from engine.lists.following import data_mark
from engine.lists.people import Ids, member_ids
from engine.models import BUCKETS
from engine.values import Words

if TYPE_CHECKING:
    from engine.warehouse import Warehouse

SAMPLE: Final = 50_000  # contacts by whom bands are cut
KEPT: Final = 16  # profiles, so that whoever comes back to a tab need not wait
LEAST: Final = 30  # people on the list, and beside it
OWN: Final = 30  # attributes of the shop's own that are looked at, the most frequent
SHOWN: Final = 12  # values of one field, those most members have
FEW: Final = 12  # different numbers up to here are values and no bands
MANY: Final = 500  # different values from here on are names, and no kinds of people

CHOICES: Final = frozenset({"choice", "path", "yes_no", "text"})
NUMBERS: Final = frozenset({"number", "money"})
TIMES: Final = frozenset({"date", "moment"})
NAMES: Final = frozenset({"first_name", "last_name", "key", "email", "phone", "postcode", "birth_date", "household",
                          "account"})  # fmt: skip
SAID: Final = frozenset({"last_order_at"})  # by another field: recency
LEDGERS: Final = ("_word", "_suppression")  # tables of how a consent came about: paper work, and a join each
BOUGHT: Final = Words("categories bought", "购买的类别")
UNKNOWN, OTHERS = "unknown", "others"


@dataclass(frozen=True)
class Part:
    """People with one value, or between two: `low` <= value < `high`, None is open. `kind`: value, band, unknown,
    others (all values that are not shown).
    """

    kind: str
    value: Any
    high: Any
    members: int
    base: int
    member_share: float
    base_share: float

    @property
    def index(self) -> float | None:
        """Share among the members over share of all: 2 is twice as frequent. None where nobody has it."""
        return self.member_share / self.base_share if self.base_share else None


@dataclass(frozen=True)
class Trait:
    """One field, its parts, and how strongly it sets the members apart: in [0, 1], None for too few people. The parts
    of `several` overlap: a person may have bought of many categories.
    """

    key: str
    label: Words
    type: str
    strength: float | None
    parts: tuple[Part, ...]
    several: bool = False


@dataclass(frozen=True)
class Profile:
    """`size` members of `base` contacts; fields with the largest differences first."""

    size: int
    base: int
    traits: tuple[Trait, ...]

    @property
    def is_measured(self) -> bool:
        """Are there enough people on the list and beside it to tell a difference from chance?"""
        return self.size >= LEAST and self.base - self.size >= LEAST


_KNOWN: WeakKeyDictionary[Any, dict[Any, Profile]] = WeakKeyDictionary()  # of the same people, data and hour
_LOCK = threading.Lock()


def profile(session: Session, warehouse: Warehouse, list_id: int, now: datetime) -> Profile:
    """Of a list as it is now, against all contacts. Raises what `member_ids` raises."""
    ids = member_ids(session, warehouse, list_id, now)
    key = (
        data_mark(warehouse),
        hashlib.sha256(ids.tobytes()).hexdigest(),
        now.replace(minute=0, second=0, microsecond=0),
    )
    with _LOCK:
        known = _KNOWN.setdefault(warehouse, {}).get(key)
    if known is None:
        known = of(open_catalogue(session, warehouse), warehouse, ids, now)
        with _LOCK:
            kept = [*_KNOWN[warehouse].items(), (key, known)]
            _KNOWN[warehouse] = dict(kept[-KEPT:])
    return known


def of(catalogue: Catalogue, warehouse: Warehouse, ids: Ids, now: datetime) -> Profile:
    """Of any contacts; two queries over the contacts and one over the orders."""
    members = ibis.memtable(pa.table({"member_id": ids}))
    fields = list(_fields(catalogue))
    wide = _wide(catalogue, warehouse, fields, members, now)
    cuts = _cuts(warehouse, wide, fields)
    found, counted = _counted(warehouse, wide, cuts)
    traits = [_trait(found, *row) for row in zip(fields, cuts, counted, strict=True)]
    traits.append(_bought(found, warehouse, members))
    known = [trait for trait in traits if any(part.kind in ("value", "band") for part in trait.parts)]
    return replace(found, traits=tuple(sorted(known, key=lambda trait: (-(trait.strength or 0), trait.key))))


def cramers_v(table: Sequence[Sequence[int]]) -> float:
    """Bias-corrected Cramér's V of a table of counts (rows and columns without anybody are left out)."""
    counts = np.asarray(table, dtype=float)
    counts = counts[counts.sum(1) > 0][:, counts.sum(0) > 0]
    rows, columns = counts.shape
    total = counts.sum()
    if min(rows, columns) < 2 or total < 2:
        return 0.0
    expected = np.outer(counts.sum(1), counts.sum(0)) / total
    phi2 = ((counts - expected) ** 2 / expected).sum() / total
    phi2 = max(0.0, phi2 - (rows - 1) * (columns - 1) / (total - 1))
    least = min(size - (size - 1) ** 2 / (total - 1) for size in (rows, columns)) - 1
    return float(min(1.0, sqrt(phi2 / least))) if least > 0 else 0.0


def _fields(catalogue: Catalogue) -> Iterator[Field]:
    """Those that make kinds of people: no names, no free text but the shop's own attributes."""
    own = 0
    for field in catalogue.fields():
        is_own = field.group == "attributes"
        own += is_own
        is_kind = field.type in CHOICES | NUMBERS | TIMES and field.key not in NAMES | SAID
        is_kind = is_kind and not field.table.endswith(LEDGERS)
        if is_kind and (own <= OWN if is_own else field.type != "text"):
            yield field


def _wide(catalogue: Catalogue, warehouse: Warehouse, fields: Sequence[Field], members: Any, now: datetime) -> Any:
    """Ibis table: bucket, on_list, v0, v1 ... of all contacts; times as days since 1970."""
    leaves = [Leaf(field, Question(OPERATORS["known"], field.type, ())) for field in fields]
    found = criteria.people(Criteria(Group("all", tuple(leaves)), catalogue.zone, catalogue.currency), warehouse, now)
    values = {f"v{place}": _value(found.value(leaf), leaf.field.type) for place, leaf in enumerate(leaves)}
    table = found.table.select("contact_id", "bucket", **values)
    table = table.left_join(members, table.contact_id == members.member_id)
    return table.select("bucket", on_list=table.member_id.notnull(), **{name: table[name] for name in values})


def _value(column: Any, kind: str) -> Any:
    if kind in TIMES:
        return column.cast("date").epoch_seconds() // 86_400
    return column.cast("float64") if kind in NUMBERS else column.cast("string")


Counts = Mapping[Any, tuple[int, int]]
Cuts = tuple[float, ...] | None  # edges of bands, ascending; None: by value


def _cuts(warehouse: Warehouse, wide: Any, fields: Sequence[Field]) -> list[Cuts]:
    """Where the bands of numbers begin: the fifths of SAMPLE contacts drawn at random, at round numbers."""
    places = [place for place, field in enumerate(fields) if field.type in NUMBERS | TIMES]
    contacts = warehouse.table("contacts")
    base = warehouse.execute(contacts.count())[0][0].as_py()
    sample = wide.filter(wide.bucket < BUCKETS * SAMPLE // base) if base > SAMPLE else wide
    table = warehouse.execute(sample.select(*(f"v{place}" for place in places)))
    found: list[Cuts] = [None] * len(fields)
    for place in places:
        values = table[f"v{place}"].drop_null().to_numpy()
        if len(np.unique(values)) > FEW:
            edges = np.quantile(values, [0.2, 0.4, 0.6, 0.8]).tolist()
            found[place] = tuple(sorted({_round(edge, fields[place].type) for edge in edges}))
    return found


def _round(edge: float, kind: str) -> float:
    """Two digits that count: 1,234 is 1,200; amounts by currency units, days stay."""
    if kind in TIMES or not edge:
        return float(floor(edge))
    step = 10.0 ** (floor(log10(abs(edge))) - 1)
    return round(edge / step) * step


def _counted(warehouse: Warehouse, wide: Any, cuts: Sequence[Cuts]) -> tuple[Profile, list[Counts]]:
    """The sizes, and for each field {value, or number of its band: (base, members)}. One query gives every contact's
    values, and they are counted column by column here: 1 M contacts take a third of the time of grouping in DuckDB,
    which joins anew for each field.
    """
    values = {
        f"v{place}": _band(wide[f"v{place}"], edges) if edges is not None else wide[f"v{place}"].cast("string")
        for place, edges in enumerate(cuts)
    }
    table = warehouse.execute(wide.select("on_list", **values))
    on_list = table["on_list"].to_numpy()
    found = Profile(int(on_list.sum()), len(on_list), ())
    return found, [_counts(table[name], on_list) for name in values]


def _counts(column: Any, on_list: Any) -> Counts:
    coded = pa.chunked_array(column).combine_chunks().dictionary_encode(null_encoding="encode")
    codes, names = coded.indices.to_numpy(), coded.dictionary.to_pylist()
    base = np.bincount(codes, minlength=len(names)).tolist()
    members = np.bincount(codes[on_list], minlength=len(names)).tolist()
    return dict(zip(names, zip(base, members, strict=True), strict=True))


def _band(value: Any, edges: Sequence[float]) -> Any:
    return ibis.ifelse(value.isnull(), None, sum((value >= edge).cast("int8") for edge in edges)).cast("int8")


def _trait(found: Profile, field: Field, edges: Cuts, counts: Counts) -> Trait:
    known = {value: count for value, count in counts.items() if value is not None}
    parts: list[Part] = []
    if edges is not None:
        parts = [
            _part(found, "band", (_bound(low, field.type), _bound(high, field.type)), known[number])
            for number, (low, high) in enumerate(zip((None, *edges), (*edges, None), strict=True))
            if number in known
        ]
    elif len(known) < MANY or field.group != "attributes":
        parts = _values(found, field.type, known)
    if parts and None in counts:
        parts.append(_part(found, UNKNOWN, (None, None), counts[None]))
    return Trait(field.key, field.label, field.type, _strength(found, list(counts.values())), tuple(parts))


def _values(found: Profile, kind: str, known: Mapping[str, tuple[int, int]]) -> list[Part]:
    """Those most members have, numbers in their order; the rest is one part."""
    ranked = sorted(known, key=lambda value: (-known[value][1], -known[value][0], value))
    shown = sorted(ranked[:SHOWN], key=float) if kind in NUMBERS else ranked[:SHOWN]
    parts = [_part(found, "value", (_read(value, kind), None), known[value]) for value in shown]
    if rest := [known[value] for value in ranked[SHOWN:]]:
        parts.append(
            _part(found, OTHERS, (len(rest), None), (sum(row[0] for row in rest), sum(row[1] for row in rest)))
        )
    return parts


def _part(found: Profile, kind: str, bounds: tuple[Any, Any], count: tuple[int, int]) -> Part:
    base, members = count
    shares = members / found.size if found.size else 0.0, base / found.base if found.base else 0.0
    return Part(kind, *bounds, members, base, *shares)


def _strength(found: Profile, counts: Sequence[tuple[int, int]]) -> float | None:
    """Of parts that do not overlap."""
    if not found.is_measured:
        return None
    return cramers_v([[members for _base, members in counts], [base - members for base, members in counts]])


def _bought(found: Profile, warehouse: Warehouse, members: Any) -> Trait:
    """The top level of the categories of their orders; the strength is that of the category that differs most."""
    orders, lines, items = (warehouse.table(name) for name in ("orders", "order_lines", "items"))
    rows = lines.join(orders.filter(orders.total > 0, orders.contact_id.notnull()), lines.order_id == orders.id)
    rows = rows.select(rows.contact_id, rows.item_id)
    rows = rows.join(items.filter(items.category.notnull()), rows.item_id == items.id)
    rows = rows.select("contact_id", top=rows.category.split(" > ")[0]).distinct()
    rows = rows.left_join(members, rows.contact_id == members.member_id)
    sums = rows.group_by("top").aggregate(base=_.count(), members=_.member_id.notnull().sum())
    known = {row["top"]: (row["base"], row["members"] or 0) for row in warehouse.execute(sums).to_pylist()}
    parts = tuple(part for part in _values(found, "choice", known) if part.kind == "value")
    strengths = [
        _strength(found, [(part.base, part.members), (found.base - part.base, found.size - part.members)])
        for part in parts
    ]
    strongest = max((one for one in strengths if one is not None), default=None)
    return Trait("bought", BOUGHT, "choice", strongest, parts, several=True)


def _bound(edge: float | None, kind: str) -> Any:
    return None if edge is None else _read(edge, kind)


def _read(value: Any, kind: str) -> Any:
    """As the API and the page show it: a number, currency units, a day, or the text."""
    if kind in TIMES:
        return _day(float(value))
    if kind == "money":
        return float(money.to_decimal(round(float(value))))
    if kind == "number":
        number = float(value)
        return int(number) if number == int(number) else number
    return {"true": True, "false": False}.get(str(value), value) if kind == "yes_no" else value


def _day(days: float) -> date:
    return (EPOCH + timedelta(days=days)).astimezone(UTC).date()

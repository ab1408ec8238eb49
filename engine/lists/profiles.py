"""How the people of a list differ from all contacts: fields by value or in bands, and the categories they bought.

The measure of a difference is Cramér's V between being on the list and the value, corrected for bias (Bergsma 2013):
0 is none, 1 is complete, and it does not grow with the size of the shop as a p-value does. Below LEAST people on the
list or beside it there is no measure, since chance alone would make one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from functools import reduce
from math import floor, isfinite, log10, sqrt
from typing import TYPE_CHECKING, Any, Final

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
from engine.lists.people import Ids, member_ids
from engine.values import Words

if TYPE_CHECKING:
    from engine.warehouse import Warehouse

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


def profile(session: Session, warehouse: Warehouse, list_id: int, now: datetime) -> Profile:
    """Of a list as it is now, against all contacts. Raises what `member_ids` raises."""
    return of(open_catalogue(session, warehouse), warehouse, member_ids(session, warehouse, list_id, now), now)


def of(catalogue: Catalogue, warehouse: Warehouse, ids: Ids, now: datetime) -> Profile:
    """Of any contacts; two queries over all contacts and one over the orders."""
    members = ibis.memtable(pa.table({"member_id": ids}))
    fields = list(_fields(catalogue))
    wide = _wide(catalogue, warehouse, fields, members, now)
    cuts = _cuts(warehouse, wide, fields)
    counted = _counted(warehouse, wide, fields, cuts)
    base, size = counted.pop(None)
    found = Profile(size, base, ())
    traits = [_trait(found, fields[place], cuts[place], counted.get(place, {})) for place in range(len(fields))]
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
        is_kind = field.type in CHOICES | NUMBERS | TIMES and field.key not in NAMES
        if is_kind and (own <= OWN if is_own else field.type != "text"):
            yield field


def _wide(catalogue: Catalogue, warehouse: Warehouse, fields: Sequence[Field], members: Any, now: datetime) -> Any:
    """Ibis table: on_list, v0, v1 ... of all contacts; times as days since 1970."""
    leaves = [Leaf(field, Question(OPERATORS["known"], field.type, ())) for field in fields]
    found = criteria.people(Criteria(Group("all", tuple(leaves)), catalogue.zone, catalogue.currency), warehouse, now)
    values = {f"v{place}": _value(found.value(leaf), leaf.field.type) for place, leaf in enumerate(leaves)}
    table = found.table.select("contact_id", **values)
    table = table.left_join(members, table.contact_id == members.member_id)
    return table.select(on_list=table.member_id.notnull(), **{name: table[name] for name in values})


def _value(column: Any, kind: str) -> Any:
    if kind in TIMES:
        return column.cast("date").epoch_seconds() // 86_400
    return column.cast("float64") if kind in NUMBERS else column.cast("string")


Cuts = tuple[float, ...] | None  # edges of bands, ascending; None: by value


def _cuts(warehouse: Warehouse, wide: Any, fields: Sequence[Field]) -> list[Cuts]:
    """Where the bands of numbers begin: the fifths of all contacts, at round numbers."""
    places = [place for place, field in enumerate(fields) if field.type in NUMBERS | TIMES]
    sums = {f"n{place}": wide[f"v{place}"].approx_nunique() for place in places}
    sums |= {f"q{place}_{fifth}": wide[f"v{place}"].quantile(fifth / 5) for place in places for fifth in range(1, 5)}
    row = warehouse.execute(wide.aggregate(**sums)).to_pylist()[0] if sums else {}
    found: list[Cuts] = [None] * len(fields)
    for place in places:
        if (row[f"n{place}"] or 0) > FEW:
            edges = [row[f"q{place}_{fifth}"] for fifth in range(1, 5)]
            kind = fields[place].type
            found[place] = tuple(sorted({_round(edge, kind) for edge in edges if edge is not None and isfinite(edge)}))
    return found


def _round(edge: float, kind: str) -> float:
    """Two digits that count: 1,234 is 1,200; amounts by currency units, days stay."""
    if kind in TIMES or not edge:
        return float(floor(edge))
    step = 10.0 ** (floor(log10(abs(edge))) - 1)
    return round(edge / step) * step


def _counted(warehouse: Warehouse, wide: Any, fields: Sequence[Field], cuts: Sequence[Cuts]) -> dict[int | None, Any]:
    """{place of a field: {value or number of its band: (base, members)}}, and under None (base, members) of all."""
    sums = {"base": _.count(), "members": _.on_list.sum()}
    groups = []
    for place, edges in enumerate(cuts):
        value = wide[f"v{place}"]
        told = value.cast("string") if edges is None else _band(value, edges).cast("string")
        rows = wide.select(place=ibis.literal(place), value=told, on_list=wide.on_list)
        groups.append(rows.group_by("place", "value").aggregate(**sums))
    all_rows = wide.select(place=ibis.literal(-1), value=ibis.literal(""), on_list=wide.on_list)
    groups.append(all_rows.group_by("place", "value").aggregate(**sums))
    found: dict[int | None, Any] = {None: (0, 0)}
    for row in warehouse.execute(reduce(lambda one, other: one.union(other), groups)).to_pylist():
        counts = row["base"], row["members"] or 0
        if row["place"] < 0:
            found[None] = counts
        else:
            found.setdefault(row["place"], {})[row["value"]] = counts
    return found


def _band(value: Any, edges: Sequence[float]) -> Any:
    return ibis.ifelse(value.isnull(), None, sum((value >= edge).cast("int64") for edge in edges))


Counts = Mapping[str | None, tuple[int, int]]


def _trait(found: Profile, field: Field, edges: Cuts, counts: Counts) -> Trait:
    known = {value: count for value, count in counts.items() if value is not None}
    parts: list[Part] = []
    if edges is not None:
        parts = [
            _part(found, "band", (_bound(low, field.type), _bound(high, field.type)), known[str(number)])
            for number, (low, high) in enumerate(zip((None, *edges), (*edges, None), strict=True))
            if str(number) in known
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

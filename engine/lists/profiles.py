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
from functools import cache
from math import floor, log10, sqrt
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakKeyDictionary

import numpy as np
import pyarrow as pa
from sqlalchemy.orm import Session

from engine import money
from engine.catalogue import Catalogue, open_catalogue
from engine.criteria import Criteria
from engine.criteria.nodes import Group, Leaf, Question
from engine.criteria.operators import OPERATORS
from engine.database import EPOCH
from engine.fields import Field
from engine.kept import Kept, kept
from engine.leaves import Leaves, Listed
from engine.lists.following import data_mark
from engine.lists.people import Ids, member_ids
from engine.masks import Base, Coded, Mask
from engine.values import Words
from engine.warehouse.reader import written
from engine.warehouse.tables import unbound

if TYPE_CHECKING:
    from engine.warehouse import Pin, Warehouse

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
BUYING: Final = ("orders", "order_lines", "items")
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
    """Of any contacts. The values of each field are kept as those of a criterion about it are: the first list of a
    million contacts takes a second, the next one a quarter of it.
    """
    everyone = Criteria(Group("all", ()), catalogue.zone, catalogue.currency)
    fields, known = list(_fields(catalogue)), kept(warehouse)

    def look(pin: Pin) -> Profile:
        leaves = Leaves(pin, known, everyone, now)
        on_list = leaves.base.holds(ids)
        found = Profile(on_list.count, on_list.size, ())
        sample = leaves.base.drawn[:SAMPLE]
        bought = known.pool.submit(lambda: _bought(found, _buyers(pin, leaves.base, known), on_list))

        def trait(field: Field) -> Trait:
            return _trait(found, field, leaves.values(_leaf(field)), on_list.flags, sample)

        traits = [*known.pool.map(trait, fields), bought.result()]
        shown = [trait for trait in traits if any(part.kind in ("value", "band") for part in trait.parts)]
        return replace(found, traits=tuple(sorted(shown, key=lambda trait: (-(trait.strength or 0), trait.key))))

    return warehouse.pinned(look)


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


def _leaf(field: Field) -> Leaf:
    return Leaf(field, Question(OPERATORS["known"], field.type, ()))


Values = Coded | Listed  # of each contact one
Counts = Mapping[Any, tuple[int, int]]  # by value, or number of its band: (base, members)
Cuts = tuple[float, ...] | None  # edges of bands, ascending; None: by value


def _numbers(column: pa.Array, kind: str) -> Any:
    """As floats, times as days since 1970; what is not known is not a number."""
    days = column.cast("date32").cast("int32") if kind in TIMES else column
    return days.cast("float64").to_numpy(zero_copy_only=False)


def _cuts(sample: pa.Array, kind: str) -> Cuts:
    """Where the bands of numbers begin: the fifths of SAMPLE contacts drawn at random, at round numbers."""
    if kind not in NUMBERS | TIMES:
        return None
    values = _numbers(sample, kind)
    values = values[~np.isnan(values)]
    if len(np.unique(values)) <= FEW:
        return None
    return tuple(sorted({_round(edge, kind) for edge in np.quantile(values, [0.2, 0.4, 0.6, 0.8]).tolist()}))


def _round(edge: float, kind: str) -> float:
    """Two digits that count: 1,234 is 1,200; amounts by currency units, days stay."""
    if kind in TIMES or not edge:
        return float(floor(edge))
    step = 10.0 ** (floor(log10(abs(edge))) - 1)
    return round(edge / step) * step


def _counts(values: Values, kind: str, edges: Cuts, on_list: Any) -> Counts:
    """How many have each value, or are in each band."""
    codes, names = _banded(values, kind, edges) if edges is not None else _named(values, kind)
    base = np.bincount(codes, minlength=len(names)).tolist()
    members = np.bincount(codes[on_list], minlength=len(names)).tolist()
    found: dict[Any, tuple[int, int]] = {}
    for name, *more in zip(names, base, members, strict=True):
        before = found.get(name, (0, 0))
        found[name] = (before[0] + more[0], before[1] + more[1])
    return {name: count for name, count in found.items() if count[0]}


def _banded(values: Values, kind: str, edges: Sequence[float]) -> tuple[Any, list[int | None]]:
    """Of each contact a code, and of each code the number of the band."""
    column = values.different if isinstance(values, Coded) else values.column
    numbers = _numbers(column, kind)
    bands, nobody = np.searchsorted(edges, numbers, side="right"), np.isnan(numbers)
    if isinstance(values, Coded):
        return values.codes, [*(None if no else band for band, no in zip(bands.tolist(), nobody, strict=True)), None]
    return np.where(nobody, len(edges) + 1, bands), [*range(len(edges) + 1), None]


def _named(values: Values, kind: str) -> tuple[Any, list[str | None]]:
    """Of each contact a code, and of each code the value as text."""
    if isinstance(values, Listed):
        coded = values.column.dictionary_encode()
        values = Coded(coded.dictionary, coded.indices.fill_null(len(coded.dictionary)).to_numpy())
    if kind in NUMBERS | TIMES:
        return values.codes, [*map(str, _numbers(values.different, kind).tolist()), None]
    return values.codes, [*values.different.cast("string").to_pylist(), None]


def _trait(found: Profile, field: Field, values: Values, on_list: Any, sample: Any) -> Trait:
    edges = _cuts(values.at(sample), field.type)
    counts = _counts(values, field.type, edges, on_list)
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


def _bought(found: Profile, buyers: Mapping[str, Mask], on_list: Mask) -> Trait:
    """The top level of the categories of their orders; the strength is that of the category that differs most."""
    known = {top: (who.count, (who & on_list).count) for top, who in buyers.items()}
    parts = tuple(part for part in _values(found, "choice", known) if part.kind == "value")
    strengths = [
        _strength(found, [(part.base, part.members), (found.base - part.base, found.size - part.members)])
        for part in parts
    ]
    strongest = max((one for one in strengths if one is not None), default=None)
    return Trait("bought", BOUGHT, "choice", strongest, parts, several=True)


class _Buyers(dict[str, Mask]):
    """By the top level of a category: who bought of it."""

    @property
    def nbytes(self) -> int:
        """Memory it takes."""
        return sum(who.nbytes for who in self.values())


def _buyers(pin: Pin, base: Base, known: Kept) -> _Buyers:
    def find() -> _Buyers:
        rows = pin.query(pin.bound(_buying(), BUYING))
        ids, tops = rows["contact_id"].to_numpy(), rows["top"].combine_chunks().dictionary_encode()
        codes = tops.indices.to_numpy()
        return _Buyers({top: base.holds(ids[codes == code]) for code, top in enumerate(tops.dictionary.to_pylist())})

    return known.get(("buyers", *(pin.names[name] for name in ("contacts", *BUYING))), find)


@cache
def _buying() -> str:
    """SQL of contact_id and the top level of a category they bought of."""
    orders, lines, items = map(unbound, BUYING)
    rows = lines.join(orders.filter(orders.total > 0, orders.contact_id.notnull()), lines.order_id == orders.id)
    rows = rows.filter(rows.quantity > 0).select("contact_id", "item_id")
    rows = rows.join(items.filter(items.category.notnull()), rows.item_id == items.id)
    return written(rows.select("contact_id", top=rows.category.split(" > ")[0]).distinct())[0]


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

"""Random small shops and random criteria about them."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

from hypothesis import strategies as st

from engine.criteria.parse import UNITS
from engine.values import PERIODS
from tests.engine.criteria.world import NOW, World

MOMENTS_OF = ["first_at", "last_at", "days_since"]
NAMES = ["Ann", "ann lee", "O'Neil", '"; DROP TABLE contacts; --', "100%", "a_b", "Mei 梅", "🙂", "back\\slash"]
COUNTRIES = ["United Kingdom", "France", "China"]
CATEGORIES = ["Food", "Food > Wine", "Food > Wine > Red", "Food > Winegums", "Toys"]
KINDS = ["item_view", "search", "odd 'type' 🙂"]
DAYS = [date(2026, 3, 2) + timedelta(days=n) for n in (-9000, -365, -91, -90, -31, -30, -2, -1, 0, 1, 2, 30)]
BIRTHDAYS = [
    date(2000, 2, 29), date(2008, 3, 2), date(2008, 3, 3), date(2001, 3, 2), date(1999, 12, 31), date(1999, 1, 1),
]  # fmt: skip
MOMENTS = [  # around midnight in London, the hour of the clock change, and just around now
    *(datetime(2026, 3, 1, hour, tzinfo=UTC) for hour in (0, 9, 23)),
    *(datetime(2025, 3, 30, hour, 30, tzinfo=UTC) for hour in (0, 1, 22, 23)),
    datetime(2025, 3, 31, 0, tzinfo=UTC),
    NOW - timedelta(days=1, microseconds=1),
    NOW - timedelta(days=1),
    NOW - timedelta(microseconds=1),
    NOW,
    NOW + timedelta(hours=3),
    datetime(2026, 1, 1, tzinfo=UTC),
]
AMOUNTS = [-50_000, 0, 1, 9_999, 10_000, 100_000, 123_456]
NO_NUMBERS = [{"size": "NaN"}, {"size": "-inf"}]
TAGS = [{"tags": []}, {"tags": ["Red", "dry"]}, {"tags": ["red"]}, {"tags": "Red"}, {"tags": ['a"b', "梅🙂", "[x]"]}]
SIZES = [{}, {"size": 40}, {"size": "40"}, {"size": "XL"}, {"size": 12.5}, {"size": None}, {"a.b'\"c": 1}]

some = st.sampled_from


def maybe(values: list[Any]) -> st.SearchStrategy[Any]:
    """One of the values, or unknown."""
    return some([None, *values])


contact = st.fixed_dictionaries(
    {
        "first_name": maybe(NAMES),
        "country": maybe(COUNTRIES),
        "age": maybe([17, 18, 25, 26, 40]),
        "birth_date": maybe([*DAYS, *BIRTHDAYS]),
        "income": maybe(AMOUNTS),
        "email_consent": maybe([True, False]),
        "attributes": some([*SIZES, *NO_NUMBERS, *TAGS]),
        "household": maybe(["Hill", "Mill"]),
        "account": maybe(["Acme", "Mill"]),
        "email": maybe(["ann@Shop.example", "bo@shop.example", "mei@梅.example"]),
        "created_at": some(MOMENTS),
        "bucket": st.integers(0, 2**31 - 2),
    }
)
trait = st.fixed_dictionaries(
    {
        "last_order_at": maybe(MOMENTS),
        "order_count": some([0, 1, 3]),
        "mean_gap_days": maybe([0.0, 1.0, 30.5]),
        "spend": some(AMOUNTS),
        "margin": maybe(AMOUNTS),
        "favourite_category": maybe(CATEGORIES),
    }
)
event = st.fixed_dictionaries(
    {
        "type": some(KINDS),
        "contact_id": maybe([1, 2, 3]),
        "occurred_at": some(MOMENTS),
        "item_id": maybe([1, 2, 3]),
        "value": maybe(AMOUNTS),
        "origin": maybe(["web", "store"]),
        "properties": some([{}, {"q": "wine"}, {"q": 7}, {"q": "O'Neil 🙂"}]),
    }
)
order = st.fixed_dictionaries(
    {
        "contact_id": maybe([1, 2, 3]),
        "ordered_at": some(MOMENTS),
        "total": some([-10_000, 0, 1, 100_000]),
        "units": some([1, 2]),
        "channel": maybe(["web", "store"]),
        "currency": some(["GBP", "GBP", "EUR"]),
    }
)
line = st.fixed_dictionaries(
    {
        "item_id": some([1, 2, 3]),
        "quantity": some([-1, 1, 3]),
        "unit_price": some([1, 10_000]),
        "discount": some([0, 5]),
    }
)


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """A shop of up to eight contacts; some have orders and events."""
    world = World(contacts=_numbered(draw(st.lists(contact, max_size=8))))
    for row in world.contacts[::2]:
        world.traits.append({"contact_id": row["id"], **draw(trait)})
    world.items = [{"id": n + 1, "key": f"sku-{n}", "category": draw(maybe(CATEGORIES))} for n in range(3)]
    world.events = _numbered(draw(st.lists(event, max_size=10)))
    world.orders = _numbered(draw(st.lists(order, max_size=6)))
    lines = [{"order_id": row["id"], **one} for row in world.orders
             for one in draw(st.lists(line, min_size=1, max_size=3))]  # fmt: skip
    world.order_lines = _numbered(lines)
    world.lists = {1: [1, 2, 99], 2: {"field": "age", "operator": "at_least", "value": 18}, 3: []}
    return world


def _numbered(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{"id": number, **row} for number, row in enumerate(rows, 1)]


def _pair(values: list[Any]) -> st.SearchStrategy[list[Any]]:
    return st.tuples(some(values), some(values)).map(sorted)


def _asked(operators: list[str], value: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(
        {"operator": some([*operators, *(_contrary(key) for key in operators)]), "value": value}
    )


def _contrary(key: str) -> str:
    return "is_not" if key == "is" else f"not_{key}"


_KNOWN = some([{"operator": "known"}, {"operator": "unknown"}])
_TEXT_OPERATORS = ["is", "contains", "starts_with", "ends_with"]
_NUMBER_OPERATORS = ["is", "at_least", "at_most", "more_than", "less_than"]


def lasting(key: str, numbers: list[int]) -> st.SearchStrategy[dict[str, Any]]:
    """How long: {"hours": 24}."""
    return st.fixed_dictionaries({key: some(numbers)})


def text(values: list[str]) -> st.SearchStrategy[dict[str, Any]]:
    """Questions about a text."""
    parts = [*values, *(value[:2].upper() for value in values)]
    return st.one_of(
        _asked(_TEXT_OPERATORS, some(parts)),
        _asked(["in"], st.lists(some(values), min_size=1)),
        _asked(["matches"], some(["^[a-m]", "a.*e$", "[0-9]|梅", "^$"])),
        _KNOWN,
    )


def number(values: list[float]) -> st.SearchStrategy[dict[str, Any]]:
    """Questions about a number or an amount."""
    return st.one_of(
        _asked(_NUMBER_OPERATORS, some(values)),
        _asked(["in"], st.lists(some(values), min_size=1)),
        _asked(["between"], _pair(values)),
        _KNOWN,
    )


_EXTREMES = _asked(["top_percent", "bottom_percent"], some([0.0001, 10, 33.3333, 50, 66.6667, 75, 100]))
_DAY = [day.isoformat() for day in DAYS]
_TIME = st.one_of(
    _asked(["on", "before", "after"], some(_DAY)),
    _asked(["between"], _pair(_DAY)),
    _asked(["in_last", "in_next", "days_ago"], some([1, 2, 30, 90])),
    _asked(["anniversary_in_last", "anniversary_in_next"], some([1, 2, 3, 4, 60, 305, 365, 366, 400])),
    _asked(["in_period"], some(sorted(PERIODS))),
    _asked(["in_month"], st.integers(1, 12)),
    _asked(["on_weekday"], st.integers(1, 7)),
    _KNOWN,
)
_MONEY = number([amount / 10_000 for amount in AMOUNTS])
_PATH = st.one_of(text(CATEGORIES), _asked(["within"], some(CATEGORIES)))

QUESTIONS: dict[str, st.SearchStrategy[dict[str, Any]]] = {
    "first_name": text(NAMES),
    "country": text(COUNTRIES),
    "birth_date": _TIME,
    "created_at": _TIME,
    "email_domain": text(["shop.example", "梅.example"]),
    "last_order_at": _TIME,
    "age": st.one_of(number([17, 18, 25, 40]), _EXTREMES),
    "recency": st.one_of(number([0, 1, 30, 336]), _EXTREMES),
    "overdue": st.one_of(number([0, 1, 1.5, 2, 11]), _EXTREMES),
    "order_count": st.one_of(number([0, 1, 2, 3]), _EXTREMES),
    "income": st.one_of(_MONEY, _EXTREMES),
    "spend": st.one_of(_MONEY, _EXTREMES),
    "margin": _MONEY,
    "email_consent": st.one_of(_asked(["is"], st.booleans()), _KNOWN),
    "attributes.size": st.one_of(text(["40", "XL"]), number([12, 12.5, 40])),
    "attributes.tags": st.one_of(
        _asked(["has_any", "has_all"], st.lists(some(["RED", "Dry", 'a"b', "梅🙂"]), min_size=1)),
        _asked(["has_at_least"], some([1, 2, 3])),
        _KNOWN,
    ),
    "favourite_category": _PATH,
}
leaves = some(sorted(QUESTIONS)).flatmap(lambda name: QUESTIONS[name].map(lambda asked: {"field": name, **asked}))

_LAST = {"last_days": [1, 2, 90, 337], "last_hours": [24, 2160], "last_minutes": [1440, 3 * 1440]}
_WITHIN = st.one_of(
    *(st.fixed_dictionaries({key: some(numbers)}, optional={"before": some(_DAY)}) for key, numbers in _LAST.items()),
    st.fixed_dictionaries({"from": some(_DAY[:8])}, optional={"to": some(_DAY[8:])}),
    st.fixed_dictionaries({"to": some(_DAY)}),
)
_LONG = st.one_of(lasting("days", [1, 60, 400]), lasting("hours", [24, 1440]), lasting("minutes", [1440]))
_EVENT_CONDITIONS = {
    "at": _TIME,
    "hour": number([0, 1, 9, 23]),
    "item": text(["sku-0", "sku-1"]),
    "category": _PATH,
    "origin": text(["web"]),
    "value": _MONEY,
    "properties.q": text(["wine", "O'Neil 🙂"]),
}
_ORDER_CONDITIONS = {
    "at": _TIME,
    "hour": number([0, 1, 9, 23]),
    "item": text(["sku-0", "sku-1"]),
    "category": _PATH,
    "channel": text(["web"]),
    "total": _MONEY,
    "units": number([1, 2]),
    "unit_price": _MONEY,
}


_RETURN_CONDITIONS = {name: _ORDER_CONDITIONS[name] for name in ("item", "category", "channel", "units", "unit_price")}
_CONDITIONS = {"order": _ORDER_CONDITIONS, "return": _RETURN_CONDITIONS}
_AMOUNTS = {"order": "total", "return": "amount"}
_ANY_KIND = some([*KINDS, "order", "order", "return"])
_SPANS = st.one_of(
    *(st.fixed_dictionaries({key: some(numbers)}, optional={"before": some(_DAY)}) for key, numbers in _LAST.items()),
    st.fixed_dictionaries({"from": some(_DAY[:8]), "to": some(_DAY[8:])}),
)
_PERCENT = number([-100, -50, 0, 50, 100, 200])


@st.composite
def happenings(draw: st.DrawFn, kind: str = "") -> dict[str, Any]:
    """An event, perhaps under conditions."""
    kind = kind or draw(_ANY_KIND)
    conditions = _CONDITIONS.get(kind, _EVENT_CONDITIONS)
    names = draw(st.lists(some(sorted(conditions)), max_size=2, unique=True))
    where = {"where": [{"field": name, **draw(conditions[name])} for name in names]} if names else {}
    return {"event": kind, **where}


@st.composite
def events(draw: st.DrawFn) -> dict[str, Any]:
    """A measured event."""
    kind = draw(_ANY_KIND)
    measure = draw(some(["count", "count", "sum", "minimum", "maximum", "distinct", *MOMENTS_OF, "first", "last"]))
    leaf = {**draw(happenings(kind)), "measure": measure}
    if measure in {"sum", "minimum", "maximum"}:
        leaf["property"] = _AMOUNTS.get(kind, "value")
    elif measure in {"distinct", "first", "last"}:
        leaf["property"] = draw(some(["item", "category"]))
    if measure in {"count", "sum"} and draw(some([True, False, False])):
        return {**leaf, "within": draw(_SPANS), "compared_to": "previous", **draw(st.one_of(_PERCENT, _EXTREMES))}
    since = st.builds(lambda since, long: {"since": since, **long}, happenings(), st.one_of(st.just({}), _LONG))
    leaf |= draw(st.one_of(st.just({}), st.fixed_dictionaries({"within": st.one_of(_WITHIN, since)})))
    return leaf | draw(_measured(measure, leaf.get("property", "")))


def _measured(measure: str, name: str) -> st.SearchStrategy[dict[str, Any]]:
    """Questions about what a measure gives."""
    if measure in {"first_at", "last_at"}:
        return _TIME
    if measure in {"first", "last"}:
        return text(["sku-0", "sku-1"]) if name == "item" else _PATH
    plain = {"days_since": number([0, 1, 30, 336])}.get(measure, number([0, 1, 2, 3]))
    return st.one_of(_MONEY if name in {"value", "total", "amount"} else plain, _EXTREMES)


@st.composite
def sequences(draw: st.DrawFn) -> dict[str, Any]:
    """One event after another."""
    near = st.one_of(st.just({}), _LONG)
    later = st.builds(lambda step, long: {**step, **long}, happenings(), near)
    steps: list[dict[str, Any]] = [draw(happenings()), *draw(st.lists(later, min_size=1, max_size=3))]
    if draw(st.booleans()):
        steps[-1] = {
            **{key: steps[-1][key] for key in ("event", "where") if key in steps[-1]},
            **draw(_LONG),
            "not": True,
        }
    return {"sequence": steps, **draw(st.fixed_dictionaries({}, optional={"within": _WITHIN}))}


def _groups(children: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    several = st.lists(children, min_size=1, max_size=3)
    return st.one_of(
        *(several.map(lambda nodes, kind=kind: {kind: nodes}) for kind in ("all", "any", "none")),  # type: ignore[misc]
        children.map(lambda node: {"not": node}),
        several.flatmap(lambda nodes: st.integers(1, len(nodes)).map(lambda k: {"at_least": k, "of": nodes})),
    )


samples = st.fixed_dictionaries({"percent": some([0.0001, 10, 33.3, 50, 100])}, optional={"seed": some([1, 2, 7])})
lists = some([{"list": 1}, {"list": 2}, {"list": 3}])
trees = st.recursive(
    st.one_of(leaves, leaves, events(), events(), sequences(), lists, st.builds(lambda one: {"sample": one}, samples)),
    _groups,
    max_leaves=6,
)
nodes = st.one_of(trees, st.lists(st.one_of(leaves, events(), trees), min_size=6, max_size=9).map(lambda n: {"any": n}))
documents = st.fixed_dictionaries(
    {"include": st.one_of(trees, st.just({"all": []}))}, optional={"exclude": trees, "unit": some(UNITS)}
)
criteria = st.one_of(nodes, nodes, documents)


GRID = [NOW - timedelta(hours=12 * step) for step in range(-1, 9)]


@st.composite
def narrow_worlds(draw: st.DrawFn) -> World:
    """One or two contacts, perhaps of one household, with many events a half day apart."""
    contacts = [{"id": number, "household": "Hill", "created_at": NOW, "attributes": {}} for number in (1, 2)]
    rows = st.fixed_dictionaries(
        {
            "type": some(KINDS[:2]),
            "contact_id": some([1, 1, 2]),
            "occurred_at": some(GRID),
            "item_id": some([1, 2]),
            "value": some([-10_000, 0, 10_000, 30_000]),
            "origin": maybe(["web"]),
            "properties": st.just({}),
        }
    )
    world = World(contacts=contacts, lists={1: [1], 2: {"all": []}, 3: []})
    world.items = [{"id": n + 1, "key": f"sku-{n}", "category": CATEGORIES[n]} for n in range(2)]
    world.events = _numbered(draw(st.lists(rows, min_size=2, max_size=8)))
    return world


_KIND = some(KINDS[:2])
_STEP = st.fixed_dictionaries({"event": _KIND})
_SOON = st.one_of(lasting("days", [1, 2]), lasting("hours", [12, 24, 36]), lasting("minutes", [719, 720, 721]))
_NEAR = st.builds(lambda step, long: {**step, **long}, _STEP, st.one_of(st.just({}), _SOON))
_MISSING = st.builds(lambda step, long: {**step, **long, "not": True}, _STEP, _SOON)
_TIMED: dict[str, st.SearchStrategy[Any]] = {
    "count": st.fixed_dictionaries({"operator": some(["is", "at_least", "top_percent"]), "value": some([1, 2, 3])}),
    "sum": st.fixed_dictionaries(
        {"property": st.just("value"), "operator": st.just("at_least"), "value": some([0, 1])}
    ),
    "last": st.fixed_dictionaries({"property": st.just("item"), "operator": st.just("is"), "value": st.just("sku-0")}),
    "first": st.fixed_dictionaries({"property": st.just("item"), "operator": st.just("is"), "value": st.just("sku-0")}),
    "days_since": st.fixed_dictionaries({"operator": st.just("at_most"), "value": some([0, 1, 2])}),
}
_SHORT = st.one_of(
    lasting("last_days", [1, 2]), lasting("last_hours", [12, 24, 36]), lasting("last_minutes", [719, 720, 721])
)
_WINDOWS = st.one_of(
    st.builds(lambda since, long: {"since": since, **long}, _STEP, st.one_of(st.just({}), _SOON)),
    _SHORT,
)
_CHANGE = st.fixed_dictionaries(
    {
        "event": _KIND,
        "measure": st.just("sum"),
        "property": st.just("value"),
        "within": st.one_of(_SHORT, st.just({"from": "2026-02-28", "to": "2026-03-02"})),
        "compared_to": st.just("previous"),
        "operator": some(["at_least", "at_most", "not_at_least"]),
        "value": some([-100, -50, 0, 50]),
    }
)


@st.composite
def _timed(draw: st.DrawFn) -> dict[str, Any]:
    measure = draw(some(sorted(_TIMED)))
    return {"event": draw(_KIND), "measure": measure, "within": draw(_WINDOWS), **draw(_TIMED[measure])}


_chains = st.one_of(
    st.tuples(_STEP, _NEAR),
    st.tuples(_STEP, _MISSING),
    st.tuples(_STEP, _NEAR, _NEAR),
    st.tuples(_STEP, _NEAR, _MISSING),
).flatmap(lambda steps: st.fixed_dictionaries({"sequence": st.just(list(steps))}, optional={"within": _SHORT}))
moments = st.fixed_dictionaries(
    {"include": st.one_of(_chains, _chains, _timed(), _CHANGE)}, optional={"unit": some(["contact", "household"])}
)

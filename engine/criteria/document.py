"""docs/criteria.md, written from the tables: `python -m web.criteria > docs/criteria.md`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator

from engine.config import WarehouseConfig
from engine.criteria import scored
from engine.criteria.operators import MANY, OPERATORS, Operator
from engine.criteria.parse import DEPTH_LIMIT, EVENT_WEIGHT, NODE_LIMIT, STEP_LIMIT, STEP_WEIGHT
from engine.fields import BEHAVIOURS, FIELDS, GROUPS, MEASURES, ROW_FIELDS, ROW_TITLES, Field
from engine.values import TYPES

INTRODUCTION = f"""# Criteria

*Written from the tables in `engine/criteria/operators.py` and `engine/fields.py` by
`python -m web.criteria`.*

Criteria are a tree of conditions in JSON. Over the API they are counted with `POST /api/v1/lists/preview`, and
`GET /api/v1/fields` names everything a certain shop has. Whatever is not understood is an error with the path to the
fault (`all[2].operator`) and the nearest valid word; nothing is ever left out.

```json
{{"all": [
  {{"field": "country", "operator": "is", "value": "United Kingdom"}},
  {{"event": "order", "measure": "count", "operator": "at_least", "value": 3,
   "within": {{"last_days": 90, "before": "2011-12-01"}}}}
]}}
```

*People in United Kingdom who ordered at least 3 times between 2 Sep 2011 and 30 Nov 2011*

## Groups

| JSON | true when |
|---|---|
| `{{"all": [...]}}` | every condition is true; `{{"all": []}}`, only as the whole, means everyone |
| `{{"any": [...]}}` | at least one is true |
| `{{"none": [...]}}` | no condition is true |
| `{{"not": {{...}}}}` | the condition is not true |
| `{{"at_least": 2, "of": [...]}}` | at least so many are true |
| `{{"list": 12}}` | the contact is on list 12: its people when it is frozen, its criteria when it is dynamic |

Instead of one node the whole can be `{{"include": node, "exclude": node}}`: whoever fits the second box is out,
whatever the first says, also where another list names this one and when put on the list by hand.
`"include": {{"all": []}}` is everyone.

Beside them `"unit": "household"` or `"account"` asks of households or accounts instead of contacts. One meets a
condition about a person when any member meets it (and the contrary when none does); what its members did counts
together; a value is unknown when it is of all members. On the list is its member with the lowest id, and counts are of
units. Whoever has no household or account is one alone. A list of households can be used in other criteria once it is
frozen.

At most {DEPTH_LIMIT} levels and {NODE_LIMIT:,} conditions, those of the lists they name included.

What is counted may weigh up to `warehouse.criteria_weight` ({WarehouseConfig.criteria_weight:,}), so that no request
takes the machine for long: a field of contacts or a list weighs 1, an event {EVENT_WEIGHT}, the event of `since` and
the stretch of `compared_to` as much again, a step of a sequence {STEP_WEIGHT}, other kinds what is said there. A
dynamic list weighs what its criteria weigh, too. What is heavier is an error at its costliest part. Half of a server's
threads count at once, others are told to try again (503, `Retry-After`); what takes longer than
`warehouse.longest_seconds` ({WarehouseConfig.longest_seconds:g}) is interrupted.

## Unknown values

A condition on a value that nobody gave is false, so its contrary is true: "not between 18 and 25" keeps people whose
age is unknown, as do `not_between`, `is_not` and all other contraries. The preview says of each condition for how many
the value is unknown; add `known` to leave them out.

## Text

Text is compared without regard to case. Letters with marks are stored and asked for in one form (Unicode NFC), however
they were typed; what came in before Rapport did so is found after it is sent again.

## Time

Days begin at midnight in the shop's zone (`locale.timezone`), and times without a zone are in it. A date stands for
its whole day. A window `within` holds what happened from its start on, up to but not including its end:

| JSON | window |
|---|---|
| `{{"last_days": 90}}` | from this time of the day 90 days ago until now |
| `{{"last_days": 90, "before": "2011-12-01"}}` | the 90 whole days before that day: 2 September to 30 November |
| `{{"from": "2011-01-01", "to": "2011-12-01"}}` | 1 January to 30 November; either can be missing |
| `{{"last_hours": 3}}` | from 3 hours ago until now; `last_minutes` likewise |
| `{{"since": {{"event": "cart_abandon"}}, "days": 7}}` | 7 times 24 hours from the contact's last such event |

The event of `since` can have its own `where`, and `days` be left out or be `hours` or `minutes`; the last one until now
counts, and who has none has no rows. Days of `last_days` are days of the shop's clock, of which one has 23 hours in
spring and one 25 in autumn; hours and minutes go by as they do. While one types, the preview may count as of a moment
up to a minute ago.

Without a window everything counts, also what is dated after now (intake allows `intake.max_future_days`).

## Events

`{{"event": ..., "measure": ..., "property": ..., "operator": ..., "value": ..., "within": {{...}}, "where": [...]}}`

The rows of the event inside the window for which every condition of `where` holds make one number per contact, which is
compared. `order` means purchases: orders with a total above zero, so a return is no order. With a condition on items or
lines an order counts once if one of its lines fits, and sums take the fitting lines alone. Lines that
came back are no purchases, whatever else was ordered with them. Amounts are those in the shop's currency; orders in
others are counted, but their amounts are unknown, in `where` too. `return` means lines with a quantity below zero;
their units and amounts are above zero, and a return counts once.

`open`, `click`, `bounce`, `complaint`, `unsubscribe`, `list_join` and `list_leave` count only when Rapport wrote them
itself, and what a program fetched is nobody's open or click. A `reference` (a campaign, a variant, a list) is given by
its number; `GET /api/v1/fields/campaign/values?event=click` names those that occur. `delivered` are those of `sent`
that the carrier says arrived, or that were opened or answered, each at the time it was sent; where a carrier says
nothing it stays unknown. Devices and browsers are not kept, so nothing can be asked of them.

`first` and `last` tell the property of the first or last of the rows, of the same instant the one that came in first or
last; `days_since` counts whole days since the last.

With `"compared_to": "previous"` the value is by how many percent a number is another than in the equally long stretch
just before: -30 is a fall by 30%. It needs a window with both ends. Where the number was zero before, or is not known,
the change is unknown.

```json
{{"event": "order", "measure": "count", "within": {{"last_days": 90}}, "compared_to": "previous",
 "operator": "at_most", "value": -30}}
```

*People whose number of orders in the last 90 days fell by at least 30% against the 90 days before*

## Sequences

```json
{{"sequence": [{{"event": "item_view", "where": [{{"field": "brand", "operator": "is", "value": "Dune"}}]}},
              {{"event": "order", "days": 7, "not": true}}], "within": {{"last_days": 30}}}}
```

*People who viewed an item where the brand is Dune in the last 30 days, then did not order within 7 days*

2 to {STEP_LIMIT} steps, each later than the one before and, with `days` (or `hours`, `minutes`), before so many days of
24 hours have passed.
`within` is the window of the first step. The last step can be one that did not happen (`"not": true`): true when for
some row of the step before that time is over and no such row came in it.
"""


def markdown() -> str:
    """The whole page."""
    parts = [
        INTRODUCTION,
        "\n".join(_measures()),
        "## Fields of contacts\n",
        *("\n".join(_group(group)) for group in GROUPS if group not in {"attributes", "event"}),
        "### Own attributes\n\n`attributes.<name>`: whatever the shop sent. The operator and the value decide how the"
        " stored text is read (text, number, date, yes/no); what cannot be read so is unknown.\n",
        "## Fields of events\n",
        *("\n".join(_rows(kind)) for kind in ROW_FIELDS),
        "\n".join(_events()),
        *("\n".join(_kind(kind)) for kind in scored.KINDS.values()),
        "\n".join(_types()),
        "\n".join(_operators()),
    ]
    return "\n".join(parts)


def _table(*columns: str, rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    yield "| " + " | ".join(columns) + " |"
    yield "|" + "---|" * len(columns)
    for row in rows:
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |"
    yield ""


def _measures() -> Iterator[str]:
    results = {"amount": "number or money", "own": "type of the property"}
    rows = ((f"`{row.key}`", " ".join(row.types) or "(no property)", results.get(row.result, row.result),
             "unknown" if row.empty is None else str(row.empty)) for row in MEASURES.values())  # fmt: skip
    yield from _table("measure", "of a property of type", "result", "without any row", rows=rows)


def _group(group: str) -> Iterator[str]:
    yield f"### {GROUPS[group].en} · {GROUPS[group].zh}\n"
    yield from _fields(row for row in FIELDS.values() if row.group == group)


def _fields(rows: Iterable[Field]) -> Iterator[str]:
    yield from _table("field", "type", "words", "", rows=(
        (f"`{row.key}`", row.type, row.label.en, row.label.zh) for row in rows))  # fmt: skip


def _rows(kind: str) -> Iterator[str]:
    yield f"### {ROW_TITLES[kind]}\n"
    yield from _fields(ROW_FIELDS[kind].values())


def _events() -> Iterator[str]:
    yield "### Events with words of their own\n\nAny type that has come in can be named; these read best.\n"
    rows = ((f"`{row.key}`", row.verb.en, row.verb.zh) for row in BEHAVIOURS.values())
    yield from _table("event", "words", "", rows=rows)


def _kind(kind: scored.Kind) -> Iterator[str]:
    yield f"## {kind.label.en} · {kind.label.zh}\n"
    yield f"`{json.dumps(kind.example)}`\n\n{kind.doc} Weighs {kind.weight}.\n"
    yield from _table("input", "type", "words", "", "without it", rows=(
        (f"`{one.key}`", _range(one), one.label.en, one.label.zh, _default(one)) for one in kind.inputs))  # fmt: skip


def _range(one: scored.Input) -> str:
    return one.type if one.least is None else f"{one.type}, {one.least:,} to {one.most:,}"


def _default(one: scored.Input) -> str:
    return "" if one.default is None else f"`{json.dumps(one.default)}`"


def _types() -> Iterator[str]:
    yield "## Types\n"
    operators = {key: " ".join(f"`{row.key}`" for row in OPERATORS.values() if key in row.types) for key in TYPES}
    yield from _table("type", "operators", rows=((key, words) for key, words in operators.items() if words))


def _operators() -> Iterator[str]:
    yield "## Operators\n"
    rows = ((f"`{row.key}`", _values(row), row.words.en, row.words.zh, row.doc) for row in OPERATORS.values())
    yield from _table("operator", "value", "words", "", "", rows=rows)


def _values(row: Operator) -> str:
    if row.takes:
        return row.takes
    return {0: "none", 1: "one", 2: "list of two", MANY: "list"}[row.values]

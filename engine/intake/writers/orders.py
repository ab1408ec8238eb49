"""Orders: lines of one key make one order, replaced as a whole when its content changes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from itertools import pairwise
from typing import Any, Final

from sqlalchemy import Table, delete, insert, literal, select
from sqlalchemy.orm import Session

from engine import identity
from engine.database import next_revision
from engine.errors import Invalid
from engine.identity.names import KINDS as NAMES
from engine.identity.rows import among
from engine.intake.bulk import Counts, Staged, ids, load
from engine.intake.journal import plain
from engine.intake.parsing import Batch, Reject
from engine.intake.values import INT32
from engine.intake.writers.context import Context, item_rows, people
from engine.models import Deletion, Order, OrderLine
from engine.money import LIMIT

ORDERS: Table = Order.__table__  # type: ignore[assignment]
LINES: Table = OrderLine.__table__  # type: ignore[assignment]

HEAD: Final = [column.name for column in ORDERS.c if column.name not in ("id", "key", "revision")]
LINE: Final = [column for column in LINES.c if column.name not in ("id", "revision")]

MAX_LINES: Final = 10_000  # of one order; more is a file whose order column is something else

Line = tuple[str, int, int, int, int | None]  # item key, quantity, unit price, discount, unit cost


@dataclass(frozen=True)
class PreparedOrder:
    """An order with its sums; `contact` is a key, `names` are a card, an e-mail address, a telephone."""

    key: str
    at: int
    contact: str | None
    names: tuple[str | None, ...]
    channel: str | None
    store: str | None
    currency: str
    total: int
    units: int
    digest: str
    lines: list[Line]


@dataclass(frozen=True)
class Prepared:
    """Whole orders by key, and titles of items the lines gave."""

    orders: list[PreparedOrder]
    titles: dict[str, str | None]


def prepare(batch: Batch, currency: str) -> tuple[Prepared, list[Reject]]:
    """Gather lines, add up. An order that cannot be one is refused with all its lines."""
    columns = [batch.get(name) for name in ("at", "contact", *NAMES, "channel", "store", "currency", "line")]
    nothing = [0] * len(batch)
    discounts = [discount or 0 for discount in batch.columns.get("discount", nothing)]
    items = batch.columns["item"]
    lines: list[Line] = list(
        zip(
            items,
            batch.columns["quantity"],
            batch.columns["unit_price"],
            discounts,
            batch.get("unit_cost"),
            strict=True,
        )
    )
    orders, rejects = [], []
    for start, end in _groups(batch.columns["order"]):
        try:
            head = [column[start:end] for column in columns]
            orders.append(_order(batch.columns["order"][start], head, lines[start:end], currency))
        except Invalid as error:
            rejects += [Reject(row, error.field, error.message) for row in batch.rows[start:end]]
    titles: dict[str, str | None] = {}
    for item, title in zip(items, batch.get("title"), strict=True):
        if titles.get(item) is None:
            titles[item] = title
    return Prepared(orders, titles), rejects


def write(session: Session, prepared: Prepared, context: Context) -> Counts:
    """Insert new orders and replace changed ones, lines included."""
    there = ids(session, ORDERS, [order.key for order in prepared.orders], Order.digest)
    orders = [order for order in prepared.orders if order.key not in there or there[order.key].digest != order.digest]
    if not orders:
        return Counts(unchanged=len(prepared.orders))
    columns = {"contact": [order.contact for order in orders]}
    columns |= {name: [order.names[place] for order in orders] for place, name in enumerate(NAMES)}
    who = people(session, columns, len(orders), context)
    wanted = {line[0] for order in orders for line in order.lines}
    item = item_rows(session, {key: prepared.titles[key] for key in wanted}, context)
    rows: dict[str, list[Any]] = {
        "key": [order.key for order in orders],
        "contact_id": who.ids,
        "ordered_at": [order.at for order in orders],
        **{name: [getattr(order, name) for order in orders] for name in _SAME},
        "margin": [_margin(order, item) for order in orders],
    }
    if context.journal is not None:
        context.journal.replaced(_before(session, orders, there))
    staged = Staged(session, ORDERS, rows, context.journal)
    created = staged.insert({}, context.now)
    updated = staged.update(context.now, when="digest")
    written = _write_lines(session, orders, item, replaced=updated > 0)
    if updated:
        identity.disown(session, ORDERS.name, written)
    who.settle(session, context)
    return Counts(created, updated, len(prepared.orders) - created - updated)


def _before(session: Session, orders: Sequence[PreparedOrder], there: Mapping[str, Any]) -> dict[int, dict[str, Any]]:
    """The orders that will be replaced, with their lines, as they are, and the digest they will have."""
    digests = {there[order.key].id: order.digest for order in orders if order.key in there}
    theirs = among(session, digests)
    lines: dict[int, list[list[Any]]] = {order_id: [] for order_id in digests}
    for row in session.execute(select(*LINE).where(LINES.c.order_id.in_(theirs)).order_by(LINES.c.id)):
        lines[row.order_id].append(list(row))
    rows = session.execute(select(*(ORDERS.c[name] for name in ("id", *HEAD))).where(ORDERS.c.id.in_(theirs)))
    return {
        row.id: {"order": [plain(value) for value in row[1:]], "lines": lines[row.id], "digest": digests[row.id]}
        for row in rows
    }


_SAME: Final = ("channel", "store", "currency", "total", "units", "digest")


def _groups(keys: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Where each run of one key starts and ends."""
    starts = [0, *(i for i in range(1, len(keys)) if keys[i] != keys[i - 1]), len(keys)]
    return pairwise(starts) if keys else iter(())


def _order(key: str, head: Sequence[Sequence[Any]], lines: Sequence[Line], currency: str) -> PreparedOrder:
    ats, contacts, *names, channels, stores, currencies, numbers = head
    if len(lines) > MAX_LINES:
        raise Invalid(f"Order {key} has more than {MAX_LINES} lines.", field="order")
    if len({code or currency for code in currencies}) > 1:
        raise Invalid(f"Order {key} has lines in different currencies.", field="currency")
    kept = _last_of_each(numbers, lines)
    amounts = [quantity * price - discount for _item, quantity, price, discount, _cost in kept]
    units = sum(line[1] for line in kept)
    total = sum(amounts)
    if max(map(abs, [*amounts, total])) > LIMIT or abs(units) > INT32:
        raise Invalid(f"Order {key} adds up to more than can be stored.", field="unit_price")
    who, said = _first(contacts), tuple(map(_first, names))
    rest = (_first(channels), _first(stores), _first(currencies) or currency)
    given = [said] if any(said) else []  # of an order without them the digest is what it always was
    content = (key, ats[0], who, *given, *rest, sorted(kept, key=_sortable))
    digest = blake2b(repr(content).encode(), digest_size=16).hexdigest()
    return PreparedOrder(key, ats[0], who, said, *rest, total, units, digest, kept)


def _sortable(line: Line) -> tuple[Any, ...]:
    """The order of a file's lines is no content; an unknown cost sorts before all others."""
    return (*line[:4], line[4] is not None, line[4] or 0)


def _last_of_each(numbers: Sequence[int | None], lines: Sequence[Line]) -> list[Line]:
    """The last of several lines with the same line number; lines without one are all different."""
    if not any(number is not None for number in numbers):
        return list(lines)
    kept = {
        position if number is None else f"n{number}": line
        for position, (number, line) in enumerate(zip(numbers, lines, strict=True))
    }
    return list(kept.values())


def _first(values: Iterable[Any]) -> Any:
    return next((value for value in values if value is not None), None)


def _margin(order: PreparedOrder, item: dict[str, Any]) -> int | None:
    """Total less cost, if every cost is known (and the sum can be stored)."""
    cost = 0
    for key, quantity, _price, _discount, given in order.lines:
        known = item[key].cost if given is None else given
        if known is None:
            return None
        cost += quantity * known
    margin = order.total - cost
    return margin if abs(margin) <= LIMIT else None


def _write_lines(
    session: Session, orders: Sequence[PreparedOrder], item: dict[str, Any], *, replaced: bool
) -> list[int]:
    """Lines of the orders this transaction wrote, and which these are; another writer may have been faster."""
    revision = next_revision(session)
    written = {
        key: row.id
        for key, row in ids(session, ORDERS, [order.key for order in orders], Order.revision).items()
        if row.revision == revision
    }
    if replaced:
        _delete_lines(session, sorted(written.values()), revision)
    lines = [(written[order.key], *line) for order in orders if order.key in written for line in order.lines]
    if not lines:
        return list(written.values())
    order_ids, keys, quantities, prices, discounts, costs = zip(*lines, strict=True)
    load(
        session,
        LINES,
        {
            "order_id": order_ids,
            "item_id": [item[key].id for key in keys],
            "quantity": quantities,
            "unit_price": prices,
            "unit_cost": [item[key].cost if cost is None else cost for key, cost in zip(keys, costs, strict=True)],
            "discount": discounts,
            "revision": [revision] * len(lines),
        },
    )
    return list(written.values())


def _delete_lines(session: Session, order_ids: Sequence[int], revision: int) -> None:
    for start in range(0, len(order_ids), 10_000):
        theirs = OrderLine.order_id.in_(order_ids[start : start + 10_000])
        rows = select(literal("order_lines"), OrderLine.id, literal(revision)).where(theirs)
        session.execute(insert(Deletion).from_select(["table_name", "row_id", "revision"], rows))
        session.execute(delete(OrderLine).where(theirs), execution_options={"synchronize_session": False})

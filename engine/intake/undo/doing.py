"""What an undo does: a function for each table and each thing an import did to it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import delete, insert, literal, select, update

from engine import identity
from engine.consent import ADDRESSES
from engine.database import next_revision
from engine.identity import names
from engine.identity.rows import among
from engine.intake.bulk import load
from engine.intake.journal import typed
from engine.intake.undo.former import former_values, write
from engine.intake.undo.looking import FOLLOWING, count, look_replaced, stays, unchanged
from engine.intake.undo.work import TABLES, WHOLE, Work
from engine.intake.writers.orders import HEAD, LINE
from engine.models import Consent, Contact, Deletion, Event, Identity, OrderLine


def _remove(name: str) -> Callable[[Work, Sequence[int]], None]:
    def remove(work: Work, ids: Sequence[int]) -> None:
        there, why = stays(work, TABLES[name], ids)
        count(work, name, there, why)
        _delete(work, name, set(there) - why.keys())

    return remove


def _delete(work: Work, name: str, ids: Collection[int]) -> None:
    """Delete rows and what belongs to them; the warehouse forgets by the Deletion rows."""
    session = work.session
    if name == "contacts":
        theirs = select(Event.id).where(Event.contact_id.in_(among(session, ids)), Event.type.in_(FOLLOWING))
        _delete(work, "events", session.scalars(theirs).all())
        _part(work, ids)
        words = select(Consent.id).where(Consent.contact_id.in_(among(session, ids)))
        _delete(work, "consents", session.scalars(words).all())
    if name == "orders":
        lines = select(OrderLine.id).where(OrderLine.order_id.in_(among(session, ids)))
        _delete(work, "order_lines", session.scalars(lines).all())
    if name in ("orders", "events", "consents"):
        identity.disown(session, name, ids)
    table = TABLES[name]
    if "revision" in table.c:
        rows = select(literal(name), table.c.id, literal(next_revision(session))).where(
            table.c.id.in_(among(session, ids))
        )
        session.execute(insert(Deletion).from_select(["table_name", "row_id", "revision"], rows))
    session.execute(delete(table).where(table.c.id.in_(among(session, ids))), execution_options=WHOLE)


def _part(work: Work, ids: Collection[int]) -> None:
    """Whoever was merged with these contacts by what a record said is separate again."""
    session = work.session
    if not identity.is_used(session):
        return
    around = identity.linked(session, ids)
    nameless = {"email": None, "phone": None, "revision": next_revision(session)}
    session.execute(delete(Identity).where(Identity.contact_id.in_(among(session, ids))), execution_options=WHOLE)
    session.execute(
        update(Contact).where(Contact.id.in_(among(session, ids))).values(nameless), execution_options=WHOLE
    )
    identity.settle(session, around | set(ids), work.now)


def _put_back(work: Work, orders: Mapping[int, Any]) -> None:
    """Orders as they were, with their lines."""
    session, revision = work.session, next_revision(work.session)
    back = unchanged(work, orders)
    look_replaced(work, "orders", orders, defaultdict(set))
    lines = select(OrderLine.id).where(OrderLine.order_id.in_(among(session, back)))
    _delete(work, "order_lines", session.scalars(lines).all())
    table = TABLES["orders"]
    there = set(session.scalars(select(Contact.id).where(Contact.id.in_(among(session, _owners(orders))))))
    for order_id in back:
        former = dict(zip(HEAD, orders[order_id]["order"], strict=True))
        values = {name: typed(table.c[name], value) for name, value in former.items()}
        values["contact_id"] = values["contact_id"] if values["contact_id"] in there else None
        session.execute(update(table).where(table.c.id == order_id).values(**values, revision=revision))
    rows = [line for order_id in back for line in orders[order_id]["lines"]]
    if rows:
        columns = dict(zip((column.name for column in LINE), zip(*rows, strict=True), strict=True))
        load(session, TABLES["order_lines"], columns | {"revision": [revision] * len(rows)})
    identity.disown(session, "orders", back)
    identity.rehome(session, identity.kept(session, there))


def _owners(orders: Mapping[int, Any]) -> set[int]:
    place = HEAD.index("contact_id")
    return {order["order"][place] for order in orders.values()} - {None}


def _restore(name: str) -> Callable[[Work, Mapping[int, Any]], None]:
    def restore(work: Work, rows: Mapping[int, Any]) -> None:
        if name != "contacts":
            former = former_values(work, name, rows)
            write(work, name, former)
            if name == "events":
                identity.disown(work.session, name, former)
            return
        ids = list(rows)
        around = identity.linked(work.session, ids)
        with identity.unfolded(work.session, ids):
            work.session.flush()
            write(work, name, former_values(work, name, rows))
            work.session.expire_all()
        identity.settle(work.session, around | set(ids), work.now)

    return restore


def _unsay(work: Work, ids: Sequence[int]) -> None:
    """A yes is as if never said: what was said before it stands again. A no stays."""
    session = work.session
    yes = select(Consent.id, Consent.contact_id, Consent.channel).where(
        Consent.id.in_(among(session, ids)), Consent.granted
    )
    rows = session.execute(yes).all()
    people = {row.contact_id for row in rows}
    with identity.unfolded(session, people):
        session.flush()
        _delete(work, "consents", [row.id for row in rows])
        for channel in ADDRESSES:
            theirs = among(session, [row.contact_id for row in rows if row.channel == channel])
            last = (
                select(Consent.granted)
                .where(Consent.contact_id == Contact.id, Consent.channel == channel)
                .order_by(Consent.id.desc())
                .limit(1)
            )
            values = {f"{channel}_consent": last.scalar_subquery(), "revision": next_revision(session)}
            session.execute(update(Contact).where(Contact.id.in_(theirs)).values(values), execution_options=WHOLE)
        session.expire_all()


def _unname(work: Work, ids: Sequence[int]) -> None:
    """Nobody is known by these names any more; who is one person is seen anew. What somebody's key says goes with
    them.
    """
    session, table = work.session, TABLES["identities"]
    rows = select(Identity.id, Identity.contact_id, Identity.kind, Identity.value, Contact.key).join(Contact)
    there = session.execute(rows.where(Identity.id.in_(among(session, ids)))).all()
    beside = [row for row in there if names.key_of(row.kind, row.value) != row.key]
    people = {row.contact_id for row in beside}
    around = identity.linked(session, people)
    mine = table.c.id.in_(among(session, [row.id for row in beside]))
    with identity.unfolded(session, people):
        session.execute(delete(table).where(mine), execution_options=WHOLE)
        names.show(session, people)
        session.expire_all()
    identity.settle(session, around | people, work.now)


DO: Final[dict[tuple[str, str], Callable[[Work, Any], None]]] = {
    **{(name, "created"): _remove(name) for name in ("contacts", "items", "orders", "events")},
    **{(name, "changed"): _restore(name) for name in ("contacts", "items", "events", "identities")},
    ("orders", "replaced"): _put_back,
    ("identities", "created"): _unname,
    ("consents", "created"): _unsay,
}

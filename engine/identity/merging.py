"""Two contacts are one person: one is kept, and shows what both have; and both are separate again, exactly.

What stands is a forest of merges. A contact's own history, attributes and places are kept apart (rows, facts, places),
and what is shown follows from them and the forest alone: the order of merges does not matter, nor that of undoing them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from typing import Final

from sqlalchemy import bindparam, delete, insert, select, update
from sqlalchemy.orm import Session

from engine.database import next_revision
from engine.errors import Conflict, Invalid, NotFound
from engine.identity import facts, names, places, rows
from engine.identity.names import is_provisional
from engine.identity.rows import among
from engine.models import Contact, Merge, OwnFacts

RECORD: Final = "record"  # one named both
MANUAL: Final = "manual"  # a person said so
MOST: Final = 50  # contacts that one may be made of
STANDS: Final = Merge.undone_at.is_(None)
_WHOLE = {"synchronize_session": False}


@dataclass(frozen=True)
class Joining:
    """That one contact is a part of another."""

    merged_id: int
    kept_id: int
    evidence: str


def kept(session: Session, contact_ids: Collection[int]) -> dict[int, int]:
    """contact id -> the contact that stands for it, for those that were merged away."""
    found = select(Contact.id, Contact.merged_into).where(
        Contact.id.in_(among(session, contact_ids)), Contact.merged_into.is_not(None)
    )
    return {row.id: int(row.merged_into or 0) for row in session.execute(found)}


def members(session: Session, contact_id: int) -> list[Contact]:
    """The contacts merged into this one, by id."""
    return list(session.scalars(select(Contact).where(Contact.merged_into == contact_id).order_by(Contact.id)))


def join(session: Session, merged_id: int, kept_id: int, *, evidence: str, author: str, now: datetime) -> Merge:
    """A person says that two contacts are one. Raises NotFound, Invalid for the same one twice, Conflict when one of
    them has been merged meanwhile or the whole would be made of more than MOST.
    """
    names.alone(session)
    merged_id, kept_id = _sorted(session, lock(session, {merged_id, kept_id}), merged_id, kept_id)
    joining = [Joining(merged_id, kept_id, evidence[:500])]
    [merge_id] = change(session, joining, (), how=MANUAL, author=author, now=now)
    return session.get_one(Merge, merge_id)


def preview(session: Session, merged_id: int, kept_id: int) -> Contact:
    """What two contacts would show as one, detached; for a session that only reads. Raises as `join` does."""
    with session.no_autoflush:
        both = session.scalars(select(Contact).where(Contact.id.in_([merged_id, kept_id]))).all()
        _, kept_id = _sorted(session, both, merged_id, kept_id)
        people = {one.id: one for one in [*both, *(part for one in both for part in members(session, one.id))]}
        ledger = facts.ledger(session, people)
        for known in session.scalars(select(OwnFacts).where(OwnFacts.contact_id.in_(among(session, people)))):
            facts.unfold(people[known.contact_id], known, ledger)
        kept = people.pop(kept_id)
        facts.fold(kept, list(people.values()), ledger)
        session.expunge_all()
    return kept


def _sorted(session: Session, people: Sequence[Contact], merged_id: int, kept_id: int) -> tuple[int, int]:
    """Which of the two is merged, and which kept; raises when they cannot be one."""
    pair = {merged_id, kept_id}
    if len(pair) == 1:
        raise Invalid("Choose another contact: this is the same one.", field="other")
    if len(people) < len(pair):
        raise NotFound("One of the two is gone; it may have been erased.")
    if any(one.merged_into is not None for one in people):
        raise Conflict("One of the two has been merged in the meantime; look at it again.")
    if sum(1 + len(members(session, one)) for one in pair) > MOST:
        raise Conflict(f"One contact can be made of {MOST} at most.")
    key = {one.id: one.key for one in people}
    if is_provisional(key[kept_id]) and not is_provisional(key[merged_id]):
        merged_id, kept_id = kept_id, merged_id  # a customer number is what other systems know
    return merged_id, kept_id


def part(session: Session, merge_id: int, *, author: str, now: datetime) -> Merge:
    """Undo a merge: what was the merged one's is its own again, with what came in under its name since; what came
    since under the kept one's name stays there. Raises NotFound, or Conflict when it was undone before.
    """
    names.alone(session)
    merge = session.get(Merge, merge_id, with_for_update=True, populate_existing=True)
    if merge is None:
        raise NotFound("This merge is no longer known; one of the two may have been erased.")
    if merge.undone_at is not None:
        raise Conflict("This merge was undone before.")
    change(session, (), {merge_id: author}, how=MANUAL, author=author, now=now)
    session.refresh(merge)
    return merge


def change(
    session: Session,
    joinings: Collection[Joining],
    undone: Mapping[int, str] | Collection[int],
    *,
    how: str,
    author: str,
    now: datetime,
) -> list[int]:
    """Undo merges and add others in one step; the ids of the new ones. `undone`: merge id -> who."""
    session.flush()
    gone = {row.id: (row.merged_id, row.kept_id) for row in _edges(session, undone)}
    touched = {*chain(*gone.values()), *(one.merged_id for one in joinings), *(one.kept_id for one in joinings)}
    lock(session, touched)
    with unfolded(session, touched) as group:
        for merge_id in gone:
            by = undone[merge_id] if isinstance(undone, Mapping) else author
            values = {"undone_at": now, "undone_by": by}
            session.execute(update(Merge).where(Merge.id == merge_id).values(values), execution_options=_WHOLE)
        new = [
            {"merged_id": one.merged_id, "kept_id": one.kept_id, "evidence": one.evidence, "how": how,
             "author": author, "at": now}
            for one in sorted(joinings, key=lambda one: one.merged_id)
        ]  # fmt: skip
        made = insert(Merge).returning(Merge.id, sort_by_parameter_order=True)
        ids = list(session.scalars(made, new)) if new else []
        _root(session, group)
    return ids


@contextmanager
def unfolded(session: Session, contact_ids: Collection[int]) -> Iterator[set[int]]:
    """Show everybody's own attributes and places while something is written, then what the merges that stand make of
    them. Gives the ids of all whom it concerns.
    """
    roots = {**{one: one for one in contact_ids}, **kept(session, contact_ids)}.values()
    group = {*contact_ids, *roots, *_merged(session, roots)}
    if _merged(session, group):
        _unfold(session, group)
    yield group
    session.flush()
    if _merged(session, group):
        _fold(session, group)
    rows.rehome(session, group)


def _merged(session: Session, kept_ids: Collection[int]) -> Sequence[int]:
    return session.scalars(select(Contact.id).where(Contact.merged_into.in_(among(session, kept_ids)))).all()


def lock(session: Session, ids: Collection[int]) -> list[Contact]:
    """The contacts, as they are now, and nobody else changes them; always in one order."""
    statement = select(Contact).where(Contact.id.in_(among(session, ids))).order_by(Contact.id)
    held = statement.with_for_update(key_share=True)  # whoever writes a row about one of them goes on
    return list(session.scalars(held.execution_options(populate_existing=True)))


def erased(session: Session, contact_id: int) -> list[int]:
    """All contacts that are this person, when they are to be forgotten: each alone again, the merges forgotten."""
    names.alone(session)
    whole = [contact_id, *(one.id for one in members(session, contact_id))]
    with unfolded(session, whole):
        edges = Merge.merged_id.in_(whole) | Merge.kept_id.in_(whole)
        session.execute(delete(Merge).where(edges), execution_options=_WHOLE)
        _root(session, whole)
    return whole


def _edges(session: Session, ids: Collection[int]) -> list[Merge]:
    return list(session.scalars(select(Merge).where(Merge.id.in_(among(session, ids)), STANDS)))


def _root(session: Session, ids: Collection[int]) -> None:
    """Set `merged_into` from the merges that stand."""
    edges = select(Merge.merged_id, Merge.kept_id).where(Merge.merged_id.in_(among(session, ids)), STANDS)
    parent = {row.merged_id: row.kept_id for row in session.execute(edges)}
    stands = session.execute(select(Contact.id, Contact.merged_into).where(Contact.id.in_(among(session, ids))))
    was = {row.id: row.merged_into for row in stands}
    news = []
    for contact_id in ids:
        root = contact_id
        while root in parent:
            root = parent[root]
        into = None if root == contact_id else root
        if was.get(contact_id) != into:
            news.append({"contact": contact_id, "into": into})
    if news:
        values = {"merged_into": bindparam("into"), "revision": next_revision(session)}
        table = rows.CONTACTS
        session.connection().execute(update(table).where(table.c.id == bindparam("contact")).values(values), news)


def _unfold(session: Session, group: Collection[int]) -> None:
    people = {one.id: one for one in lock(session, group)}
    whole: dict[int, list[int]] = {}
    for one in people.values():
        if one.merged_into is not None:
            whole.setdefault(one.merged_into, []).append(one.id)
    ledger = facts.ledger(session, group)
    for known in session.scalars(select(OwnFacts).where(OwnFacts.contact_id.in_(among(session, group)))).all():
        facts.unfold(people[known.contact_id], known, ledger)
        session.delete(known)
    session.flush()
    for kept_id in whole.keys() & places.kept_apart(session, group):
        places.unfold(session, kept_id, whole[kept_id])
    for one in people.values():
        session.expire(one)


def _fold(session: Session, group: Collection[int]) -> None:
    together = select(Contact).where(Contact.id.in_(among(session, group))).execution_options(populate_existing=True)
    people = {one.id: one for one in session.scalars(together.order_by(Contact.id))}
    whole: dict[int, list[Contact]] = {}
    for one in people.values():
        if one.merged_into is not None:
            whole.setdefault(one.merged_into, []).append(one)
    ledger, placed = facts.ledger(session, group), places.held(session, group)
    for kept_id, merged in whole.items():
        session.add(facts.fold(people[kept_id], merged, ledger))
        if placed & {one.id for one in merged}:
            places.fold(session, kept_id, [one.id for one in merged])
    session.flush()

"""Whom a record names with a card, an e-mail address or a telephone: the rule of merges that nobody needs to order.

Provisional contacts that share a name are one group. The group joins the customer who bears one of its names when there
is exactly one such customer; with none it joins its own first (`names.rank`); with several nobody can say which, so it
stays a group of its own and is shown as a likely duplicate. Two customer numbers are never merged by a record.
A name that more than LIMIT bear tells nobody from another. What a person undid stays undone, also by way of others: of
two whom a person parted one joins a customer, the first.

The rule looks at what everybody is named with, never at what came first: the same records in any order give the same.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final

from sqlalchemy import exists, func, select
from sqlalchemy.orm import Session

from engine.identity import merging
from engine.identity.merging import RECORD, STANDS, Joining
from engine.identity.names import KINDS, Name, bearers, claim, is_provisional, named, rank
from engine.identity.rows import among
from engine.models import Contact, Identity, Merge

LIMIT: Final = 20  # contacts with one name
REACH: Final = 20  # steps from name to name


def settle(session: Session, contact_ids: Collection[int], now: datetime) -> None:
    """Bring the merges of these contacts, and of all they are linked with, to the rule."""
    if not contact_ids or not is_used(session):
        return
    names, keys = _neighbourhood(session, contact_ids)
    provisional = {contact_id for contact_id, key in keys.items() if is_provisional(key)}
    if not provisional:
        return
    merges, whole = _merges(session, keys)
    by_hand = {one.merged_id: one.kept_id for one in merges if one.undone_at is None and one.how != RECORD}
    standing = {
        one.merged_id: (one.id, one.kept_id)
        for one in merges
        if one.undone_at is None and one.how == RECORD and one.merged_id in provisional
    }
    away = {one: root for one, root in whole.items() if one not in keys}
    wanted = targets({one: names[one] for one in keys}, keys, _apart(merges, by_hand, away))
    wanted = {one: into for one, into in wanted.items() if one not in by_hand and not _leads_to(one, into, by_hand)}
    undone = [merge_id for one, (merge_id, into) in standing.items() if wanted.get(one) != into]
    stays = {one for one, (merge_id, _) in standing.items() if merge_id not in undone}
    joinings = [
        Joining(one, into, _why(names[one] & names[into] or names[one]))
        for one, into in wanted.items()
        if one not in stays
    ]
    if undone or joinings:
        merging.change(session, joinings, dict.fromkeys(undone, ""), how=RECORD, author="", now=now)


def prove(session: Session, contact_id: int, name: Name, now: datetime) -> None:
    """Somebody who filled a form in owns this address: they bear it from now on, and join whom it names."""
    claim(session, [(*name, contact_id)], now)
    settle(session, [contact_id], now)
    session.expire_all()


def linked(session: Session, contact_ids: Collection[int]) -> set[int]:
    """Whoever shares a name with these contacts now; `settle` them too once a name may have gone."""
    names = {name for some in named(session, contact_ids).values() for name in some}
    return set(bearers(session, names, LIMIT))


def targets(
    names: Mapping[int, Collection[Name]], keys: Mapping[int, str], apart: Mapping[int, Collection[int]]
) -> dict[int, int]:
    """provisional contact -> the contact it is a part of, by the rule; who stands alone is not in it. Of those whom
    `apart` keeps from each other the first joins.
    """
    bearing: dict[Name, list[int]] = {}
    for contact_id, some in names.items():
        for name in some:
            bearing.setdefault(name, []).append(contact_id)
    shared = {name: ids for name, ids in bearing.items() if len(ids) <= LIMIT}
    found: dict[int, int] = {}
    for group in _groups(names, keys, shared):
        near = {other for one in group for name in names[one] for other in shared.get(name, ())} - group
        ranked = sorted(group, key=lambda one: rank(keys[one]))
        into = near.pop() if len(near) == 1 else ranked[0]
        whole = {into}
        for one in ranked:
            if one != into and whole.isdisjoint(apart.get(one, ())):
                found[one] = into
                whole.add(one)
    return found


def _groups(
    names: Mapping[int, Collection[Name]], keys: Mapping[int, str], shared: Mapping[Name, Collection[int]]
) -> Iterable[set[int]]:
    """Provisional contacts linked by names they share."""
    waiting = {one for one in names if is_provisional(keys[one])}
    while waiting:
        group, edge = set[int](), {min(waiting)}
        while edge:
            group |= edge
            edge = {other for one in edge for name in names[one] for other in shared.get(name, ())} & waiting - group
        waiting -= group
        yield group


def is_used(session: Session) -> bool:
    """Somebody was merged or is known by a card, an e-mail address or a telephone; a shop without pays nothing."""
    named = exists().where(Identity.kind.in_(KINDS))
    return bool(session.scalar(select(named | exists().where(Merge.id > 0))))


def _neighbourhood(session: Session, contact_ids: Collection[int]) -> tuple[dict[int, set[Name]], dict[int, str]]:
    """Names and keys of the contacts, of those merged with them, and of all provisional ones they are linked with.
    From a customer one step is gone, from a provisional contact all.
    """
    around = among(session, contact_ids)
    linked = select(Merge.merged_id).where(Merge.kept_id.in_(around), Merge.how == RECORD, STANDS)
    names: dict[int, set[Name]] = {}
    keys: dict[int, str] = {}
    edge = {*contact_ids, *session.scalars(linked)}
    asked: set[Name] = set()
    for step in range(REACH):
        names |= named(session, edge)
        rows = session.execute(select(Contact.id, Contact.key).where(Contact.id.in_(among(session, edge))))
        news = {row.id: row.key for row in rows}
        keys |= news
        open_ = {name for one in edge & news.keys() if step == 0 or is_provisional(keys[one]) for name in names[one]}
        found = bearers(session, open_ - asked, LIMIT)
        asked |= open_
        edge = found.keys() - names.keys()
        if not edge:
            break
    return {one: some for one, some in names.items() if one in keys}, keys


def _merges(session: Session, contact_ids: Collection[int]) -> tuple[Sequence[Merge], dict[int, int]]:
    """All merges, undone ones too, of these contacts and of those merged with them; each of whom with who stands for
    them.
    """
    roots = {**dict.fromkeys(contact_ids), **merging.kept(session, contact_ids)}
    stand = {root or one for one, root in roots.items()}
    root = func.coalesce(Contact.merged_into, Contact.id)
    theirs = Contact.id.in_(among(session, stand)) | Contact.merged_into.in_(among(session, stand))
    whole = {row.id: row.root for row in session.execute(select(Contact.id, root.label("root")).where(theirs))}
    return session.scalars(select(Merge).where(Merge.merged_id.in_(among(session, whole)))).all(), whole


def _apart(merges: Collection[Merge], by_hand: Mapping[int, int], away: Mapping[int, int]) -> dict[int, set[int]]:
    """contact -> with whom no record brings it together, because a person parted them, or others whom a person merged
    with them. `away`: who is not decided on now stands for the contact they are a part of.
    """
    people: dict[int, set[int]] = {}
    for one in {*by_hand, *by_hand.values()}:
        people.setdefault(_by_hand(one, by_hand), set()).add(one)
    found: dict[int, set[int]] = {}
    for merge in merges:
        if not merge.undone_by or _by_hand(merge.merged_id, by_hand) == _by_hand(merge.kept_id, by_hand):
            continue  # not undone by a person, or a person merged them since
        these, those = (_side(side, people, by_hand, away) for side in (merge.merged_id, merge.kept_id))
        for side, opposite in ((these, those), (those, these)):
            for member in side:
                found.setdefault(member, set()).update(opposite)
    return found


def _side(
    one: int, people: Mapping[int, Collection[int]], by_hand: Mapping[int, int], away: Mapping[int, int]
) -> set[int]:
    """The contact with all whom a person merged with it, and who stands for them."""
    together = people.get(_by_hand(one, by_hand), {one})
    return {*together, *(away[member] for member in together if member in away)}


def _by_hand(one: int, by_hand: Mapping[int, int]) -> int:
    """Whom persons made the contact a part of, in the end."""
    while one in by_hand:
        one = by_hand[one]
    return one


def _leads_to(one: int, into: int, by_hand: Mapping[int, int]) -> bool:
    """A person merged `into` into `one`."""
    while into in by_hand and into != one:
        into = by_hand[into]
    return into == one


def _why(names: Collection[Name]) -> str:
    kind, value = min(names, key=lambda name: (KINDS.index(name[0]), name[1]))
    return f"{kind} {value}"

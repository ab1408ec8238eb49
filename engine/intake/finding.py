"""How a row of a file of contacts finds its person, and whose word wins where both say something."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Literal

from sqlalchemy import exists, func, select
from sqlalchemy.orm import Session, aliased

from engine.database import among
from engine.errors import Invalid
from engine.identity import names
from engine.intake.parsing import CLEARS, Batch, Reject
from engine.models import Contact, Identity

Find = Literal["key", "email", "phone", "card"]
Wins = Literal["file", "here", "fill"]

FIND: Final[dict[Find, str]] = {
    "key": "customer number",
    "email": "e-mail address",
    "phone": "telephone",
    "card": "loyalty card",
}
WINS: Final[dict[Wins, Callable[[Any], bool]]] = {  # whether the file's value is taken, by what is here
    "file": lambda _here: True,
    "here": lambda _here: False,
    "fill": lambda here: here is None,
}


def find(session: Session, batch: Batch, by: Find) -> tuple[Batch, list[Reject]]:
    """The records with the key of whom they mean; those that may mean several people are refused.

    Whoever bears the name is it. Nobody: the customer whose number the row has, or else a contact known by this name
    alone. A customer who is found keeps the name as it is here: of several they bear the file may have any.
    """
    if by == "key":
        return batch, []
    values, numbers = batch.columns[by], batch.get("key")
    owners = names.owners(session, by, set(values))
    customers = _customers(session, by, {number for number in numbers if number is not None})
    kept: list[tuple[str, int, int, bool]] = []  # key, row, position, whether the name found a contact
    rejects = []
    for position, (row, value, number) in enumerate(zip(batch.rows, values, numbers, strict=True)):
        try:
            key, found = _person(by, value, number, owners.get(value), customers)
            kept.append((key, row, position, found))
        except Invalid as error:
            rejects.append(Reject(row, by, error.message))
    kept.sort()
    columns = {name: [column[one[2]] for one in kept] for name, column in batch.columns.items()}
    columns["key"] = [key for key, *_ in kept]
    columns[by] = [None if found else value for value, (*_, found) in zip(columns[by], kept, strict=True)]
    return Batch([row for _, row, *_ in kept], columns), rejects


def _person(
    by: Find,
    value: str,
    number: str | None,
    owner: tuple[str, int] | None,
    customers: Mapping[str, tuple[str, str | None]],
) -> tuple[str, bool]:
    """Their key, and whether the name found it. Raises Invalid."""
    whose, address = customers.get(number or "", (number, None))
    if owner and owner[1] > 1:
        raise Invalid(f"{owner[1]} people here have this {FIND[by]}: nobody can say which is meant.")
    if owner and (number is None or owner[0] == whose):
        return owner[0], True
    if owner and not names.is_provisional(owner[0]):
        raise Invalid(f"The {FIND[by]} is that of {owner[0]} here, and the row says {number}: merge them, or mend it.")
    if address is not None and address != value:
        raise Invalid(f"{number} is here with another {FIND[by]}: find people by customer number to change it.")
    return number or names.key_of(by, value), False


def _customers(session: Session, by: Find, numbers: set[str]) -> dict[str, tuple[str, str | None]]:
    """number -> the key of the contact (of a merged one, of the kept), and the address that it has of this kind."""
    kept = aliased(Contact)
    address = getattr(kept, by) if by in names.COLUMNS else None
    rows = select(Contact.key, kept.key, *([address] if address is not None else []))
    rows = rows.join(kept, kept.id == func.coalesce(Contact.merged_into, Contact.id))
    found = session.execute(rows.where(among(session, Contact.key, sorted(numbers)))) if numbers else ()
    return {row[0]: (row[1], row[2] if address is not None else None) for row in found}


def won(session: Session, columns: dict[str, list[Any]], wins: Wins) -> dict[str, list[Any]]:
    """The columns of contacts with what the file may say of those who are here. A no to messages always counts."""
    if wins == "file":
        return columns
    takes, keys = WINS[wins], columns["key"]
    bearer = aliased(Contact)
    whole = select(bearer.id).where((bearer.id == Contact.id) | (bearer.merged_into == Contact.id)).correlate(Contact)
    has_card = exists().where(Identity.contact_id.in_(whole), Identity.kind == "card").label("card")
    given = [name for name in columns if name not in ("key", "card", CLEARS)]
    rows = select(Contact.key, has_card, *(getattr(Contact, name) for name in given))
    here = {row.key: row for row in session.execute(rows.where(among(session, Contact.key, list(keys))))}
    left = {name: columns[name] for name in ("key", "card", *given) if name in columns}
    for name in left.keys() - {"key"}:
        left[name] = [
            value if value is None or key not in here else _taken(name, value, getattr(here[key], name), takes)
            for key, value in zip(keys, left[name], strict=True)
        ]
    return left


def _taken(name: str, value: Any, here: Any, takes: Callable[[Any], bool]) -> Any:
    if name == "attributes":
        own = {word: said for word, said in json.loads(value).items() if said is not None and takes(here.get(word))}
        return json.dumps(own, ensure_ascii=False) if own else None
    if name == "card":
        here = here or None
    says_no = name.endswith("_consent") and value is False
    return value if says_no or takes(here) else None


def provisional(columns: Mapping[str, Sequence[Any]]) -> tuple[dict[str, list[Any]], list[tuple[str, str, str]]]:
    """The columns without what is a name (kind, value, key): a card, and the addresses of provisional contacts, who are
    known by them.
    """
    keys = columns["key"]
    own = [names.name_of(key) for key in keys]
    said = [(*name, key) for name, key in zip(own, keys, strict=True) if name]
    said += [
        (kind, value, key)
        for kind in names.KINDS
        for value, name, key in zip(columns.get(kind, ()), own, keys, strict=kind in columns)
        if value is not None and (name or kind == "card")
    ]
    left = {
        column: [None if name and column in names.COLUMNS else value for value, name in zip(given, own, strict=True)]
        for column, given in columns.items()
        if column != "card"
    }
    return left, said

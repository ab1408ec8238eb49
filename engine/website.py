"""What a shop's own pages tell by the snippet (web/assets/src/t.js) becomes records of intake.

A browser is anybody: it may only say what stands in `EVENTS`, of items we know, about itself. An event's key is made of
the visitor and the browser's own key, so it is never one of ours or of another visitor; a moment is between a week ago
and now; who somebody says they are counts when the shop's server signed it. Where the shop lets any such word count
(`tracking.identify`), it recognises, and never makes, changes or merges a contact.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from engine import consent, identity, intake
from engine.config import Config
from engine.database import next_revision
from engine.errors import Invalid, nearest
from engine.identity import names
from engine.intake.values import show, storable
from engine.models import Contact, Event, Item, Order

PREFIX: Final = "web:"  # of the keys
ORIGIN: Final = "web"
OLDEST: Final = timedelta(days=7)  # the snippet gives up after so long
LATEST: Final = 4e12  # milliseconds: 2096; a clock beyond it is no clock
MOST: Final = 50  # events of one call
LINES: Final = 50  # items of an order
TEXT: Final = 1000
WORTH: Final = 1e9  # of an event or a unit, in a currency of small units too
PIECES: Final = 1e5

NAME: Final = re.compile(r"[\w-]{16,64}", re.ASCII)  # of a visitor: random


@dataclass(frozen=True)
class Refused:
    """An event that was not taken, and why."""

    event: Any
    reason: str


@dataclass(frozen=True)
class Handover:
    """What a word of ours says: the key of an event on our host, and the `digest` of the visitor it is of."""

    event: str
    visitor: str


Handed = Callable[[str], Handover | None]  # reads a word; None: not ours, or too old


@dataclass
class Told:
    """What came of a call: how many events were new, how many known, and those refused."""

    new: int = 0
    known: int = 0
    refused: list[Refused] = field(default_factory=list)


Reader = Callable[[Any], Any]


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value.strip() or len(value) > TEXT:
        raise Invalid(f"must be a text of 1 to {TEXT} characters.")
    return _whole(value.strip())


def _whole(words: str) -> str:
    try:
        return storable(words)
    except Invalid as error:
        raise Invalid(f"{show(words)} {error.message}") from None


def _number(value: Any) -> int | float | str:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise Invalid("must be a number.")
    return _whole(value) if isinstance(value, str) else value


def _up_to(most: float) -> Reader:
    """A number from none to `most`; what only looks like one is left to intake."""

    def read(value: Any) -> int | float | str:
        number = _number(value)
        with suppress(ValueError, OverflowError):
            if not 0 <= float(number) <= most:
                raise Invalid(f"must be from 0 to {most:,.0f}.")
        return number

    return read


def _lines(value: Any) -> list[dict[str, Any]]:
    if not isinstance(value, list) or len(value) > LINES or not all(isinstance(line, dict) for line in value):
        raise Invalid(f"must be at most {LINES} objects of item, quantity and unit_price.")
    for line in value:
        for name, read in _LINE.items():
            if line.get(name) is not None:
                _read(name, read, line[name])
    return value


def _read(name: str, read: Reader, value: Any) -> Any:
    try:
        return read(value)
    except Invalid as error:
        raise Invalid(f"{name}: {error.message}", field=name) from None


_UTM: Final = ("utm_source", "utm_medium", "utm_campaign", "utm_term", "utm_content")
_PAGE: Final[Mapping[str, Reader]] = dict.fromkeys(("url", "title", "referrer", *_UTM), _text)
_LINE: Final[Mapping[str, Reader]] = {"quantity": _up_to(PIECES), "unit_price": _up_to(WORTH)}
_ITEM: Final[Mapping[str, Reader]] = {"item": _text, "value": _up_to(WORTH), "quantity": _up_to(PIECES), "url": _text}

_OFFERED: Final = {  # of a row that Rapport filled
    **dict.fromkeys(("item", "recommendation_id", "placement", "source", "variant"), _text),
    "rank": _up_to(PIECES),
}

# What each event may say beside key, type, at and visitor.
EVENTS: Final[Mapping[str, Mapping[str, Reader]]] = {
    "page_view": _PAGE,
    "item_view": _ITEM,
    "search": {"query": _text, "results": _number, "url": _text},
    "cart_add": _ITEM,
    "cart_remove": _ITEM,
    "order": {"order": _text, "value": _up_to(WORTH), "currency": _text, "items": _lines},
    "impression": _OFFERED,
    "recommendation_click": _OFFERED,
    "identify": dict.fromkeys(("customer", "card", "email", "phone", "signature"), _text),
}
_COLUMNS: Final = {"item", "value"}  # of an event; the rest are properties


def take(session: Session, told: Sequence[Any], sent: Any, handed: Handed, *, now: datetime, config: Config) -> Told:
    """Write the events of one call; `sent`: the browser's clock (milliseconds since 1970) when it sent them, `handed`
    reads a word of ours in `came_as`.
    """
    result = Told()
    skew = _skew(sent, now)
    records = []
    for event in told[:MOST]:
        try:
            record = _record(session, event, skew, now, config)
        except Invalid as error:
            result.refused.append(Refused(event, error.message))
            continue
        records.append((event, record))
    result.refused += [Refused(event, f"One call may carry {MOST} events.") for event in told[MOST:]]
    if any(event["type"] == "identify" for event, _ in records):
        names.alone(session)
    _join(session, [event for event, _ in records], handed)
    _items(session, [record for _, record in records])
    accepted = intake.accept(
        session, "events", [record for _, record in records], now=now, config=config, origin=ORIGIN
    )
    refused = {reject.row: f"{reject.field or 'event'}: {reject.message}" for reject in accepted.rejected}
    result.refused += [Refused(records[row][0], why) for row, why in refused.items()]
    result.new, result.known = accepted.created, accepted.unchanged
    taken = [pair for row, pair in enumerate(records) if row not in refused] if config.tracking.trust_orders else []
    orders = _orders(session, taken, result)
    if orders:
        _take_orders(session, orders, result, now, config)
    return result


def sign(secret: str, kind: str, value: str) -> str:
    """What the shop's server puts beside rapport('identify', {kind: value}): hex HMAC-SHA-256 of `kind:value`."""
    return hmac.new(secret.encode(), f"{kind}:{value}".encode(), hashlib.sha256).hexdigest()


def digest(visitor: str) -> str:
    """A visitor, told to a page without the name, under which it could write."""
    return hashlib.blake2b(visitor.encode(), digest_size=16).hexdigest()


def _skew(sent: Any, now: datetime) -> timedelta:
    """How far the browser's clock is behind ours."""
    moment = _moment(sent)
    return now - moment if moment else timedelta()


def _moment(value: Any) -> datetime | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < LATEST:
        return None
    return datetime.fromtimestamp(value / 1000, UTC)


def _record(session: Session, event: Any, skew: timedelta, now: datetime, config: Config) -> dict[str, Any]:
    if not isinstance(event, Mapping):
        raise Invalid("An event is an object with key, type, at and visitor.")
    kind, visitor, key = event.get("type"), event.get("visitor"), event.get("key")
    if not isinstance(kind, str):
        raise Invalid(f"An event says its type in words: {', '.join(EVENTS)}.", field="type")
    if kind not in EVENTS:
        raise Invalid(f"There is no event {show(kind)}.{nearest(kind[:64], EVENTS)}", field="type")
    if not (isinstance(visitor, str) and NAME.fullmatch(visitor) and isinstance(key, str) and NAME.fullmatch(key)):
        raise Invalid("visitor and key are names of 16 to 64 letters, digits, - and _.", field="visitor")
    said = _said(kind, event)
    moment = (_moment(event.get("at")) or now - skew) + skew
    record: dict[str, Any] = {
        "key": PREFIX + hashlib.blake2b(f"{visitor} {key}".encode(), digest_size=16).hexdigest(),
        "type": "checkout" if kind == "order" else kind,
        "at": min(max(moment, now - OLDEST), now).isoformat(),
        "visitor": visitor,
        "origin": ORIGIN,
    }
    if kind == "identify":
        return record | _who(session, said, config)
    lines = said.pop("items", [])
    properties = {name: value for name, value in said.items() if name not in _COLUMNS}
    properties |= {"items": len(lines)} if lines else {}
    return record | {name: said[name] for name in _COLUMNS & said.keys()} | {"properties": properties}


def _said(kind: str, event: Mapping[str, Any]) -> dict[str, Any]:
    known = EVENTS[kind]
    said = {}
    for name, value in event.items():
        if name in {"key", "type", "at", "visitor", "came_as"} or value is None:
            continue
        if name not in known:
            raise Invalid(f"{kind} has no {show(name)}.{nearest(name[:64], known)}", field=name[:64])
        said[name] = _read(name, known[name], value)
    return said


def _who(session: Session, said: Mapping[str, Any], config: Config) -> dict[str, Any]:
    """The contact somebody says they are. Without a signature it must be one we know, and exactly one."""
    named = [(name, said[name]) for name in ("customer", "card", "email", "phone") if name in said]
    if len(named) != 1:
        raise Invalid("identify says one of customer, card, email or phone.", field="identify")
    [(kind, value)] = named
    if kind in ("email", "phone"):
        value = consent.normalise("email" if kind == "email" else "sms", value, config.locale.country)
    secret, signature = config.tracking.secret, said.get("signature")
    if signature is not None:
        if not secret or not hmac.compare_digest(sign(secret, kind, said[kind]).encode(), signature.encode()):
            raise Invalid("The signature does not fit; see tracking.secret.", field="signature")
        return {"contact" if kind == "customer" else kind: value}
    if config.tracking.identify == "signed":
        raise Invalid("identify must be signed by the shop's server (docs/tracking.md).", field="signature")
    key = _known(session, kind, value)
    return {"contact": key} if key else {}


def _known(session: Session, kind: str, value: str) -> str | None:
    """The key of the one contact that is so named."""
    if kind == "customer":
        ids = set(session.scalars(select(Contact.id).where(Contact.key == value)))
    else:
        ids = set(names.bearers(session, [(kind, value)], 2))
    kept = identity.kept(session, ids)
    ids = {kept.get(one, one) for one in ids}
    return session.get_one(Contact, ids.pop()).key if len(ids) == 1 else None


def _items(session: Session, records: Sequence[dict[str, Any]]) -> None:
    """A browser adds nothing to the catalogue: what we do not sell is only a word."""
    wanted = {record["item"] for record in records if "item" in record}
    known = set(session.scalars(select(Item.key).where(Item.key.in_(sorted(wanted))))) if wanted else set()
    for record in records:
        if record.get("item", "") not in known:
            record.setdefault("properties", {}).update({"unknown_item": record.pop("item")} if "item" in record else {})


def _join(session: Session, events: Sequence[Mapping[str, Any]], handed: Handed) -> None:
    """Who came by a flyer under another name, of our host, is the visitor of this page: what stands in the other name
    and belongs to nobody is theirs. A word for it counts once: afterwards its event no longer stands in that name.
    """
    for event in events:
        word = event.get("came_as")
        given = handed(word) if isinstance(word, str) else None
        mine = select(Event.visitor).where(Event.key == given.event, Event.contact_id.is_(None)) if given else None
        other = session.scalar(mine.with_for_update()) if mine is not None else None
        if given and other and other != event["visitor"] and digest(other) == given.visitor:
            _rename(session, other, event["visitor"])


def _rename(session: Session, other: str, visitor: str) -> None:
    theirs = Event.visitor == other, Event.contact_id.is_(None)
    known = identity.owners_of_visitors(session, [visitor]).get(visitor)
    values = {"visitor": visitor, "contact_id": known, "revision": next_revision(session)}
    session.execute(update(Event).where(*theirs).values(values), execution_options={"synchronize_session": False})
    identity.rehome(session, [known] if known else [])


def _orders(session: Session, records: Sequence[tuple[Any, Mapping[str, Any]]], result: Told) -> list[dict[str, Any]]:
    """The orders of checkouts that were taken: of items we know, more than none of each; others are refused."""
    bought = [(event, record) for event, record in records if record["type"] == "checkout" and event.get("items")]
    wanted = {line["item"] for event, _ in bought for line in event["items"] if isinstance(line.get("item"), str)}
    known = (
        set(session.scalars(select(Item.key).where(Item.key.in_(sorted(filter(_is_whole, wanted))))))
        if wanted
        else set()
    )
    good = []
    for event, record in bought:
        if all(
            isinstance(line.get("item"), str) and line["item"] in known and _is_positive(line.get("quantity", 1))
            for line in event["items"]
        ):
            good.append(_order(record, event))
        else:
            result.refused.append(
                Refused(event, "order: a browser's order has known items, and more than none of each.")
            )
    return good


def _is_whole(words: str) -> bool:
    return words == words.encode(errors="replace").decode() and "\0" not in words


def _is_positive(quantity: Any) -> bool:
    try:
        return not isinstance(quantity, bool) and 0 < float(quantity) < 1e9
    except (TypeError, ValueError, OverflowError):
        return False


def _order(record: Mapping[str, Any], event: Mapping[str, Any]) -> dict[str, Any]:
    lines = [{name: line.get(name) for name in ("item", "quantity", "unit_price")} for line in event["items"]]
    order = {"order": record["properties"].get("order"), "at": record["at"], "channel": ORIGIN, "lines": lines}
    return order | ({"currency": event["currency"]} if event.get("currency") else {}) | {"visitor": record["visitor"]}


def _take_orders(
    session: Session, orders: Sequence[dict[str, Any]], result: Told, now: datetime, config: Config
) -> None:
    """The shop trusts its pages: an order of a known visitor is the contact's. An order we have is not changed."""
    there = select(Order.key).where(Order.key.in_([str(order["order"]) for order in orders]))
    known = set(session.scalars(there))
    new = [order for order in orders if str(order["order"]) not in known]
    whose = identity.owners_of_visitors(session, {order["visitor"] for order in new})
    for order in new:
        contact_id = whose.get(order.pop("visitor"))
        if contact_id is not None:
            order["contact"] = session.get_one(Contact, contact_id).key
    accepted = intake.accept(session, "orders", new, now=now, config=config, origin=ORIGIN)
    result.refused += [
        Refused(new[reject.row], f"{reject.field or 'order'}: {reject.message}") for reject in accepted.rejected
    ]

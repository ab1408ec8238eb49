"""People: find them, give out everything known about one, forget one. What somebody may ask a shop for by law."""

from __future__ import annotations

from typing import Any, Final

import structlog
from apiflask import APIBlueprint, Schema
from apiflask.fields import AwareDateTime, Boolean, Date, Dict, Float, Integer, List, Nested, String
from apiflask.validators import Length, Range
from flask import g
from flask.typing import ResponseReturnValue

from campaigns.history import history, part
from engine import consent, contacts, money
from engine.models import Contact
from engine.timeline import Place
from web.api.access import needs
from web.api.body import Whole
from web.api.lists import PageIn, PersonOut
from web.services import services, utcnow

blueprint = APIBlueprint("contacts", __name__, tag="Contacts")

MOST: Final = 500  # moments of one answer
AMOUNTS: Final = ("spend", "margin", "average_order")

log = structlog.get_logger(__name__)


class PeopleIn(PageIn):
    """Contacts to find."""

    words = String(
        load_default="",
        validate=Length(0, 200),
        metadata={"description": "All of them stand in key, e-mail, telephone or name."},
    )


class PeopleOut(Schema):
    """A page of contacts, by id."""

    contacts = List(Nested(PersonOut))
    next = Integer(allow_none=True)


class HistoryIn(Schema):
    """The part of the history to show."""

    cursor = String(load_default=None, validate=Length(0, 60), metadata={"description": "`next` of the page before."})
    limit = Whole(load_default=100, validate=Range(1, MOST))


class StandingOut(Schema):
    """How things stand on one channel."""

    channel = String(metadata={"example": "email"})
    address = String(allow_none=True)
    consent = Boolean(allow_none=True, metadata={"description": "The last word; null: never asked."})
    suppression = String(
        allow_none=True,
        metadata={
            "description": "Why nobody writes to it, whatever the consent says.",
            "enum": ["unsubscribe", "complaint", "bounce", "erased", "manual", None],
        },
    )


class TraitsOut(Schema):
    """What the orders tell; null where they do not. Amounts in the shop's currency."""

    first_order_at = AwareDateTime(allow_none=True)
    last_order_at = AwareDateTime(allow_none=True)
    order_count = Integer()
    other_currency_orders = Integer()
    discounted_orders = Integer()
    spend = String(metadata={"example": "129.90"})
    margin = String(allow_none=True)
    average_order = String(allow_none=True)
    units = Integer()
    returned_units = Integer()
    mean_gap_days = Float(allow_none=True)
    favourite_category = String(allow_none=True)
    channels = String(allow_none=True)
    rfm_recency = Integer(allow_none=True)
    rfm_frequency = Integer(allow_none=True)
    rfm_monetary = Integer(allow_none=True)


class MomentOut(Schema):
    """Something that happened."""

    at = AwareDateTime()
    kind = String(metadata={"example": "order", "description": "event, order, consent or send"})
    title = String(metadata={"description": "The event's type, the order's key, the campaign ..."})
    detail = String()
    amount = String(allow_none=True, metadata={"example": "12.50"})
    currency = String(allow_none=True)


class ContactOut(PersonOut):
    """Everything known about one person."""

    first_name = String(allow_none=True)
    last_name = String(allow_none=True)
    birth_date = Date(allow_none=True)
    age = Integer(allow_none=True)
    income = String(allow_none=True, metadata={"description": "A year, in the shop's currency."})
    education = String(allow_none=True)
    household_size = Integer(allow_none=True)
    household = String(allow_none=True, metadata={"description": "Whoever has the same is one household."})
    account = String(allow_none=True, metadata={"description": "Whoever has the same is one account."})
    region = String(allow_none=True)
    postcode = String(allow_none=True)
    language = String(allow_none=True)
    origin = String(allow_none=True)
    attributes = Dict()
    created_at = AwareDateTime()
    updated_at = AwareDateTime()
    channels = List(Nested(StandingOut))
    traits = Nested(TraitsOut, allow_none=True, metadata={"description": "null without an order."})
    traits_as_of = AwareDateTime(allow_none=True, metadata={"description": "The moment the traits show."})
    history = List(Nested(MomentOut), metadata={"description": "Newest first."})
    next = String(allow_none=True, metadata={"description": "`cursor` of the next part of the history."})


FACTS: Final = [name for name in ContactOut().fields if hasattr(Contact, name)]


@blueprint.get("/contacts")
@needs("contacts:read")
@blueprint.input(PeopleIn, location="query")
@blueprint.output(PeopleOut)
def index(query_data: dict[str, Any]) -> dict[str, Any]:
    """Find contacts"""
    limit = query_data["limit"]
    with services().database.read() as session:
        after, copy = query_data["cursor"] or None, services().warehouse
        found = contacts.search(session, query_data["words"], after=after, limit=limit, warehouse=copy)
    return {"contacts": found, "next": found[-1].id if len(found) == limit else None}


@blueprint.get("/contacts/<path:key>")
@needs("contacts:read")
@blueprint.input(HistoryIn, location="query")
@blueprint.output(ContactOut)
@blueprint.doc(
    description="`key` is the shop's customer number; GET /contacts finds it by an address. Of a merged contact the one"
    " that was kept is shown."
)
def show(key: str, query_data: dict[str, Any]) -> dict[str, Any]:
    """Everything known about a contact"""
    with services().database.read() as session:
        contact = contacts.find(session, key)
        before = Place.parse(query_data["cursor"]) if query_data["cursor"] else None
        moments, following = history(session, contact.id, part("", before=before), limit=query_data["limit"])
        return {
            **{name: getattr(contact, name) for name in FACTS},
            "income": _decimal(contact.income),
            "channels": consent.standings(session, contact),
            "traits": _traits(contact.id),
            "traits_as_of": services().warehouse.as_of,
            "history": [{**vars(moment), "amount": _decimal(moment.amount)} for moment in moments],
            "next": following and str(following),
        }


@blueprint.delete("/contacts/<path:key>")
@needs("contacts:erase")
@blueprint.output({}, status_code=204)
@blueprint.doc(
    description="Name, addresses, history and messages go, from the warehouse too; orders stay without a name, and the"
    " addresses are never written to again. Nothing brings this back."
)
def erase(key: str) -> ResponseReturnValue:
    """Forget a person for good"""
    with services().database.begin() as session:
        contact_id = contacts.find(session, key).id
        contacts.erase(session, contact_id, utcnow())
    log.info("contact erased", contact=contact_id, key=g.api_key.id)
    services().warehouse.refresh()
    return ""


def _traits(contact_id: int) -> dict[str, Any] | None:
    traits = services().warehouse.table("traits")
    rows = services().warehouse.execute(traits.filter(traits.contact_id == contact_id)).to_pylist()
    return rows[0] | {name: _decimal(rows[0][name]) for name in AMOUNTS} if rows else None


def _decimal(amount: int | None) -> str | None:
    return None if amount is None else str(money.to_decimal(amount))

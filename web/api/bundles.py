"""Bundles: sets of items for a price of their own, and sets that suggest themselves."""

from __future__ import annotations

from typing import Any

from apiflask import APIBlueprint, Schema
from apiflask.fields import Date, Decimal, Float, Integer, List, Nested, String
from apiflask.validators import Length, Range

from engine import money
from recommender import bundles, suggesting
from recommender.bundles import DISCOUNT, MOST_ITEMS, NAME, Take
from recommender.business import LONGEST
from recommender.criteria.published import serving
from recommender.models import Bundle
from recommender.suggesting import Suggestion
from web.api.access import needs
from web.api.body import Truth
from web.services import services, utcnow

blueprint = APIBlueprint("bundles", __name__, tag="Recommendations")


class BundleIn(Schema):
    """Two to four items, the one that leads first, for a price or at a discount on what they cost one by one."""

    name = String(required=True, validate=Length(1, NAME), metadata={"example": "Starter set"})
    items = List(
        String(validate=Length(1, LONGEST)),
        required=True,
        validate=Length(1, MOST_ITEMS),
        metadata={"description": "Keys of the items. The others are offered where the first one is looked at."},
    )
    price = Decimal(as_string=True, allow_none=True, metadata={"description": "Of the set; else `discount`."})
    discount = Float(
        allow_none=True,
        validate=Range(DISCOUNT.least, DISCOUNT.most),
        metadata={"description": "Share off what the items cost one by one; else `price`."},
    )
    since = Date(data_key="from", allow_none=True, metadata={"description": "First day on which it is offered."})
    until = Date(allow_none=True, metadata={"description": "Last day on which it is offered."})
    active = Truth(load_default=True)


class TakeOut(Schema):
    """Orders that hold the whole set, and those that hold its first item."""

    since = Integer(metadata={"description": "Whole sets since the bundle is offered."})
    lead_since = Integer()
    before = Integer(metadata={"description": "Whole sets in the equally long time before, a year at most."})
    lead_before = Integer()


class BundleOut(BundleIn):
    """A bundle and what became of it."""

    key = String()
    price = String(allow_none=True)  # type: ignore[assignment]  # a text loses nothing
    taken = Nested(TakeOut)


class BundlesOut(Schema):
    """All bundles, the newest first."""

    bundles = List(Nested(BundleOut))


class OfferOut(Schema):
    """A set that is on sale today."""

    key = String()
    name = String()
    items = List(String(), metadata={"description": "Keys of its items, the one that leads first."})
    price = String(metadata={"description": "Of one of each together.", "example": "19.90"})
    saves = String(metadata={"description": "Less than they cost one by one.", "example": "4.10"})
    currency = String()


class OffersOut(Schema):
    """In the order they were made."""

    offers = List(Nested(OfferOut))


class SuggestionOut(Schema):
    """Items that people buy together anyway, the most bought one first."""

    items = List(String())
    titles = List(String())
    price = String(metadata={"description": "What they cost one by one."})
    margin = String(allow_none=True, metadata={"description": "What they earn one by one, where all costs are known."})
    buyers = Integer(metadata={"description": "People who bought all of them."})
    holders = Integer(metadata={"description": "People who bought the first one."})
    rate = Float(metadata={"description": "Expected take rate: buyers / holders."})
    low = Float(metadata={"description": "Lower end of its 95% interval (Wilson)."})
    high = Float()
    leverage = Float(metadata={"description": "Share of all buyers who have the set beyond chance."})


class SuggestionsOut(Schema):
    """Those of the highest leverage x margin first."""

    suggestions = List(Nested(SuggestionOut))


@blueprint.get("/bundles")
@needs("recommendations:read")
@blueprint.output(BundlesOut)
def all_bundles() -> dict[str, Any]:
    """Read the bundles"""
    services().warehouse.refresh()
    with services().database.read() as session:
        found = bundles.read(session)
        taken = bundles.taken(services().warehouse, found, utcnow())
        return {"bundles": [_told(bundle, taken[bundle.id]) for bundle in found]}


@blueprint.put("/bundles/<string(maxlength=64):key>")
@needs("recommendations:write")
@blueprint.input(BundleIn)
@blueprint.output(BundleOut)
@blueprint.doc(description="A new key makes a new bundle. A placement that names `bundles` offers it within seconds.")
def put_bundle(key: str, json_data: dict[str, Any]) -> dict[str, Any]:
    """Write a bundle"""
    given = {**json_data, "from": json_data.get("since")}
    services().warehouse.refresh()
    with services().database.begin() as session:
        made = bundles.edit(session, key, given, utcnow(), services().config.locale.currency)
        told = _told(made, bundles.taken(services().warehouse, [made], utcnow())[made.id])
    services().recommender.reload()
    return told


@blueprint.delete("/bundles/<string(maxlength=64):key>")
@needs("recommendations:write")
@blueprint.output({}, status_code=204)
def delete_bundle(key: str) -> tuple[str, int]:
    """Delete a bundle"""
    with services().database.begin() as session:
        bundles.delete(session, key)
    services().recommender.reload()
    return "", 204


@blueprint.get("/bundle-offers")
@needs("recommendations:read")
@blueprint.output(OffersOut)
@blueprint.doc(description="For a cart that charges them: all items are sold, and dearer one by one.")
def offers() -> dict[str, Any]:
    """Read the sets on sale today"""
    today = utcnow().astimezone(services().config.locale.zone).date()
    with services().database.read() as session:
        found = bundles.charged(session, today)
    amounts = ("price", "saves")
    return {"offers": [one._asdict() | {name: _amount(getattr(one, name)) for name in amounts} for one in found]}


@blueprint.get("/bundle-suggestions")
@needs("campaigns:read")
@blueprint.output(SuggestionsOut)
def suggestions() -> dict[str, Any]:
    """Read which bundles suggest themselves"""
    services().warehouse.refresh()
    with services().database.read() as session:
        training, made = serving(session, services().config), [one.items for one in bundles.read(session)]
        found = suggesting.suggest(session, services().warehouse, training, made)
    return {"suggestions": [_suggested(one) for one in found]}


def _told(bundle: Bundle, taken: Take) -> dict[str, Any]:
    told = {name: getattr(bundle, name) for name in ("key", "name", "items", "discount", "since", "until", "active")}
    return {**told, "price": _amount(bundle.price), "taken": taken._asdict()}


def _suggested(one: Suggestion) -> dict[str, Any]:
    told = {name: getattr(one, name) for name in ("buyers", "holders", "rate", "low", "high", "leverage")}
    keys, titles = ([getattr(part, name) for part in one.items] for name in ("key", "title"))
    return {**told, "items": keys, "titles": titles, "price": _amount(one.apart), "margin": _amount(one.margin)}


def _amount(amount: int | None) -> str | None:
    return None if amount is None else money.to_text(amount)

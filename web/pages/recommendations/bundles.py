"""Bundles: the sets on sale and what became of them, those that suggest themselves, and the form of one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import date
from typing import Any, Final, Self

from flask import Response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext, lazy_gettext
from sqlalchemy import select
from sqlalchemy.orm import Session

from engine.errors import Conflict, Invalid, every
from engine.models import Item
from engine.money import to_decimal
from recommender import bundles, placements, suggesting
from recommender.bundles import MOST_ITEMS, NAME
from recommender.criteria.published import serving
from recommender.models import Bundle
from recommender.suggesting import Suggestion
from web.pages.recommendations import seen
from web.pages.recommendations.door import blueprint
from web.pages.recommendations.draft import Fault
from web.pages.recommendations.placement import known
from web.pages.recommendations.seen import Overtaken, saves
from web.services import services, utcnow
from web.shell import toast

LABELS: Final = {
    "name": lazy_gettext("Name"),
    "items": lazy_gettext("Items"),
    "discount": lazy_gettext("Discount"),
    "price": lazy_gettext("Price"),
    "since": lazy_gettext("From"),
    "until": lazy_gettext("Until"),
    "active": lazy_gettext("Offer it"),
}
CONTROLS: Final = {"items": "items-0"}  # what is not called as its field
USUAL: Final = "10"  # percent off, where nothing is typed yet
STATES: Final = {
    "offered": (lazy_gettext("Offered"), "good"),
    "off": (lazy_gettext("Off"), ""),
    "later": (lazy_gettext("Later"), "note"),
    "over": (lazy_gettext("Over"), ""),
    "gone": (lazy_gettext("Not sold"), "bad"),
    "suppressed": (lazy_gettext("Suppressed"), "bad"),
    "out": (lazy_gettext("Sold out"), "bad"),
    "unpriced": (lazy_gettext("No price"), "bad"),
    "dearer": (lazy_gettext("Not cheaper than apart"), "bad"),
    "untrained": (lazy_gettext("Waits for the next training"), "note"),
}


@dataclass(frozen=True)
class Form:
    """A bundle as it is typed: nothing of it is lost, right or wrong."""

    name: str = ""
    items: tuple[str, ...] = ()
    price: str = ""
    discount: str = ""
    since: str = ""
    until: str = ""
    active: bool = True
    faults: tuple[Invalid | Conflict, ...] = ()

    @classmethod
    def of(cls, made: Bundle) -> Self:
        """As it is saved."""
        price = "" if made.price is None else str(to_decimal(made.price))
        discount = "" if made.discount is None else f"{100 * made.discount:g}"
        since, until = (str(day or "") for day in (made.since, made.until))
        return cls(made.name, tuple(made.items), price, discount, since, until, made.active)

    @classmethod
    def typed(cls) -> Self:
        """From the request."""
        given = (request.form.get(one, "").strip() for one in ("name", "price", "discount", "since", "until"))
        name, price, discount, since, until = given
        items = (key.strip()[:128] for key in request.form.getlist("items"))
        chosen = tuple(key for key in items if key)[: MOST_ITEMS + 1]
        return cls(name, chosen, price, discount, since, until, active="active" in request.form)

    @property
    def state(self) -> dict[str, Any]:
        """What an editor begins from."""
        return {name: getattr(self, name) for name in LABELS} | {"items": list(self.items)}

    @property
    def given(self) -> dict[str, Any]:
        """As `recommender.bundles.edit` takes it."""
        try:
            discount: Any = float(self.discount) / 100 if self.discount else None
        except ValueError:
            discount = self.discount
        told = {"name": self.name, "items": list(self.items), "price": self.price or None, "discount": discount}
        return told | {"from": self.since, "until": self.until, "active": self.active}

    def wrong(self, field: str) -> str:
        """What is wrong there."""
        return " ".join(fault.message for fault in self.faults if _field(fault) == field)

    @property
    def told(self) -> list[Fault]:
        """All faults, each with the control it is about."""
        found = ((fault, _field(fault)) for fault in self.faults)
        return [Fault(str(LABELS.get(at, "")), fault.message, CONTROLS.get(at, at)) for fault, at in found]

    @property
    def is_priced(self) -> bool:
        """What it costs can be told, whatever else is wrong."""
        return not any(self.wrong(field) for field in ("items", "price", "discount"))


def _field(fault: Invalid | Conflict) -> str:
    at = (fault.field or "").partition(".")[0]
    return {"from": "since"}.get(at, at)


@blueprint.get("/bundles")
def all_bundles() -> ResponseReturnValue:
    """What is on sale together, and what could be."""
    config = services().config
    services().warehouse.refresh()
    with services().database.read() as session:
        made = bundles.read(session)
        found, problem = _suggested(session, made)
        keys = {key for one in made for key in one.items}
        items = _items(session, keys)
        lacking = _lacking(session, keys, items)
        today = utcnow().astimezone(config.locale.zone).date()
        return render_template(
            "recommendations/bundles.html",
            made=made,
            items=items,
            taken=bundles.taken(services().warehouse, made, utcnow()),
            states={one.id: _state(one, items, lacking, today) for one in made},
            words=STATES,
            shared=[name for name, times in Counter(one.name for one in made).items() if times > 1],
            prices={one.id: _price(one, items) for one in made},
            found=found,
            problem=problem,
        )


@blueprint.get("/bundles/new")
def new_bundle() -> ResponseReturnValue:
    """One of one's own, or of `?items=A,B`, the lead first."""
    keys = tuple(key.strip()[:128] for key in request.args.get("items", "").split(",") if key.strip())[:MOST_ITEMS]
    with services().database.read() as session:
        items = _items(session, set(keys))
        name = " + ".join(items[key].title or key for key in keys if key in items)
        return _form(session, Form(name[:NAME], keys, discount=USUAL), None)


@blueprint.post("/bundles/new")
def make_bundle() -> ResponseReturnValue:
    """Make it, or show what it would cost."""
    return _written(Form.typed(), None)


@blueprint.get("/bundles/<string(maxlength=64):key>")
def bundle(key: str) -> ResponseReturnValue:
    """As it is saved."""
    with services().database.read() as session:
        made = bundles.find(session, key)
        return _form(session, Form.of(made), made)


@blueprint.post("/bundles/<string(maxlength=64):key>")
def change_bundle(key: str) -> ResponseReturnValue:
    """Save it, or show what it would cost."""
    with services().database.read() as session:
        made = bundles.find(session, key)
    return _written(Form.typed(), made)


@blueprint.post("/bundles/<string(maxlength=64):key>/delete")
def delete_bundle(key: str) -> ResponseReturnValue:
    """Take it away."""
    with services().database.begin() as session:
        bundles.delete(session, key)
    services().recommender.reload()
    toast(gettext("Deleted. Orders keep what was bought."))
    return redirect(url_for(".all_bundles"), 303)


def _written(form: Form, made: Bundle | None) -> ResponseReturnValue:
    """Saved, under the key of `made` or a new one; else what is wrong with it."""
    currency, theirs = services().config.locale.currency, None
    try:
        if saves():
            with services().database.begin() as session:
                bundles.hold(session)
                theirs = _overtaken(session, form, made)
                if not made:
                    bundles.make(session, form.given, utcnow(), currency)
                elif not theirs:
                    bundles.edit(session, made.key, form.given, utcnow(), currency)
        else:
            with services().database.read() as session:
                bundles.planned(session, form.given, currency)
    except Invalid as error:
        form = replace(form, faults=tuple(_in_percent(fault) for fault in every(error)))
    except Conflict as error:
        form = replace(form, faults=(error,))
    if theirs or form.faults or not saves():
        status = 409 if theirs or any(isinstance(fault, Conflict) for fault in form.faults) else 422
        with services().database.read() as session:
            return _form(session, form, made), status if saves() else 200
    services().recommender.reload()
    toast(gettext("Saved. It is offered within a second where a placement names bundles."))
    address = url_for(".all_bundles")
    return Response(headers={"HX-Redirect": address}) if "HX-Request" in request.headers else redirect(address, 303)


def _overtaken(session: Session, form: Form, made: Bundle | None) -> Overtaken | None:
    """What somebody else saved since the editor began, unless the same is typed, as by a double click."""
    given = seen.began()
    if given is None or made is None:
        return None
    saved = bundles.find(session, made.key)
    now = Form.of(saved).state
    if given == now:
        return None
    with suppress(Invalid):
        if bundles.is_as(saved, bundles.planned(session, form.given, services().config.locale.currency)):
            return None
    changed = [name for name in LABELS if name in given and given[name] != now[name]]
    return Overtaken(
        seen.written(now), [(str(LABELS[name]), _words(now[name]), _words(given[name])) for name in changed]
    )


def _words(value: Any) -> str:
    """A value of the form, short."""
    if isinstance(value, bool):
        return str(gettext("yes") if value else gettext("no"))
    return (" + ".join(map(str, value)) if isinstance(value, list) else str(value)) or "–"


def _in_percent(fault: Invalid) -> Invalid:
    """A share is typed in percent here."""
    if fault.field != "discount":
        return fault
    least, most = (f"{100 * share:g}" for share in (bundles.DISCOUNT.least, bundles.DISCOUNT.most))
    words = gettext("Write the discount in percent, from %(least)s to %(most)s.", least=least, most=most)
    return Invalid(words, field="discount")


def _form(session: Session, form: Form, made: Bundle | None) -> str:
    items = _items(session, set(form.items))
    apart = [items[key].price if key in items else None for key in form.items]
    prices = [price for price in apart if price is not None]
    typed = form.given["price"], form.given["discount"]
    whole, set_price = len(prices) == len(apart) >= bundles.LEAST_ITEMS, None
    if form.is_priced and whole and any(typed):
        set_price = bundles.cost(sum(prices), bundles.amount(typed[0]), typed[1])
    return render_template(
        "recommendations/bundle.html" if "HX-Request" not in request.headers else "recommendations/set.html",
        form=form,
        made=made,
        items=items,
        apart=sum(prices) if whole else None,
        set_price=set_price,
        rows=range(MOST_ITEMS),
        known=known(session),
        currency=services().config.locale.currency,
        saving=saves(),
        seen=seen.kept(Form.of(made).state if made else None),
        overtaken=_overtaken(session, form, made),
    )


def _suggested(session: Session, made: Sequence[Bundle]) -> tuple[list[Suggestion], str]:
    """Sets that suggest themselves; without a training that serves, why not."""
    try:
        training = serving(session, services().config)
    except Invalid as error:
        return [], error.message
    return suggesting.suggest(session, services().warehouse, training, [one.items for one in made]), ""


def _items(session: Session, keys: set[str]) -> Mapping[str, Any]:
    query = select(Item.key, Item.title, Item.price, Item.active, Item.recommendable, Item.stock)
    return {row.key: row for row in session.execute(query.where(Item.key.in_(keys)))} if keys else {}


def _price(made: Bundle, items: Mapping[str, Any]) -> tuple[int | None, int | None]:
    """Of the set, and what it saves; None: not known."""
    prices = [items[key].price for key in made.items if key in items and items[key].price is not None]
    if len(prices) < len(made.items):
        return made.price, None
    price = bundles.cost(sum(prices), made.price, made.discount)
    return price, sum(prices) - price


def _lacking(session: Session, keys: set[str], items: Mapping[str, Any]) -> Mapping[str, Collection[str]]:
    """By the state that it gives a set, the items that keep one from being offered; what waits passes by itself, and
    so comes last.
    """
    sold = {key for key, item in items.items() if item.active and item.recommendable}
    return {
        "gone": keys - sold,
        "suppressed": frozenset(placements.suppressed(session)),
        "out": {key for key, item in items.items() if item.stock is not None and item.stock <= 0},
        "unpriced": {key for key, item in items.items() if item.price is None},
        "untrained": keys - services().recommender.known(session, keys, utcnow()),
    }


def _state(
    made: Bundle, items: Mapping[str, Any], lacking: Mapping[str, Collection[str]], today: date
) -> tuple[str, list[str]]:
    """One of STATES, and the titles of the items it is about."""
    if not made.active:
        return "off", []
    if made.since and today < made.since:
        return "later", []
    if made.until and made.until < today:
        return "over", []
    saves = _price(made, items)[1]
    if saves is not None and saves <= 0:
        return "dearer", []
    for state, keys in lacking.items():
        about = [key for key in made.items if key in keys]
        if about:
            return state, [(items[key].title if key in items else None) or key for key in about]
    return "offered", []

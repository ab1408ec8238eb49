"""From the cart to an order. Its number is drawn when the form is shown and stands in the signed cookie, so that a form
sent twice is one order.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import Any, Final

from flask import Blueprint, abort, redirect, render_template, request, url_for
from flask import session as cookie
from flask.typing import ResponseReturnValue

from engine import consent
from engine.errors import Invalid
from web.demo.storefront import cart, pages, people, store
from web.demo.storefront.rapport import AMOUNTS
from web.demo.storefront.shop import later, note, shop
from web.demo.storefront.store import Person, SoldOut
from web.services import utcnow

blueprint = Blueprint("checkout", __name__)
LETTERS: Final = "23456789ABCDEFGHJKMNPQRSTVWXYZ"  # of an order's number: none that look alike
LONGEST: Final = 100  # of a name


@dataclass
class Form:
    """What was typed, and what is wrong with it by field."""

    email: str = ""
    first_name: str = ""
    last_name: str = ""
    consent: bool = False
    faults: dict[str, str] = field(default_factory=dict)

    @classmethod
    def blank(cls) -> Form:
        """With what is known of who is signed in."""
        person = people.current()
        return cls(person.email, person.first_name, person.last_name) if person else cls()

    @classmethod
    def typed(cls) -> Form:
        """As sent, looked through."""
        given = request.form
        form = cls(
            given.get("email", "").strip()[:300],
            _name(given.get("first_name", "")),
            _name(given.get("last_name", "")),
            given.get("consent") == "yes",
        )
        try:
            form.email = consent.normalise("email", form.email, "GB")
        except Invalid:
            form.faults["email"] = "Write an e-mail address such as ann@shop.example."
        if not form.first_name:
            form.faults["first_name"] = "What shall we call you?"
        return form


def _name(text: str) -> str:
    return " ".join("".join(letter for letter in text if letter.isprintable()).split())[:LONGEST]


@blueprint.get("/checkout")
def show() -> ResponseReturnValue:
    """The form."""
    return _page(Form.blank())


def _page(form: Form, status: int = 200) -> ResponseReturnValue:
    bill = pages.bill()
    if not bill.lines or bill.is_short:
        return redirect(url_for("pages.show_cart"), 303)
    cookie.setdefault("order", "F-" + "".join(secrets.choice(LETTERS) for _ in range(10)))
    return render_template("checkout.html", form=form, bill=bill), status


@blueprint.post("/checkout")
def order() -> ResponseReturnValue:
    """Take the order: the shop has it when the answer comes, Rapport a moment later. An address proves nothing: of
    somebody the shop knows, whom this browser was not before, it tells neither browser nor consent.
    """
    number = cookie.get("order")
    if not isinstance(number, str):
        return redirect(url_for("pages.show_cart"), 303)
    form, bill = Form.typed(), pages.bill()
    if request.form.get("total", str(bill.total)) != str(bill.total):
        form.faults["total"] = "What it costs has changed since you saw it; look again before you order."
    if form.faults:
        return _page(form, 422)
    if not bill.lines:
        return redirect(url_for("pages.show_cart"), 303)
    bought = bill.bought
    try:
        with shop().database.begin() as session:
            who = store.person_of(session, form.email)
            themself = who is None or who.key == people.known()
            if who is None:
                who = Person(f"W-{secrets.token_hex(5)}", form.email, form.first_name, form.last_name)
                store.add_person(session, who)
            agreed, visitor = themself and form.consent, people.visitor() if themself else ""
            store.place(session, number, who.key, bought, at=utcnow(), consent=agreed, visitor=visitor)
    except SoldOut as gone:
        note(f"{shop().shelves.all[gone.key].title}: {cart.shortage(gone.left)}")
        return redirect(url_for("pages.show_cart"), 303)
    shop().teller.wake()
    _finish(number, who if themself else None, bought)
    return redirect(url_for(".thanks", key=number), 303)


def _finish(number: str, who: Person | None, bought: list[dict[str, Any]]) -> None:
    """What the browser keeps of it. who: None for an address that somebody else may have typed."""
    cart.empty()
    cookie.pop("order", None)
    cookie["ordered"] = number
    if who:
        cookie["ordered_as"] = who.key
    lines = [line | {name: f"{line[name] / 10_000:.2f}" for name in AMOUNTS} for line in bought]
    total = sum(line["quantity"] * line["unit_price"] - line["discount"] for line in bought) / 10_000
    later("order", number, {"value": f"{total:.2f}", "currency": shop().settings.currency, "items": lines})


@blueprint.get("/thanks/<key>")
def thanks(key: str) -> ResponseReturnValue:
    """The order, to the browser it came from alone."""
    if key != cookie.get("ordered"):
        abort(404)
    with shop().database.read() as session:
        found = store.order(session, key)
        who = store.person(session, found["person"]) if found and found["person"] == people.known() else None
    if found is None:
        abort(404)
    lines = [(shop().shelves.all[line["item"]], line) for line in found["lines"]]
    saved = sum(line.get("discount", 0) for _item, line in lines)
    return render_template("thanks.html", order=found, who=who, lines=lines, saved=saved)

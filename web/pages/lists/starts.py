"""Lists to begin with: a table of common questions, each ready to be counted, changed and saved."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from flask import render_template
from flask.typing import ResponseReturnValue
from flask_babel import gettext, lazy_gettext
from flask_babel.speaklater import LazyString

from engine import criteria, leaves
from engine.catalogue import open_catalogue
from engine.errors import Invalid
from web.pages.lists.rows import blueprint
from web.services import services, utcnow


class Start(NamedTuple):
    """One of them; the first three parts are what the builder's empty page needs."""

    title: LazyString
    text: LazyString
    criteria: dict[str, Any]
    key: str
    category: str


CATEGORIES: Final = {
    "sell": lazy_gettext("Sell more"),
    "keep": lazy_gettext("Keep and win back"),
    "greet": lazy_gettext("Greet"),
    "care": lazy_gettext("Take care"),
}


def _is(field: str, operator: str, *value: Any) -> dict[str, Any]:
    return {"field": field, "operator": operator, **({"value": value[0]} if value else {})}


def _did(event: str, times: int, days: int) -> dict[str, Any]:
    return {"event": event, "measure": "count", "operator": "at_least", "value": times, "within": {"last_days": days}}


_MAY_MAIL: Final = _is("email_consent", "is", True)

STARTS: Final = (
    Start(
        lazy_gettext("Win back regulars"),
        lazy_gettext("Three orders or more, none for three months, and mail is welcome"),
        {"all": [_is("order_count", "at_least", 3), _is("recency", "between", [90, 365]), _MAY_MAIL]},
        "win_back", "keep",
    ),
    Start(
        lazy_gettext("Looked, did not buy"),
        lazy_gettext("Viewed items at least three times this month and ordered nothing"),
        {"all": [_did("item_view", 3, 30), {"not": _did("order", 1, 30)}]},
        "looked", "sell",
    ),
    Start(
        lazy_gettext("Best customers"),
        lazy_gettext("The top fifth by spend who ordered within half a year"),
        {"all": [_is("rfm_monetary", "is", 5), _is("last_order_at", "in_last", 180)]},
        "best", "greet",
    ),
    Start(
        lazy_gettext("Abandoned cart"),
        lazy_gettext("Left a cart this week and did not order since the week began"),
        {"all": [_did("cart_abandon", 1, 7), {"not": _did("order", 1, 7)}, _MAY_MAIL]},
        "cart", "sell",
    ),
    Start(
        lazy_gettext("One-time buyers"),
        lazy_gettext("One order, three weeks to half a year ago: the second one makes a customer"),
        {"all": [_is("order_count", "is", 1), _is("recency", "between", [21, 180]), _MAY_MAIL]},
        "once", "sell",
    ),
    Start(
        lazy_gettext("Never bought"),
        lazy_gettext("Known for a month or longer, may get mail, and has no order yet"),
        {"all": [_is("order_count", "is", 0), {"not": _is("created_at", "in_last", 30)}, _MAY_MAIL]},
        "never", "sell",
    ),
    Start(
        lazy_gettext("Discount hunters"),
        lazy_gettext("Two orders or more with a line at a reduced price within a year"),
        {"all": [{"event": "order", "measure": "count", "operator": "at_least", "value": 2,
                  "within": {"last_days": 365},
                  "where": [{"field": "discount", "operator": "more_than", "value": 0}]}]},
        "discount", "sell",
    ),
    Start(
        lazy_gettext("Fading"),
        lazy_gettext("Twice their usual time between orders has passed, after three orders or more"),
        {"all": [_is("overdue", "at_least", 2), _is("order_count", "at_least", 3)]},
        "fading", "keep",
    ),
    Start(
        lazy_gettext("In store only"),
        lazy_gettext("Bought in a store within a year and never on the web"),
        {"all": [{**_did("order", 1, 365), "where": [_is("channel", "is", "store")]},
                 {"not": {"event": "order", "measure": "count", "operator": "at_least", "value": 1,
                          "where": [_is("channel", "is", "web")]}}]},
        "store", "keep",
    ),
    Start(
        lazy_gettext("New this month"),
        lazy_gettext("Came to us within the last 30 days"),
        {"all": [_is("created_at", "in_last", 30)]},
        "new", "greet",
    ),
    Start(
        lazy_gettext("Birthdays in the next 14 days"),
        lazy_gettext("Whose birthday comes within two weeks, and mail is welcome"),
        {"all": [_is("birth_date", "anniversary_in_next", 14), _MAY_MAIL]},
        "birthday", "greet",
    ),
    Start(
        lazy_gettext("Inactive subscribers"),
        lazy_gettext("Left the last five messages unopened: ask whether they still want them"),
        {"all": [_is("messages_unopened", "at_least", 5), _MAY_MAIL]},
        "inactive", "care",
    ),
    Start(
        lazy_gettext("High contact pressure"),
        lazy_gettext("Four messages or more in the last 30 days: leave them in peace"),
        {"all": [_is("messages_last_30_days", "at_least", 4)]},
        "pressure", "care",
    ),
)  # fmt: skip

BEGIN: Final = [start[:3] for start in STARTS[:3]]  # where there is room for few


@blueprint.get("/templates")
def starts() -> ResponseReturnValue:
    """All of them, by what they are for; each is counted by a request of its own, beside the page."""
    groups = [(label, [one for one in STARTS if one.category == key]) for key, label in CATEGORIES.items()]
    return render_template("lists/starts.html", groups=groups)


@blueprint.get("/templates/<key>")
def start_count(key: str) -> ResponseReturnValue:
    """How many people one of them finds now."""
    wanted = next((one for one in STARTS if one.key == key), None)
    if wanted is None:
        return "", 404
    try:
        with services().database.read() as session:
            asked = criteria.parse(wanted.criteria, open_catalogue(session, services().warehouse))
            count = leaves.size(services().warehouse, asked, utcnow())
    except Invalid as error:
        return render_template("lists/start_count.html", fault=error.message)
    return render_template("lists/start_count.html", count=count, title=gettext("People found now"))

"""Lists: all of them, the page where criteria are written and counted while they are, and the people found."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import pyarrow as pa
from babel.numbers import get_currency_symbol
from flask import Blueprint, Response, make_response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import get_locale, gettext, lazy_gettext, ngettext
from sqlalchemy import select
from sqlalchemy.orm import Session

from campaigns import planning
from campaigns.models import Campaign
from engine import criteria, lists
from engine.catalogue import Catalogue, open_catalogue
from engine.errors import Conflict, Invalid
from engine.models import ContactList
from web.api.lists import csv_response
from web.pages.lists import builder
from web.pages.lists.builder import State
from web.pages.lists.words import Vocabulary
from web.services import services, utcnow
from web.shell import toast

blueprint = Blueprint("lists", __name__, url_prefix="/lists")

PAGE: Final = 50

TEMPLATES: Final = (
    (
        lazy_gettext("Win back regulars"),
        lazy_gettext("Three orders or more, none for three months, and mail is welcome"),
        {"all": [{"field": "order_count", "operator": "at_least", "value": 3},
                 {"field": "recency", "operator": "between", "value": [90, 365]},
                 {"field": "email_consent", "operator": "is", "value": True}]},
    ),
    (
        lazy_gettext("Looked, did not buy"),
        lazy_gettext("Viewed items at least three times this month and ordered nothing"),
        {"all": [{"event": "item_view", "measure": "count", "operator": "at_least", "value": 3,
                  "within": {"last_days": 30}},
                 {"not": {"event": "order", "measure": "count", "operator": "at_least", "value": 1,
                          "within": {"last_days": 30}}}]},
    ),
    (
        lazy_gettext("Best customers"),
        lazy_gettext("The top fifth by spend who ordered within half a year"),
        {"all": [{"field": "rfm_monetary", "operator": "is", "value": 5},
                 {"field": "last_order_at", "operator": "in_last", "value": 180}]},
    ),
)  # fmt: skip


class Reader(Catalogue):
    """Reads criteria for their words alone: who is on a frozen list is not fetched."""

    def members(self, list_id: int) -> pa.Table:
        """Nobody."""
        return pa.table({"contact_id": pa.array([], pa.int64())})


@dataclass(frozen=True)
class Row:
    """A list in the index; `fault` when its criteria no longer make sense."""

    one: ContactList
    sentence: str
    fault: str | None
    campaigns: list[str]


@blueprint.get("")
def index() -> ResponseReturnValue:
    """Lists by what is typed, fifty at a time."""
    words, after = request.args.get("q", "").strip()[:200], request.args.get("after", type=int)
    with services().database.read() as session:
        found = lists.browse(session, words=words, after=after, limit=PAGE + 1)
        return render_template(
            "lists/index.html",
            rows=_rows(session, found[:PAGE]),
            base=_base(),
            words=words,
            after=after,
            templates=TEMPLATES,
            next=url_for(".index", q=words, after=found[PAGE - 1].id) if len(found) > PAGE else None,
            first=url_for(".index", q=words) if after else None,
        )


@blueprint.post("/count")
def count() -> ResponseReturnValue:
    """Count the lists that are shown once more, for two seconds at most."""
    words, after = request.form.get("q", "").strip()[:200], request.form.get("after", type=int)
    services().warehouse.refresh()
    with services().database.read() as session:
        shown = [one.id for one in lists.browse(session, words=words, after=after, limit=PAGE)]
    counted, left = lists.recount(services().database, services().warehouse, shown, utcnow())
    told = ngettext("Counted %(num)s list", "Counted %(num)s lists", counted)
    toast(gettext("%(told)s; %(left)s are left, press again", told=told, left=left) if left else told)
    return redirect(url_for(".index", q=words or None, after=after), 303)


@blueprint.get("/new")
def new() -> ResponseReturnValue:
    """A list that is not saved yet; `q`: the criteria to begin with."""
    return _open(None)


@blueprint.post("/new")
def edit_new() -> ResponseReturnValue:
    """Count, edit or save it."""
    return _work(None)


@blueprint.get("/<int:list_id>")
def show(list_id: int) -> ResponseReturnValue:
    """A list: its criteria to go on with, or the people it was frozen with."""
    with services().database.read() as session:
        found = lists.get(session, list_id)
    return _open(found) if found.frozen_at is None else _frozen(list_id)


@blueprint.post("/<int:list_id>")
def edit(list_id: int) -> ResponseReturnValue:
    """Count, edit or save it."""
    with services().database.read() as session:
        found = lists.get(session, list_id)
    return _work(found)


@blueprint.get("/values")
def values() -> ResponseReturnValue:
    """Suggestions for a value: those that are stored, most frequent first. No page: whoever opens it is led to one."""
    if "HX-Request" not in request.headers:
        return redirect(url_for(".index"))
    event, key = request.args.get("event", ""), request.args.get("field", "")
    with services().database.read() as session:
        catalogue = open_catalogue(session, services().warehouse)
        row = catalogue.row_field(catalogue.behaviour(event), key) if event else catalogue.field(key)
        answer = make_response(render_template("lists/values.html", options=catalogue.options(row)))
    answer.headers["Cache-Control"] = "private, max-age=300"
    answer.vary.add("HX-Request")
    return answer


@blueprint.get("/<int:list_id>/export.csv")
def export(list_id: int) -> ResponseReturnValue:
    """The people on a list as CSV."""
    services().warehouse.refresh()
    return csv_response(list_id, utcnow())


@blueprint.post("/<int:list_id>/copy")
def copy(list_id: int) -> ResponseReturnValue:
    """A dynamic list with the same criteria."""
    with services().database.begin() as session:
        name = gettext("%(name)s, copy", name=lists.get(session, list_id).name)[: lists.NAME_LIMIT]
        made = lists.copy(session, list_id, name, now=utcnow()).id
    toast(gettext("Copied"))
    return redirect(url_for(".show", list_id=made), 303)


@blueprint.post("/<int:list_id>/rename")
def rename(list_id: int) -> ResponseReturnValue:
    """Another name, for a frozen list."""
    with services().database.begin() as session:
        lists.rename(session, list_id, request.form.get("name", ""), now=utcnow())
    toast(gettext("Saved"))
    return redirect(url_for(".show", list_id=list_id), 303)


@blueprint.post("/<int:list_id>/delete")
def delete(list_id: int) -> ResponseReturnValue:
    """Put a list away; the message brings it back."""
    with services().database.begin() as session:
        name = lists.get(session, list_id).name
        lists.delete(session, list_id, now=utcnow())
    toast(gettext("Deleted “%(name)s”", name=name), undo=url_for(".restore", list_id=list_id))
    return redirect(url_for(".index"), 303)


@blueprint.post("/<int:list_id>/restore")
def restore(list_id: int) -> ResponseReturnValue:
    """Bring it back."""
    with services().database.begin() as session:
        lists.restore(session, list_id, now=utcnow())
    return redirect(url_for(".index"), 303)


def _open(saved: ContactList | None) -> ResponseReturnValue:
    services().warehouse.refresh()
    with services().database.read() as session:
        return _page(session, builder.asked(saved, request.args))


def _work(saved: ContactList | None) -> ResponseReturnValue:
    """What the form asks for: save in one of the ways, or edit and count."""
    services().warehouse.refresh()
    with services().database.read() as session:
        state = builder.received(saved, request.form, _vocabulary(session))
        how = SAVES.get(request.form.get("do", ""))
        looked = builder.look(session, services().warehouse, state, now=utcnow(), strict=how is not None)
        if how is None or looked.faults:
            return _answer(session, state, looked, status=422 if how else 200)
    return _save(state, how)


Save = Callable[[Session, State], int]


def _save(state: State, how: Save) -> ResponseReturnValue:
    """Save and show the result; a refusal shows the page again with all that was typed."""
    try:
        with services().database.begin() as session:
            list_id = how(session, state)
    except (Invalid, Conflict) as error:
        return _refused(state, error)
    with services().database.read() as session:
        saved = lists.get(session, list_id)
        if list_id != state.list_id or saved.frozen_at or "HX-Request" not in request.headers:
            return _go(url_for(".show", list_id=list_id))
        toast(gettext("Saved"))
        return _page(session, replace(state, saved=saved, name=saved.name, version=saved.version))


def _update(session: Session, state: State, *, version: int | None = None, list_id: int | None = None) -> int:
    catalogue = open_catalogue(session, services().warehouse)
    saved = lists.save(session, list_id, state.name, state.criteria, version=version, now=utcnow(), catalogue=catalogue)
    lists.count(session, services().warehouse, saved.id, utcnow())
    return saved.id


def _freeze(session: Session, state: State) -> int:
    list_id = _update(session, state, version=state.version or None, list_id=state.list_id)
    lists.freeze(session, services().warehouse, list_id, utcnow())
    return list_id


SAVES: Final[dict[str, Save]] = {
    "save": lambda session, state: _update(session, state, version=state.version or None, list_id=state.list_id),
    "overwrite": lambda session, state: _update(session, state, list_id=state.list_id),
    "save_as": lambda session, state: _update(session, builder.copied(state)),
    "freeze": _freeze,
}


def _refused(state: State, error: Invalid | Conflict) -> ResponseReturnValue:
    with services().database.read() as session:
        looked = builder.look(session, services().warehouse, state, now=utcnow())
        other = lists.get(session, state.list_id) if isinstance(error, Conflict) and state.list_id else None
        status = 422 if isinstance(error, Invalid) else 409
        return _answer(session, state, looked, status=status, refused=error.message, other=other)


def _page(session: Session, state: State) -> ResponseReturnValue:
    return _answer(session, state, builder.look(session, services().warehouse, state, now=utcnow()))


def _answer(session: Session, state: State, looked: builder.Looked, status: int = 200, **more: Any) -> Response:
    """The page, or the parts of it that change; the address then holds the state."""
    page = builder.shown(state, looked, _vocabulary(session))
    is_part = "HX-Request" in request.headers and "HX-History-Restore-Request" not in request.headers
    template = "lists/parts.html" if is_part and request.method == "POST" else "lists/builder.html"
    sign = get_currency_symbol(services().config.locale.currency, locale=str(get_locale()))
    shown = {"page": page, "state": state, "looked": looked, "currency": sign, "templates": TEMPLATES, **more}
    if template == "lists/builder.html":
        shown["waiting"] = planning.waiting(session, list_id=state.list_id) if state.list_id else []
    answer = make_response(render_template(template, **shown), status)
    header = "HX-Push-Url" if ":" in request.form.get("do", "") else "HX-Replace-Url"
    answer.headers[header] = state.address or request.path
    return answer


def _go(address: str) -> ResponseReturnValue:
    if "HX-Request" in request.headers:
        return Response("", headers={"HX-Redirect": address})
    return redirect(address, 303)


def _vocabulary(session: Session) -> Vocabulary:
    return Vocabulary(open_catalogue(session, services().warehouse), session, str(get_locale()))


def _frozen(list_id: int) -> ResponseReturnValue:
    """The people of a frozen list, fifty at a time, and what they were found by."""
    after = request.args.get("after", 0, type=int)
    with services().database.read() as session:
        found = lists.get(session, list_id)
        people = lists.members(session, services().warehouse, list_id, utcnow(), after=max(after, 0), limit=PAGE + 1)
        return render_template(
            "lists/frozen.html",
            row=_rows(session, [found])[0],
            people=people[:PAGE],
            base=_base(),
            next=url_for(".show", list_id=list_id, after=people[PAGE - 1].id) if len(people) > PAGE else None,
            first=url_for(".show", list_id=list_id) if after else None,
        )


def _rows(session: Session, found: Sequence[ContactList]) -> list[Row]:
    """Lists in words, with the campaigns that go to them."""
    campaigns: dict[int, list[str]] = defaultdict(list)
    going = select(Campaign.list_id, Campaign.name).where(
        Campaign.list_id.in_([one.id for one in found]), Campaign.deleted_at.is_(None)
    )
    for list_id, name in session.execute(going.order_by(Campaign.id.desc())):
        campaigns[list_id or 0].append(name)
    locale = services().config.locale
    reader = Reader(session, services().warehouse, locale.zone, locale.currency)
    return [Row(one, *_words(reader, one), campaigns[one.id]) for one in found]


def _words(reader: Reader, one: ContactList) -> tuple[str, str | None]:
    """The sentence, and why there is none."""
    try:
        return criteria.sentence(criteria.parse(one.criteria, reader, list_id=one.id), str(get_locale())), None
    except Invalid as error:
        return "", error.message


def _base() -> int:
    warehouse = services().warehouse
    return int(warehouse.execute(warehouse.table("contacts").count())[0][0].as_py())

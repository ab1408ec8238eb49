"""Lists: all of them, the page where criteria are written and counted while they are, and the people found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

from babel.numbers import get_currency_symbol
from flask import Response, make_response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import get_locale, gettext, ngettext
from sqlalchemy.orm import Session

from campaigns import planning
from engine import identity, lists
from engine.catalogue import open_catalogue
from engine.errors import Conflict, Invalid
from engine.models import ContactList
from web.exporting import csv_response
from web.pages.lists import builder, drafts, left, tabs, why
from web.pages.lists.builder import State
from web.pages.lists.rows import PAGE, author, base, blueprint, rows
from web.pages.lists.starts import BEGIN
from web.pages.lists.synonyms import SYNONYMS
from web.pages.lists.words import Vocabulary
from web.pages.lists.work import Work
from web.services import services, utcnow
from web.shell import toast

__all__ = ["blueprint", "why"]


@blueprint.get("")
def index() -> ResponseReturnValue:
    """Lists by what is typed, fifty at a time."""
    words, after = request.args.get("q", "").strip()[:200], request.args.get("after", type=int)
    with services().database.read() as session:
        found = lists.browse(session, words=words, after=after, limit=PAGE + 1)
        return render_template(
            "lists/index.html",
            rows=rows(session, found[:PAGE]),
            base=base(),
            words=words,
            after=after,
            templates=BEGIN,
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
    counted, rest = lists.recount(services().database, services().warehouse, shown, utcnow())
    told = ngettext("Counted %(num)s list", "Counted %(num)s lists", counted)
    toast(gettext("%(told)s; %(left)s are left, press again", told=told, left=rest) if rest else told)
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
    """A list: its criteria to go on with, or another of its tabs."""
    with services().database.read() as session:
        found = lists.get(session, list_id)
        tab = tabs.shown_tab(found)
    return _open(found) if tab == "criteria" else tabs.show(list_id, tab)


@blueprint.post("/<int:list_id>")
def edit(list_id: int) -> ResponseReturnValue:
    """Count, edit or save it."""
    with services().database.read() as session:
        found = lists.get(session, list_id)
    return _work(found)


@blueprint.post("/new/discard")
def discard_new() -> ResponseReturnValue:
    """Forget what was not saved of a new list."""
    return _discard(None)


@blueprint.post("/<int:list_id>/discard")
def discard(list_id: int) -> ResponseReturnValue:
    """Forget what was not saved of a list."""
    return _discard(list_id)


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
        made = lists.copy(session, list_id, name, now=utcnow(), author=author()).id
    toast(gettext("Copied"))
    return redirect(url_for(".show", list_id=made), 303)


@blueprint.post("/<int:list_id>/rename")
def rename(list_id: int) -> ResponseReturnValue:
    """Another name, for a frozen list."""
    with services().database.begin() as session:
        name, version = request.form.get("name", ""), tabs.seen_version()
        lists.rename(session, list_id, name, version=version, now=utcnow(), author=author())
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
    """As the address says, or as it was left (`draft`); what was left is offered where the address says nothing."""
    services().warehouse.refresh()
    list_id, criteria, wanted = saved.id if saved else None, "q" in request.args, request.args.get("draft", "")
    with services().database.read() as session:
        draft = drafts.find(session, list_id, wanted)
        state = builder.asked(saved, request.args) if draft is None or criteria else left.again(saved, draft)
        if draft and (draft.criteria, draft.name) == (state.json, state.name):
            state = replace(state, work=Work(state.work.id, draft.work, draft.at))
        return _page(session, state, left=[] if draft or criteria else left.offered(session, saved))


def _discard(list_id: int | None) -> ResponseReturnValue:
    with services().database.begin() as session:
        for work in request.form.getlist("draft"):
            drafts.drop(session, list_id, Work.read(work))
    return redirect(url_for(".show", list_id=list_id) if list_id else url_for(".new"), 303)


def _work(saved: ContactList | None) -> ResponseReturnValue:
    """What the form asks for: save in one of the ways, or edit and count."""
    services().warehouse.refresh()
    with services().database.read() as session:
        state = builder.received(saved, request.form, _vocabulary(session))
        how = SAVES.get(request.form.get("do", ""))
        looked = builder.look(session, services().warehouse, state, now=utcnow(), strict=how is not None)
        answer = _answer(session, state, looked, status=422 if how else 200)
    drafts.keep(state)
    return answer if how is None or looked.faults else _save(state, how)


Save = Callable[[Session, State], int]


def _save(state: State, how: Save) -> ResponseReturnValue:
    """Save and show the result; a refusal shows the page again with all that was typed."""
    try:
        with services().database.begin() as session:
            list_id = how(session, state)
            drafts.drop(session, state.list_id, state.work)
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
    saved = lists.save(
        session,
        list_id,
        state.name,
        state.criteria,
        version=version,
        now=utcnow(),
        catalogue=catalogue,
        author=author(),
    )
    lists.count(session, services().warehouse, saved.id, utcnow())
    return saved.id


def _freeze(session: Session, state: State) -> int:
    identity.alone(session)  # as freezing does, before the list is held
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
        if state.list_id:
            state = replace(state, saved=lists.get(session, state.list_id))
        state = replace(state, focus=error.field if error.field == "name" else "")
        looked = builder.look(session, services().warehouse, state, now=utcnow())
        status = 422 if isinstance(error, Invalid) else 409
        return _answer(session, state, looked, status=status, refused=error.message)


def _page(session: Session, state: State, **more: Any) -> ResponseReturnValue:
    return _answer(session, state, builder.look(session, services().warehouse, state, now=utcnow()), **more)


def _answer(session: Session, state: State, looked: builder.Looked, status: int = 200, **more: Any) -> Response:
    """The page, or the parts of it that change; the address then holds the state."""
    page = builder.shown(state, looked, _vocabulary(session))
    is_part = "HX-Request" in request.headers and "HX-History-Restore-Request" not in request.headers
    template = "lists/parts.html" if is_part and request.method == "POST" else "lists/builder.html"
    sign = get_currency_symbol(services().config.locale.currency, locale=str(get_locale()))
    shown = {"page": page, "state": state, "looked": looked, "currency": sign, "templates": BEGIN, **more}
    shown["synonyms"] = SYNONYMS
    shown["overtaken"] = drafts.overtaken(session, state)
    if template == "lists/builder.html":
        shown["waiting"] = planning.waiting(session, list_id=state.list_id) if state.list_id else []
        shown["tabs"] = tabs.tabs(state.saved) if state.saved else []
        shown["picks"] = lists.picks(session, state.list_id, limit=1) if state.list_id else []
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

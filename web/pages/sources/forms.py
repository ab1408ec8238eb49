"""Forms and surveys: made here, shown at a public address or in a frame, with what came of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from flask import redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import get_locale, gettext, lazy_gettext
from sqlalchemy import select
from sqlalchemy.orm import Session

from campaigns import confirmation
from engine.errors import Conflict, Invalid
from engine.models import CHANNELS, Contact, Form
from engine.sources import figures
from engine.sources import forms as core
from engine.sources.questions import MOST, TYPES, slug
from web.errors import status_of
from web.pages.sources.door import blueprint
from web.services import services, utcnow
from web.shell import LANGUAGES, toast

OWN: Final = "own"  # in the choice of targets: an attribute of the shop's own
PLAIN: Final = ("title", "intro", "language", "thanks", "redirect")
TARGETS: Final = (
    ("", lazy_gettext("the answer only")),
    ("email", lazy_gettext("E-mail")),
    ("phone", lazy_gettext("Telephone")),
    ("first_name", lazy_gettext("First name")),
    ("last_name", lazy_gettext("Last name")),
    ("birth_date", lazy_gettext("Birth date")),
    ("age", lazy_gettext("Age")),
    ("household_size", lazy_gettext("People in the household")),
    ("income", lazy_gettext("Yearly income")),
    ("education", lazy_gettext("Education")),
    ("city", lazy_gettext("City")),
    ("region", lazy_gettext("Region")),
    ("country", lazy_gettext("Country")),
    ("postcode", lazy_gettext("Postcode")),
    ("language", lazy_gettext("Language")),
    (OWN, lazy_gettext("an own attribute")),
)
BEGINNING: Final = {
    "title": lazy_gettext("News from us"),
    "intro": lazy_gettext("Once a month: what is new, and what is in season."),
    "questions": [
        {"label": lazy_gettext("E-mail"), "type": "email", "target": "email", "required": True},
        {"label": lazy_gettext("First name"), "type": "text", "target": "first_name"},
    ],
    "consents": {
        "email": lazy_gettext("Yes, write to me by e-mail. I can stop it at any time by a link in every message.")
    },
    "double_opt_in": True,
}


@blueprint.get("/forms")
def forms() -> ResponseReturnValue:
    """All forms with their figures."""
    with services().database.read() as session:
        rows = core.every(session)
    told = figures.of_forms(services().warehouse, utcnow())
    return render_template("sources/forms.html", forms=rows, told=told)


@blueprint.get("/forms/new")
def new_form() -> ResponseReturnValue:
    """A form to begin with: somebody signs up for news."""
    language = services().config.locale.language
    plain = {name: _plain(value) for name, value in BEGINNING.items()}
    return _editor(None, {"name": "", "origin": "web", "definition": plain | {"language": language}})


@blueprint.post("/forms/new")
def make_form() -> ResponseReturnValue:
    """Make it, or change its questions first."""
    return _take(None)


@blueprint.get("/forms/<int:form_id>")
def form(form_id: int) -> ResponseReturnValue:
    """Its address, what came in, and who has still to confirm."""
    now = utcnow()
    with services().database.read() as session:
        found = core.get(session, form_id)
        answers = figures.answers(services().warehouse, found.key, limit=20)
        return render_template(
            "sources/form.html",
            form=found,
            told=figures.of_forms(services().warehouse, now).get(found.key),
            answers=answers,
            names=_names(session, [row["contact_id"] for row in answers]),
            asked=confirmation.counts(session, form_id),
            waiting=confirmation.waiting(session, form_id),
            people=_names(session, [row.contact_id for row in confirmation.waiting(session, form_id)]),
            address=f"{services().config.server.public_url.rstrip('/')}/f/{found.key}",
            origins=services().config.shop.origins.split(),
        )


@blueprint.get("/forms/<int:form_id>/edit")
def edit_form(form_id: int) -> ResponseReturnValue:
    """The editor."""
    with services().database.read() as session:
        found = core.get(session, form_id)
    given = {"name": found.name, "origin": found.origin, "definition": found.definition, "version": found.version}
    return _editor(found, given)


@blueprint.post("/forms/<int:form_id>/edit")
def save_form(form_id: int) -> ResponseReturnValue:
    """Save it, or change its questions first."""
    with services().database.read() as session:
        found = core.get(session, form_id)
    return _take(found)


@blueprint.post("/forms/<int:form_id>/close")
def close_form(form_id: int) -> ResponseReturnValue:
    """Take no more answers, or take them again."""
    shut = request.form.get("open") != "1"
    with services().database.begin() as session:
        if shut:
            core.close(session, form_id, now=utcnow())
        else:
            core.reopen(session, form_id)
    toast(gettext("Closed; whoever opens it is told so") if shut else gettext("Open again"))
    return redirect(url_for(".form", form_id=form_id), 303)


def _take(found: Form | None) -> ResponseReturnValue:
    """What was sent: a step of editing shows the form again, "save" keeps it. Nothing typed is lost either way."""
    given = _given()
    act = request.form.get("act", "save")
    if act != "save":
        rows = given["definition"]["questions"]
        given["definition"]["questions"] = _edited(rows, *act.partition("-")[::2])
        return _editor(found, given)
    try:
        with services().database.begin() as session:
            saved = core.save(
                session,
                found.id if found else None,
                given["name"],
                given["origin"],
                given["definition"],
                version=given["version"],
                now=utcnow(),
            )
    except (Invalid, Conflict) as error:
        return _editor(found, given, error), status_of(error)
    toast(gettext("Saved"))
    return redirect(url_for(".form", form_id=saved.id), 303)


def _given() -> dict[str, Any]:
    """The editor's fields as a form's definition, wrong ones too."""
    sent = request.form
    lists = [sent.getlist(f"question.{name}") for name in ("label", "type", "options", "target", "own", "name")]
    rows = [
        {
            "label": label,
            "type": kind,
            "options": options.splitlines(),
            "target": _target(target, own, label),
            "name": name,
            "required": str(place) in sent.getlist("question.required"),
        }
        for place, (label, kind, options, target, own, name) in enumerate(zip(*lists, strict=False))
    ]
    definition = {name: sent.get(name, "") for name in PLAIN} | {
        "questions": rows,
        "consents": {channel: sent.get(f"consents.{channel}", "") for channel in CHANNELS},
        "double_opt_in": "double_opt_in" in sent,
    }
    names = {"name": sent.get("name", ""), "origin": sent.get("origin", "")}
    return names | {"definition": definition, "version": sent.get("version", type=int)}


def _target(target: str, own: str, label: str) -> str:
    return f"attributes.{own.strip() or slug(label)}" if target == OWN else target


def _edited(rows: list[dict[str, Any]], word: str, place: str) -> list[dict[str, Any]]:
    """The questions after one step: add, or up, down, remove of the question at `place`."""
    if word == "add" and len(rows) < MOST:
        return [*rows, {"label": "", "type": "text"}]
    at = int(place) if place.isdecimal() and len(place) < 3 else -1
    if not 0 <= at < len(rows):
        return rows
    if word == "remove":
        return rows[:at] + rows[at + 1 :]
    to = min(max(at + {"up": -1, "down": 1}.get(word, 0), 0), len(rows) - 1)
    rows.insert(to, rows.pop(at))
    return rows


def _editor(found: Form | None, given: Mapping[str, Any], fault: Invalid | Conflict | None = None) -> str:
    return render_template(
        "sources/editor.html",
        form=found,
        given=given,
        definition=given["definition"],
        fault=fault,
        types=[(row.key, row.label(str(get_locale()))) for row in TYPES.values()],
        targets=TARGETS,
        own=OWN,
        languages=LANGUAGES,
        send_to=url_for(".save_form", form_id=found.id) if found else url_for(".make_form"),
    )


def _plain(value: Any) -> Any:
    """Words of the page's language as plain text."""
    if isinstance(value, dict):
        return {name: _plain(child) for name, child in value.items()}
    if isinstance(value, list):
        return [_plain(child) for child in value]
    return value if isinstance(value, bool) else str(value)


def _names(session: Session, contact_ids: Sequence[int | None]) -> dict[int, str]:
    """What to call these people."""
    wanted = {number for number in contact_ids if number is not None}
    return {contact.id: contact.name for contact in session.scalars(select(Contact).where(Contact.id.in_(wanted)))}

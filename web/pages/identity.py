"""Who is who: how many are known where, likely duplicates, merges and their undoing."""

from __future__ import annotations

from typing import Final

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext, lazy_gettext
from sqlalchemy import select
from sqlalchemy.orm import Session

from engine import contacts, identity
from engine.errors import Invalid, RapportError
from engine.identity import audit, duplicates, merging
from engine.identity.report import recognition
from engine.models import Contact
from web import security
from web.pages.contacts import FACTS
from web.services import services, utcnow
from web.shell import toast

blueprint = Blueprint("identity", __name__, url_prefix="/identity")

PAGE: Final = 50
COMPARED: Final = (
    ("first_name", lazy_gettext("Given name")),
    ("last_name", lazy_gettext("Family name")),
    *FACTS,
    ("birth_date", lazy_gettext("Born")),
    ("email_consent", lazy_gettext("E-mail allowed")),
    ("sms_consent", lazy_gettext("SMS allowed")),
)


@blueprint.get("")
def index() -> ResponseReturnValue:
    """The report, likely duplicates, and the merges, newest first."""
    before = request.args.get("before", type=int)
    with services().database.read() as session:
        merges = audit.latest(session, before=before, limit=PAGE + 1)
        return render_template(
            "identity/index.html",
            report=recognition(session, services().warehouse, utcnow()),
            pairs=[] if before else duplicates.likely(session),
            merges=merges[:PAGE],
            next=url_for(".index", before=merges[PAGE - 1].merge.id) if len(merges) > PAGE else None,
            first=url_for(".index") if before else None,
        )


@blueprint.get("/compare/<int:contact_id>")
def compare(contact_id: int) -> ResponseReturnValue:
    """Two contacts side by side, and what they would be as one; `other` is a number, an address or an id."""
    words = request.args.get("other", "").strip()[:254]
    with services().database.read() as session:
        kept = contacts.get(session, contact_id)
        found = _find(session, words, kept.id) if words else []
    merged = found[0] if len(found) == 1 else None
    return render_template(
        "identity/compare.html",
        kept=kept,
        merged=merged,
        found=found,
        words=words,
        facts=COMPARED,
        shown=_as_one(merged.id, kept.id) if merged else None,
    )


@blueprint.post("/merge/<int:contact_id>")
def merge(contact_id: int) -> ResponseReturnValue:
    """A person says that two contacts are one."""
    other = request.form.get("other", type=int)
    if other is None:
        raise Invalid(gettext("Choose another contact."), field="other")
    evidence = request.form.get("evidence", "").strip()
    with services().database.begin() as session:
        done = identity.join(session, other, contact_id, evidence=evidence, author=security.user().email, now=utcnow())
        kept = contacts.get(session, done.kept_id).id
    services().warehouse.refresh()
    toast(gettext("They are one contact now"), url_for(".undo", merge_id=done.id))
    return redirect(url_for("contacts.show", contact_id=kept), 303)


@blueprint.post("/undo/<int:merge_id>")
def undo(merge_id: int) -> ResponseReturnValue:
    """Two contacts again."""
    with services().database.begin() as session:
        done = identity.part(session, merge_id, author=security.user().email, now=utcnow())
        parted = contacts.get(session, done.merged_id).id
    services().warehouse.refresh()
    toast(gettext("They are two contacts again. What came in under the kept one's name since stays with it."))
    return redirect(url_for("contacts.show", contact_id=parted), 303)


@blueprint.post("/visitor/<int:contact_id>")
def mistaken(contact_id: int) -> ResponseReturnValue:
    """A browser was taken for the wrong person."""
    with services().database.begin() as session:
        moved = identity.mistaken(session, request.form.get("visitor", "")[:64], contact_id)
    services().warehouse.refresh()
    toast(gettext("The browser is a stranger's again, with %(n)s events.", n=moved))
    return redirect(url_for("contacts.show", contact_id=contact_id), 303)


def _find(session: Session, words: str, but: int) -> list[Contact]:
    """By the whole customer number, else whoever holds the words."""
    exact = session.scalar(select(Contact).where(Contact.key == words, Contact.merged_into.is_(None)))
    if exact is not None and exact.id != but:
        return [exact]
    return [one for one in contacts.search(session, words, limit=10) if one.id != but]


def _as_one(merged_id: int, kept_id: int) -> Contact | str:
    """What they would show as one; the reason when they cannot be."""
    try:
        with services().database.read() as session:
            return merging.preview(session, merged_id, kept_id)
    except RapportError as error:
        return error.message

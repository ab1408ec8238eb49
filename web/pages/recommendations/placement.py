"""The page of a placement: its sources in order, its rules, and beside them what a real contact would see."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final

from flask import Response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext, lazy_gettext
from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from campaigns import offered
from engine.errors import Conflict, Invalid, NotFound, every
from engine.models import Contact, Item
from recommender import comparisons, placements
from recommender.answers import Answer, Request
from recommender.business import RULES, Rules
from recommender.placements import Plan
from recommender.sources import NAMES
from recommender.sources.about import ABOUT, is_idle
from web.pages.recommendations import seen
from web.pages.recommendations.compare import changes, edits
from web.pages.recommendations.door import blueprint
from web.pages.recommendations.draft import PIN, Draft
from web.pages.recommendations.index import SHOWN, find, keys_of
from web.pages.recommendations.seen import Overtaken, saves
from web.services import services, utcnow
from web.shell import toast

GROUPS: Final = (
    (lazy_gettext("What may be shown"), ("mask",)),
    (lazy_gettext("What this person knows already"), ("person",)),
    (lazy_gettext("Order and variety"), ("score", "arrangement")),
)
FOUND: Final = 20  # items offered under a search box
RULE_DEFAULTS: Final = Rules().json()
NEW: Final = Plan("", "", ("popular", "newest"), Rules())


@dataclass(frozen=True)
class Preview:
    """Two rows side by side for one person. items, visit: keys on the page and looked at in this visit, as typed;
    beside: "saved" or the key of another placement.
    """

    who: str
    items: str
    visit: str
    beside: str
    contact: Contact | None
    left: Answer | None
    right: Answer


@blueprint.get("/placements/new")
def new() -> ResponseReturnValue:
    """A placement of one's own."""
    return _page(Draft.of(NEW), status=200)


@blueprint.get("/placements/<string(maxlength=64):key>")
def edit(key: str) -> ResponseReturnValue:
    """A placement as it answers now."""
    return _page(Draft.of(_saved(key)), status=200)


@blueprint.post("/placements/new")
def create() -> ResponseReturnValue:
    """Make it, unless there is one of this key."""
    draft = Draft.typed(NEW, request.form.get("key", "").strip(), request.form)
    with services().database.read() as session:
        taken = draft.key in placements.read(session)
    if taken and saves():
        raise Conflict(gettext("There is a placement with the key %(key)s; choose another.", key=draft.key))
    return _written(draft)


@blueprint.post("/placements/<string(maxlength=64):key>")
def change(key: str) -> ResponseReturnValue:
    """Save it, or show what it would do."""
    return _written(Draft.typed(_saved(key), key, request.form))


@blueprint.post("/placements/<string(maxlength=64):key>/delete")
def delete_placement(key: str) -> ResponseReturnValue:
    """Away with one that the shop made."""
    plan = _saved(key)
    with services().database.begin() as session:
        placements.delete_one(session, key)
    services().recommender.reload()
    toast(gettext("“%(name)s” is deleted. Who asks for “%(key)s” is told that there is none.", name=plan.name, key=key))
    return redirect(url_for(".index") + "#placements", 303)


@blueprint.post("/suppressed")
def suppress() -> ResponseReturnValue:
    """Say which items no placement shows."""
    dropped = request.form.get("act", "").removeprefix("drop:")
    keys = [key.strip() for key in request.form.getlist("suppressed") if key.strip() and key != dropped]
    with services().database.begin() as session:
        before = placements.suppressed(session)
        placements.suppress(session, keys, utcnow())
        unknown = [key for key in placements.missing(session, keys) if key not in before]
    services().recommender.reload()
    if unknown:
        words = gettext("Kept, but nobody knows %(items)s: is that the number?", items=", ".join(unknown)[:200])
    else:
        words = gettext("Saved. Answers follow within a second.")
    toast(words)
    return redirect(url_for(".index") + "#suppressed", 303)


@blueprint.get("/items")
def items() -> ResponseReturnValue:
    """Items whose number or title begins with what is typed, for the list under a search box."""
    typed = next((value.strip() for _, value in request.args.items(multi=True) if value.strip()), "")
    with services().database.read() as session:
        return render_template("recommendations/known.html", known=known(session, typed[:128]))


def known(session: Session, typed: str = "") -> list[Any]:
    """Items to choose from."""
    query = select(Item.key, Item.title).where(Item.active).order_by(Item.id).limit(FOUND)
    if typed:
        query = query.where(
            or_(Item.key.istartswith(typed, autoescape=True), Item.title.icontains(typed, autoescape=True))
        )
    return list(session.execute(query))


def _written(draft: Draft) -> ResponseReturnValue:
    if not draft.asked or draft.faults:
        return _page(draft, status=422 if draft.asked else 200)
    if not saves():
        try:
            return _gone_to(url_for(".compare", key=draft.key, edited=edits(_saved(draft.key), draft.plan)))
        except Invalid as fault:
            return _page(replace(draft, faults=every(fault)), status=422)
    with services().database.begin() as session:
        placements.hold(session, draft.key)
        theirs = _overtaken(draft, placements.read(session).get(draft.key))
        if not theirs:
            placements.edit(session, draft.key, name=draft.name, sources=draft.sources, given=draft.given, now=utcnow())
    if theirs:
        return _page(draft, status=409)
    services().recommender.reload()
    toast(gettext("Saved. Answers follow within a second."))
    return _gone_to(url_for(".edit", key=draft.key))


def _gone_to(address: str) -> ResponseReturnValue:
    return Response(headers={"HX-Redirect": address}) if "HX-Request" in request.headers else redirect(address, 303)


def _saved(key: str) -> Plan:
    with services().database.read() as session:
        plans = placements.read(session)
    if key not in plans:
        raise NotFound(gettext("There is no placement %(key)s.", key=key))
    return plans[key]


def _state(plan: Plan) -> dict[str, Any]:
    rules = {name: value for name, value in plan.rules.json().items() if value != RULE_DEFAULTS[name]}
    return {"name": plan.name, "sources": plan.sources, "rules": rules}


def _overtaken(draft: Draft, saved: Plan | None) -> Overtaken | None:
    """What somebody else saved since the editor began, unless the same is typed, as by a double click."""
    given = seen.began()
    if given is None or saved is None or saved == draft.plan:
        return None
    try:
        before = placements.planned(saved.key, given["name"], given["sources"], given["rules"])
    except (Invalid, KeyError, TypeError, AttributeError):  # of an older version's form
        return Overtaken(seen.written(_state(saved)), [])
    if before == saved:
        return None
    renamed = [(gettext("Name"), saved.name, before.name)] if saved.name != before.name else []
    return Overtaken(seen.written(_state(saved)), renamed + changes(saved, before))


def _page(draft: Draft, *, status: int) -> ResponseReturnValue:
    """The whole page, or for the script the part that changes."""
    part = "HX-Request" in request.headers and request.method == "POST"
    with services().database.read() as session:
        plans = placements.read(session)
        preview = _preview(session, plans, draft)
        page = render_template(
            "recommendations/" + ("editor.html" if part else "placement.html"),
            draft=draft,
            plans=plans,
            preview=preview,
            seen=seen.kept(_state(plans[draft.key]) if draft.key in plans else None),
            overtaken=_overtaken(draft, plans.get(draft.key)),
            running=comparisons.running(session).get(draft.key),
            groups=[
                (words, {name: RULES[name] for name in RULES if RULES[name].acts in acts}) for words, acts in GROUPS
            ],
            more=[name for name in NAMES if name not in draft.sources],
            about=ABOUT,
            is_idle=is_idle,
            may_go=draft.key in plans and draft.key not in placements.DEFAULTS,
            known=known(session),
            paths=session.scalars(select(Item.category).where(Item.category.is_not(None)).distinct().limit(200)).all(),
            titles=_titles(session, draft),
            parts=PIN,
            currency=services().config.locale.currency,
        )
    return page, status


def _preview(session: Session, plans: dict[str, Plan], draft: Draft) -> Preview:
    """What is saved, or another placement, beside what is typed."""
    asked = request.values
    who, items, visit, beside = (asked.get(name, "").strip()[:254] for name in ("who", "items", "visit", "beside"))
    contact = find(session, who) if who else None
    question = Request("", contact.id if contact else None, items=keys_of(items), session=keys_of(visit), n=SHOWN)
    left = plans.get(beside) or plans.get(draft.key)
    shown = _ask(session, left, question) if left else None
    beside = beside if beside in plans else "saved"
    return Preview(who, items, visit, beside, contact, shown, _ask(session, draft.plan, question))


def _ask(session: Session, plan: Plan, question: Request) -> Answer:
    asked = replace(question, placement=plan.key)
    return services().recommender.recommend(session, asked, now=utcnow(), plan=plan, shown=offered.last)


def _titles(session: Session, draft: Draft) -> dict[str, str]:
    """What the items that rules name are called; who is not among them is not known."""
    pins = [pin.get("item", "") for name in ("pins", "buries") for pin in draft.given.get(name, ())]
    keys = {*draft.given.get("suppressed", ()), *pins}
    rows = session.execute(select(Item.key, Item.title).where(Item.key.in_(keys))) if keys else ()
    return {key: title or key for key, title in rows}

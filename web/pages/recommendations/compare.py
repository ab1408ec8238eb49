"""Comparing two settings of a placement: the form that starts it, with what each arm would show one person."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from flask import Response, g, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext, lazy_gettext
from sqlalchemy.orm import Session

from campaigns import offered
from engine.errors import Faults, Invalid, NotFound, every
from recommender import business, comparisons, placements
from recommender.answers import Answer, Request
from recommender.business import RULES, About
from recommender.placements import Plan
from web.pages.recommendations import duration
from web.pages.recommendations.door import blueprint
from web.pages.recommendations.draft import KINDS
from web.pages.recommendations.index import find, keys_of
from web.services import services, utcnow
from web.shell import toast

SHOWN: Final = 6
LONGEST: Final = 6_000  # letters of edited settings in an address; servers take 8,000
NUL: Final = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")  # in JSON
SELF: Final = ""  # the placement as it is
EDITED: Final = "edited"  # what was typed on the placement's page
NUMBERS: Final = {"share": "share_b", "held": "holdout"}  # typed in per cent
TYPED: Final = {"share": "50", "held": "10", "days": "14"}
ARMS: Final = {"a": lazy_gettext("A"), "b": lazy_gettext("B"), "holdout": lazy_gettext("Best-sellers")}


@dataclass(frozen=True)
class Sketch:
    """A comparison as it is typed. edited: settings from the placement's page, as JSON; given: what `start` takes;
    faults: why it cannot; asked: somebody wants it to.
    """

    key: str
    typed: Mapping[str, str]
    given: dict[str, Any]
    faults: tuple[Invalid, ...] = ()
    asked: bool = False

    @property
    def edited(self) -> str:
        """Settings that were edited for this, as JSON."""
        return self.typed["edited"]

    def wrong(self, name: str) -> str:
        """The words beside a control that is at fault."""
        own = NUMBERS.get(name, name)
        return " ".join(one.message for one in self.faults if (one.field or "").partition(".")[0] == own)


def edits(plan: Plan, draft: Plan) -> str:
    """What a draft changes of a placement, as JSON for an address. Raises Invalid when it is too much for one."""
    before, after = plan.rules.json(), draft.rules.json()
    changed: dict[str, Any] = {"rules": {name: value for name, value in after.items() if before.get(name) != value}}
    if plan.sources != draft.sources:
        changed["sources"] = list(draft.sources)
    words = json.dumps(changed, separators=(",", ":"))
    if len(words) > LONGEST:
        raise Invalid(gettext("These are too many changes to take along: save them as a placement of their own, and"
                              " compare with that."))  # fmt: skip
    return words


@blueprint.get("/placements/<string(maxlength=64):key>/compare")
def compare(key: str) -> ResponseReturnValue:
    """What is to be compared."""
    with services().database.read() as session:
        return _page(session, _sketch(session, key, request.args)), 200


@blueprint.post("/placements/<string(maxlength=64):key>/compare")
def start_comparison(key: str) -> ResponseReturnValue:
    """Begin, or show what it would show."""
    with services().database.read() as session:
        sketch = _sketch(session, key, request.form)
        if request.form.get("act") != "start":
            return _page(session, sketch), 200
    try:
        number = _started(sketch)
    except Invalid as fault:
        with services().database.read() as session:
            return _page(session, replace(sketch, faults=every(fault), asked=True)), 422
    toast(gettext("The comparison runs. People count from the first impression on."))
    address = url_for(".comparison", number=number)
    return Response(headers={"HX-Redirect": address}) if "HX-Request" in request.headers else redirect(address, 303)


def _started(sketch: Sketch) -> int:
    if sketch.faults:
        raise Faults(sketch.faults)
    with services().database.begin() as session:
        row = comparisons.start(session, sketch.key, **sketch.given, by=g.user.email, now=utcnow())
        number = row.id
    services().recommender.reload()
    return number


def _sketch(session: Session, key: str, form: Mapping[str, str]) -> Sketch:
    """What is typed, as far as it can be understood. Raises NotFound."""
    plans = placements.read(session)
    if key not in plans:
        raise NotFound(gettext("There is no placement %(key)s.", key=key))
    edited = form.get("edited", "")
    typed = {name: form.get(name, usual).strip() for name, usual in TYPED.items()}
    typed |= {"edited": edited, "a": form.get("a", SELF), "b": form.get("b", EDITED if edited else SELF)}
    typed["label"] = form.get("label", "").strip()[:128]
    given: dict[str, Any] = {}
    faults = []
    for arm in ("a", "b"):
        try:
            given[arm] = _variant(plans[key], typed[arm], edited)
        except Invalid as error:
            given[arm] = {}
            faults.append(Invalid(error.message, field=arm))
    if typed["label"]:
        given["b"]["label"] = typed["label"]
    for name in TYPED:
        try:
            given[NUMBERS.get(name, name)] = _number(name, typed[name])
        except Invalid as error:
            faults.append(error)
    return Sketch(key, typed, given, tuple(faults))


def _variant(plan: Plan, chosen: str, edited: str) -> dict[str, Any]:
    """As `comparisons.start` takes it, and checks it. Raises Invalid for edited settings that are no JSON, or hold text
    that cannot be stored: an address may say anything.
    """
    if chosen != EDITED:
        return {"placement": chosen} if chosen else {}
    try:
        changed = json.loads(edited)
        words = json.dumps(changed, ensure_ascii=False, allow_nan=False)
        words.encode()  # half a character cannot be
        if NUL.search(words):
            raise ValueError("PostgreSQL stores no NUL")  # noqa: TRY301  # as what JSON refuses
    except (ValueError, RecursionError):
        raise Invalid(gettext("The edited settings cannot be read: edit them anew on the placement’s page.")) from None
    changed = changed if isinstance(changed, dict) else {}
    rules, sources = changed.get("rules"), changed.get("sources")
    return {
        "label": gettext("Edited settings"),
        "sources": sources if isinstance(sources, list) else None,
        "rules": plan.rules.json() | (rules if isinstance(rules, dict) else {}),
    }


def _number(name: str, typed: str) -> float:
    try:
        return float(typed) / 100 if name in NUMBERS else int(typed)
    except ValueError:
        raise Invalid(gettext("Write a number."), field=NUMBERS.get(name, name)) from None


def _page(session: Session, sketch: Sketch) -> str:
    """The whole page, or for the script the part that changes."""
    part = "HX-Request" in request.headers and request.method == "POST"
    plans = placements.read(session)
    who, items, visit = (request.values.get(name, "").strip()[:254] for name in ("who", "items", "visit"))
    contact = find(session, who) if who else None
    asked = Request("", contact.id if contact else None, items=keys_of(items), session=keys_of(visit), n=SHOWN)
    arms, fault = _arms(session, sketch)
    return render_template(
        "recommendations/" + ("sketch.html" if part else "compare.html"),
        sketch=sketch,
        unclear=fault,
        plan=plans[sketch.key],
        choices=_choices(plans, sketch),
        running=comparisons.running(session).get(sketch.key),
        who=who,
        contact=contact,
        looked_at={"items": items, "visit": visit},
        shown=[(ARMS[arm], names(arms)[arm], _ask(session, plan, asked)) for arm, plan in arms.items()],
        changes=changes(arms["a"], arms["b"]) if "b" in arms else [],
        **duration.told(sketch.key, sketch.typed),
    )


def names(plans: Mapping[str, Plan]) -> dict[str, str]:
    """What stands below the name of an arm."""
    return {arm: gettext("for those held out") if arm == "holdout" else plan.name for arm, plan in plans.items()}


def _choices(plans: Mapping[str, Plan], sketch: Sketch) -> list[tuple[str, str]]:
    """Whose settings a variant may have."""
    others = [(plan.key, plan.name) for plan in plans.values() if plan.key != sketch.key]
    edited = [(EDITED, gettext("Edited settings"))] if sketch.edited else []
    return [(SELF, gettext("%(name)s as it is", name=plans[sketch.key].name)), *edited, *others]


def _arms(session: Session, sketch: Sketch) -> tuple[dict[str, Plan], Invalid | None]:
    """What each arm would show, as far as it can be told, and why not all of it."""
    arms: dict[str, Plan] = {}
    try:
        for arm in ("a", "b"):
            given = comparisons.variant(session, sketch.key, sketch.given[arm], arm)
            rules = business.parse(given["rules"])
            arms[arm] = Plan(sketch.key, given["label"], tuple(given["sources"]), rules)
    except Invalid as fault:
        return arms or {"a": placements.read(session)[sketch.key]}, fault
    held = {"holdout": comparisons.best_sellers(arms["a"])} if sketch.given.get("holdout") else {}
    return arms | held, None


def changes(a: Plan, b: Plan) -> list[tuple[str, str, str]]:
    """What tells two variants apart: the setting, and its value in each."""
    rows = []
    if a.sources != b.sources:
        row = (" → ".join(plan.sources).replace("_", " ") for plan in (a, b))
        rows.append((gettext("Sources, in order"), *row))
    before, after = a.rules.json(), b.rules.json()
    rows += [
        (about.label, _words(about, before[name]), _words(about, after[name]))
        for name, about in RULES.items()
        if before[name] != after[name]
    ]
    return rows


def _words(about: About, value: Any) -> str:
    """A value of a rule, short."""
    if about.kind == "truth":
        return str(gettext("yes") if value else gettext("no"))
    if isinstance(value, list):
        names = [one["item"] if isinstance(one, dict) else str(one) for one in value]
        return ", ".join(names[:3]) + (f" +{len(names) - 3}" if len(names) > 3 else "") or "–"
    shown = KINDS[about.kind].show(value)
    return "–" if shown is None else f"{shown}%" if about.kind == "share" else str(shown)


def _ask(session: Session, plan: Plan, question: Request) -> Answer:
    asked = replace(question, placement=plan.key)
    return services().recommender.recommend(session, asked, now=utcnow(), plan=plan, shown=offered.last)

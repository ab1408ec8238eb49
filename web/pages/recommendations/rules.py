"""What is bought together: the rules of the training that serves, to look through and to make something of."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode

from flask import Response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext, lazy_gettext
from sqlalchemy import select
from sqlalchemy.orm import Session

from campaigns import planning, plans
from engine import export, lists
from engine.errors import Conflict, Invalid
from engine.models import Item
from engine.money import to_decimal
from recommender import explorer, training
from recommender.criteria.published import serving
from recommender.explorer import MEASURES, SIDES, Found, Rule, Wanted
from recommender.sources.rules import LEAST_TOGETHER
from web.charts import Point, Scatter
from web.exporting import streamed
from web.pages.recommendations.door import blueprint
from web.security import user
from web.services import services, utcnow
from web.shell import toast

PAGE: Final = 50
DEEPEST: Final = 400  # pages; who wants more narrows the search or takes the file
DRAWN: Final = 300  # points: the first rules in their order
EXPORTED: Final = 100_000  # rules of one file
PLAIN: Final = str.maketrans("{}", "()")  # braces of a title would be Liquid's in a mail
BANDS: Final = 4  # shades of lift, each of as many points

COLUMNS: Final = {
    "support": lazy_gettext("Support"),
    "confidence": lazy_gettext("Confidence"),
    "lift": lazy_gettext("Lift"),
    "leverage": lazy_gettext("Leverage"),
    "margin": lazy_gettext("Margin"),
    "worth": lazy_gettext("Expected margin"),
}
LEAST: Final = {  # what can be asked to be at least, and what one typed unit of it is
    "support": (lazy_gettext("Least buyers"), 1.0),
    "confidence": (lazy_gettext("Least confidence (%)"), 0.01),
    "lift": (lazy_gettext("Least lift"), 1.0),
    "worth": (lazy_gettext("Least margin"), 10_000.0),
}
SIDE_WORDS: Final = (
    ("either", lazy_gettext("Either side")),
    ("from", lazy_gettext("As bought")),
    ("to", lazy_gettext("As also bought")),
)
ITEM_WORDS: Final = (
    ("", lazy_gettext("One or two")),
    ("1", lazy_gettext("From one")),
    ("2", lazy_gettext("From two")),
)
FILE: Final = (
    "from", "from_title", "and_from", "and_from_title", "to", "to_title", "to_category", "support", "share", "holders",
    "confidence", "lift", "leverage", "margin", "expected_margin",
)  # fmt: skip


@dataclass(frozen=True)
class Asked:
    """What the address asks for; typed: as it is typed, faults: of what cannot be used, by name."""

    wanted: Wanted
    page: int
    typed: Mapping[str, str]
    faults: Mapping[str, str]

    @classmethod
    def read(cls) -> Asked:
        """From the query; what cannot be read is said and not asked."""
        typed = {name: request.args.get(name, "").strip()[:128] for name in ("q", "side", "items", "sort", *LEAST)}
        least, faults = {}, {}
        for name, (_, unit) in LEAST.items():
            value = _number(typed[name])
            if value is not None and math.isfinite(value):
                least[name] = value * unit
            elif typed[name]:
                faults[name] = gettext("Write a number.")
        order = typed["sort"].removeprefix("-")
        wanted = Wanted(
            typed["q"],
            typed["side"] if typed["side"] in SIDES else SIDES[0],
            int(typed["items"]) if typed["items"] in ("1", "2") else 0,
            least,
            *((order, typed["sort"].startswith("-")) if order in MEASURES else (Wanted.order, Wanted.falling)),
        )
        return cls(wanted, min(max(request.args.get("page", 1, type=int), 1), DEEPEST), typed, faults)

    def address(self, endpoint: str = ".rules", **changed: Any) -> str:
        """The address of the same with something changed; what is empty is left out."""
        told = {**self.typed, "page": self.page, **changed}
        told = {name: value for name, value in told.items() if value not in ("", None, 1)}
        return url_for(endpoint) + (f"?{urlencode(told)}" if told else "")

    def sort_by(self, column: str) -> str:
        """What sorts by a column: largest first, and a second time smallest first."""
        falling = not (self.wanted.order == column and self.wanted.falling)
        return f"-{column}" if falling else column

    def sorted_by(self, column: str) -> str:
        """The address that does."""
        return self.address(sort=self.sort_by(column), page=None)


@blueprint.get("/rules")
def rules() -> ResponseReturnValue:
    """A page of the rules that fit, and a drawing of the first ones."""
    asked = Asked.read()
    with services().database.read() as session:
        found, problem = _found(session, asked)
        start = (asked.page - 1) * PAGE
        drawn = found.of(session, 0, DRAWN) if found is not None else []
        rows = drawn[start : start + PAGE]
        if found is not None and start >= DRAWN:
            rows = found.of(session, start, start + PAGE)
        return render_template(
            "recommendations/explorer.html",
            asked=asked,
            found=found,
            problem=problem,
            rows=rows,
            start=start,
            columns=COLUMNS,
            least=LEAST,
            sides=SIDE_WORDS,
            items=ITEM_WORDS,
            training=training.current(session),
            chart=_chart(asked, drawn),
            next=asked.address(page=asked.page + 1) if found is not None and start + PAGE < len(found) else None,
            previous=asked.address(page=asked.page - 1) if asked.page > 1 else None,
        )


@blueprint.get("/rules.csv")
def rules_file() -> Response:
    """The rules that fit, in their order, as a file."""
    asked = Asked.read()

    def pieces() -> Iterator[str]:
        with services().database.read() as session:
            training = serving(session, services().config)
            found = explorer.find(session, training, asked.wanted, services().config.locale.currency)
            yield from export.lines(FILE, map(_line, found.pieces(session, EXPORTED)))

    return streamed("rules.csv", pieces())


@blueprint.post("/rules/campaign")
def rule_campaign() -> ResponseReturnValue:
    """A list of those who hold what a rule starts from but not what it leads to, and a draft of a campaign to them."""
    given = [key[:128] for key in request.form.getlist("from")][:2]
    leads_to = request.form.get("to", "")[:128]
    buyers = max(min(request.form.get("buyers", LEAST_TOGETHER, type=int), 10), LEAST_TOGETHER)
    asked = {"all": [_lacks(key, leads_to, buyers) for key in given]}
    now, config = utcnow(), services().config
    with services().database.begin() as session:
        items = _items(session, [*given, leads_to])
        titles = {key: (item.title or key).translate(PLAIN) for key, item in items.items()}
        names = {"bought": gettext(" and ").join(titles[key] for key in given), "item": titles[leads_to]}
        name = gettext("Bought %(bought)s, not %(item)s", **names)
        made = lists.save(session, None, name[: lists.NAME_LIMIT], asked, now=now, author=user().name)
        plan = {
            "name": gettext("%(item)s for buyers of %(bought)s", **names)[: plans.NAME],
            "channel": "email",
            "list_id": made.id,
            "subject": names["item"],
            "blocks": _letter(items[leads_to], names),
        }
        campaign_id = planning.create(session, plan, now=now, config=config).id
    toast(
        gettext("A list and a draft were made. Nothing is sent before you say so."),
        url_for(".discard_campaign", campaign_id=campaign_id),
    )
    return redirect(url_for("campaigns.show", campaign_id=campaign_id), 303)


@blueprint.post("/rules/campaign/<int:campaign_id>/discard")
def discard_campaign(campaign_id: int) -> ResponseReturnValue:
    """Put a draft and the list it was made with away again; both can be brought back for 30 days."""
    with services().database.begin() as session:
        campaign = planning.get(session, campaign_id)
        if campaign.status != "draft":
            raise Conflict(gettext("“%(name)s” is no draft any more.", name=campaign.name))
        planning.delete(session, campaign_id, now=utcnow())
        if campaign.list_id:
            lists.delete(session, campaign.list_id, now=utcnow())
    return "", 204


def _found(session: Session, asked: Asked) -> tuple[Found | None, str]:
    """What fits; without a training that serves, why not."""
    config = services().config
    try:
        return explorer.find(session, serving(session, config), asked.wanted, config.locale.currency), ""
    except Invalid as error:
        return None, error.message


def _lacks(key: str, leads_to: str, buyers: int) -> dict[str, Any]:
    """The criterion: holds the one item and not the other, by a rule that the training knows."""
    return {"rule": {"given": key, "item": leads_to}, "lift": 1, "buyers": buyers}


def _letter(item: Item, names: Mapping[str, str]) -> list[dict[str, Any]]:
    """What the mail begins with: the item, its picture and the way to it."""
    blocks: list[dict[str, Any]] = [{"type": "heading", "text": names["item"]}]
    if item.image_url:
        blocks.append({"type": "image", "src": item.image_url, "alt": names["item"], "url": item.url or ""})
    blocks.append({"type": "text", "text": gettext("It goes well with %(bought)s.", **names)})
    if item.url:
        blocks.append({"type": "button", "label": gettext("Have a look"), "url": item.url})
    return blocks


def _items(session: Session, keys: list[str]) -> dict[str, Item]:
    """Items by key; raises Invalid for one that is not there."""
    found = {item.key: item for item in session.scalars(select(Item).where(Item.key.in_(keys)))}
    missing = next((key for key in keys if key not in found), None)
    if missing is not None or len(keys) < 2:
        raise Invalid(gettext("The item %(key)s is not in the shop any more.", key=missing or ""), field="to")
    return found


def _chart(asked: Asked, drawn: list[Rule]) -> Scatter:
    lifts = sorted(rule.lift for rule in drawn)
    ends = sorted({float(f"{lifts[len(lifts) * part // BANDS]:.2g}") for part in range(1, BANDS)}) if lifts else []
    bands = [*(f"≤ {end:g}" for end in ends), f"> {ends[-1]:g}" if ends else ""]
    points = [
        Point(
            named(rule),
            rule.support,
            rule.confidence,
            sum(rule.lift > end for end in ends),
            asked.address(page=place // PAGE + 1) + f"#{anchor(rule)}",
        )
        for place, rule in enumerate(drawn)
    ]
    return Scatter(
        gettext("Support and confidence of the first %(n)s rules", n=len(drawn)), gettext("Rule"), gettext("Support"),
        gettext("Confidence"), gettext("Lift"), bands, points,
    )  # fmt: skip


@blueprint.app_template_filter("rule_name")
def named(rule: Rule) -> str:
    """Tea + Honey → Cup."""
    bought = " + ".join(one.title or one.key for one in rule.antecedents)
    return f"{bought} → {rule.consequent.title or rule.consequent.key}"


@blueprint.app_template_filter("rule_anchor")
def anchor(rule: Rule) -> str:
    """The id of its row."""
    return "rule-" + "-".join(map(str, rule.ids))


def _line(rule: Rule) -> list[Any]:
    """A row of the file; shares as fractions, amounts in currency units."""
    first, *rest = rule.antecedents
    second = (rest[0].key, rest[0].title) if rest else ("", "")
    to = rule.consequent
    worth = None if rule.worth is None else to_decimal(round(rule.worth))
    shares = (round(value, 6) for value in (rule.confidence, rule.lift, rule.leverage))
    margin = None if to.margin is None else to_decimal(to.margin)
    return [first.key, first.title, *second, to.key, to.title, to.category, rule.support, round(rule.share, 6),
            rule.holders, *shares, margin, worth]  # fmt: skip


def _number(typed: str) -> float | None:
    try:
        return float(typed)
    except ValueError:
        return None
